//! The object itself and what stands beside it: changed by others after the compile, or gone.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::space::{Outcome, TestSpace};
use crate::{Watched, edit, set_times};

const SOURCE: &str = "#include \"p.h\"\nint z = P; int f(int n) { return n + P; }\n";

fn watched(test: &str) -> Watched {
    Watched::new(test, "-g x.c")
        .write("x.c", SOURCE)
        .write("p.h", "#define P 1\n")
}

/// Compiles, lets somebody change the object, compiles: the object is the compiler's again.
fn mends(test: &str, damage: impl FnOnce(&TestSpace)) {
    let watched = watched(test);
    watched.space.settle();
    watched.compile();
    let whole = watched.space.read("x.o");
    watched.space.settle();
    damage(&watched.space);
    assert!(
        fs::read(watched.space.path("x.o")).ok().as_ref() != Some(&whole),
        "the damage makes no difference: the test proves nothing"
    );
    watched.space.settle();
    watched.compile();
    assert!(
        watched.space.read("x.o") == whole,
        "the object is not the compiler's"
    );
    watched.is_right();
}

fn tool(space: &TestSpace, line: &str) {
    let mut words = line.split_whitespace();
    let mut command = space.command(words.next().expect("a program"));
    command.args(words);
    Outcome::of(command).quiet();
}

#[test]
fn a_stripped_object() {
    mends("stripped", |space| tool(space, "strip -g x.o"));
}

#[test]
fn an_object_with_a_section_more() {
    mends("objcopy", |space| {
        tool(space, "objcopy --add-section .note.mine=p.h x.o")
    });
}

/// Same inode, size and modification time: only the time of the last change tells.
#[test]
fn an_object_edited_in_place_with_its_time_put_back() {
    mends("in_place", |space| {
        let before = space.path("x.o").metadata().expect("it is there");
        let mut bytes = space.read("x.o");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(space.path("x.o"), bytes).expect("the file is ours");
        set_times(&space.path("x.o"), &before);
        let after = space.path("x.o").metadata().expect("it is there");
        assert_eq!(
            (before.ino(), before.len(), before.mtime_nsec()),
            (after.ino(), after.len(), after.mtime_nsec())
        );
    });
}

/// The same, in the very tick of the clock in which the object was published, if it can be had: no pause before the damage.
#[test]
fn an_object_edited_at_once() {
    for round in 0..20 {
        let watched = watched("at_once");
        watched.space.settle();
        watched.compile();
        let whole = watched.space.read("x.o");
        let before = watched.space.path("x.o").metadata().expect("it is there");
        let mut bytes = whole.clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(watched.space.path("x.o"), bytes).expect("the file is ours");
        set_times(&watched.space.path("x.o"), &before);
        watched.compile();
        assert!(
            watched.space.read("x.o") == whole,
            "round {round}: the object is not the compiler's"
        );
    }
}

#[test]
fn an_object_cut_short() {
    mends("cut", |space| {
        let file = fs::File::options()
            .write(true)
            .open(space.path("x.o"))
            .expect("it is there");
        file.set_len(100).expect("the file is ours");
    });
}

#[test]
fn an_object_replaced_by_another() {
    mends("other", |space| {
        space.gcc("-O2 -c x.c -o other.o").quiet();
        let like = space.path("x.o").metadata().expect("it is there");
        fs::rename(space.path("other.o"), space.path("x.o")).expect("the folder is ours");
        set_times(&space.path("x.o"), &like);
    });
}

#[test]
fn a_deleted_object() {
    mends("deleted", |space| {
        fs::remove_file(space.path("x.o")).expect("it is there")
    });
}

#[test]
fn an_object_copied_away_and_edited_there() {
    let watched = watched("linked_away");
    watched.space.settle();
    watched.compile();
    let whole = watched.space.read("x.o");
    // A second name of the same file, as `cp --link` makes it: what is done to one is done to both.
    fs::hard_link(watched.space.path("x.o"), watched.space.path("installed.o"))
        .expect("the name is free");
    watched.space.settle();
    assert_eq!(
        watched.compile(),
        0,
        "a second name is no change of the object"
    );
    let mut bytes = whole.clone();
    bytes.extend_from_slice(b"more");
    fs::write(watched.space.path("installed.o"), bytes).expect("the file is ours");
    watched.compile();
    assert!(
        watched.space.read("x.o") == whole,
        "the object is not the compiler's"
    );
}

#[test]
fn a_kept_variant_that_was_edited() {
    let space = TestSpace::new("kept_variant");
    space.write("x.c", "int z = P;\n");
    space.settle();
    let one = || space.cc("-DP=1 -c x.c -o x.o").quiet();
    one();
    let whole = space.read("x.o");
    // A second name from before keeps the variant within reach of everybody.
    fs::hard_link(space.path("x.o"), space.path("keep.o")).expect("the name is free");
    space.cc("-DP=2 -c x.c -o x.o").quiet();
    space.settle();
    let mut bytes = whole.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(space.path("keep.o"), bytes).expect("the file is ours");
    one();
    assert!(space.read("x.o") == whole, "an edited variant was put back");
}

#[test]
fn a_deleted_depfile() {
    let watched = Watched::new("no_depfile", "-MD -MP x.c")
        .write("x.c", SOURCE)
        .write("p.h", "#define P 1\n");
    watched.space.settle();
    watched.compile();
    let depfile = watched.space.text("x.d");
    assert!(depfile.contains("p.h"), "{depfile}");
    fs::remove_file(watched.space.path("x.d")).expect("it is there");
    watched.space.settle();
    watched.compile();
    assert_eq!(watched.space.text("x.d"), depfile);
}

#[test]
fn an_edited_depfile() {
    let watched = Watched::new("edited_depfile", "-MMD -MF deps x.c")
        .write("x.c", SOURCE)
        .write("p.h", "#define P 1\n");
    watched.space.settle();
    watched.compile();
    let depfile = watched.space.text("deps");
    watched.space.write("deps", "x.o: nothing\n");
    watched.space.settle();
    watched.compile();
    assert_eq!(watched.space.text("deps"), depfile);
}

#[test]
fn deleted_side_files() {
    let sides = [
        ("-g -gsplit-dwarf", "x.dwo"),
        ("-fstack-usage", "x.su"),
        ("-ftest-coverage -frandom-seed=1", "x.gcno"),
        ("-fcallgraph-info", "x.ci"),
    ];
    for (option, side) in sides {
        let watched = Watched::new("side", &format!("{option} x.c"))
            .write("x.c", SOURCE)
            .write("p.h", "#define P 1\n");
        watched.space.settle();
        watched.compile();
        let bytes = watched.space.read(side);
        fs::remove_file(watched.space.path(side)).expect("it is there");
        watched.space.settle();
        watched.compile();
        assert!(watched.space.read(side) == bytes, "{option}");
        watched.space.write(side, "edited");
        watched.space.settle();
        watched.compile();
        assert!(
            watched.space.read(side) == bytes,
            "{option}: the edited one stays"
        );
    }
}

#[test]
fn touching_without_changing_compiles_nothing() {
    watched("touch").skips_after(|space| {
        for name in ["x.c", "p.h"] {
            let file = fs::File::open(space.path(name)).expect("it is there");
            file.set_modified(std::time::SystemTime::now())
                .expect("the file is ours");
        }
    });
}

#[test]
fn writing_the_same_bytes_again_compiles_nothing() {
    watched("same_bytes").skips_after(|space| {
        space.write("x.c", SOURCE);
        space.write("new.h", "#define P 1\n");
        fs::rename(space.path("new.h"), space.path("p.h")).expect("the folder is ours");
    });
}

#[test]
fn reverting_a_change_compiles_nothing() {
    let watched = watched("revert");
    watched.space.settle();
    assert_eq!(watched.compile(), 1);
    edit(&watched.space, "p.h", "1", "2");
    watched.space.settle();
    assert_eq!(watched.compile(), 1);
    watched.is_right();
    edit(&watched.space, "p.h", "2", "1");
    watched.space.settle();
    watched.compile();
    watched.is_right();
}

/// make compares times: after a skip the object must not look older than what it was made from.
#[test]
fn a_touched_source_leaves_a_younger_object() {
    let watched = watched("younger");
    watched.space.settle();
    watched.compile();
    let before = watched
        .space
        .path("x.o")
        .metadata()
        .expect("it is there")
        .modified()
        .expect("the system has times");
    watched.space.settle();
    watched.compile();
    let at_rest = watched
        .space
        .path("x.o")
        .metadata()
        .expect("it is there")
        .modified()
        .expect("the system has times");
    assert_eq!(
        at_rest, before,
        "what depends on the object would be made again for nothing"
    );
    let source = fs::File::open(watched.space.path("x.c")).expect("it is there");
    source
        .set_modified(std::time::SystemTime::now())
        .expect("the file is ours");
    watched.space.settle();
    assert_eq!(watched.compile(), 0);
    let object = watched
        .space
        .path("x.o")
        .metadata()
        .expect("it is there")
        .modified()
        .expect("the system has times");
    let source = source
        .metadata()
        .expect("it is open")
        .modified()
        .expect("the system has times");
    assert!(object >= source, "make would compile it again and again");
}

/// An input that changes only its name's file: the directory entry points elsewhere, the bytes are the same.
#[test]
fn an_identical_file_by_another_inode_compiles_nothing() {
    watched("inode").skips_after(|space| {
        let before = space.path("p.h").metadata().expect("it is there").ino();
        fs::copy(space.path("p.h"), space.path("copy.h")).expect("the folder is ours");
        fs::rename(space.path("copy.h"), space.path("p.h")).expect("the folder is ours");
        assert_ne!(
            space.path("p.h").metadata().expect("it is there").ino(),
            before
        );
    });
}
