//! The words one option carries to another program: `-Wa,`, `-Wp,`, `-Xassembler`, `-Xpreprocessor`, `-Xclang`.

use crate::options::{self, Dialect, Effect};

/// What words for another program do to the compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nested {
    /// As any plain option.
    Plain,
    /// The compile may depend on something unknown.
    Never(&'static str),
    /// The compile writes or prints something that isn't known.
    InPlace(&'static str),
}

const LISTING: &str = "the assembler prints a listing";
const FILE: &str = "the assembler writes a further file";
const SEARCH: &str = "the assembler searches further directories";
const UNKNOWN_ASSEMBLER: &str = "the option for the assembler is not known";
const UNKNOWN_PREPROCESSOR: &str = "the option for the preprocessor is not known";
const DEPENDENCIES: &str = "the preprocessor is told to write dependencies";
const UNKNOWN_COMPILER: &str = "the option for the compiler proper is not known";

/// Assembler options that take no word and change the object's bytes at most.
const ASSEMBLER_FLAGS: &[&str] = &[
    "--32",
    "--64",
    "--divide",
    "--fatal-warnings",
    "--keep-locals",
    "--no-pad-sections",
    "--no-warn",
    "--noexecstack",
    "--execstack",
    "--reduce-memory-overheads",
    "--strip-local-absolute",
    "--warn",
    "--x32",
    "-EB",
    "-EL",
    "-J",
    "-L",
    "-R",
    "-W",
    "-Z",
    "-k",
    "-n",
];

/// Beginnings of such options.
const ASSEMBLER_BEGINNINGS: &[&str] = &[
    "--compress-debug-sections",
    "--debug-prefix-map=",
    "--defsym=",
    "--elf-stt-common=",
    "--gdwarf",
    "--generate-missing-build-notes=",
    "--gstabs",
    "--hash-size",
    "--listing-",
    "--march=",
    "--multibyte-handling=",
    "--nocompress-debug-sections",
    "--sectname-subst",
    "--size-check=",
    "-g",
    "-m",
];

/// The effect of words for the assembler. `awaits` is carried from one option to the next: the word before takes a
/// value.
pub(super) fn assembler(word: &[u8], awaits: &mut bool) -> Nested {
    if std::mem::take(awaits) {
        return Nested::Plain;
    }
    match word {
        b"" => return Nested::Plain,
        b"--defsym" | b"--debug-prefix-map" => {
            *awaits = true;
            return Nested::Plain;
        }
        b"-I" => {
            *awaits = true;
            return Nested::Never(SEARCH);
        }
        [b'-', b'I', ..] => return Nested::Never(SEARCH),
        b"--statistics" => return Nested::Never("what it prints differs from run to run"),
        b"--MD" | b"-o" => {
            *awaits = true;
            return Nested::InPlace(FILE);
        }
        [b'-', b'a', letters @ ..] => {
            return if letters.contains(&b'=') {
                Nested::InPlace(FILE)
            } else {
                Nested::InPlace(LISTING)
            };
        }
        _ => {}
    }
    let known = ASSEMBLER_FLAGS.iter().any(|flag| flag.as_bytes() == word)
        || ASSEMBLER_BEGINNINGS
            .iter()
            .any(|beginning| word.starts_with(beginning.as_bytes()));
    if known {
        Nested::Plain
    } else {
        Nested::InPlace(UNKNOWN_ASSEMBLER)
    }
}

/// The effect of one word for the preprocessor: that of the same word for the driver, if it is harmless there and takes
/// no further word. `-D` and `-U` are what it's used for.
pub(super) fn preprocessor(word: &[u8], dialect: Dialect) -> Nested {
    if word.is_empty() {
        return Nested::Plain;
    }
    if word.starts_with(b"-M") || word.starts_with(b"--M") {
        return Nested::InPlace(DEPENDENCIES);
    }
    match options::find(dialect, word) {
        Some(found) if found.following == 0 => match found.row.effect {
            Effect::Define => match super::hidden_in_macro(found.joined.unwrap_or_default()) {
                Some(why) => Nested::Never(why),
                None => Nested::Plain,
            },
            Effect::Plain => Nested::Plain,
            Effect::Unlisted
                if found
                    .joined
                    .is_some_and(|value| !super::may_name_a_file(value)) =>
            {
                Nested::Plain
            }
            Effect::Search(_) => {
                Nested::InPlace("its place among the include directories is not known")
            }
            _ => Nested::InPlace(UNKNOWN_PREPROCESSOR),
        },
        _ => Nested::InPlace(UNKNOWN_PREPROCESSOR),
    }
}

/// Words for clang's compiler proper that change the object's bytes at most.
const COMPILER_FLAGS: &[&str] = &[
    "-disable-O0-optnone",
    "-disable-lifetime-markers",
    "-disable-llvm-passes",
    "-fno-pch-timestamp",
    "-no-opaque-pointers",
    "-opaque-pointers",
];

/// The effect of one `-Xclang` word. `awaits` as in [`assembler`].
pub(super) fn compiler(word: &[u8], awaits: &mut bool) -> Nested {
    if std::mem::take(awaits) {
        return Nested::Plain;
    }
    if word == b"-target-feature" || word == b"-target-cpu" {
        *awaits = true;
        return Nested::Plain;
    }
    if COMPILER_FLAGS.iter().any(|flag| flag.as_bytes() == word) {
        Nested::Plain
    } else {
        Nested::InPlace(UNKNOWN_COMPILER)
    }
}
