//! Depfiles and response files: what is written is read, and what gcc writes too.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::Command;

use objguard::{depfile, response};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::invariants;

/// Names with all that is special somewhere, but for what neither compiler protects: a carriage return ends a word of a
/// depfile, and a backslash at the end protects the blank behind it.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => prop::sample::select(&b"ab.:\\ \t#$%\"'=~*@"[..]),
        1 => any::<u8>(),
    ];
    vec(byte, 1..9).prop_filter("no file has it", |name| {
        !name.iter().any(|b| matches!(b, 0 | b'\n' | b'\r')) && name.last() != Some(&b'\\')
    })
}

proptest! {
    #[test]
    fn a_depfile_reads_back(names in vec(name(), 0..5)) {
        let mut seen = HashSet::new();
        let names: Vec<PathBuf> = names
            .into_iter()
            .filter(|name| seen.insert(name.clone()))
            .map(|name| OsString::from_vec(name).into())
            .collect();
        let text = invariants::depfile_of(&names);
        prop_assert_eq!(depfile::prerequisites(&text), Some(names));
    }

    #[test]
    fn any_text_is_a_depfile_or_none(text in vec(any::<u8>(), 0..200)) {
        invariants::depfile(&text);
    }

    #[test]
    fn a_response_file_reads_back(words in vec(vec(1u8.., 1..20), 0..6)) {
        let words: Vec<OsString> = words
            .into_iter()
            .map(OsString::from_vec)
            .filter(|word| !word.as_bytes().iter().any(|b| matches!(b, 0x0b | 0x0c)))
            .collect();
        let text = response::quote(&words);
        let read = response::expand(&["@file".into()], &|path| {
            if path.as_os_str() == "file" { Ok(text.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
        });
        prop_assert_eq!(read.map(|w| w.args), Ok(words));
    }

    #[test]
    fn any_text_is_a_response_file_or_refused(text in vec(any::<u8>(), 0..200)) {
        invariants::response(&text);
    }
}

/// What a compiler writes about headers with odd names is read back; `pieces` are what their names are made of.
fn is_read(compiler: &str, pieces: &[&[u8]]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "properties-depfile-{compiler}-{}",
        std::process::id()
    ));
    fs::create_dir_all(&folder).unwrap();
    let mut expected = vec![PathBuf::from("x.c")];
    let mut source = Vec::new();
    let count = pieces.len();
    for n in 0..count.pow(3) {
        let (first, second) = (pieces[n % count], pieces[n / count % count]);
        let name = [first, second, pieces[n / count / count], b".h"].concat();
        source.extend_from_slice(b"#include \"");
        source.extend_from_slice(&name);
        source.extend_from_slice(b"\"\n");
        let path = PathBuf::from(OsString::from_vec(name));
        fs::write(folder.join(&path), "").unwrap();
        expected.push(path);
    }
    fs::write(folder.join("x.c"), source).unwrap();
    let ran = Command::new(compiler)
        .args(["-c", "x.c", "-MD", "-MF", "x.d"])
        .current_dir(&folder)
        .output();
    let Ok(ran) = ran else {
        eprintln!("not run here: what_{compiler}_writes_is_read: `{compiler}` is not installed");
        return;
    };
    assert!(ran.status.success(), "{ran:?}");
    let text = fs::read(folder.join("x.d")).unwrap();
    let mut read = depfile::prerequisites(&text).unwrap();
    read.retain(|path| !path.starts_with("/usr/include"));
    let lost: Vec<_> = expected.iter().filter(|p| !read.contains(p)).collect();
    let strange: Vec<_> = read.iter().filter(|p| !expected.contains(p)).collect();
    assert!(
        lost.is_empty() && strange.is_empty(),
        "lost {lost:?}, strange {strange:?}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_gcc_writes_is_read() {
    is_read(
        "gcc",
        &[b"a", b"\\", b"#", b"$", b" ", b":", b"\t", b"\xff"],
    );
}

/// clang writes `/` for a backslash, and protects no tab: such a header is looked for in vain, and the compile never skipped.
#[test]
fn what_clang_writes_is_read() {
    is_read("clang", &[b"a", b"#", b"$", b" ", b":", b"\xff"]);
}
