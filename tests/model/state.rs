//! What the builders share, and what each is about to do.

/// A content of the object. 0 is none of ours.
pub type Variant = u8;

/// A file, by its inode.
pub type Inode = u8;

/// A builder, by its number.
pub type Who = u8;

/// What a builder runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// Compiles this variant to the object.
    Compile(Variant),
    /// Links the object; the linker opens it twice, as with LTO.
    Link,
}

/// Who runs what, and how often one of them is killed.
pub struct Scene {
    pub name: &'static str,
    pub scripts: &'static [&'static [Command]],
    pub kills: u8,
}

/// A step that is left out or done in another way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutation {
    /// The variant at the path isn't kept before the rename.
    NoKeep,
    /// It is kept only after the rename: what is then at the path is the new one.
    KeepAfterRename,
    /// The log isn't told what comes to the path.
    NoPublishLine,
    /// The log is told after the rename.
    PublishLineAfterRename,
    /// A compile that returns 0 leaves no claim.
    NoClaim,
    /// A compile that is skipped leaves no claim.
    NoClaimOnSkip,
    /// No publish lock.
    NoPublishLock,
    /// No flight lock.
    NoFlightLock,
    /// The link takes what is at the path.
    NoLookup,
    /// The link doesn't look again when the linker is done.
    NoCheck,
    /// The link that looked again and saw a change takes the path once more, without names of its own.
    RetryFromPath,
    /// The object is written in place and not renamed.
    WriteInPlace,
    /// A skip believes the record and doesn't look at the path.
    SkipUnseen,
    /// A link keeps what it saw before it had the lock: the names of its own are those of whatever is at the path.
    PrivateUnseen,
}

impl Mutation {
    pub const ALL: [Mutation; 14] = [
        Mutation::NoKeep,
        Mutation::KeepAfterRename,
        Mutation::NoPublishLine,
        Mutation::PublishLineAfterRename,
        Mutation::NoClaim,
        Mutation::NoClaimOnSkip,
        Mutation::NoPublishLock,
        Mutation::NoFlightLock,
        Mutation::NoLookup,
        Mutation::NoCheck,
        Mutation::RetryFromPath,
        Mutation::WriteInPlace,
        Mutation::SkipUnseen,
        Mutation::PrivateUnseen,
    ];

    /// The promises (DESIGN's numbers) one of which must break; 7: a build stops for no reason.
    pub fn breaks(self) -> &'static [u8] {
        match self {
            Mutation::NoFlightLock => &[5],
            Mutation::WriteInPlace => &[1],
            Mutation::SkipUnseen => &[2],
            Mutation::NoCheck | Mutation::RetryFromPath | Mutation::PrivateUnseen => &[3, 4],
            Mutation::NoPublishLock => &[2, 3, 4, 7],
            _ => &[3, 7],
        }
    }
}

/// A line of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Line {
    Publish(Variant, Inode),
    Claim {
        variant: Variant,
        inode: Inode,
        who: Who,
        began: u8,
        at: u8,
    },
}

/// A finished link: who, and which variant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Linked {
    pub who: Who,
    pub took: Variant,
    pub began: u8,
    pub at: u8,
}

/// What a link found, and what it takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Look {
    /// The path's inode.
    pub path: Option<Inode>,
    /// The log as it was read.
    pub log: List,
    /// The variant wanted; 0: whatever is at the path.
    pub wants: Variant,
    /// It is at the path; otherwise it is kept.
    pub as_it_is: bool,
    /// There is no other look after this one (a mutation).
    pub last: bool,
}

/// What a compile that holds the publish lock is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Work {
    /// The file that comes to the path.
    pub new: Inode,
    /// A kept variant is put back; nothing was compiled.
    pub again: bool,
    /// The flight lock is held too.
    pub flight: bool,
}

/// Where a builder is: the step it takes next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum At {
    /// Looks for a record; without one, tries for the flight lock.
    LookUp,
    /// Somebody else flies: waits until that is over.
    WaitForFlight,
    /// Holds the flight lock, and looks once more.
    LookAgain,
    /// Has a record that may do: takes the publish lock, and looks at the path.
    Skip { flight: bool },
    /// The compiler works.
    Compiling,
    /// Takes the publish lock, and keeps what is at the path.
    Keep { new: Inode },
    /// Tells the log.
    Tell(Work),
    /// Renames.
    Rename(Work),
    /// Written in place, half way (a mutation).
    Half(Work),
    /// Keeps after the rename (a mutation).
    KeepLate(Work),
    /// Tells the log after the rename (a mutation).
    TellLate(Work),
    /// Writes the record.
    Record,
    /// Claims. `skipped`: nothing was compiled.
    Claim { flight: bool, skipped: bool },
    /// Lets go of its locks, and returns 0.
    Return,
    /// A link looks at the path.
    LinkStat,
    /// Reads the log, without a lock.
    LinkLog(Look),
    /// Looks again under the lock, and decides. `again`: the first attempt was in vain.
    LinkDecide { again: bool },
    /// The linker opens the object.
    LinkOpen(Look),
    /// It opens it again.
    LinkOpenAgain(Look, Content),
    /// The linker is done: has anything changed?
    LinkCheck(Look, Content, Content),
    /// Takes a name of its own under the lock.
    LinkPrivate(Look),
    /// The output is published.
    LinkDone { took: Content },
    /// The link stopped with an error.
    Stopped,
    /// The script is done, or the builder gave up.
    End,
}

/// What a reader of a file sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Content {
    Missing,
    Torn,
    Whole(Variant),
}

/// A builder: its next command and where it is in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Builder {
    pub command: u8,
    pub at: At,
    /// The variant that its last compile to return 0 asked for.
    pub wants: Variant,
    /// When the present command began.
    pub began: u8,
}

/// A list of lines or of links that [`crate::evidence::Memory`] knows by this number; 0 is the empty one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct List(pub u32);

/// How many files there can be: one for each compile and each that is run again.
const FILES: usize = 8;

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub path: Option<Inode>,
    /// What each file holds, by inode.
    pub files: [Content; FILES],
    /// Which file keeps a variant.
    pub kept: [Option<Inode>; 2],
    pub records: [bool; 2],
    pub log: List,
    pub links: List,
    /// How much has been written down so far.
    pub now: u8,
    pub publish: Option<Who>,
    pub flights: [Option<Who>; 2],
    pub builders: [Builder; 3],
    pub kills: u8,
}

impl State {
    pub fn start(scene: &Scene) -> State {
        let mut state = State {
            path: None,
            files: [Content::Missing; FILES],
            kept: [None; 2],
            records: [false; 2],
            log: List(0),
            links: List(0),
            now: 0,
            publish: None,
            flights: [None; 2],
            builders: [Builder {
                command: 0,
                at: At::End,
                wants: 0,
                began: 0,
            }; 3],
            kills: scene.kills,
        };
        for who in 0..scene.scripts.len() {
            state.builders[who].at = scene.first_step(who as Who, 0);
        }
        state
    }

    /// A new file.
    pub fn create(&mut self, content: Content) -> Inode {
        let free = self.files.iter().position(|file| *file == Content::Missing);
        let inode = free.expect("there is a file for each compile");
        self.files[inode] = content;
        inode as Inode
    }

    /// What a reader of the path sees.
    pub fn at_path(&self) -> Content {
        self.path
            .map_or(Content::Missing, |inode| self.files[inode as usize])
    }
}

impl Scene {
    /// What a builder runs as its nth command.
    pub fn command(&self, who: Who, nth: u8) -> Option<Command> {
        self.scripts.get(who as usize)?.get(nth as usize).copied()
    }

    /// Where it begins.
    pub fn first_step(&self, who: Who, nth: u8) -> At {
        match self.command(who, nth) {
            None => At::End,
            Some(Command::Compile(_)) => At::LookUp,
            Some(Command::Link) => At::LinkStat,
        }
    }
}
