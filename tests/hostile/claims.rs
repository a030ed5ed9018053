//! Logs of claims that are cut off or flipped, and claims of other hosts, other clocks and processes that never were.

use std::fs;

use objguard::claims::{self, Claim, Entry, How, Log};
use objguard::lineage::{Lineage, Step};

use crate::quick::{Builder, Quick, broken, compiling, copy_folder, program_of};
use crate::space::Outcome;

/// Two builders that compiled their own variant of x.o each; the second one's is at the path.
struct Two {
    quick: Quick,
    builders: [Builder; 2],
}

impl Two {
    fn new(test: &str) -> Two {
        let quick = Quick::new(test);
        let builders = [quick.builder(), quick.builder()];
        for (builder, value) in builders.iter().zip([1, 2]) {
            quick.by(builder, &compiling(value, "x.o")).quiet();
        }
        copy_folder(&quick.space.path(".objguard"), &quick.space.aside("saved"));
        fs::copy(quick.space.path("x.o"), quick.space.aside("x.o")).unwrap();
        Two { quick, builders }
    }

    /// Everything as it was after the compiles.
    fn restore(&self) {
        let space = &self.quick.space;
        copy_folder(&space.aside("saved"), &space.path(".objguard"));
        fs::copy(space.aside("x.o"), space.path("x.o")).unwrap();
    }

    fn link(&self, value: u32) -> Outcome {
        let words = format!("x.o -o prog{value}");
        self.quick.by(&self.builders[value as usize - 1], &words)
    }

    /// The link of the builder with this value is right, or says that it can't know; true if it was right.
    fn right_or_refused(&self, value: u32, how: &str) -> bool {
        let linked = self.link(value);
        if linked.status.success() {
            let held = self.quick.holds(format!("prog{value}"));
            assert_eq!(held, program_of(value), "{how}");
            return true;
        }
        linked.says(&["objguard: cannot link"]);
        false
    }
}

/// Lines that can't be read may have been claims: what is left must not be taken for all there was.
#[test]
fn a_damaged_log_gives_no_wrong_link() {
    let two = Two::new("a_damaged_log_gives_no_wrong_link");
    let log = two.quick.state("x.o").join("claims");
    let whole = fs::read(&log).unwrap();
    for (how, bytes) in broken(&whole, whole.len() / 25) {
        // A log cut off between two lines shows no damage: see the limits in src/docs/robustness.md.
        if bytes.last() == Some(&b'\n') || bytes.is_empty() {
            continue;
        }
        for value in [1, 2] {
            two.restore();
            fs::write(&log, &bytes).unwrap();
            two.right_or_refused(value, &how);
        }
    }
}

/// A compile heals the log: its own claim stands after the damage, and its link is right again.
#[test]
fn a_compile_heals_a_damaged_log() {
    let two = Two::new("a_compile_heals_a_damaged_log");
    let log = two.quick.state("x.o").join("claims");
    let whole = fs::read(&log).unwrap();
    for (how, bytes) in broken(&whole, whole.len() / 7) {
        for value in [1, 2] {
            two.restore();
            fs::write(&log, &bytes).unwrap();
            let builder = &two.builders[value as usize - 1];
            two.quick.by(builder, &compiling(value, "x.o")).quiet();
            assert!(
                two.right_or_refused(value, &how),
                "{how}: healed, but {}",
                two.link(value)
            );
            assert!(!Log::read(&log).unwrap().damaged, "{how}");
        }
    }
}

/// Lines of a version to come are passed over, and count as lost.
#[test]
fn lines_of_another_version_give_no_wrong_link() {
    let two = Two::new("lines_of_another_version_give_no_wrong_link");
    let log = two.quick.state("x.o").join("claims");
    let whole = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    for changed in 0..lines.len() {
        let mut text = String::new();
        for (n, line) in lines.iter().enumerate() {
            if n == changed {
                let (body, _) = line.rsplit_once(' ').unwrap();
                let body = format!("{}2{}", &body[..1], &body[2..]);
                text += &format!("{body} {}\n", claims::sum(&body));
            } else {
                text += &format!("{line}\n");
            }
        }
        for value in [1, 2] {
            two.restore();
            fs::write(&log, &text).unwrap();
            two.right_or_refused(value, &format!("line {changed} is of version 2"));
        }
    }
}

/// Claims that nobody here made: other hosts with the same process ids, clocks that run ahead, ids that overflow.
#[test]
fn claims_from_elsewhere_change_nothing() {
    let two = Two::new("claims_from_elsewhere_change_nothing");
    let log = two.quick.state("x.o").join("claims");
    let own: Vec<Claim> = Log::read(&log).unwrap().claims().cloned().collect();
    let (first, second) = (&own[0], &own[1]);
    let elsewhere = |change: &dyn Fn(&mut Claim)| {
        // The other builder's variant, claimed by what looks like the first builder.
        let mut claim = Claim {
            lineage: first.lineage.clone(),
            at: second.at + 1,
            how: How::Skipped,
            ..second.clone()
        };
        change(&mut claim);
        claim
    };
    let strangers = [
        elsewhere(&|c| c.lineage.host ^= 1),
        elsewhere(&|c| {
            c.lineage.host ^= 1;
            (c.at, c.lineage.began) = (u64::MAX, u64::MAX);
        }),
        elsewhere(&|c| {
            c.lineage.steps = vec![Step {
                pid: u32::MAX,
                start: u64::MAX,
                thread: u32::MAX,
                thread_start: u64::MAX,
            }];
        }),
        elsewhere(&|c| {
            c.lineage.steps.clear();
            (c.at, c.lineage.began) = (0, u64::MAX);
        }),
        elsewhere(&|c| {
            for step in &mut c.lineage.steps {
                step.start += 1;
            }
            c.at = u64::MAX;
        }),
    ];
    for (n, stranger) in strangers.into_iter().enumerate() {
        for value in [1, 2] {
            two.restore();
            claims::append(&log, &[Entry::Claim(stranger.clone())]).unwrap();
            two.link(value).quiet();
            assert_eq!(
                two.quick.holds(format!("prog{value}")),
                program_of(value),
                "stranger {n}"
            );
        }
    }
}

/// Sizes, times and numbers at the ends of their ranges are read and weighed without a panic.
#[test]
fn extreme_numbers_are_only_numbers() {
    let two = Two::new("extreme_numbers_are_only_numbers");
    let log = two.quick.state("x.o").join("claims");
    let own: Vec<Claim> = Log::read(&log).unwrap().claims().cloned().collect();
    for (n, claim) in own.iter().enumerate() {
        let mut extreme = claim.clone();
        (extreme.stamp.size, extreme.stamp.ino) = (u64::MAX, u64::MAX);
        (extreme.stamp.mtime, extreme.stamp.ctime) = (i64::MIN, i64::MAX);
        extreme.lineage = Lineage {
            steps: vec![claim.lineage.steps[0]; 1000],
            ..claim.lineage.clone()
        };
        two.restore();
        claims::append(&log, &[Entry::Claim(extreme)]).unwrap();
        two.right_or_refused(n as u32 + 1, "extreme numbers");
    }
}

/// The log itself can't be read or isn't a file: the link says so and doesn't guess.
#[test]
fn a_log_that_cannot_be_read_stops_the_link() {
    let two = Two::new("a_log_that_cannot_be_read_stops_the_link");
    let log = two.quick.state("x.o").join("claims");
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    for value in [1, 2] {
        let linked = two.link(value);
        assert!(
            !linked.status.success(),
            "it links without its claims: {linked}"
        );
        linked.says(&["objguard: cannot"]);
    }
}
