//! Narrow places: long paths and names, long command lines, few descriptors, a full disk, a neighbour that stands still.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::quick::{Quick, compiling, object_of, program_of};
use crate::space::{Outcome, Running, not_here};

/// Names as long as the file system takes them, and one byte shorter than that.
#[test]
fn names_near_name_max() {
    let quick = Quick::new("names_near_name_max");
    for length in [200, 230, 240, 250, 254, 255] {
        let name = format!("{}.o", "n".repeat(length - 2));
        for value in [1, 2, 1] {
            quick.compile(value, &name).quiet();
            assert_eq!(quick.holds(&name), object_of(value), "{length} bytes");
        }
        quick
            .cc(&format!(
                "-MD -MF {} {}",
                name.replace(".o", ".d"),
                compiling(1, &name)
            ))
            .quiet();
        let program = "p".repeat(length);
        quick.cc(&format!("{name} -o {program}")).quiet();
        assert_eq!(quick.holds(&program), program_of(1), "{length} bytes");
    }
    let too_long = "n".repeat(256);
    let plain = plain(&quick, &compiling(1, &too_long));
    let ours = quick.compile(1, &too_long);
    assert_eq!(ours.status.success(), plain.status.success(), "{ours}");
}

fn plain(quick: &Quick, args: &str) -> Outcome {
    let mut command = quick.space.command(crate::quick::compiler());
    command.args(args.split_whitespace());
    Outcome::of(command)
}

/// Paths at which the object still fits, but its state or scratch doesn't.
#[test]
fn paths_near_path_max() {
    let quick = Quick::new("paths_near_path_max");
    let names = fs::canonicalize(quick.space.path("")).unwrap();
    for length in [3800, 3960, 3990, 4010, 4030, 4050, 4070, 4085, 4095] {
        let path = long_path(&names, length);
        make_folders(&names, path.parent().unwrap());
        let path = path.to_str().unwrap();
        for value in [1, 2, 1] {
            assert!(
                plain(&quick, &compiling(value, path)).status.success(),
                "{length} bytes are too many"
            );
            quick.compile(value, path).quiet();
            assert_eq!(quick.holds(path), object_of(value), "{length} bytes");
            quick.cc(&format!("{path} -o prog")).quiet();
            assert_eq!(quick.holds("prog"), program_of(value), "{length} bytes");
        }
        fs::remove_file(path).unwrap();
    }
}

/// An absolute path of this many bytes that ends in `.o`.
fn long_path(below: &Path, length: usize) -> PathBuf {
    let mut text = below.to_str().unwrap().to_owned();
    while length - text.len() > 250 {
        text += &format!("/{}", "d".repeat(100));
    }
    let name = length - text.len() - 1 - 2;
    text += &format!("/{}.o", "x".repeat(name));
    assert_eq!(text.len(), length);
    text.into()
}

/// Folder by folder: the path of the last may be longer than one call takes from the root.
fn make_folders(base: &Path, folder: &Path) {
    let mut made = base.to_owned();
    for part in folder.strip_prefix(base).unwrap() {
        made.push(part);
        let _ = fs::create_dir(&made);
    }
    assert!(made.is_dir());
}

/// Words near MAX_ARG_STRLEN, and command lines of megabytes.
#[test]
fn long_command_lines() {
    let quick = Quick::new("long_command_lines");
    let word = format!("-DLONG={}", "x".repeat(100_000));
    for words in [1, 2, 12] {
        let mut command = quick.wrapper(&compiling(1, "x.o"));
        command.args(vec![&word; words]);
        for _ in 0..2 {
            Outcome::of(copy(&command)).quiet();
            assert_eq!(quick.holds("x.o"), object_of(1));
        }
        quick.space.path("x.o");
    }
    // As long as the system takes it: with our additions the compiler's line is too long.
    let mut most = 1_000_000;
    let mut step = most;
    let command = |bytes: usize| {
        let mut command = quick.wrapper(&compiling(2, "x.o"));
        command.args(vec!["-DFILL"; bytes / 15]);
        command
    };
    while step > 200 {
        step /= 2;
        let fits = copy(&command(most + step))
            .spawn()
            .map(|mut child| child.wait().unwrap());
        most += if fits.is_ok() { step } else { 0 };
    }
    for bytes in (most - 2000..most).step_by(400) {
        fs::remove_file(quick.space.path("x.o")).unwrap();
        let outcome = Outcome::of(command(bytes));
        if outcome.status.success() {
            assert_eq!(quick.holds("x.o"), object_of(2), "{bytes} bytes");
        } else {
            outcome.says(&["too long"]);
            quick.compile(2, "x.o").quiet();
        }
    }
}

fn copy(command: &Command) -> Command {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        copy.env(name, value.expect("nothing is removed"));
    }
    if let Some(folder) = command.get_current_dir() {
        copy.current_dir(folder);
    }
    copy
}

/// Few descriptors: it works or says so, and what it publishes is right.
#[test]
fn few_descriptors() {
    let quick = Quick::new("few_descriptors");
    let objects: Vec<String> = (0..60).map(|n| format!("x{n}.o")).collect();
    for (n, object) in objects.iter().enumerate() {
        quick.compile(n as u32, object).quiet();
        quick.compile(n as u32 + 100, object).quiet();
    }
    for descriptors in [5, 6, 7, 8, 10, 32] {
        let limited = |args: &str| {
            let mut command = quick.wrapper(args);
            // SAFETY: setrlimit is async-signal-safe.
            unsafe {
                command.pre_exec(move || {
                    let limit = libc::rlimit {
                        rlim_cur: descriptors,
                        rlim_max: descriptors,
                    };
                    match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    }
                })
            };
            Outcome::of(command)
        };
        let enough = descriptors >= 32;
        for (value, output) in [(descriptors as u32, "new.o"), (1, "x1.o"), (101, "x1.o")] {
            let outcome = limited(&compiling(value, output));
            assert!(
                outcome.status.success() || !enough,
                "{descriptors} descriptors: {outcome}"
            );
            assert!(!outcome.stderr.contains("panicked"), "{outcome}");
            if outcome.status.success() {
                assert_eq!(quick.holds(output), object_of(value));
            }
        }
        let outcome = limited(&format!("{} -o prog", objects.join(" ")));
        assert!(
            outcome.status.success() || !enough,
            "{descriptors} descriptors: {outcome}"
        );
        if outcome.status.success() {
            let program = quick.space.text("prog");
            assert_eq!(program.lines().count(), objects.len());
            for (n, line) in program.lines().enumerate() {
                assert_eq!(
                    line,
                    program_of(n as u32 + 100),
                    "{descriptors} descriptors"
                );
            }
            fs::remove_file(quick.space.path("prog")).unwrap();
        }
    }
}

/// A file system that fills up, and gets room later.
#[test]
fn a_full_disk() {
    let test = "a_full_disk";
    let quick = Quick::new(test);
    let disk = quick.space.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |args: &[&str]| Command::new(args[0]).args(&args[1..]).arg(&disk).status();
    let mounted = mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=256k,nr_inodes=64",
        "tmpfs",
    ]);
    if !mounted.is_ok_and(|status| status.success()) {
        not_here(test, "only `root` can mount a small file system");
        return;
    }
    let result = std::panic::catch_unwind(|| fill(&quick, &disk));
    mount(&["umount", "-l"]).unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn fill(quick: &Quick, disk: &Path) {
    let (one, two) = (quick.builder(), quick.builder());
    quick.by(&one, &compiling(1, "disk/x.o")).quiet();
    // Leave so much room, from none to enough.
    for room in (0..=14).map(|n| n * 4096) {
        let _ = fs::remove_file(disk.join("filler"));
        let mut filler = vec![0u8; 256 * 1024];
        while fs::write(disk.join("filler"), &filler).is_err() {
            filler.truncate(filler.len() - 4096);
        }
        filler.truncate(filler.len().saturating_sub(room));
        fs::write(disk.join("filler"), &filler).unwrap();
        let compiled = quick.by(&two, &compiling(2, "disk/x.o"));
        // A compiler that can't write its output removes it, and so do we.
        let there = quick.space.has("disk/x.o");
        let held = there.then(|| quick.holds("disk/x.o"));
        if compiled.status.success() {
            assert_eq!(
                held,
                Some(object_of(2)),
                "room for {room} bytes: {compiled}"
            );
        } else {
            assert!(!compiled.stderr.is_empty(), "it fails without a word");
            let whole = [None, Some(object_of(1)), Some(object_of(2))];
            assert!(whole.contains(&held), "room for {room} bytes: {held:?}");
        }
        let linked = quick.by(&one, "disk/x.o -o prog");
        if linked.status.success() {
            assert_eq!(quick.holds("prog"), program_of(1), "room for {room} bytes");
        } else {
            assert!(!linked.stderr.is_empty(), "it fails without a word");
        }
        // Room again.
        fs::remove_file(disk.join("filler")).unwrap();
        for (builder, value) in [(&two, 2), (&one, 1)] {
            quick.by(builder, &compiling(value, "disk/x.o")).quiet();
            assert_eq!(quick.holds("disk/x.o"), object_of(value));
        }
        quick.by(&two, "disk/x.o -o prog").quiet();
        assert_eq!(
            quick.holds("prog"),
            program_of(2),
            "after room for {room} bytes"
        );
        quick.by(&one, &compiling(1, "disk/x.o")).quiet();
        let _ = fs::remove_file(quick.space.path("prog"));
    }
    quick.space.assert_no_scratch();
}

/// A holder of the publish lock stands still: the others wait, and go on when it does, or when it is killed.
#[test]
fn a_holder_that_stands_still() {
    for killed in [false, true] {
        let quick = Quick::new("a_holder_that_stands_still");
        quick.compile(1, "x.o").quiet();
        let lock = fs::File::open(quick.state("x.o").join("publish.lock")).unwrap();
        let mut holder = hold(&quick, &lock);
        let mut others = [
            Running::start(quick.wrapper(&compiling(1, "x.o"))),
            Running::start(quick.wrapper(&compiling(2, "x.o"))),
        ];
        for other in &mut others {
            other.until_it_waits();
            assert!(!other.ended(), "nobody waits");
        }
        // Another object isn't held up.
        quick.compile(3, "y.o").quiet();
        if killed {
            holder.kill();
        } else {
            holder.send(libc::SIGCONT);
        }
        for other in others {
            other.finish().quiet();
        }
        quick.compile(2, "x.o").quiet();
        assert_eq!(quick.holds("x.o"), object_of(2));
    }
}

/// A process that holds the lock and is stopped; continued, it ends.
fn hold(quick: &Quick, lock: &fs::File) -> Running {
    drop(lock.try_clone().unwrap());
    let mut command = quick.space.command("flock");
    command.arg("--no-fork");
    command.arg(quick.state("x.o").join("publish.lock"));
    command.args(["sh", "-c", "echo held > held; kill -STOP $$; exit 0"]);
    let running = Running::start(command);
    crate::space::wait_until("the lock is held", || quick.space.has("held"));
    running
}
