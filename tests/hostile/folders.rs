//! State folders that aren't folders of our own: the compile still runs and publishes whole objects, follows nothing and
//! leaves alone what it doesn't trust.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::quick::{Quick, compiling, object_of, program_of};

/// Compiles and links twice where the state folder is as `make` left it.
fn builds_anyway(test: &str, make: impl Fn(&Quick)) -> Quick {
    let quick = Quick::new(test);
    make(&quick);
    for value in [1, 2] {
        quick.compile(value, "x.o").quiet();
        assert_eq!(quick.holds("x.o"), object_of(value));
        quick.cc("x.o -o prog").quiet();
        assert_eq!(quick.holds("prog"), program_of(value));
    }
    quick
}

#[test]
fn the_state_folder_is_a_file() {
    let quick = builds_anyway("the_state_folder_is_a_file", |quick| {
        quick.space.write(".objguard", "mine");
    });
    assert_eq!(quick.space.text(".objguard"), "mine");
    quick.space.assert_no_scratch();
}

#[test]
fn the_state_folder_is_a_link() {
    let quick = builds_anyway("the_state_folder_is_a_link", |quick| {
        let elsewhere = quick.space.aside("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "").unwrap();
        symlink(&elsewhere, quick.space.path(".objguard")).unwrap();
    });
    let names: Vec<_> = fs::read_dir(quick.space.aside("elsewhere"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["precious"], "the link was followed");
    quick.space.assert_no_scratch();
}

#[test]
fn the_state_folder_is_a_dangling_link() {
    let quick = builds_anyway("the_state_folder_is_a_dangling_link", |quick| {
        symlink("/nowhere/at/all", quick.space.path(".objguard")).unwrap();
    });
    assert!(quick.space.path(".objguard").is_symlink());
}

#[test]
fn the_state_folder_is_a_fifo() {
    builds_anyway("the_state_folder_is_a_fifo", |quick| {
        let path = quick.space.path(".objguard");
        let made = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    });
}

/// Whoever else can write there may have planted what it holds.
#[test]
fn the_state_folder_is_writable_by_all() {
    for mode in [0o777, 0o720, 0o1777] {
        let quick = builds_anyway("the_state_folder_is_writable_by_all", |quick| {
            let path = quick.space.path(".objguard");
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        });
        let state = quick.space.path(".objguard");
        assert_eq!(
            fs::read_dir(&state).unwrap().count(),
            0,
            "something was written there"
        );
        assert_eq!(state.metadata().unwrap().mode() & 0o7777, mode);
    }
}

/// The parts of a state folder are something else: no panic, nothing wrong, nothing hangs. A message is all right.
#[test]
fn parts_of_the_state_are_something_else() {
    let parts = [
        "tmp",
        "links",
        "x.o",
        "x.o/publish.lock",
        "x.o/claims",
        "CACHEDIR.TAG",
    ];
    for part in parts {
        for what in ["file", "folder", "link", "dangling link"] {
            let quick = Quick::new("parts_of_the_state_are_something_else");
            quick.compile(1, "x.o").quiet();
            quick.cc("x.o -o prog").quiet();
            let path = quick.space.path(".objguard").join(part);
            put_instead(&path, what, &quick.space.aside("elsewhere"));
            for value in [2, 1] {
                let compiled = quick.compile(value, "x.o");
                if compiled.status.success() {
                    assert_eq!(quick.holds("x.o"), object_of(value), "{part} is a {what}");
                    let linked = quick.cc("x.o -o prog");
                    if linked.status.success() {
                        assert_eq!(quick.holds("prog"), program_of(value), "{part} is a {what}");
                        continue;
                    }
                    linked.says(&["objguard: cannot"]);
                } else {
                    compiled.says(&["objguard: cannot"]);
                }
                let held = quick.holds("x.o");
                assert!([object_of(1), object_of(2)].contains(&held), "{held}");
            }
        }
    }
}

fn put_instead(path: &Path, what: &str, elsewhere: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    match what {
        "file" => fs::write(path, "not what you expect").unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "link" => {
            fs::create_dir_all(elsewhere).unwrap();
            symlink(elsewhere, path).unwrap();
        }
        _ => symlink("/nowhere/at/all", path).unwrap(),
    }
}

/// The object's own name is one that the state folder uses.
#[test]
fn objects_named_like_parts_of_the_state() {
    let quick = Quick::new("objects_named_like_parts_of_the_state");
    for name in [
        "tmp",
        "links",
        "fingerprints",
        ".gitignore",
        "CACHEDIR.TAG",
        ".objguard-x",
        "...",
        "-x.o",
    ] {
        let output = format!("./{name}");
        for value in [1, 2] {
            quick.cc(&compiling(value, &output)).quiet();
            assert_eq!(quick.holds(name), object_of(value));
        }
    }
    quick.compile(3, "x.o").quiet();
    assert_eq!(quick.holds("x.o"), object_of(3));
}

/// The state went while the objects stayed, or all of it came from another place.
#[test]
fn state_that_came_or_went() {
    let quick = Quick::new("state_that_came_or_went");
    quick.compile(1, "x.o").quiet();
    let state = quick.space.path(".objguard");
    crate::quick::copy_folder(&state, &quick.space.aside("saved"));
    fs::remove_dir_all(&state).unwrap();
    quick.compile(2, "x.o").quiet();
    assert_eq!(quick.holds("x.o"), object_of(2));
    // Yesterday's state with today's object.
    crate::quick::copy_folder(&quick.space.aside("saved"), &state);
    quick.compile(1, "x.o").quiet();
    assert_eq!(quick.holds("x.o"), object_of(1));
    quick.compile(2, "x.o").quiet();
    assert_eq!(quick.holds("x.o"), object_of(2));
    quick.cc("x.o -o prog").quiet();
    assert_eq!(quick.holds("prog"), program_of(2));
    fs::remove_dir_all(&state).unwrap();
    quick.cc("x.o -o prog").quiet();
    assert_eq!(quick.holds("prog"), program_of(2));
}
