//! Reads what compilers say of themselves (`-E -v`, `-print-search-dirs`): pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Kind;

/// What `-E -v` says on stderr, in the C locale.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Verbose {
    pub(super) kind: Kind,
    pub(super) version: (u32, u32, u32),
    pub(super) target: String,
    /// The program that compiles: `…/cc1`, `…/cc1plus`, or clang itself. A bare name if gcc didn't find it.
    pub(super) compiler: Option<PathBuf>,
    /// `argv[0]` of the gcc that spoke: behind a script, another than the one that was run.
    pub(super) driver: Option<PathBuf>,
    /// Specs files (gcc) and configuration files (clang) that were read.
    pub(super) settings: Vec<PathBuf>,
    /// The search chain for `#include <…>`, in order.
    pub(super) include_dirs: Vec<PathBuf>,
    /// Folders that would be in the chain if they existed.
    pub(super) missing_dirs: Vec<PathBuf>,
    /// gcc installations that clang chose from.
    pub(super) gcc_installations: Vec<PathBuf>,
}

/// Reads the answer to `-E -v`.
pub(super) fn verbose(text: &[u8]) -> Verbose {
    let mut said = Verbose::default();
    let mut in_chain = false;
    for line in text.split(|b| *b == b'\n') {
        if in_chain {
            match line.strip_prefix(b" ") {
                Some(dir) if dir.ends_with(b" (framework directory)") => {}
                Some(dir) => said.include_dirs.push(path(dir)),
                None if line.starts_with(b"#include ") => {}
                None => in_chain = false,
            }
        } else if line.starts_with(b"#include <...> search starts here") {
            in_chain = true;
        } else if line.starts_with(b"#include \"...\" search starts here") {
            // The quote chain comes first, and is empty as nobody gave `-iquote`.
        } else if let Some(rest) = line.strip_prefix(b"Target: ") {
            said.target = String::from_utf8_lossy(rest.trim_ascii()).into_owned();
        } else if let Some(rest) = line.strip_prefix(b"gcc version ") {
            if said.kind == Kind::Unknown {
                (said.kind, said.version) = (Kind::Gcc, version(rest));
            }
        } else if let Some(at) = find(line, b"clang version ") {
            if said.kind != Kind::Clang {
                (said.kind, said.version) =
                    (Kind::Clang, version(&line[at + b"clang version ".len()..]));
            }
        } else if let Some(rest) = line.strip_prefix(b"COLLECT_GCC=") {
            said.driver = Some(path(rest));
        } else if let Some(rest) = line.strip_prefix(b"Reading specs from ") {
            said.settings.push(path(rest));
        } else if let Some(rest) = line.strip_prefix(b"Configuration file: ") {
            said.settings.push(path(rest));
        } else if let Some(rest) = line.strip_prefix(b"ignoring nonexistent directory \"") {
            said.missing_dirs
                .push(path(rest.strip_suffix(b"\"").unwrap_or(rest)));
        } else if let Some(rest) = line.strip_prefix(b"Found candidate GCC installation: ") {
            said.gcc_installations.push(path(rest));
        } else if let Some(rest) = line.strip_prefix(b" ")
            && said.compiler.is_none()
        {
            said.compiler = started(rest);
        }
    }
    // Compilers made from clang go by versions of their own (icx), but say which clang they are.
    if said.kind == Kind::Unknown
        && let Some(at) = find(text, b"based upon LLVM ")
    {
        (said.kind, said.version) = (
            Kind::Clang,
            version(&text[at + b"based upon LLVM ".len()..]),
        );
    }
    said
}

/// The program of a line that shows a command being started, if that compiles.
fn started(line: &[u8]) -> Option<PathBuf> {
    if let Some(quoted) = line.strip_prefix(b"\"") {
        // clang quotes every word, with backslashes before `"`, `\` and `$`.
        let mut word = Vec::new();
        let mut bytes = quoted.iter();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => word.push(*bytes.next()?),
                byte => word.push(*byte),
            }
        }
        return bytes.as_slice().starts_with(b" -cc1").then(|| path(&word));
    }
    // gcc quotes nothing: a folder with a blank in its name can't be told from a word's end here, but its options can.
    let end = find(line, b" -E ")?;
    let program = path(&line[..end]);
    program
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"cc1"))
        .then_some(program)
}

/// The folders that `-print-search-dirs` lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SearchDirs {
    /// Where gcc is installed.
    pub(super) install: Option<PathBuf>,
    /// Where it looks for `cc1`, `as`, …, in order.
    pub(super) programs: Vec<PathBuf>,
    /// Where it looks for libraries, start files and specs.
    pub(super) libraries: Vec<PathBuf>,
}

/// Reads the answer to `-print-search-dirs`.
pub(super) fn search_dirs(text: &[u8]) -> SearchDirs {
    let list = |dirs: &[u8]| {
        dirs.split(|b| *b == b':')
            .filter(|dir| !dir.is_empty())
            .map(path)
            .collect()
    };
    let mut dirs = SearchDirs::default();
    for line in text.split(|b| *b == b'\n') {
        if let Some(rest) = line.strip_prefix(b"install: ") {
            dirs.install = Some(path(rest));
        } else if let Some(rest) = line.strip_prefix(b"programs: =") {
            dirs.programs = list(rest);
        } else if let Some(rest) = line.strip_prefix(b"libraries: =") {
            dirs.libraries = list(rest);
        }
    }
    dirs
}

/// The files that a loader's `--list` shows.
pub(super) fn libraries(text: &[u8]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        // The address at the end; `linux-vdso.so.1 (0x…)` is no file, `libx.so => not found` neither.
        let Some(at) = line.windows(4).rposition(|part| part == b" (0x") else {
            continue;
        };
        let entry = &line[..at];
        let file = find(entry, b" => ").map_or(entry, |arrow| &entry[arrow + 4..]);
        if file.contains(&b'/') {
            files.push(path(file));
        }
    }
    files
}

/// The variables a script may look at: names after `$` or `${`, and anything that looks like one (`os.environ["REAL_CC"]`,
/// `$ENV{REAL_CC}`). Sorted. `None`: too many to keep.
pub(super) fn variables(script: &[u8]) -> Option<Vec<Vec<u8>>> {
    const MANY: usize = 500;
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let mut names = Vec::new();
    let mut at = 0;
    while at < script.len() {
        let end = at + script[at..].iter().take_while(|b| is_word(b)).count();
        let word = &script[at..end];
        if word.first().is_some_and(|b| !b.is_ascii_digit()) {
            let before = &script[..at];
            let expanded = before.ends_with(b"$")
                || before.ends_with(b"${")
                || before.ends_with(b"${!")
                || before.ends_with(b"${#");
            let shouted = word.len() > 1
                && word.iter().all(|b| !b.is_ascii_lowercase())
                && word.iter().any(u8::is_ascii_uppercase);
            if (expanded || shouted) && word.len() < 256 {
                names.push(word.to_vec());
            }
        }
        at = end.max(at + 1);
    }
    names.sort_unstable();
    names.dedup();
    (names.len() <= MANY).then_some(names)
}

/// The first three numbers of `12.2.0 (Debian …)` or `19.0.0git`.
fn version(text: &[u8]) -> (u32, u32, u32) {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit() && *b != b'.')
        .unwrap_or(text.len());
    let mut numbers = text[..end].split(|b| *b == b'.').map(|n| {
        std::str::from_utf8(n)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

fn path(bytes: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(bytes)).to_owned()
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCC: &[u8] = b"Using built-in specs.
COLLECT_GCC=gcc
Reading specs from /opt/specs
Target: x86_64-linux-gnu
Configured with: ../src/configure -v --with-pkgversion='Debian 12.2.0-14+deb12u1'
Thread model: posix
gcc version 12.2.0 (Debian 12.2.0-14+deb12u1) 
COLLECT_GCC_OPTIONS='-E' '-v' '-mtune=generic' '-march=x86-64'
 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 -E -quiet -v -imultiarch x86_64-linux-gnu /dev/null
ignoring nonexistent directory \"/usr/local/include/x86_64-linux-gnu\"
ignoring duplicate directory \"/usr/include\"
#include \"...\" search starts here:
#include <...> search starts here:
 .
 /usr/lib/gcc/x86_64-linux-gnu/12/include
 /opt/with blank
End of search list.
COMPILER_PATH=/usr/lib/gcc/x86_64-linux-gnu/12/:/usr/lib/gcc/x86_64-linux-gnu/12/
COLLECT_GCC_OPTIONS='-E' '-v'
";

    const CLANG: &[u8] = b"Debian clang version 14.0.6
Target: x86_64-pc-linux-gnu
Thread model: posix
InstalledDir: /usr/bin
Configuration file: /etc/clang/clang.cfg
Found candidate GCC installation: /usr/bin/../lib/gcc/x86_64-linux-gnu/11
Found candidate GCC installation: /usr/bin/../lib/gcc/x86_64-linux-gnu/12
Selected GCC installation: /usr/bin/../lib/gcc/x86_64-linux-gnu/12
 (in-process)
 \"/usr/lib/my \\\"llvm\\\"/bin/clang\" -cc1 -triple x86_64-pc-linux-gnu -E -o - -x c /dev/null
clang -cc1 version 14.0.6 based upon LLVM 14.0.6 default target x86_64-pc-linux-gnu
ignoring nonexistent directory \"/include\"
#include \"...\" search starts here:
#include <...> search starts here:
 /usr/lib/llvm-14/lib/clang/14.0.6/include
 /System/Library/Frameworks (framework directory)
 /usr/include
End of search list.
";

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn gcc_s_answer_is_read() {
        assert_eq!(
            verbose(GCC),
            Verbose {
                kind: Kind::Gcc,
                version: (12, 2, 0),
                target: "x86_64-linux-gnu".to_owned(),
                compiler: Some("/usr/lib/gcc/x86_64-linux-gnu/12/cc1".into()),
                driver: Some("gcc".into()),
                settings: paths(&["/opt/specs"]),
                include_dirs: paths(&[
                    ".",
                    "/usr/lib/gcc/x86_64-linux-gnu/12/include",
                    "/opt/with blank"
                ]),
                missing_dirs: paths(&["/usr/local/include/x86_64-linux-gnu"]),
                gcc_installations: Vec::new(),
            }
        );
    }

    #[test]
    fn clang_s_answer_is_read() {
        assert_eq!(
            verbose(CLANG),
            Verbose {
                kind: Kind::Clang,
                version: (14, 0, 6),
                target: "x86_64-pc-linux-gnu".to_owned(),
                compiler: Some("/usr/lib/my \"llvm\"/bin/clang".into()),
                driver: None,
                settings: paths(&["/etc/clang/clang.cfg"]),
                include_dirs: paths(&["/usr/lib/llvm-14/lib/clang/14.0.6/include", "/usr/include"]),
                missing_dirs: paths(&["/include"]),
                gcc_installations: paths(&[
                    "/usr/bin/../lib/gcc/x86_64-linux-gnu/11",
                    "/usr/bin/../lib/gcc/x86_64-linux-gnu/12"
                ]),
            }
        );
    }

    #[test]
    fn kinds_and_versions_are_told_apart() {
        for (text, kind, version) in [
            (
                "Apple clang version 15.0.0 (clang-1500.3.9.4)\n",
                Kind::Clang,
                (15, 0, 0),
            ),
            (
                "clang version 20.0.0git (https://x)\n",
                Kind::Clang,
                (20, 0, 0),
            ),
            (
                "Intel(R) oneAPI DPC++/C++ Compiler 2024.0\nclang -cc1 version 17.0.6 based upon LLVM 17.0.6git\n",
                Kind::Clang,
                (17, 0, 6),
            ),
            (
                "gcc version 4.9 20140101 (prerelease)\n",
                Kind::Gcc,
                (4, 9, 0),
            ),
            (
                "icc version 2021.9.0 (gcc version 12.2.0 compatibility)\n",
                Kind::Unknown,
                (0, 0, 0),
            ),
            (
                "tcc version 0.9.27 (x86_64 Linux)\n",
                Kind::Unknown,
                (0, 0, 0),
            ),
            ("", Kind::Unknown, (0, 0, 0)),
        ] {
            let said = verbose(text.as_bytes());
            assert_eq!((said.kind, said.version), (kind, version), "{text}");
        }
    }

    #[test]
    fn a_cc1_that_is_missing_is_a_bare_name() {
        let said = verbose(b" cc1obj -E -quiet -v /dev/null\ngcc: fatal error: cannot execute 'cc1obj': execvp: No such file or directory\n");
        assert_eq!(said.compiler, Some("cc1obj".into()));
        assert_eq!(
            verbose(b" as -E x\n words of no meaning\n \"\n \"x\n").compiler,
            None
        );
    }

    #[test]
    fn search_dirs_are_read() {
        assert_eq!(
            search_dirs(
                b"install: /usr/lib/gcc/x/12/\nprograms: =/a/:/b c/:\nlibraries: =/l/:/m/\n"
            ),
            SearchDirs {
                install: Some("/usr/lib/gcc/x/12/".into()),
                programs: paths(&["/a/", "/b c/"]),
                libraries: paths(&["/l/", "/m/"])
            }
        );
        assert_eq!(search_dirs(b"no such option"), SearchDirs::default());
    }

    #[test]
    fn libraries_are_read() {
        let text = b"\tlinux-vdso.so.1 (0x00007f)\n\tlibz.so.1 => /lib/a (b)/libz.so.1 (0x00007f)\n\tlibx.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            libraries(text),
            paths(&["/lib/a (b)/libz.so.1", "/lib64/ld-linux-x86-64.so.2"])
        );
    }

    #[test]
    fn variables_of_scripts_are_found() {
        let names = |script: &str| -> Vec<String> {
            variables(script.as_bytes())
                .unwrap()
                .into_iter()
                .map(|name| String::from_utf8(name).unwrap())
                .collect()
        };
        assert_eq!(
            names("exec ${real:-gcc} \"$@\" $FLAGS_2 $1 a=$b"),
            ["FLAGS_2", "b", "real"]
        );
        assert_eq!(
            names("os.environ['REAL_CC'] + $ENV{OTHER}"),
            ["ENV", "OTHER", "REAL_CC"]
        );
        assert_eq!(
            names("for x in ${!wrapped}; do :; done # A word"),
            ["wrapped"]
        );
        assert!(
            variables(
                (0..1000)
                    .map(|i| format!("$v{i} "))
                    .collect::<String>()
                    .as_bytes()
            )
            .is_none()
        );
    }
}
