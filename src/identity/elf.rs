//! Which shared libraries a program loads.
//!
//! The program's own loader is asked (`ld-linux… --list PROGRAM`, which glibc's and musl's understand): it never runs the
//! program, unlike `LD_TRACE_LOADED_OBJECTS=1 PROGRAM`, which a static or a musl program ignores, and an `as` without arguments
//! writes `a.out`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{answers, run};

/// The libraries that `program` is loaded with in `environment`: those of `LD_PRELOAD` too, and the loader itself. None for
/// a static program, a script, or a foreign one whose loader can't run here.
pub(super) fn libraries(
    program: &Path,
    environment: &[(OsString, OsString)],
    mark: &OsStr,
) -> Vec<PathBuf> {
    let Some(loader) = interpreter(program) else {
        return Vec::new();
    };
    let args = [OsStr::new("--list"), program.as_os_str()];
    match run::ask(
        &loader,
        loader.as_os_str(),
        &args,
        environment,
        mark,
        run::Wanted::Stdout,
    ) {
        Ok(answer) => answers::libraries(&answer.text),
        Err(_) => Vec::new(),
    }
}

/// The loader that an ELF program names (PT_INTERP), if it looks like one that knows `--list`.
fn interpreter(program: &Path) -> Option<PathBuf> {
    const PT_INTERP: u64 = 3;
    let file = File::open(program).ok()?;
    let header = read(&file, 0, 64)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (wide, big) = (header[4] == 2, header[5] == 2);
    let number = |bytes: &[u8]| -> u64 {
        let digit = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        if big {
            bytes.iter().fold(0, digit)
        } else {
            bytes.iter().rev().fold(0, digit)
        }
    };
    let (table, size, count) = if wide {
        (
            number(&header[32..40]),
            number(&header[54..56]),
            number(&header[56..58]),
        )
    } else {
        (
            number(&header[28..32]),
            number(&header[42..44]),
            number(&header[44..46]),
        )
    };
    for i in 0..count {
        let entry = read(
            &file,
            table.checked_add(i * size)?,
            if wide { 56 } else { 32 },
        )?;
        if number(&entry[..4]) != PT_INTERP {
            continue;
        }
        let (offset, length) = if wide {
            (number(&entry[8..16]), number(&entry[32..40]))
        } else {
            (number(&entry[4..8]), number(&entry[16..20]))
        };
        let mut name = read(
            &file,
            offset,
            usize::try_from(length).ok().filter(|n| *n <= 4096)?,
        )?;
        name.truncate(name.iter().position(|b| *b == 0)?);
        let loader = PathBuf::from(OsString::from_vec(name));
        let known = loader.is_absolute()
            && loader
                .file_name()
                .is_some_and(|name| name.as_bytes().starts_with(b"ld"));
        return known.then_some(loader);
    }
    None
}

fn read(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_of_a_program_is_read() {
        let exe = std::env::current_exe().unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            let loader = interpreter(&exe).unwrap();
            assert!(
                loader.file_name().unwrap().as_bytes().starts_with(b"ld"),
                "{}",
                loader.display()
            );
            let files = libraries(&exe, &[], OsStr::new(""));
            assert!(
                files.iter().any(|file| file
                    .file_name()
                    .unwrap()
                    .as_bytes()
                    .starts_with(b"libc.so")),
                "{files:?}"
            );
            assert!(files.iter().all(|file| file.exists()), "{files:?}");
        }
        assert_eq!(interpreter(Path::new("/dev/null")), None);
        assert_eq!(interpreter(Path::new(file!())), None);
    }
}
