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
