//! The linker's own options, as they stand inside `-Wl,` and after `-Xlinker`: which take a word, which name the
//! output or an input, and which write or show more than the output.
//!
//! GNU ld (bfd and gold), lld and mold agree in what is listed; names with underscores are those of the Darwin linker. All long options are known with one dash as with
//! two, and take their value after `=` or as the next word.

/// What a linker word means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkerWord<'a> {
    /// Nothing we care for.
    Plain,
    /// The next word is its value, of no interest.
    TakesValue,
    /// A file the linker reads as input.
    Input(&'a [u8]),
    /// `-l NAME`: the name.
    Library(&'a [u8]),
    /// `-l`, the name being the next word.
    LibraryNext,
    /// `-L DIR`: the directory.
    Directory(&'a [u8]),
    /// `-L`, the directory being the next word.
    DirectoryNext,
    /// `-r`: the output is an object again.
    Relocatable,
    /// Writes a further file or shows what it does: the text says which.
    Shows(&'static str),
    /// As [`LinkerWord::Shows`], and the next word is its value.
    ShowsNext(&'static str),
    /// It only asks the linker for information.
    Asks,
}

const OUTPUT: &str = "it names another output";
const LISTS: &str = "it shows what the linker does";
const WRITES: &str = "it makes the linker write a further file";
const HIDDEN: &str = "the file it names holds further words for the linker";

/// Long options (without dashes) whose value is the next word unless it follows `=`.
const VALUES: &[&str] = &[
    "Tbss",
    "Tdata",
    "Tldata-segment",
    "Trodata-segment",
    "Ttext",
    "Ttext-segment",
    "alias_list",
    "architecture",
    "assert",
    "audit",
    "auxiliary",
    "bundle_loader",
    "call-graph-ordering-file",
    "chroot",
    "compatibility_version",
    "current_version",
    "dT",
    "default-script",
    "defsym",
    "depaudit",
    "dylib_install_name",
    "dynamic-linker",
    "dynamic-list",
    "entry",
    "exclude-libs",
    "exclude-modules-for-implib",
    "export-dynamic-symbol",
    "export-dynamic-symbol-list",
    "exported_symbols_list",
    "filter",
    "fini",
    "format",
    "framework",
    "gpsize",
    "hash-size",
    "hash-style",
    "headerpad",
    "heap",
    "image-base",
    "init",
    "install_name",
    "just-symbols",
    "keep-unique",
    "macosx_version_min",
    "max-cache-size",
    "mllvm",
    "oformat",
    "order_file",
    "orphan-handling",
    "pack-dyn-relocs",
    "plugin",
    "remap-inputs",
    "require-defined",
    "retain-symbols-file",
    "rpath",
    "rpath-link",
    "script",
    "section-ordering-file",
    "section-start",
    "soname",
    "sort-section",
    "spare-dynamic-tags",
    "stack",
    "sub_library",
    "symbol-ordering-file",
    "sysroot",
    "task-link",
    "umbrella",
    "undefined",
    "undefined-glob",
    "unexported_symbols_list",
    "unresolved-symbols",
    "version-exports-section",
    "version-script",
    "weak_framework",
    "wrap",
];

/// One-letter options whose value is the rest of the word or the next word.
const LETTERS: &[u8] = b"AFGIPRTYabefhmuz";

/// Long options that write or show something, whether they take a value, and the reason.
const SHOWING: &[(&str, bool, &str)] = &[
    ("Map", true, WRITES),
    ("base-file", true, WRITES),
    ("cref", false, LISTS),
    ("dependency-file", true, WRITES),
    ("dependency_info", true, WRITES),
    ("emit-llvm", false, OUTPUT),
    ("incremental", false, "it works on the output in place"),
    ("incremental-full", false, "it works on the output in place"),
    (
        "incremental-update",
        false,
        "it works on the output in place",
    ),
    ("lto-emit-asm", false, WRITES),
    ("lto-emit-llvm", false, WRITES),
    ("lto-obj-path", true, WRITES),
    ("map", true, WRITES),
    ("mri-script", true, HIDDEN),
    ("object_path_lto", true, WRITES),
    ("out-implib", true, WRITES),
    ("output", true, OUTPUT),
    ("output-def", true, WRITES),
    (
        "plugin-opt",
        true,
        "what it tells the plugin isn't known here",
    ),
    ("print-archive-stats", true, WRITES),
    ("print-dependencies", false, LISTS),
    ("print-map", false, LISTS),
    ("print-symbol-counts", true, WRITES),
    ("print-symbol-order", true, WRITES),
    ("repro", false, WRITES),
    ("reproduce", true, WRITES),
    ("save-temps", false, WRITES),
    ("stats", false, "what it prints differs from run to run"),
    ("thinlto-emit-imports-files", false, WRITES),
    ("thinlto-emit-index-files", false, WRITES),
    ("thinlto-index-only", false, WRITES),
    ("time-trace", false, WRITES),
    ("time-trace-file", true, WRITES),
    ("trace", false, LISTS),
    ("trace-symbol", true, LISTS),
    ("verbose", false, LISTS),
    ("why-extract", true, WRITES),
];

/// What one word for the linker means, when no value is awaited.
pub fn classify(word: &[u8]) -> LinkerWord<'_> {
    use LinkerWord::*;
    let Some(option) = word.strip_prefix(b"-").filter(|rest| !rest.is_empty()) else {
        return match word {
            b"" => Plain,
            [b'@', ..] => Shows(HIDDEN),
            path => Input(path),
        };
    };
    match option {
        b"r" | b"i" | b"-relocatable" | b"Ur" => return Relocatable,
        b"M" => return Shows(LISTS),
        b"t" | b"v" | b"V" => return Shows(LISTS),
        b"-version" | b"-help" | b"-target-help" => return Asks,
        b"o" => return ShowsNext(OUTPUT),
        b"y" => return ShowsNext(LISTS),
        b"c" => return ShowsNext(HIDDEN),
        b"l" | b"-library" | b"library" => return LibraryNext,
        b"L" | b"-library-path" | b"library-path" => return DirectoryNext,
        b"(" | b")" | b"d" | b"dc" | b"dp" | b"dn" | b"dy" | b"g" | b"n" | b"N" | b"q" | b"s"
        | b"S" | b"x" | b"X" => {
            return Plain;
        }
        _ => {}
    }
    let long = option.strip_prefix(b"-").unwrap_or(option);
    let (name, value) = match long.iter().position(|&b| b == b'=') {
        Some(at) => (&long[..at], Some(&long[at + 1..])),
        None => (long, None),
    };
    match (name, value) {
        (b"library", Some(value)) => return Library(value),
        (b"library-path", Some(value)) => return Directory(value),
        _ => {}
    }
    if let Ok(at) = SHOWING.binary_search_by(|(known, ..)| known.as_bytes().cmp(name)) {
        let (_, takes, why) = SHOWING[at];
        return if takes && value.is_none() {
            ShowsNext(why)
        } else {
            Shows(why)
        };
    }
    if VALUES
        .binary_search_by(|known| known.as_bytes().cmp(name))
        .is_ok()
    {
        return if value.is_none() { TakesValue } else { Plain };
    }
    if option.starts_with(b"-") {
        return Plain;
    }
    match option {
        [b'l', rest @ ..] => Library(rest),
        [b'L', rest @ ..] => Directory(rest),
        // ld itself reads `-omagic` and every other unknown word in `-o` as a name for the output.
        [b'o', ..] => Shows(OUTPUT),
        [b'y', ..] => Shows(LISTS),
        [letter] if LETTERS.contains(letter) => TakesValue,
        _ => Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::LinkerWord::*;
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(VALUES.is_sorted());
        assert!(SHOWING.is_sorted_by_key(|(name, ..)| *name));
    }

    #[test]
    fn words_of_the_linker() {
        for (word, meaning) in [
            ("a.o", Input(b"a.o".as_slice())),
            ("", Plain),
            ("@list", Shows(HIDDEN)),
            ("-r", Relocatable),
            ("--relocatable", Relocatable),
            ("-rpath", TakesValue),
            ("--rpath", TakesValue),
            ("-rpath=/x", Plain),
            ("-soname", TakesValue),
            ("-h", TakesValue),
            ("-hlib.so", Plain),
            ("-T", TakesValue),
            ("-Tscript.ld", Plain),
            ("--version-script=v", Plain),
            ("-z", TakesValue),
            ("-znow", Plain),
            ("-o", ShowsNext(OUTPUT)),
            ("-oprog", Shows(OUTPUT)),
            ("--output=prog", Shows(OUTPUT)),
            ("-Map", ShowsNext(WRITES)),
            ("-Map=x.map", Shows(WRITES)),
            ("--start-group", Plain),
            ("--whole-archive", Plain),
            ("-lm", Library(b"m")),
            ("-l", LibraryNext),
            ("--library=m", Library(b"m")),
            ("-L/x", Directory(b"/x")),
            ("-L", DirectoryNext),
            ("--version", Asks),
            ("--build-id=sha1", Plain),
            ("-O1", Plain),
            ("-(", Plain),
        ] {
            assert_eq!(classify(word.as_bytes()), meaning, "{word}");
        }
    }
}
