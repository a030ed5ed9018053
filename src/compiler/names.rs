//! What a program's name says: compiler, of which language, or launcher of one; and how a shell splits a command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::command::Driver;

const C: [&[u8]; 18] = [
    b"cc",
    b"gcc",
    b"clang",
    b"c89",
    b"c99",
    b"c11",
    b"c17",
    b"tcc",
    b"icc",
    b"icx",
    b"pcc",
    b"mpicc",
    b"nvc",
    b"pgcc",
    b"xlc",
    b"egcc",
    b"emcc",
    b"armclang",
];

const CXX: [&[u8]; 18] = [
    b"c++", b"g++", b"clang++", b"CC", b"icpc", b"icpx", b"dpcpp", b"mpicxx", b"mpic++", b"mpiCC",
    b"nvc++", b"pgc++", b"xlC", b"xlc++", b"eg++", b"em++", b"hipcc", b"nvcc",
];

/// Programs that take a compiler's command line after their own name. Most of them also go by the compiler's name, through
/// symbolic links to them.
const COMPILER_LAUNCHERS: [&[u8]; 9] = [
    b"ccache",
    b"sccache",
    b"distcc",
    b"icecc",
    b"buildcache",
    b"fccache",
    b"gomacc",
    b"rewrapper",
    b"recc",
];

/// Programs that run any command, with options and operands of their own before it.
const COMMAND_LAUNCHERS: [&[u8]; 14] = [
    b"env", b"nice", b"ionice", b"time", b"timeout", b"nohup", b"setsid", b"chrt", b"taskset",
    b"setarch", b"linux32", b"linux64", b"stdbuf", b"numactl",
];

/// A kind of launcher, by how its command line reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Launcher {
    /// `ccache [KEY=VALUE…] COMPILER …`
    OfCompilers,
    /// `nice -n 5 COMMAND …`
    OfCommands,
}

/// The language that the driver called `name` takes `.c` for, if the name is that of a compiler: prefixes and suffixes count
/// for nothing (`x86_64-linux-gnu-g++-12`, `i686-w64-mingw32-gcc-posix`, `clang++14`).
pub(crate) fn driver(name: &[u8]) -> Option<Driver> {
    let mut driver = None;
    for piece in name.split(|b| *b == b'-') {
        let end = piece
            .iter()
            .rposition(|b| !b.is_ascii_digit() && *b != b'.')
            .map_or(0, |i| i + 1);
        let unversioned = &piece[..end];
        if CXX.contains(&unversioned) {
            return Some(Driver::Cxx);
        }
        if C.contains(&unversioned) || C.contains(&piece) {
            driver = Some(Driver::C);
        }
    }
    driver
}

/// Whether `name` is that of a known launcher.
pub(super) fn launcher(name: &[u8]) -> Option<Launcher> {
    if COMPILER_LAUNCHERS.contains(&name) {
        Some(Launcher::OfCompilers)
    } else if COMMAND_LAUNCHERS.contains(&name) {
        Some(Launcher::OfCommands)
    } else {
        None
    }
}

/// Splits a command as a POSIX shell would: blanks separate, quotes group, backslashes escape. Nothing is expanded.
/// `None`: a quote isn't closed.
pub(crate) fn split(command: &[u8]) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' => words.extend(word.take().map(OsString::from_vec)),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        byte => word.push(byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => match bytes.next()? {
                            b'\n' => {}
                            byte @ (b'$' | b'`' | b'"' | b'\\') => word.push(byte),
                            byte => word.extend([b'\\', byte]),
                        },
                        byte => word.push(byte),
                    }
                }
            }
            b'\\' => match bytes.next() {
                Some(b'\n') => {}
                Some(byte) => word.get_or_insert_default().push(byte),
                None => word.get_or_insert_default().push(b'\\'),
            },
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_language() {
        for name in [
            "cc",
            "gcc",
            "gcc-12",
            "x86_64-linux-gnu-gcc-12",
            "clang",
            "clang-14",
            "clang14",
            "c99-gcc",
            "c99",
            "tcc",
            "gcc-12.2",
        ] {
            assert_eq!(driver(name.as_bytes()), Some(Driver::C), "{name}");
        }
        for name in [
            "c++",
            "g++",
            "g++-12",
            "g++12",
            "x86_64-linux-gnu-g++-12",
            "i686-w64-mingw32-g++-posix",
            "clang++",
            "clang++-14",
            "clang++-mp-17",
            "aarch64-linux-android21-clang++",
            "CC",
        ] {
            assert_eq!(driver(name.as_bytes()), Some(Driver::Cxx), "{name}");
        }
        for name in ["", "ccache", "wrap", "zig", "x86_64", "ld", "objguard"] {
            assert_eq!(driver(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn commands_are_split_like_a_shell_does() {
        for (command, words) in [
            ("", &[][..]),
            ("  \t", &[]),
            ("gcc", &["gcc"]),
            (" ccache  gcc\t-pthread\n", &["ccache", "gcc", "-pthread"]),
            (
                r#"'/opt/my gcc/bin/gcc' -DX='a b'"#,
                &["/opt/my gcc/bin/gcc", "-DX=a b"],
            ),
            (
                r#"gcc "-DX=\"y\"" "a\b" '\'"#,
                &["gcc", r#"-DX="y""#, r"a\b", r"\"],
            ),
            (r"/opt/my\ gcc -DX=\$y \", &["/opt/my gcc", "-DX=$y", r"\"]),
            ("gcc '' \"\"", &["gcc", "", ""]),
            ("gcc $HOME `x` #y", &["gcc", "$HOME", "`x`", "#y"]),
            ("g\\\ncc \"a\\\nb\"", &["gcc", "ab"]),
        ] {
            let expected: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(split(command.as_bytes()), Some(expected), "{command}");
        }
        for command in ["gcc 'x", "gcc \"x", "gcc \"x\\", "'"] {
            assert_eq!(split(command.as_bytes()), None, "{command}");
        }
    }
}
