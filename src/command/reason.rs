//! Why a command is treated as it is: typed for the program, one sentence for its user.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// Why a command runs as written, is never skipped, or runs in place. `Display` is one sentence without a full stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is nothing to compile or link.
    NoInput,
    /// `-c` or `-S` without a source.
    NoSource,
    /// Several sources in one compile.
    SeveralSources,
    /// A file that no compile reads, beside the one source.
    OtherInput(OsString),
    /// The source comes from standard input.
    Stdin,
    /// An input or output below `/dev` or `/proc`.
    SpecialFile(OsString),
    /// A word without a character.
    EmptyWord,
    /// The last option lacks its value.
    MissingValue(OsString),
    /// An option the table doesn't know.
    UnknownOption(OsString),
    /// A language that isn't guarded: the suffix or the value of `-x` that asks for it.
    Language(OsString),
    /// The response file can't be expanded here.
    ResponseFile(super::Refused),
    /// A word that would be a response file, were there one.
    NoResponseFile(OsString),
    /// The output is one of the inputs.
    OutputIsInput(OsString),
    /// The output's name can't be a file's.
    OutputName(OsString),
    /// An option about dependency files, while none is asked for.
    DependencyOption(OsString),
    /// This stage does nothing for this language.
    NothingToDo,
    /// An option asks for something else than a compile or a link.
    Aside {
        /// The option as written.
        option: OsString,
        /// What it does.
        why: &'static str,
    },
    /// An option makes the object depend on something that can't be checked.
    NeverSkipped {
        /// The option as written.
        option: OsString,
        /// What it does.
        why: &'static str,
    },
    /// An option ties the command to the place and the name of its output.
    InPlace {
        /// The option as written.
        option: OsString,
        /// What it does.
        why: &'static str,
    },
    /// The output is given twice.
    SeveralOutputs,
    /// The output is a precompiled header.
    PrecompiledHeader,
}

impl Reason {
    pub(super) fn aside(option: &OsStr, why: &'static str) -> Reason {
        Reason::Aside {
            option: option.to_owned(),
            why,
        }
    }

    pub(super) fn never(option: &OsStr, why: &'static str) -> Reason {
        Reason::NeverSkipped {
            option: option.to_owned(),
            why,
        }
    }

    pub(super) fn in_place(option: &OsStr, why: &'static str) -> Reason {
        Reason::InPlace {
            option: option.to_owned(),
            why,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoInput => f.write_str("there is nothing to compile or link"),
            Reason::NoSource => f.write_str("there is no source to compile"),
            Reason::SeveralSources => f.write_str("several sources are compiled by one command"),
            Reason::OtherInput(name) => {
                write!(f, "{} is given to a compile but is no source", Shown(name))
            }
            Reason::Stdin => f.write_str("the source comes from standard input"),
            Reason::SpecialFile(name) => write!(f, "{} is not a regular file", Shown(name)),
            Reason::EmptyWord => f.write_str("a word of the command is empty"),
            Reason::MissingValue(option) => write!(f, "{} lacks its value", Shown(option)),
            Reason::UnknownOption(option) => write!(f, "{} is not a known option", Shown(option)),
            Reason::Language(name) => {
                write!(f, "{} is in a language that is not guarded", Shown(name))
            }
            Reason::ResponseFile(refused) => refused.fmt(f),
            Reason::NoResponseFile(word) => {
                write!(f, "the response file {} does not exist", Shown(word))
            }
            Reason::OutputIsInput(name) => write!(f, "{} is input and output", Shown(name)),
            Reason::OutputName(name) => write!(f, "{} is not the name of an output", Shown(name)),
            Reason::DependencyOption(option) => {
                write!(
                    f,
                    "{} stands without an option that writes dependencies",
                    Shown(option)
                )
            }
            Reason::NothingToDo => f.write_str("assembler is not compiled to assembler"),
            Reason::Aside { option, why } => {
                write!(f, "{} is run as written: {why}", Shown(option))
            }
            Reason::NeverSkipped { option, why } => {
                write!(f, "{} is never skipped: {why}", Shown(option))
            }
            Reason::InPlace { option, why } => {
                write!(f, "{} makes the command run in place: {why}", Shown(option))
            }
            Reason::SeveralOutputs => f.write_str("the output is given more than once"),
            Reason::PrecompiledHeader => f.write_str("the output is a precompiled header"),
        }
    }
}

/// A word in quotes, bytes that would break the line escaped.
struct Shown<'a>(&'a OsStr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => write!(f, "`{text}`"),
            _ => write!(f, "`{}`", bytes.escape_ascii()),
        }
    }
}
