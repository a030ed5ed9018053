use super::*;

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn nothing(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

/// `ARCHIVE <- MEMBERS: what is special`, or why it runs as written.
fn shown(tool: Tool, text: &str) -> String {
    match parse_with(&words(text), tool, &nothing) {
        Verdict::Script => "script".into(),
        Verdict::PassThrough(why) => why.to_string(),
        Verdict::TakeOut(archive) => format!("out of {}", archive.path().display()),
        Verdict::Change(all) => {
            let one = |a: &Archive| {
                let mut text = format!("{:?} {} <-", a.operation, a.path().display());
                for member in &a.members {
                    text.push_str(&format!(" {}", a.words.args[*member].display()));
                }
                for (set, name) in [
                    (!a.newer_only.is_empty(), "newer"),
                    (a.verbose, "verbose"),
                    (a.in_place.is_some(), "in place"),
                ] {
                    if set {
                        text.push_str(&format!(" [{name}]"));
                    }
                }
                text
            };
            all.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn command_lines_of_ar() {
    for (text, expected) in [
        ("rcs lib.a a.o b.o", "Replace lib.a <- a.o b.o"),
        ("-rcs lib.a a.o", "Replace lib.a <- a.o"),
        ("-r -c -s lib.a a.o", "Replace lib.a <- a.o"),
        ("cru lib.a a.o", "Replace lib.a <- a.o [newer]"),
        ("rcs lib.a -v a.o", "Replace lib.a <- a.o [verbose]"),
        ("qc lib.a a.o", "Append lib.a <- a.o"),
        ("rcD lib.a a.o", "Replace lib.a <- a.o"),
        ("rb b.o lib.a a.o", "Replace lib.a <- a.o"),
        ("dN 2 lib.a a.o", "Rearrange lib.a <-"),
        ("ma b.o lib.a a.o", "Rearrange lib.a <-"),
        ("s lib.a", "Rearrange lib.a <-"),
        ("ts lib.a", "Rearrange lib.a <- [verbose]"),
        ("rcT lib.a a.o", "Replace lib.a <- a.o [in place]"),
        ("--thin rc lib.a a.o", "Replace lib.a <- a.o [in place]"),
        ("rcP lib.a a.o", "Replace lib.a <- a.o [in place]"),
        ("--plugin p.so rcs lib.a a.o", "Replace lib.a <- a.o"),
        (
            "-rcs --plugin=p.so --target elf64-x86-64 lib.a a.o",
            "Replace lib.a <- a.o",
        ),
        ("-X32_64 -rcs lib.a a.o", "Replace lib.a <- a.o"),
        ("rcs -- lib.a -odd.o", "Replace lib.a <- -odd.o"),
        ("r lib.a", "Replace lib.a <-"),
        ("-M", "script"),
        ("-v -M", "script"),
        ("t lib.a", "no archive is changed"),
        ("x lib.a a.o", "out of lib.a"),
        ("xo lib.a a.o", "out of lib.a"),
        ("-pN 2 lib.a a.o", "out of lib.a"),
        ("--version", "no archive is changed"),
        ("-V", "no archive is changed"),
        ("", "the operation or the archive is missing"),
        ("rcs", "the operation or the archive is missing"),
        ("c lib.a", "the operation or the archive is missing"),
        ("ra lib.a", "the operation or the archive is missing"),
        ("rd lib.a a.o", "several operations are asked for"),
        ("rcl lib.a a.o", "`l` is not known here"),
        ("r4 lib.a a.o", "`4` is not known here"),
        ("--fancy rcs lib.a a.o", "`--fancy` is not known here"),
    ] {
        assert_eq!(shown(Tool::Ar, text), expected, "ar {text}");
    }
}

#[test]
fn times_can_be_left_out() {
    let Verdict::Change(all) = parse_with(&words("-ru -cu lib.a u.o"), Tool::Ar, &nothing) else {
        panic!("ar r changes an archive");
    };
    assert_eq!(all[0].without_times(), ["-rc", "-cc", "lib.a", "u.o"]);
}

#[test]
fn command_lines_of_ranlib() {
    for (text, expected) in [
        ("lib.a", "Rearrange lib.a <-"),
        ("-D lib.a", "Rearrange lib.a <-"),
        ("--plugin p.so lib.a", "Rearrange lib.a <-"),
        ("a.a -U b.a", "Rearrange a.a <-; Rearrange b.a <-"),
        ("-v", "no archive is changed"),
        ("", "the operation or the archive is missing"),
        ("-z lib.a", "`-z` is not known here"),
    ] {
        assert_eq!(shown(Tool::Ranlib, text), expected, "ranlib {text}");
    }
}

#[test]
fn one_of_several_archives_has_words_of_its_own() {
    let Verdict::Change(all) =
        parse_with(&words("-D a.a --plugin p b.a c.a"), Tool::Ranlib, &nothing)
    else {
        panic!("ranlib changes archives");
    };
    let lines: Vec<String> = all
        .iter()
        .map(|a| a.words.args.join(OsStr::new(" ")).into_string().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "-D a.a --plugin p",
            "-D --plugin p b.a",
            "-D --plugin p c.a"
        ]
    );
    assert!(
        all.iter()
            .zip(["a.a", "b.a", "c.a"])
            .all(|(a, n)| a.path() == Path::new(n))
    );
}

#[test]
fn response_files_are_read() {
    let read = |path: &Path| {
        assert_eq!(path, Path::new("list"));
        Ok(b"lib.a 'a b.o'\n".to_vec())
    };
    let Verdict::Change(all) = parse_with(&words("rcs @list c.o"), Tool::Ar, &read) else {
        panic!("ar rcs changes an archive");
    };
    assert!(all[0].words.expanded());
    assert_eq!(all[0].words.args, ["rcs", "lib.a", "a b.o", "c.o"]);
    assert_eq!(all[0].members, [2, 3]);
}

#[test]
fn names_tell_the_tool() {
    for (name, expected) in [
        ("ar", Some(Tool::Ar)),
        ("objguard-ar", Some(Tool::Ar)),
        ("gcc-ar-12", Some(Tool::Ar)),
        ("x86_64-linux-gnu-gcc-ar", Some(Tool::Ar)),
        ("llvm-ar-14", Some(Tool::Ar)),
        ("ranlib", Some(Tool::Ranlib)),
        ("llvm-ranlib-14", Some(Tool::Ranlib)),
        ("gcc", None),
        ("tar", None),
        ("objguard-cc", None),
        ("12", None),
        ("", None),
    ] {
        assert_eq!(tool(OsStr::new(name)), expected, "{name}");
    }
}

#[test]
fn scripts_name_archives_and_files() {
    let text = b"* a comment\ncreate out.a ; mine\nADDMOD a.o, b.o\nAddLib sub/lib.a (x.o)\naddmod c.o +\n d.o\nSAVE\nEND\n";
    let found = script(text);
    assert_eq!(found.archives, [PathBuf::from("out.a")]);
    let files: Vec<_> = found.files.iter().map(|f| f.to_str().unwrap()).collect();
    assert_eq!(files, ["a.o", "b.o", "sub/lib.a", "x.o", "c.o", "d.o"]);
    assert_eq!(script(b""), Script::default());
}
