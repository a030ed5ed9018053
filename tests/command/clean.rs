//! `objguard clean`.

use super::space::{Running, TestSpace};
use super::{built_twins, objguard};

fn state(space: &TestSpace) -> Vec<std::path::PathBuf> {
    space
        .files()
        .into_iter()
        .filter(|f| f.to_string_lossy().contains(".objguard"))
        .collect()
}

#[test]
fn state_goes_and_objects_stay() {
    let space = built_twins("state_goes_and_objects_stay");
    let object = space.read("b/shared.o");
    let outcome = objguard(&space, "clean").success();
    assert!(
        outcome
            .stdout
            .starts_with("removed 1 folder with the state of 1 object, "),
        "{outcome}"
    );
    assert_eq!(outcome.stderr, "");
    assert_eq!(state(&space), [""; 0].map(std::path::PathBuf::from));
    assert!(!space.has("b/.objguard"));
    assert_eq!(space.read("b/shared.o"), object);
    let again = objguard(&space, "clean").success();
    assert_eq!(
        again.stdout,
        "removed 0 folders with the state of 0 objects, 0 B\n"
    );
}

#[test]
fn a_folder_alone() {
    let space = built_twins("a_folder_alone");
    space.write("other/x.c", "int x;\n");
    objguard(&space, "gcc -c other/x.c -o other/x.o").success();
    objguard(&space, "clean other").success();
    assert!(!space.has("other/.objguard"));
    assert!(space.has("b/.objguard"));
}

#[test]
fn what_is_not_trusted_is_left() {
    let space = built_twins("what_is_not_trusted_is_left");
    std::fs::rename(space.path("b/.objguard"), space.aside("elsewhere")).unwrap();
    std::os::unix::fs::symlink(space.aside("elsewhere"), space.path("b/.objguard")).unwrap();
    objguard(&space, "clean")
        .code(1)
        .says(&["`b/.objguard` is not a folder of its own"]);
    assert!(space.aside("elsewhere/shared.o/claims").exists());
    objguard(&space, "clean missing")
        .one_line(&["cannot read `missing`: No such file or directory"]);
}

#[test]
fn a_running_compile_keeps_its_state() {
    let space = TestSpace::new("a_running_compile_keeps_its_state");
    space.write("x.c", "int x;\n");
    let mut go = space.fifo("go");
    let mut up = space.fifo("up");
    let slow = space.script(
        "slow-gcc",
        "#!/bin/sh\ncase \" $* \" in *' -c '*) echo > up; read x < go;; esac\nexec gcc \"$@\"\n",
    );
    let mut compile = space.command(super::OBJGUARD);
    compile.arg(slow).args(["-c", "x.c"]);
    let running = Running::start(compile);
    up.wait();
    let outcome = objguard(&space, "clean").success();
    let outcome = outcome.says(&["left `.objguard`: a compile or link is at work in it"]);
    assert!(outcome.stdout.ends_with("; left 1 path\n"), "{outcome}");
    go.tell();
    running.finish().success();
    assert!(space.has(".objguard/x.o/claims"));
    objguard(&space, "clean").success();
    assert!(!space.has(".objguard"));
}

#[test]
fn a_build_between_two_commands_keeps_its_state() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let space = TestSpace::new("a_build_between_two_commands_keeps_its_state");
    space.write("x.c", "int x;\n");
    let mut go = space.fifo("go");
    let mut up = space.fifo("up");
    let mut build = space.command("sh");
    // Not the leader of a session, as a login shell is.
    build.args([
        "-c",
        &format!("{} gcc -c x.c; echo > up; read x < go", super::OBJGUARD),
    ]);
    let running = Running::start(build);
    up.wait();
    let outcome = objguard(&space, "clean").success();
    outcome.says(&["left `.objguard/x.o`: a running build asked for it (`sh`, process "]);
    assert!(space.has(".objguard/x.o/claims"));
    go.tell();
    running.finish().success();
    objguard(&space, "clean").success();
    assert!(!space.has(".objguard"));
}

#[test]
fn scratch_of_the_dead_goes() {
    let space = built_twins("scratch_of_the_dead_goes");
    for folder in ["b/.objguard-7ffffff0-1-0", "b/.objguard/tmp/7ffffff0-1-0"] {
        space.write(format!("{folder}/o/x.o"), "part");
    }
    objguard(&space, "clean").success();
    assert_eq!(state(&space), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_compile_after_it_begins_anew() {
    let space = built_twins("a_compile_after_it_begins_anew");
    objguard(&space, "clean").success();
    objguard(&space, "gcc -DVALUE=1 -c shared.c -o b/shared.o").quiet();
    let text = objguard(&space, "explain b/shared.o").success().stdout;
    assert!(text.contains("would be skipped"), "{text}");
}
