//! How many jobs a run has: `-j`, else the `-jN` of make's variables, else the CPUs that are really available.
//!
//! More than twice the CPUs is a typing error more often than a wish (Sage #4652 caps there too), so that is the most.

use std::ffi::{OsStr, OsString};

/// The variables in which a build's user or his distribution says how many jobs there may be.
const VARIABLES: [&str; 3] = ["MAKEFLAGS", "MAKE", "MAKEOPTS"];

/// A number of jobs and what there is to say of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Jobs {
    pub(super) number: usize,
    /// One line for the user, if the number isn't what was asked for.
    pub(super) note: Option<String>,
}

/// Decides. `asked`: what `-j` says.
pub(super) fn decide(
    asked: Option<usize>,
    environment: &[(OsString, OsString)],
    cpus: usize,
) -> Jobs {
    let cpus = cpus.max(1);
    let of_make = || {
        VARIABLES.iter().find_map(|name| {
            let (_, value) = environment.iter().find(|(n, _)| n == name)?;
            of_flags(value)
        })
    };
    let wanted = asked.or_else(of_make).unwrap_or(cpus);
    let most = 2 * cpus;
    if wanted <= most {
        return Jobs {
            number: wanted,
            note: None,
        };
    }
    let available = match cpus {
        1 => "the 1 CPU".to_owned(),
        n => format!("the {n} CPUs"),
    };
    Jobs {
        number: most,
        note: Some(format!(
            "{wanted} jobs are more than twice {available} available here: {most} are run"
        )),
    }
}

/// The CPUs that this process may use: its affinity and its control group's quota count.
pub(super) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// The number in make's own spellings: `-j4`, `-j 4`, `--jobs=4`, `--jobs 4`, `-kj4`. A `-j` without one has no limit, and
/// says nothing.
fn of_flags(flags: &OsStr) -> Option<usize> {
    let text = flags.to_str()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found = None;
    for (n, word) in words.iter().enumerate() {
        let value = if let Some(long) = word.strip_prefix("--jobs") {
            long.strip_prefix('=')
                .or_else(|| long.is_empty().then(|| words.get(n + 1).copied())?)
        } else if let Some(short) = word.strip_prefix('-').filter(|w| !w.starts_with('-')) {
            // The letters before are options without a value: the first that takes one ends the word.
            let at = short.find(|c: char| !"bBdeikLnpqrRsStvw".contains(c));
            match at.map(|at| &short[at..]) {
                Some("j") => words.get(n + 1).copied(),
                Some(rest) => rest.strip_prefix('j'),
                None => None,
            }
        } else {
            None
        };
        if let Some(number) = value.and_then(|v| v.parse().ok()).filter(|n| *n > 0) {
            found = Some(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_s_spellings() {
        for (flags, number) in [
            ("-j4", Some(4)),
            ("-j 4", Some(4)),
            ("--jobs=4", Some(4)),
            ("--jobs 4", Some(4)),
            (" -j8 --jobserver-auth=3,4", Some(8)),
            ("-kj3", Some(3)),
            ("k -j3", Some(3)),
            ("make -j5 -l4", Some(5)),
            ("-j2 -j6", Some(6)),
            ("-j", None),
            ("-j -l4", None),
            ("-j0", None),
            ("-l4", None),
            ("-C/tmp/j4", None),
            ("", None),
            ("make", None),
        ] {
            assert_eq!(of_flags(OsStr::new(flags)), number, "{flags}");
        }
    }

    #[test]
    fn the_first_that_says_something_decides() {
        let environment = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(n, v)| (n.into(), v.into()))
                .collect::<Vec<_>>()
        };
        let all = environment(&[
            ("MAKEOPTS", "-j5"),
            ("MAKE", "make -j4"),
            ("MAKEFLAGS", "-k"),
        ]);
        assert_eq!(decide(Some(3), &all, 4).number, 3);
        assert_eq!(decide(None, &all, 4).number, 4);
        assert_eq!(decide(None, &[], 4).number, 4);
        assert_eq!(decide(None, &[], 0).number, 1);
    }

    #[test]
    fn a_typing_error_is_capped() {
        assert_eq!(
            decide(Some(8), &[], 4),
            Jobs {
                number: 8,
                note: None
            }
        );
        assert_eq!(
            decide(Some(44), &[], 4),
            Jobs {
                number: 8,
                note: Some(
                    "44 jobs are more than twice the 4 CPUs available here: 8 are run".into()
                )
            }
        );
    }
}
