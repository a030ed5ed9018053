//! Command lines run with the plain archiver and with objguard in front of it: nothing may tell them apart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::AR;
use crate::space::{Outcome, TestSpace, can_run};

/// Commands after each other, of shell words; `AR` is the archiver, `RANLIB` its ranlib.
const CASES: [&str; 33] = [
    "AR rcs lib.a a.o b.o",
    "AR rc lib.a a.o; AR r lib.a b.o; AR rs lib.a a.o",
    "AR r lib.a a.o",
    "AR cru lib.a a.o; AR cru lib.a b.o",
    "AR rv lib.a a.o; AR rv lib.a a.o b.o",
    "AR qv lib.a a.o; AR qv lib.a a.o",
    "AR -r -c -s lib.a a.o",
    "AR rcs lib.a -v a.o",
    "AR rcs lib.a missing.o",
    "AR rcs lib.a a.o; AR rcs lib.a b.o missing.o",
    "AR rcs lib.a a.o b.o; AR d lib.a a.o; AR dv lib.a b.o c.o",
    "AR rcs lib.a a.o b.o; AR m lib.a a.o; AR mvb b.o lib.a a.o",
    "AR rcs lib.a a.o b.o; AR ra a.o lib.a sub/c.o",
    "AR rcs lib.a a.o sub/c.o; AR t lib.a; AR tv lib.a; AR p lib.a a.o",
    "AR rcs lib.a a.o; rm a.o; AR x lib.a; AR x lib.a nothere.o",
    "AR rcS lib.a a.o; AR s lib.a; AR ts lib.a",
    "AR rcS lib.a a.o; RANLIB lib.a; RANLIB -D lib.a; RANLIB missing.a",
    "AR rcS one.a a.o; AR rcS two.a b.o; RANLIB one.a missing.a two.a",
    "AR rcs lib.a a.o; chmod 600 lib.a; AR rcs lib.a b.o; stat -c %a lib.a",
    "umask 027; AR rcs lib.a a.o; stat -c %a lib.a",
    "AR rcs lib.a a.o; ln -s lib.a link.a; AR rcs link.a b.o; stat -c %F link.a; AR t lib.a",
    "AR rcsT thin.a a.o; AR rcs thin.a b.o; AR t thin.a",
    "AR rcsD lib.a a.o; AR rP lib.a a.o",
    "AR cr empty.a; AR t empty.a",
    "AR rcs text.a text; AR rcs text.a a.o; AR t text.a",
    "echo text > lib.a; AR rcs lib.a a.o; cat lib.a",
    "mkdir lib.a; AR rcs lib.a a.o",
    "AR rcs nofolder/lib.a a.o",
    "AR rcs sub/lib.a a.o sub/c.o; AR t sub/lib.a",
    "echo 'lib.a a.o' > list; AR rcs @list b.o; AR t lib.a",
    "AR rcs; AR; AR zz lib.a; AR rd lib.a a.o",
    "AR --version > version; AR -V | head -1 > version2; AR --nonsense rcs lib.a a.o",
    "printf 'CREATE m.a\\nADDMOD a.o\\nSAVE\\nEND\\n' | AR -M; AR t m.a; printf 'NONSENSE\\n' | AR -M",
];

#[test]
fn gnu_ar() {
    compare("gnu_ar", "ar", "ranlib");
}

#[test]
fn gcc_ar() {
    compare("gcc_ar", "gcc-ar", "gcc-ranlib");
}

#[test]
fn llvm_ar() {
    compare("llvm_ar", "llvm-ar", "llvm-ranlib");
}

fn compare(test: &str, ar: &str, ranlib: &str) {
    if !can_run(test, ar) || !can_run(test, ranlib) {
        return;
    }
    let space = TestSpace::new(test);
    let masks = space.aside("masks");
    fs::create_dir(&masks).expect("the space is new");
    for tool in [ar, ranlib] {
        std::os::unix::fs::symlink(AR, masks.join(tool)).expect("the folder is new");
    }
    fs::create_dir(space.aside("sub")).expect("the space is new");
    for (object, name) in [("a.o", "a"), ("b.o", "b"), ("sub/c.o", "c")] {
        space.write("source.c", format!("int {name}(void) {{ return 1; }}\n"));
        space.gcc(&format!("-c source.c -o ../{object}")).quiet();
    }
    for (n, case) in CASES.iter().enumerate() {
        let side = |name: &str| {
            let dir = space.path(format!("{n}/{name}/here"));
            fs::create_dir_all(dir.join("sub")).expect("the space is new");
            for file in ["a.o", "b.o", "sub/c.o"] {
                fs::copy(space.aside(file), dir.join(file)).expect("they were compiled");
            }
            fs::write(dir.join("text"), "text\n").expect("the folder is ours");
            dir
        };
        let (plain, guarded) = (side("plain"), side("guarded"));
        let script = case.replace("RANLIB", ranlib).replace("AR", ar);
        let run = |dir: &Path, first_on_path: Option<&Path>| {
            let mut command = space.command("sh");
            command.current_dir(dir).args(["-c", &script]);
            if let Some(folder) = first_on_path {
                let path = std::env::var("PATH").expect("PATH is text");
                command.env("PATH", format!("{}:{path}", folder.display()));
            }
            Outcome::of(command)
        };
        let (one, other) = (run(&plain, None), run(&guarded, Some(&masks)));
        assert_eq!(said(&other), said(&one), "{script}");
        assert_eq!(files(&guarded), files(&plain), "{script}");
    }
    space.assert_no_scratch();
}

fn said(outcome: &Outcome) -> (Option<i32>, String, String) {
    // How the archiver calls itself is how it was called: by its path where our link is passed over.
    let unnamed = |text: &str| text.replace("/usr/bin/", "");
    (
        outcome.status.code(),
        dateless(&outcome.stdout),
        unnamed(&outcome.stderr),
    )
}

/// `tv` shows times.
fn dateless(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find(" 20") {
        Some(at) if line.starts_with("rw") => line[at + 5..].to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file: its name, mode and content. State folders aside.
fn files(dir: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is ours").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let meta = entry.metadata().expect("the entry is there");
            if meta.is_dir() {
                if name != ".objguard" {
                    folders.push(path);
                }
                continue;
            }
            let content = fs::read(&path).unwrap_or_default();
            let relative = path.strip_prefix(dir).expect("it is below").to_owned();
            found.push((relative, meta.permissions().mode() & 0o7777, content));
        }
    }
    found.sort();
    found
}
