//! The table's own rules, and how words find their row.

use super::*;

fn tables() -> [(&'static str, &'static [Row]); 3] {
    [
        ("common", common::ROWS),
        ("gcc", gcc::ROWS),
        ("clang", clang::ROWS),
    ]
}

#[test]
fn tables_are_sorted_and_hold_each_name_once() {
    for (table, rows) in tables() {
        for pair in rows.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{table}: `{}` before `{}`",
                pair[0].name,
                pair[1].name
            );
        }
    }
}

#[test]
fn a_row_of_one_driver_says_something_else_than_the_common_one() {
    for (table, rows) in &tables()[1..] {
        for row in *rows {
            assert!(
                !common::ROWS.contains(row),
                "{table}: `{}` is in the common table",
                row.name
            );
        }
    }
}

#[test]
fn names_start_with_a_dash_and_reasons_are_half_sentences() {
    for (table, rows) in tables() {
        for row in rows {
            assert!(
                row.name.starts_with('-') && row.name.len() > 1,
                "{table}: `{}`",
                row.name
            );
            if let Effect::Aside(why)
            | Effect::ProbeNever(why)
            | Effect::Named(why)
            | Effect::Writes(why)
            | Effect::Never(why)
            | Effect::InPlace(why) = row.effect
            {
                assert!(
                    why.starts_with(char::is_lowercase),
                    "{table}: `{}`: {why}",
                    row.name
                );
                assert!(!why.ends_with('.'), "{table}: `{}`: {why}", row.name);
            }
        }
    }
}

/// The longest name wins, and a name whose form doesn't fit gives way to a shorter one.
#[test]
fn words_find_their_row() {
    use Dialect::*;
    type Expected = Option<(&'static str, Option<&'static str>, usize)>;
    let rows: &[(Dialect, &str, Expected)] = &[
        (Gcc, "-c", Some(("-c", None, 0))),
        (Gcc, "-cc1", None),
        (Clang, "-cc1as", Some(("-cc1", Some("as"), 0))),
        (Gcc, "-o", Some(("-o", None, 1))),
        (Gcc, "-output", Some(("-o", Some("utput"), 0))),
        (Gcc, "-O", Some(("-O", None, 0))),
        (Gcc, "-O2", Some(("-O", Some("2"), 0))),
        (Gcc, "-Wl,-z,now", Some(("-Wl,", Some("-z,now"), 0))),
        (Gcc, "-Wlogical-op", Some(("-W", Some("logical-op"), 0))),
        (Gcc, "-Wall", Some(("-W", Some("all"), 0))),
        (Gcc, "-MD", Some(("-MD", None, 0))),
        (Gcc, "-MDx", None),
        (Gcc, "-MFx", Some(("-MF", Some("x"), 0))),
        (Gcc, "-std=c99", Some(("-std=", Some("c99"), 0))),
        (Gcc, "-std", None),
        (Gcc, "--std", Some(("--std", None, 1))),
        (Gcc, "--std=c99", Some(("--std", Some("c99"), 0))),
        (Gcc, "--stdx", None),
        (Gcc, "-flto", Some(("-flto", None, 0))),
        (Gcc, "-flto=4", Some(("-flto", Some("4"), 0))),
        (
            Gcc,
            "-flto-partition=one",
            Some(("-f", Some("lto-partition=one"), 0)),
        ),
        (
            Gcc,
            "-fplugin-arg-a-b=c",
            Some(("-fplugin", Some("-arg-a-b=c"), 0)),
        ),
        (Gcc, "-fmodulo-sched", Some(("-f", Some("modulo-sched"), 0))),
        (Gcc, "-include-pch", Some(("-include", Some("-pch"), 0))),
        (Clang, "-include-pch", Some(("-include-pch", None, 1))),
        (Gcc, "-isysroot", Some(("-isysroot", None, 1))),
        (Gcc, "-isystem/x", Some(("-isystem", Some("/x"), 0))),
        (Gcc, "-dumpbase", Some(("-dumpbase", None, 1))),
        (Gcc, "-dumpbasex", Some(("-d", Some("umpbasex"), 0))),
        (Clang, "-dumpdir", Some(("-dumpdir", None, 1))),
        (Gcc, "-g", Some(("-g", None, 0))),
        (Gcc, "-gsplit-dwarf", Some(("-gsplit-dwarf", None, 0))),
        (Gcc, "-gz", Some(("-g", Some("z"), 0))),
        (Gcc, "-e", Some(("-e", None, 1))),
        (Gcc, "-embed-dir", Some(("-e", Some("mbed-dir"), 0))),
        (Clang, "-embed-dir", None),
        (Clang, "-emit-llvm", Some(("-emit-", Some("llvm"), 0))),
        (Clang, "-sectcreate", Some(("-sectcreate", None, 3))),
        (Clang, "-Xarch_arm64", Some(("-Xarch_", Some("arm64"), 1))),
        (Clang, "-target", Some(("-target", None, 1))),
        (Gcc, "-target", None),
        (Gcc, "-t", Some(("-t", None, 0))),
        (Gcc, "-Tbss", Some(("-Tbss", None, 1))),
        (Gcc, "-Tscript", Some(("-T", Some("script"), 0))),
        (Gcc, "--", None),
        (Gcc, "--x", None),
        (Gcc, "-", None),
        (Gcc, "!", None),
    ];
    for (dialect, word, expected) in rows {
        let found = find(*dialect, word.as_bytes());
        let expected =
            expected.map(|(name, joined, following)| (name, joined.map(str::as_bytes), following));
        let found = found.map(|found| (found.row.name, found.joined, found.following));
        assert_eq!(found, expected, "{dialect:?}: {word}");
    }
}
