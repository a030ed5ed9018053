//! Tables of command lines and what they add up to.

use super::*;

/// Splits a line at spaces; `~` stands for a space inside a word.
fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace()
        .map(|word| OsString::from(word.replace('~', " ")))
        .collect()
}

fn verdict(dialect: Dialect, line: &str) -> Verdict {
    parse_with(&words(line), Driver::C, dialect, &|_| {
        Err(io::ErrorKind::NotFound.into())
    })
}

#[track_caller]
fn compile(dialect: Dialect, line: &str) -> Compile {
    match verdict(dialect, line) {
        Verdict::Compile(compile) => *compile,
        other => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn link(dialect: Dialect, line: &str) -> Link {
    match verdict(dialect, line) {
        Verdict::Link(link) => *link,
        other => panic!("{line}: {other:?}"),
    }
}

use Dialect::{Clang, Gcc};

#[test]
fn a_setuptools_compile() {
    let line = "-Wsign-compare -DNDEBUG -g -fwrapv -O3 -Wall -fPIC -DA=1 -Isrc -I/usr/include/python3.11 \
                -c src/m.c -o build/temp/src/m.o -O1";
    for dialect in [Gcc, Clang] {
        let compile = compile(dialect, line);
        assert_eq!(compile.source_path(), Path::new("src/m.c"));
        assert_eq!(compile.output, Path::new("build/temp/src/m.o"));
        assert_eq!(compile.output_words, Some(12..14));
        assert_eq!(
            (compile.stage, compile.language),
            (Stage::Object, Language::C)
        );
        assert_eq!(compile.reuse, Ok(()));
        assert_eq!(compile.placement, Placement::Staged);
        assert!(compile.depfile_allowed && compile.debug && !compile.lto && !compile.native);
        assert_eq!(compile.flag_words().len(), 12);
    }
}

#[test]
fn a_setuptools_link() {
    let link = link(
        Gcc,
        "-shared -L. -Wl,-rpath,/x a.o -Xlinker b.o -lm -o m.so -Wl,--whole-archive,x.a",
    );
    let inputs: Vec<_> = link
        .inputs
        .iter()
        .map(|i| (i.path.to_str().unwrap(), i.word, i.piece))
        .collect();
    assert_eq!(
        inputs,
        [("a.o", 3, None), ("b.o", 5, None), ("x.a", 9, Some(1))]
    );
    assert_eq!(link.placement, Placement::Staged);
    assert_eq!(link.libraries.len(), 1);
}
