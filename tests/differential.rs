//! Nobody who calls objguard may be able to tell it from the compiler: every command line of a table is run with the plain compiler and
//! with objguard, in folders of the same path, and everything that can be seen of both is compared.
//!
//! | variable | meaning |
//! |---|---|
//! | `DIFFERENTIAL_ONLY` | only the cases whose title contains this text; their folders are kept |
//! | `DIFFERENTIAL_SHARE` | `K/N`: one of N cases, from the Kth on, counted from 0 |
//! | `DIFFERENTIAL_JOBS` | how many cases run at a time; twice the processors without it |
//! | `DIFFERENTIAL_WRAPPER` | words put before the compiler instead of objguard, such as `ccache`; empty: the plain compiler against itself |
//! | `DIFFERENTIAL_WITHOUT` | programs that needn't be there: the cases that need them are left out, and counted |
//! | `DIFFERENTIAL_LIST` | a file to which a line for each case is written: title, decision, number of differences |

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/run.rs"]
mod run;
#[path = "differential/snapshot.rs"]
mod snapshot;
#[path = "differential/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use compare::Difference;
use run::{Place, Wrapper};
use table::{Case, Decision, Weaker};

/// How many differences of a case are printed.
const SHOWN: usize = 6;

/// What came of one case.
struct Outcome {
    differences: Vec<Difference>,
    /// The decision, where objguard is under test.
    decision: Option<Decision>,
    /// `differs` lines that were not needed.
    needless: Vec<String>,
    /// Whether the plain compiler made something else of the changed input.
    change_shows: bool,
    /// Why it couldn't be run.
    trouble: Option<String>,
}

impl Outcome {
    fn is_bad(&self) -> bool {
        !self.differences.is_empty() || self.trouble.is_some()
    }
}

#[test]
fn the_wrapper_cannot_be_told_from_the_compiler() {
    let cases = cases();
    let (cases, left_out) = without_excluded(cases);
    let only = env::var("DIFFERENTIAL_ONLY").ok();
    let (part, parts) = share();
    let cases: Vec<Case> = cases
        .into_iter()
        .filter(|case| only.as_ref().is_none_or(|text| case.title().contains(text)))
        .enumerate()
        .filter(|(n, _)| n % parts == part)
        .map(|(_, case)| case)
        .collect();
    assert!(!cases.is_empty(), "no case is called so");
    let base = base();
    let wrapper = wrapper(&base);
    let start = Instant::now();
    let outcomes = run_all(&cases, &wrapper, &base, only.is_some());
    let failed = report(&cases, &outcomes, &left_out);
    say(&format!(
        "{} cases in {:.0} s",
        cases.len(),
        start.elapsed().as_secs_f64()
    ));
    if failed == 0 && only.is_none() {
        let _ = fs::remove_dir_all(&base);
    }
    assert_eq!(
        failed, 0,
        "cases in which the wrapper can be told from the compiler"
    );
}

/// `DIFFERENTIAL_SHARE=K/N`: every Nth case, from the Kth on, counted from 0. All without it.
fn share() -> (usize, usize) {
    let Ok(text) = env::var("DIFFERENTIAL_SHARE") else {
        return (0, 1);
    };
    let numbers = text.split_once('/').map(|(k, n)| (k.parse(), n.parse()));
    match numbers {
        Some((Ok(k), Ok(n))) if k < n => {
            say(&format!(
                "DIFFERENTIAL_SHARE: one of {n} cases, from case {k} on"
            ));
            (k, n)
        }
        _ => panic!("DIFFERENTIAL_SHARE is `{text}`; it is two numbers, K/N, with K below N"),
    }
}

/// The test itself is worth something only if it sees what a careless wrapper does.
#[test]
fn careless_wrappers_are_noticed() {
    let careless = [
        // Another mode than the umask gives.
        ("mode", r#""$@" && chmod 600 x.o"#, "mode 600"),
        // An output that seems older than its inputs.
        (
            "time",
            r#""$@" && touch -d '2 hours ago' x.o"#,
            "older than",
        ),
        // A side file that isn't made.
        ("missing", r#""$@" && rm -f x.d"#, "missing"),
        // Scratch that stays.
        (
            "stray",
            r#""$@" && cp x.o stray.o"#,
            "not there with the plain compiler",
        ),
        // Warnings that are swallowed.
        ("quiet", r#""$@" 2>/dev/null"#, "stderr"),
        ("chatty", r#"echo done; "$@""#, "stdout"),
        ("status", r#""$@"; exit 3"#, "exit 3"),
        // An old object taken for a new one.
        ("stale", r#"test -e x.o || "$@""#, "after an input changed"),
        // Two names of one file.
        (
            "link",
            r#""$@" && ln -f x.o ../keep.o && ln -f x.o second.o"#,
            "hard links",
        ),
    ];
    let text = "case careless\nfor gcc\nrun $CC -Wall -MD -c x.c -o x.o\nsetup cp warn.c x.c; touch -r warn.c x.c; ln y.c second.o\n";
    let case = &table::parse("careless", text).expect("a valid table")[0];
    let base = base();
    for (name, script, expected) in careless {
        let root = base.join(name);
        fs::create_dir_all(&root).expect("a folder can be made");
        let path = root.with_extension("sh");
        fs::write(&path, format!("{script}\n")).expect("a script can be written");
        let wrapper = Wrapper::Prefix(format!("sh {}", path.display()));
        let outcome = run_case(case, &wrapper, root);
        let seen: Vec<String> = outcome.differences.iter().map(described).collect();
        assert!(
            seen.iter().any(|line| line.contains(expected)),
            "`{script}` should be noticed for `{expected}`, but: {seen:#?} {:?}",
            outcome.trouble
        );
    }
    let _ = fs::remove_dir_all(base);
}

/// All cases of the table.
fn cases() -> Vec<Case> {
    let folder = source_folder().join("table");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the table can be read")
        .map(|entry| entry.expect("the table can be read").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&file).expect("the table can be read");
        cases.extend(table::parse(&name, &text).unwrap_or_else(|error| panic!("{error}")));
    }
    let mut titles: Vec<String> = cases.iter().map(Case::title).collect();
    titles.sort();
    for pair in titles.windows(2) {
        assert_ne!(pair[0], pair[1], "two cases of one name and kind");
    }
    cases
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

/// Splits off, by program, the cases that `DIFFERENTIAL_WITHOUT` excuses. A missing program that it doesn't name fails the test.
fn without_excluded(cases: Vec<Case>) -> (Vec<Case>, BTreeMap<String, usize>) {
    let excused = env::var("DIFFERENTIAL_WITHOUT").unwrap_or_default();
    let excused: Vec<&str> = excused.split_whitespace().collect();
    let mut left_out = BTreeMap::new();
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    let (mut kept, mut searched) = (Vec::new(), BTreeMap::new());
    for case in cases {
        let (cc, cxx) = case.compiler.commands();
        let needed = case
            .needs
            .iter()
            .map(String::as_str)
            .chain([cc, cxx, "cp", "nm"]);
        let absent = needed.map(str::to_owned).find(|name| {
            !*searched
                .entry(name.clone())
                .or_insert_with(|| on_path(name))
        });
        match absent {
            None => kept.push(case),
            Some(name) if excused.contains(&name.as_str()) => {
                *left_out.entry(name).or_insert(0) += 1;
            }
            Some(name) => *missing.entry(name).or_insert(0) += 1,
        }
    }
    assert!(
        missing.is_empty(),
        "programs that cases need (how many): {missing:?}; install them or name them in DIFFERENTIAL_WITHOUT"
    );
    (kept, left_out)
}

fn on_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// A new folder for everything this test writes.
fn base() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("objguard-differential-{}-{number}", std::process::id());
    let base = env::temp_dir().join(name);
    fs::create_dir_all(&base).expect("a folder can be made");
    base
}

fn wrapper(base: &Path) -> Wrapper {
    if let Ok(words) = env::var("DIFFERENTIAL_WRAPPER") {
        return Wrapper::Prefix(words);
    }
    let links = base.join("wrapper");
    fs::create_dir_all(&links).expect("a folder can be made");
    for name in ["objguard-cc", "objguard-c++"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_objguard-cc"), links.join(name))
            .expect("a link can be made");
    }
    Wrapper::Objguard(links)
}

fn run_all(cases: &[Case], wrapper: &Wrapper, base: &Path, keep: bool) -> Vec<Outcome> {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let jobs = env::var("DIFFERENTIAL_JOBS")
        .ok()
        .map_or(processors * 2, |text| {
            text.parse().expect("DIFFERENTIAL_JOBS is a number")
        });
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let root = folder(base, index, case);
                    let outcome = run_case(case, wrapper, root.clone());
                    if outcome.is_bad() {
                        explain(case, &outcome, &root);
                    }
                    if !keep && !outcome.is_bad() {
                        let _ = fs::remove_dir_all(root);
                    }
                    outcomes.lock().expect("no panic").push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no panic");
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn folder(base: &Path, index: usize, case: &Case) -> PathBuf {
    base.join(format!("{index:03}-{}", case.folder()))
}

fn run_case(case: &Case, wrapper: &Wrapper, root: PathBuf) -> Outcome {
    let place = Place { root };
    let sides = place
        .prepare(case, &source_folder().join("fixture"), SystemTime::now())
        .and_then(|()| place.side(case, None, "plain"))
        .and_then(|plain| Ok((plain, place.side(case, Some(wrapper), "wrapped")?)));
    let (plain, wrapped) = match sides {
        Ok(sides) => sides,
        Err(trouble) => {
            return Outcome {
                differences: Vec::new(),
                decision: None,
                needless: Vec::new(),
                change_shows: true,
                trouble: Some(trouble),
            };
        }
    };
    let mut differences = compare::compare(case, &place, &plain, &wrapped);
    let decision =
        matches!(wrapper, Wrapper::Objguard(_)).then(|| compare::decision(&plain, &wrapped));
    if let (Some(expected), Some(decision)) = (case.expect, decision)
        && expected != decision
    {
        differences.push(Difference {
            phase: run::Phase::Again,
            what: format!("{decision}; expected: {expected}"),
        });
    }
    let needless = compare::needless(case, &plain, &wrapped);
    Outcome {
        differences,
        decision,
        needless: needless.into_iter().map(str::to_owned).collect(),
        change_shows: compare::change_shows(&plain),
        trouble: None,
    }
}

/// Prints what came of it and returns how many cases failed.
fn report(cases: &[Case], outcomes: &[Outcome], left_out: &BTreeMap<String, usize>) -> usize {
    let mut failed = 0;
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut decisions: BTreeMap<Option<Decision>, usize> = BTreeMap::new();
    let mut list = String::new();
    for (case, outcome) in cases.iter().zip(outcomes) {
        let (all, wrong) = kinds.entry(&case.kind).or_default();
        *all += 1;
        *decisions.entry(outcome.decision).or_default() += 1;
        list.push_str(&format!(
            "{}\t{}\t{}\n",
            case.title(),
            outcome
                .decision
                .map_or("-".to_owned(), |decision| decision.to_string()),
            outcome.differences.len()
        ));
        if !outcome.change_shows {
            say(&format!(
                "note: {}: the changed input shows nowhere",
                case.title()
            ));
        }
        for name in &outcome.needless {
            say(&format!(
                "note: {}: `differs {name}` was not needed this time",
                case.title()
            ));
        }
        if outcome.is_bad() {
            *wrong += 1;
            failed += 1;
        }
    }
    if let Ok(path) = env::var("DIFFERENTIAL_LIST") {
        fs::write(path, list).expect("DIFFERENTIAL_LIST can be written");
    }
    say("\nkind: cases, of which differ");
    for (kind, (all, wrong)) in kinds {
        say(&format!("  {kind}: {all}, {wrong}"));
    }
    for (decision, count) in decisions {
        let name = decision.map_or("other wrapper".to_owned(), |decision| decision.to_string());
        say(&format!("decision: {name}: {count}"));
    }
    let mut reasons: BTreeMap<(&str, Weaker), usize> = BTreeMap::new();
    for line in cases.iter().flat_map(|case| &case.differs) {
        *reasons.entry((&line.reason, line.how)).or_default() += 1;
    }
    say("files and streams that the plain compiler doesn't repeat, and what is compared of them:");
    for ((reason, how), count) in reasons {
        say(&format!("  {count}, {how:?}: {reason}"));
    }
    for (name, count) in left_out {
        say(&format!("left out for want of `{name}`: {count} cases"));
    }
    failed
}

/// Prints the differences of one case, in one piece: other threads print too.
fn explain(case: &Case, outcome: &Outcome, folder: &Path) {
    let mut lines = vec![format!("\n{}", case.title())];
    lines.extend(case.setup.iter().map(|line| format!("    setup {line}")));
    lines.extend(case.run.iter().map(|line| format!("    run {line}")));
    let trouble = outcome.trouble.iter();
    lines.extend(trouble.map(|trouble| format!("  cannot be run: {trouble}")));
    let differences = &outcome.differences;
    let shown = differences.iter().take(SHOWN);
    lines.extend(shown.map(|difference| format!("  {}", described(difference))));
    if differences.len() > SHOWN {
        lines.push(format!("  and {} more", differences.len() - SHOWN));
    }
    let folder = folder.display();
    lines.push(format!("  folders: {folder}/plain, {folder}/wrapped"));
    let title = case.title().replace('\'', "'\\''");
    lines.push(format!(
        "  again: DIFFERENTIAL_ONLY='{title}' cargo test --test differential"
    ));
    say(&lines.join("\n"));
}

fn described(difference: &Difference) -> String {
    format!("{}: {}", difference.phase, difference.what)
}

/// Writes past the test harness, which would swallow the output of a test that passes.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
