//! `objguard completions`, `objguard man`, `--help` and `--version`.

use super::objguard;
use super::space::{Outcome, TestSpace, can_run};

const SUBCOMMANDS: [&str; 9] = [
    "run",
    "exec",
    "report",
    "explain",
    "audit",
    "doctor",
    "clean",
    "completions",
    "man",
];

#[test]
fn completions_name_every_subcommand() {
    let space = TestSpace::new("completions_name_every_subcommand");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = objguard(&space, &format!("completions {shell}"))
            .success()
            .stdout;
        for name in SUBCOMMANDS {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    objguard(&space, "completions tcsh").one_line(&["tcsh", "bash", "zsh", "fish"]);
    objguard(&space, "completions").one_line(&["<SHELL>"]);
}

#[test]
fn bash_reads_its_completions() {
    const TEST: &str = "bash_reads_its_completions";
    if !can_run(TEST, "bash") {
        return;
    }
    let space = TestSpace::new(TEST);
    space.write(
        "completions",
        objguard(&space, "completions bash").success().stdout,
    );
    let mut bash = space.command("bash");
    bash.args(["-c", ". ./completions; COMP_WORDS=(objguard re); COMP_CWORD=1; _objguard objguard re objguard; echo ${COMPREPLY[@]}"]);
    assert_eq!(Outcome::of(bash).success().stdout, "report\n");
}

#[test]
fn a_page_for_each_subcommand() {
    let space = TestSpace::new("a_page_for_each_subcommand");
    space.write("man/keep", "");
    objguard(&space, "man man").quiet();
    for name in SUBCOMMANDS {
        let page = space.text(format!("man/objguard-{name}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let whole = space.text("man/objguard.1");
    assert!(whole.contains("objguard\\-run(1)"), "{whole}");
    assert_eq!(objguard(&space, "man").success().stdout, whole);
    objguard(&space, "man missing").one_line(&["cannot write `missing/objguard.1`"]);
}

#[test]
fn help_and_version() {
    let space = TestSpace::new("help_and_version");
    let version = objguard(&space, "--version").success().stdout;
    assert_eq!(version, format!("objguard {}\n", env!("CARGO_PKG_VERSION")));
    let help = objguard(&space, "--help").success().stdout;
    for name in SUBCOMMANDS {
        assert!(help.contains(&format!("  {name} ")), "{help}");
        assert!(
            objguard(&space, &format!("{name} --help"))
                .success()
                .stdout
                .contains("Usage: objguard")
        );
    }
    assert!(help.contains("objguard COMPILER ARGS…"), "{help}");
    let none = objguard(&space, "").code(2);
    assert!(
        none.stdout.is_empty() && none.stderr.contains("Usage:"),
        "{none}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let space = TestSpace::new("a_reader_that_has_seen_enough_is_no_error");
    let mut sh = space.command("sh");
    sh.args([
        "-c",
        &format!(
            "{} completions bash | head -n1 > /dev/null",
            super::OBJGUARD
        ),
    ]);
    Outcome::of(sh).quiet();
}
