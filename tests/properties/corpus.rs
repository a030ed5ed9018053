//! What is kept of `tests/fuzz`: inputs that reach most of the code, and whatever broke it once.

use std::fs;
use std::path::Path;

use crate::invariants;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let path = entry.expect("it can be listed").path();
        let data = fs::read(&path).expect("it can be read");
        eprintln!("{}", path.display());
        check(&data);
        count += 1;
    }
    assert!(count > 0, "nothing in {}", folder.display());
}

#[test]
fn command_line() {
    replay("command_line", invariants::command_line);
}

#[test]
fn response() {
    replay("response", invariants::response);
}

#[test]
fn depfile() {
    replay("depfile", invariants::depfile);
}

#[test]
fn record() {
    replay("record", invariants::record);
    let whole = include_bytes!("../fuzz/corpus/record/body");
    let record =
        invariants::sealed(whole).expect("what the fuzzer begins with is a record of this version");
    assert!(!record.inputs.is_empty() && !record.search.rivals.is_empty());
}

#[test]
fn claims() {
    replay("claims", invariants::claims);
}
