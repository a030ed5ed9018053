//! Other users: state that they left or planted is not trusted, and what they can't read stays theirs.
//!
//! These tests run as root and start commands as two users that need not exist.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::quick::{Quick, compiler, compiling, object_of, program_of};
use crate::space::{Outcome, WRAPPER, copy_program, not_here};

const ATTACKER: u32 = 40_001;
const VICTIM: u32 = 40_002;

/// A folder that everybody may write to, as /tmp is.
struct Shared {
    quick: Quick,
}

impl Shared {
    /// `None`: not run as root, so there are no other users to be.
    fn new(test: &str) -> Option<Shared> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            not_here(test, "only `root` can be other users");
            return None;
        }
        let quick = Quick::new(test);
        // The build's own folder may be closed to others.
        for (from, to) in [
            (PathBuf::from(WRAPPER), "objguard-cc"),
            (compiler().to_owned(), "quick-cc"),
        ] {
            let copy = quick.space.aside(to);
            copy_program(from, &copy);
            fs::set_permissions(copy, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(quick.space.path(""), Permissions::from_mode(0o1777)).unwrap();
        Some(Shared { quick })
    }

    fn wrapper(&self, user: u32, args: &str) -> Command {
        let space = &self.quick.space;
        let mut command = space.command(space.aside("objguard-cc"));
        command.args(args.split_whitespace()).uid(user).gid(user);
        command.env("OBJGUARD_CC", space.aside("quick-cc"));
        command
            .env("HOME", "/nonexistent")
            .env_remove("XDG_CACHE_HOME")
            .env_remove("TMPDIR");
        command
    }

    fn by(&self, user: u32, args: &str) -> Outcome {
        Outcome::of(self.wrapper(user, args))
    }

    /// What a shell does as this user.
    fn shell(&self, user: u32, script: &str) {
        let mut command = self.quick.space.command("sh");
        command.args(["-ec", script]).uid(user).gid(user);
        Outcome::of(command).success();
    }
}

/// The attacker's state has claims and objects for the very name that the victim compiles and links.
#[test]
fn planted_state_is_not_used() {
    let Some(shared) = Shared::new("planted_state_is_not_used") else {
        return;
    };
    for openness in ["0700", "0755", "0777"] {
        shared.by(ATTACKER, &compiling(666, "x.o")).quiet();
        shared.by(ATTACKER, &compiling(667, "x.o")).quiet();
        shared.shell(
            ATTACKER,
            &format!("rm x.o; chmod -R a+rwX .objguard; chmod {openness} .objguard"),
        );
        let before = listing(&shared);
        for value in [1, 2] {
            shared.by(VICTIM, &compiling(value, "x.o")).quiet();
            assert_eq!(shared.quick.holds("x.o"), object_of(value));
            assert_eq!(
                shared.quick.space.path("x.o").metadata().unwrap().uid(),
                VICTIM
            );
            shared.by(VICTIM, "x.o -o prog").quiet();
            assert_eq!(shared.quick.holds("prog"), program_of(value));
        }
        assert_eq!(
            listing(&shared),
            before,
            "the victim wrote into the attacker's folder"
        );
        shared.shell(VICTIM, "rm x.o prog");
        shared.shell(ATTACKER, "rm -r .objguard");
    }
}

fn listing(shared: &Shared) -> Vec<(PathBuf, u64, i64)> {
    let space = &shared.quick.space;
    let files = space
        .files()
        .into_iter()
        .filter(|name| name.starts_with(".objguard"));
    files
        .map(|name| {
            let meta = space.path(&name).symlink_metadata().unwrap();
            (name, meta.size(), meta.ctime_nsec())
        })
        .collect()
}

/// A link in the state folder's place leads to the victim's own things.
#[test]
fn a_planted_link_is_not_followed() {
    let Some(shared) = Shared::new("a_planted_link_is_not_followed") else {
        return;
    };
    let space = &shared.quick.space;
    let private = space.aside("private");
    fs::create_dir(&private).unwrap();
    fs::write(private.join("precious"), "").unwrap();
    chown(&private, Some(VICTIM), Some(VICTIM)).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    for name in [".objguard", ".objguard-1-2-3"] {
        let target = private.to_str().unwrap();
        shared.shell(ATTACKER, &format!("ln -s '{target}' {name}"));
    }
    for value in [1, 2] {
        shared.by(VICTIM, &compiling(value, "x.o")).quiet();
        assert_eq!(shared.quick.holds("x.o"), object_of(value));
        shared.by(VICTIM, "x.o -o prog").quiet();
        assert_eq!(shared.quick.holds("prog"), program_of(value));
    }
    let left: Vec<_> = fs::read_dir(&private)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["precious"]);
}

/// Scratch folders are private whatever the umask, and somebody else's are not swept.
#[test]
fn scratch_is_private() {
    let Some(shared) = Shared::new("scratch_is_private") else {
        return;
    };
    shared.shell(
        ATTACKER,
        "mkdir .objguard .objguard-ff-ff-0; touch .objguard-ff-ff-0/file",
    );
    let seen = shared.quick.space.aside("seen");
    fs::write(&seen, "").unwrap();
    chown(&seen, Some(VICTIM), None).unwrap();
    let spy = shared.quick.space.aside("spy");
    let script = format!(
        "#!/bin/sh\nfor w; do case $p in -o) stat -c %a \"${{w%/*}}\" >> '{}';; esac; p=$w; done\nexec '{}' \"$@\"\n",
        seen.display(),
        shared.quick.space.aside("quick-cc").display()
    );
    shared.quick.space.script(&spy, &script);
    for mask in [0o000, 0o022] {
        let mut command = shared.wrapper(VICTIM, &compiling(1, "x.o"));
        command.env("OBJGUARD_CC", &spy);
        // SAFETY: umask is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                libc::umask(mask);
                Ok(())
            })
        };
        Outcome::of(command).quiet();
        assert_eq!(shared.quick.space.mode("x.o"), 0o666 & !mask);
    }
    let modes = fs::read_to_string(&seen).unwrap();
    assert!(!modes.is_empty(), "the compiler ran in no scratch");
    for mode in modes.lines() {
        assert_eq!(mode, "700", "a scratch folder's mode");
    }
    assert!(shared.quick.space.has(".objguard-ff-ff-0/file"));
}

/// `sudo make` left root's state; the user's own build goes on without it, and the other way round.
#[test]
fn builds_of_root_and_of_a_user_in_one_folder() {
    let Some(shared) = Shared::new("builds_of_root_and_of_a_user_in_one_folder") else {
        return;
    };
    let space = &shared.quick.space;
    fs::set_permissions(space.path(""), Permissions::from_mode(0o777)).unwrap();
    for (first, second) in [(0, VICTIM), (VICTIM, 0)] {
        for (user, value) in [(first, 1), (second, 2), (first, 1), (second, 3)] {
            shared.by(user, &compiling(value, "x.o")).quiet();
            assert_eq!(shared.quick.holds("x.o"), object_of(value));
            shared.by(user, "x.o -o prog").quiet();
            assert_eq!(shared.quick.holds("prog"), program_of(value));
        }
        let state = space.path(".objguard").metadata().unwrap();
        assert_eq!((state.uid(), state.mode() & 0o777), (first, 0o700));
        shared.shell(0, "rm -rf .objguard x.o prog");
    }
}

/// A folder that the user can't write to: what plain gcc does, and a word about it if that fails.
#[test]
fn a_folder_of_another_user() {
    let Some(shared) = Shared::new("a_folder_of_another_user") else {
        return;
    };
    let space = &shared.quick.space;
    fs::set_permissions(space.path(""), Permissions::from_mode(0o755)).unwrap();
    let refused = shared.by(VICTIM, &compiling(1, "x.o"));
    assert!(!refused.status.success() && !space.has("x.o"), "{refused}");
    // An object that is the user's own in a folder that isn't.
    space.write("x.o", "old");
    chown(space.path("x.o"), Some(VICTIM), None).unwrap();
    shared.by(VICTIM, &compiling(1, "x.o")).success();
    assert_eq!(shared.quick.holds("x.o"), object_of(1));
}

/// A state folder of one's own that one can't write to any more.
#[test]
fn a_read_only_state_folder() {
    let Some(shared) = Shared::new("a_read_only_state_folder") else {
        return;
    };
    let space = &shared.quick.space;
    for part in [".objguard", ".objguard/x.o", ".objguard/tmp"] {
        for value in [1, 2] {
            shared.by(VICTIM, &compiling(value, "x.o")).quiet();
        }
        fs::set_permissions(space.path(part), Permissions::from_mode(0o500)).unwrap();
        for (value, name) in [(1, "x.o"), (2, "x.o"), (3, "x.o"), (4, "y.o")] {
            let compiled = shared.by(VICTIM, &compiling(value, name));
            if compiled.status.success() {
                assert_eq!(
                    shared.quick.holds(name),
                    object_of(value),
                    "{part} is read-only"
                );
            } else {
                compiled.says(&["objguard: cannot", part]);
            }
        }
        fs::set_permissions(space.path(part), Permissions::from_mode(0o700)).unwrap();
        shared.by(VICTIM, &compiling(1, "x.o")).quiet();
        shared.shell(VICTIM, "rm -rf .objguard x.o y.o");
    }
}

/// The cache of compilers' fingerprints, planted by another user, is not believed.
#[test]
fn a_planted_cache_is_not_used() {
    let Some(shared) = Shared::new("a_planted_cache_is_not_used") else {
        return;
    };
    let space = &shared.quick.space;
    let cache = space.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, Permissions::from_mode(0o1777)).unwrap();
    let compile = |user: u32, value: u32| {
        let mut command = shared.wrapper(user, &compiling(value, &format!("x{user}.o")));
        command.env("XDG_CACHE_HOME", &cache);
        Outcome::of(command)
    };
    compile(ATTACKER, 666).quiet();
    shared.shell(
        ATTACKER,
        "mkdir -p cache/objguard; chmod -R a+rwX cache/objguard .objguard",
    );
    symlink("/etc/passwd", cache.join("objguard/link")).unwrap();
    for value in [1, 2] {
        compile(VICTIM, value).quiet();
        assert_eq!(shared.quick.holds(format!("x{VICTIM}.o")), object_of(value));
    }
    let foreign = fs::read_dir(cache.join("objguard")).unwrap().flatten();
    for entry in foreign {
        let owner = entry.path().symlink_metadata().unwrap().uid();
        assert_ne!(owner, VICTIM, "the victim wrote into the attacker's cache");
    }
}
