//! Records and logs of claims: what is written is read, and no changed byte is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use objguard::claims::{self, Claim, Entry, How, Log, Publish};
use objguard::inputs::Input;
use objguard::lineage::{Beside, Lineage, Step};
use objguard::record::{Bound, Maker, Record, Side};
use objguard::request::{Key, Variant};
use objguard::search::Search;
use objguard::stamp::Stamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::invariants::KEY;

fn word() -> impl Strategy<Value = OsString> {
    vec(any::<u8>(), 0..12).prop_map(OsString::from_vec)
}

fn path() -> impl Strategy<Value = PathBuf> {
    // Many that share a beginning, as those in records do.
    let part = prop_oneof![Just("/usr/include/".to_owned()), "[a-c]{0,3}/", "\\PC{0,6}"];
    (part, word()).prop_map(|(folder, name)| {
        let mut path = OsString::from(folder);
        path.push(name);
        path.into()
    })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u64; 3]>(), any::<[i64; 2]>()).prop_map(|([dev, ino, size], [mtime, ctime])| Stamp {
        dev,
        ino,
        size,
        mtime,
        ctime,
    })
}

fn maker() -> impl Strategy<Value = Maker> {
    let parts = (
        vec(word(), 0..3),
        "\\PC{0,9}",
        any::<[u8; 32]>(),
        vec(word(), 0..3),
        "[a-z+-]{0,9}",
    );
    parts.prop_map(|(command, name, digest, probe_flags, language)| Maker {
        command,
        name,
        digest,
        probe_flags,
        language,
    })
}

fn search() -> impl Strategy<Value = Search> {
    let parts = (
        vec((path(), option::of(stamp())), 0..4),
        vec(path(), 0..3),
        vec(vec(any::<u8>(), 0..9), 0..3),
        vec(path(), 0..3),
        any::<([u8; 16], [u8; 16], bool, i64)>(),
    );
    parts.prop_map(
        |(watched, roots, probed, rivals, (presence, mates, tests_unknown, clock))| Search {
            watched,
            roots,
            probed,
            presence,
            mates,
            rivals,
            tests_unknown,
            clock,
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    let side = (path(), stamp(), any::<[u8; 16]>());
    let side = side.prop_map(|(path, stamp, hash)| Side { path, stamp, hash });
    let input = (path(), stamp(), any::<[u8; 16]>());
    let input = input.prop_map(|(path, stamp, hash)| Input { path, stamp, hash });
    let known = (
        any::<([u8; 16], [u8; 16], [u8; 16], bool, [u64; 3])>(),
        option::of("\\PC{0,9}"),
        "\\PC{0,9}",
        vec(any::<u8>(), 0..300),
        option::of(vec(any::<u8>(), 0..40)),
    );
    let bound = prop_oneof![
        Just(Bound::Unknown),
        Just(Bound::Free),
        "\\PC{0,9}".prop_map(Bound::To)
    ];
    let lists = (
        maker(),
        vec(word(), 0..4),
        path(),
        path(),
        vec(side, 0..3),
        vec(input, 0..6),
        search(),
        vec(path(), 0..3),
        bound,
    );
    (known, lists).prop_map(
        |(
            (
                (variant, hash, diagnostics, coloured, [size, when, took]),
                never,
                why,
                stderr,
                depfile,
            ),
            (maker, flags, source, directory, sides, inputs, search, places, bound),
        )| Record {
            variant: Variant(variant),
            never,
            why,
            size,
            hash,
            when,
            took,
            stderr,
            coloured,
            diagnostics,
            depfile,
            maker,
            flags,
            source,
            directory,
            sides,
            inputs,
            search,
            places,
            bound,
        },
    )
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let step = any::<(u32, u64, u32, u64)>().prop_map(|(pid, start, thread, thread_start)| Step {
        pid,
        start,
        thread,
        thread_start,
    });
    (any::<(u64, u64, bool)>(), vec(step, 0..5)).prop_map(|((host, began, others), steps)| {
        Lineage {
            host,
            began,
            beside: if others {
                Beside::Others
            } else {
                Beside::Nothing
            },
            steps,
        }
    })
}

/// An entry with what its line holds: devices aren't in it, and of what is published the `ctime` isn't.
fn entry() -> impl Strategy<Value = Entry> {
    let named = || any::<([u8; 16], [u8; 16])>().prop_map(|(v, k)| (Variant(v), Key(k)));
    let publish =
        (named(), stamp(), any::<[u8; 16]>()).prop_map(|((variant, key), stamp, hash)| {
            let stamp = Stamp {
                dev: 0,
                ctime: 0,
                ..stamp
            };
            Entry::Publish(Publish {
                variant,
                key,
                stamp,
                hash,
            })
        });
    let how = prop_oneof![
        Just(How::Compiled),
        Just(How::Skipped),
        Just(How::Republished)
    ];
    let claim = (named(), stamp(), how, any::<(bool, u64)>(), lineage());
    let claim = claim.prop_map(|((variant, key), stamp, how, (settled, at), lineage)| {
        Entry::Claim(Claim {
            variant,
            key,
            stamp: Stamp { dev: 0, ..stamp },
            how,
            settled,
            at,
            lineage,
        })
    });
    prop_oneof![publish, any::<u64>().prop_map(Entry::InPlace), claim]
}

proptest! {
    #[test]
    fn a_record_reads_back(record in record()) {
        let written = record.write(&KEY);
        prop_assert_eq!(Record::parse(&written, &KEY), Some(record));
    }

    #[test]
    fn any_changed_byte_of_a_record_is_noticed(
        record in record(), at in any::<prop::sample::Index>(), change in 1u8..
    ) {
        let mut written = record.write(&KEY);
        let at = at.index(written.len());
        written[at] ^= change;
        prop_assert_eq!(Record::parse(&written, &KEY), None, "byte {}", at);
        written.truncate(at);
        prop_assert_eq!(Record::parse(&written, &KEY), None, "length {}", at);
    }

    #[test]
    fn a_log_reads_back(entries in vec(entry(), 0..6)) {
        let log = Log::parse(claims::text(&entries).as_bytes());
        prop_assert_eq!(&log.entries, &entries);
        prop_assert!(!log.damaged && log.lost.is_none());
    }

    #[test]
    fn any_changed_byte_of_a_log_is_noticed(
        entries in vec(entry(), 1..5), at in any::<prop::sample::Index>(), change in 1u8..
    ) {
        let mut text = claims::text(&entries).into_bytes();
        let at = at.index(text.len());
        text[at] ^= change;
        let log = Log::parse(&text);
        prop_assert!(log.damaged && log.lost.is_some(), "byte {}", at);
        prop_assert!(log.entries.len() < entries.len());
        prop_assert!(log.entries.iter().all(|entry| entries.contains(entry)));
    }
}
