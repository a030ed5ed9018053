//! Inputs that change while they are compiled, and faster than the file system's clock can tell.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::space::{Fake, TestSpace};
use crate::{edit, edit_unseen, or_say_so, set_times};

const SOURCE: &str = "#include \"p.h\"\nint x(void) { return P + 10; }\n";

/// A compiler that stops before it reads anything (`before`), and when it has written its object (`after`), in its first call.
const STOPPING: &str = "on_compile() {\n\
    if [ $call = 1 ]; then tell started; await go; fi\n\
    real \"$@\"; status=$?\n\
    if [ $call = 1 ]; then tell compiled; await publish; fi\n\
    return $status\n}\n";

/// Runs the first compile with `early` done before the compiler reads its inputs and `late` done when it is finished, then a
/// second one undisturbed; the object must be what gcc makes of what is there then.
fn race(test: &str, early: impl FnOnce(&TestSpace), late: impl FnOnce(&TestSpace)) {
    let fake = Fake::new(test, STOPPING);
    let space = &fake.space;
    let [mut started, mut go, mut compiled, mut publish] =
        ["started", "go", "compiled", "publish"].map(|name| fake.fifo(name));
    space.write("x.c", SOURCE);
    space.write("p.h", "#define P 1\n");
    space.settle();
    let running = fake.start("-c x.c -o x.o");
    started.wait();
    early(space);
    go.tell();
    compiled.wait();
    late(space);
    publish.tell();
    running.finish().quiet();
    // Time passes, so that only what was recorded of the first compile can mislead the second.
    space.settle();
    fake.cc("-c x.c -o x.o").quiet();
    assert!(
        space.read("x.o") == fake.plain("-c x.c"),
        "the object is stale"
    );
    space.settle();
    fake.cc("-c x.c -o x.o").quiet();
    assert!(
        space.read("x.o") == fake.plain("-c x.c"),
        "the object became stale"
    );
    space.assert_no_scratch();
}

#[test]
fn a_header_edited_after_it_was_read() {
    race("after", |_| {}, |space| edit(space, "p.h", "1", "2"));
}

#[test]
fn a_source_edited_after_it_was_read() {
    race(
        "source_after",
        |_| {},
        |space| edit(space, "x.c", "10", "20"),
    );
}

#[test]
fn a_header_edited_before_it_is_read() {
    race("before", |space| edit(space, "p.h", "1", "2"), |_| {});
}

#[test]
fn a_source_edited_before_it_is_read() {
    race(
        "source_before",
        |space| edit(space, "x.c", "10", "20"),
        |_| {},
    );
}

/// The compiler sees a content that was never there before or after.
#[test]
fn a_header_edited_and_put_back() {
    for name in ["p.h", "x.c"] {
        let (from, to) = if name == "p.h" {
            ("1", "2")
        } else {
            ("10", "20")
        };
        race(
            "and_back",
            |space| edit_unseen(space, name, from, to),
            |space| edit_unseen(space, name, to, from),
        );
    }
}

#[test]
fn a_header_edited_with_its_time_put_back() {
    race(
        "unseen",
        |_| {},
        |space| edit_unseen(space, "p.h", "1", "2"),
    );
}

#[test]
fn a_header_replaced_by_an_old_file() {
    race(
        "old_file",
        |space| {
            let file = space.write("old.h", "#define P 2\n");
            let file = fs::File::open(file).expect("it is there");
            file.set_modified(std::time::UNIX_EPOCH)
                .expect("the file is ours");
        },
        |space| fs::rename(space.path("old.h"), space.path("p.h")).expect("the folder is ours"),
    );
}

#[test]
fn a_header_that_appears_earlier_on_the_path() {
    let fake = Fake::new("appears", STOPPING);
    let space = &fake.space;
    let [mut started, mut go, mut compiled, mut publish] =
        ["started", "go", "compiled", "publish"].map(|name| fake.fifo(name));
    space.write("x.c", "#include <p.h>\nint x(void) { return P; }\n");
    space.write("two/p.h", "#define P 1\n");
    fs::create_dir(space.path("one")).expect("the name is free");
    space.settle();
    let running = fake.start("-Ione -Itwo -c x.c -o x.o");
    started.wait();
    go.tell();
    compiled.wait();
    space.write("one/p.h", "#define P 2\n");
    publish.tell();
    running.finish().quiet();
    space.settle();
    fake.cc("-Ione -Itwo -c x.c -o x.o").quiet();
    assert!(
        space.read("x.o") == fake.plain("-Ione -Itwo -c x.c"),
        "the object is stale"
    );
}

#[test]
fn has_include_of_a_file_that_appears_meanwhile() {
    let fake = Fake::new("has_include_meanwhile", STOPPING);
    let space = &fake.space;
    let [mut started, mut go, mut compiled, mut publish] =
        ["started", "go", "compiled", "publish"].map(|name| fake.fifo(name));
    space.write("x.c", "#if __has_include(\"later.h\")\n#define P 2\n#else\n#define P 1\n#endif\nint x(void) { return P; }\n");
    space.settle();
    let running = fake.start("-c x.c -o x.o");
    started.wait();
    go.tell();
    compiled.wait();
    space.write("later.h", "");
    publish.tell();
    running.finish().quiet();
    space.settle();
    fake.cc("-c x.c -o x.o").quiet();
    assert!(
        space.read("x.o") == fake.plain("-c x.c"),
        "the object is stale"
    );
}

/// Says that two edits in one tick are the rule where the tests run.
const COARSE: &str = "OBJGUARD_TEST_COARSE_CLOCK";

/// Two edits of one size within one tick of the file system's clock, the compiler reading between them. The compiler is a
/// script that is done within the tick, if the machine is quick enough: it copies an object made before.
#[test]
fn two_edits_within_one_tick() {
    let plan = "on_compile() {\nread -r word name value < p.h\ntell read; await go\ncp \"$FAKE_DIR/$value.o\" \"$output\"\n}\n";
    let fake = Fake::new("one_tick", plan);
    let space = &fake.space;
    let [mut read, mut go] = ["read", "go"].map(|name| fake.fifo(name));
    space.write("x.c", SOURCE);
    for value in ["1", "2"] {
        space.write("p.h", format!("#define P {value}\n"));
        space
            .gcc(&format!(
                "-c x.c -o {}",
                space.aside(format!("fake/{value}.o")).display()
            ))
            .quiet();
    }
    let object =
        |value: &str| fs::read(space.aside(format!("fake/{value}.o"))).expect("it was made");
    let header = space.path("p.h");
    let (mut hits, mut rounds) = (0, 0);
    while hits < 3 && rounds < 40 {
        rounds += 1;
        for path in space.files() {
            if path.starts_with(".objguard") || path == Path::new("x.o") {
                let _ = fs::remove_file(space.path(path));
            }
        }
        // Just after a tick, so that there is a whole one left.
        space.settle();
        space.write("p.h", "#define P 1\n");
        let first = header.metadata().expect("it is there");
        let running = fake.start("-c x.c -o x.o");
        read.wait();
        space.write("p.h", "#define P 2\n");
        set_times(&header, &first);
        let second = header.metadata().expect("it is there");
        let changed = |file: &fs::Metadata| (file.ctime(), file.ctime_nsec());
        hits += usize::from(changed(&first) == changed(&second));
        go.tell();
        running.finish().quiet();
        space.settle();
        let mut running = fake.start("-c x.c -o x.o");
        // Either a skip, or the compiler reads and waits.
        while !running.ended() {
            if read.arrived() {
                go.tell();
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        running.finish().quiet();
        assert!(
            space.read("x.o") == object("2"),
            "round {rounds}: the object is stale"
        );
    }
    // Linux 6.13 and newer give an edit that comes after a look a time of its own (multigrain timestamps), but for file systems with
    // a coarse clock.
    if std::env::var_os(COARSE).is_some() {
        assert!(hits > 0, "no edit of {rounds} fell into one tick");
    }
}

/// All of this once more on a file system whose clock ticks once a second (ext3 was one; here ext4 with inodes of 128 bytes),
/// where two edits in one tick are the rule. Its mount is seen by this test only.
#[test]
fn again_with_a_clock_of_one_second() {
    let space = TestSpace::new("one_second");
    let [image, mount] = ["image", "mount"].map(|name| space.aside(name));
    fs::create_dir(&mount).expect("the name is free");
    let file = fs::File::create(&image).expect("the folder is ours");
    file.set_len(64 << 20).expect("the file is ours");
    let mounted = |line: &str| {
        let script = format!(
            "mkfs.ext4 -q -F -I 128 \"$1\" > \"$1.log\" 2>&1 && mount -o loop \"$1\" \"$2\" && {line}"
        );
        let mut command = space.command("unshare");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command
            .args(["-m", "sh", "-c", &script, "sh"])
            .args([&image, &mount]);
        command.arg(std::env::current_exe().expect("the system knows"));
        command.output().expect("unshare is part of every Linux")
    };
    let tried = mounted("echo mounted");
    let able = tried.stdout == b"mounted\n";
    let lacking = "no right to `mount` a file system of the test's own";
    if or_say_so("again_with_a_clock_of_one_second", able, lacking) {
        let line = "OBJGUARD_TEST_COARSE_CLOCK=1 TMPDIR=\"$2\" \"$3\" racing:: --skip again_with --nocapture 2>&1";
        let output = mounted(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("cannot run here"), "{text}");
    }
}

/// The same without a compiler's help: an edit right after a compile ends, of the same size and with the time put back.
#[test]
fn an_edit_right_after_the_compile() {
    let space = TestSpace::new("right_after");
    let mut value = 100;
    space.write("x.c", format!("int z = {value};\n"));
    for round in 0..60 {
        space.cc("-c x.c -o x.o").quiet();
        let before = space.path("x.c").metadata().expect("it is there");
        value += 1;
        space.write("x.c", format!("int z = {value};\n"));
        set_times(&space.path("x.c"), &before);
        space.cc("-c x.c -o x.o").quiet();
        let reference = space.aside("reference.o");
        space
            .gcc(&format!("-c x.c -o {}", reference.display()))
            .quiet();
        assert!(
            space.read("x.o") == fs::read(&reference).expect("gcc made it"),
            "round {round}: the object is stale"
        );
    }
}
