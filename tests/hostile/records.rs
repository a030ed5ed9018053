//! Records that are cut off, flipped, of another version or swapped.

use std::fs;

use crate::quick::{Quick, broken, compiling, copy_folder, object_of, program_of};

/// What can't be read is no record: the compile runs again and leaves a good one.
#[test]
fn a_broken_record_is_no_record() {
    let quick = Quick::new("a_broken_record_is_no_record");
    quick.compile(1, "x.o").quiet();
    let record = quick.records("x.o").remove(0);
    let whole = fs::read(&record).unwrap();
    let step = whole.len() / 20;
    for (how, bytes) in broken(&whole, step) {
        fs::write(&record, &bytes).unwrap();
        // Somebody else's object is at the path, and nothing but the record could tell.
        quick.space.write("x.o", "a stranger");
        let log = quick.space.aside("log");
        let mut command = quick.wrapper(&compiling(1, "x.o"));
        command.env("OBJGUARD_LOG", &log);
        crate::space::Outcome::of(command).quiet();
        assert_eq!(quick.holds("x.o"), object_of(1), "{how}");
        let said = fs::read_to_string(&log).unwrap();
        assert!(said.contains("\"what\":\"compile\""), "{how}: {said}");
        fs::remove_file(&log).unwrap();
    }
}

/// A format to come, and one that never was.
#[test]
fn a_record_of_another_version_is_no_record() {
    let quick = Quick::new("a_record_of_another_version_is_no_record");
    quick.compile(1, "x.o").quiet();
    let record = quick.records("x.o").remove(0);
    let whole = fs::read(&record).unwrap();
    for magic in [b"OGREC00\n", b"OGREC01\n", b"OGREC99\n", b"\x7fELF\0\0\0\0"] {
        let mut other = whole.clone();
        other[..8].copy_from_slice(magic);
        fs::write(&record, &other).unwrap();
        quick.compile(1, "x.o").quiet();
        assert_eq!(quick.holds("x.o"), object_of(1));
        assert_eq!(fs::read(&record).unwrap()[..8], whole[..8]);
    }
}

/// A whole record of another request, or of another object, in this one's place.
#[test]
fn a_record_in_the_wrong_place_gives_no_wrong_object() {
    let quick = Quick::new("a_record_in_the_wrong_place_gives_no_wrong_object");
    quick.compile(1, "x.o").quiet();
    quick.compile(2, "x.o").quiet();
    quick.compile(3, "y.o").quiet();
    let (records, other) = (quick.records("x.o"), quick.records("y.o").remove(0));
    let whole: Vec<_> = records.iter().map(|r| fs::read(r).unwrap()).collect();
    fs::write(&records[0], &whole[1]).unwrap();
    fs::write(&records[1], &whole[0]).unwrap();
    for value in [1, 2] {
        quick.compile(value, "x.o").quiet();
        assert_eq!(quick.holds("x.o"), object_of(value));
    }
    fs::copy(other, &records[0]).unwrap();
    for value in [1, 2] {
        quick.compile(value, "x.o").quiet();
        assert_eq!(quick.holds("x.o"), object_of(value));
    }
}

/// Objects compiled by a pool are told apart by the flags in their records. Without a record nobody knows the flags, and
/// that isn't the same as having none.
#[test]
fn a_broken_record_gives_no_wrong_link() {
    let quick = Quick::new("a_broken_record_gives_no_wrong_link");
    let (pool, one, two) = (quick.builder(), quick.builder(), quick.builder());
    for value in [1, 2] {
        for object in ["x.o".to_owned(), "y.o".to_owned(), format!("own{value}.o")] {
            quick.by(&pool, &compiling(value, &object)).quiet();
        }
    }
    let saved = quick.space.aside("saved");
    copy_folder(&quick.space.path(".objguard"), &saved);
    let mut right = 0;
    let mut records: Vec<_> = ["x.o", "y.o", "own1.o", "own2.o"]
        .iter()
        .flat_map(|object| quick.records(object))
        .collect();
    records.push(quick.space.path("none"));
    for record in records {
        for (builder, value) in [(&one, 1), (&two, 2)] {
            copy_folder(&saved, &quick.space.path(".objguard"));
            fs::write(&record, "broken").unwrap();
            let linked = quick.by(builder, &format!("own{value}.o x.o y.o -o prog{value}"));
            if linked.status.success() {
                let program = quick.space.text(format!("prog{value}"));
                let expected = format!("{}\n", program_of(value)).repeat(3);
                assert_eq!(program, expected, "broken: {}", record.display());
                right += 1;
            } else {
                linked.says(&["cannot link", "OBJGUARD_AMBIGUOUS"]);
            }
        }
    }
    assert!(
        right >= 2,
        "with all records there, both links must be right"
    );
}
