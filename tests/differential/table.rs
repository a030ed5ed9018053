//! The table of command lines: text files below `differential/table`, one topic each.
//!
//! ```text
//! # a comment
//! kind dependency options
//!
//! case -MD with a default name
//! run $CC -MD -c x.c -o out/x.o
//! ```
//!
//! A line is a word and its value. `kind` names what the following cases are about. `case` begins a case; below it stand:
//!
//! | word      | value |
//! |-----------|-------|
//! | `for`     | `gcc`, `clang` or both (the default): the case is run once with each |
//! | `needs`   | programs that have to be on PATH besides the compiler |
//! | `setup`   | a shell line, run before everything else with the plain compiler as `$CC`, `$CXX` |
//! | `run`     | a shell line that is run and compared; `$CC` and `$CXX` are the compiler under test |
//! | `change`  | a shell line that changes an input; without one, `VALUE` and `INNER` change in the headers |
//! | `differs` | `NAME HOW: reason`: the plain compiler itself does not repeat the bytes of this file (`stdout`, `stderr`: of this stream), and what is compared instead |
//! | `expect`  | what objguard has to make of it: `skip` (the second run compiles nothing), `compile` (never skipped) or `as written` (not even guarded) |
//!
//! Shell lines run in the case's folder, which holds a copy of `differential/fixture`.

use std::fmt;

/// Which compiler a case is run with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Compiler {
    Gcc,
    Clang,
}

impl Compiler {
    /// The commands for C and for C++.
    pub fn commands(self) -> (&'static str, &'static str) {
        match self {
            Compiler::Gcc => ("gcc", "g++"),
            Compiler::Clang => ("clang", "clang++"),
        }
    }
}

/// What is compared of a file whose bytes the plain compiler doesn't repeat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weaker {
    /// That it exists, its type and its mode.
    Exists,
    /// Also the sorted names of its symbols, as `nm` prints them.
    Symbols,
    /// Also the text, with every run of digits and dots taken for the same number.
    Numbers,
    /// Also the text, with every hexadecimal number taken for the same one.
    Addresses,
    /// Also the set of lines, whatever their order.
    Lines,
}

/// One `differs` line.
#[derive(Clone, Debug)]
pub struct Differs {
    /// A file relative to the case's folder (`*` stands for any text), `stdout` or `stderr`.
    pub name: String,
    pub how: Weaker,
    pub reason: String,
}

/// What objguard is expected to make of a case's commands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Decision {
    Skip,
    Compile,
    AsWritten,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Skip => "skipped",
            Decision::Compile => "guarded, not skipped",
            Decision::AsWritten => "run as written",
        })
    }
}

/// One case for one compiler.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: String,
    pub name: String,
    pub compiler: Compiler,
    pub needs: Vec<String>,
    pub setup: Vec<String>,
    pub run: Vec<String>,
    pub change: Vec<String>,
    pub differs: Vec<Differs>,
    pub expect: Option<Decision>,
}

impl Case {
    /// The name under which it is reported and selected, such as `clang, dependency options: -MD in a folder`.
    pub fn title(&self) -> String {
        format!(
            "{}, {}: {}",
            self.compiler.commands().0,
            self.kind,
            self.name
        )
    }

    /// A folder name made of the title: letters, digits and single dashes.
    pub fn folder(&self) -> String {
        let mut folder = String::new();
        for character in self.title().chars() {
            if character.is_ascii_alphanumeric() {
                folder.push(character);
            } else if !folder.ends_with('-') {
                folder.push('-');
            }
        }
        folder.truncate(60);
        folder
    }

    /// The weaker comparison that the table asks for `name`, if any.
    pub fn weaker(&self, name: &str) -> Option<&Differs> {
        self.differs
            .iter()
            .find(|differs| matches(&differs.name, name))
    }
}

/// Whether `name` is an instance of `pattern`, in which `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name
            .strip_prefix(head)
            .is_some_and(|tail| match rest.is_empty() {
                true => true,
                false => (0..=tail.len())
                    .filter(|&at| tail.is_char_boundary(at))
                    .any(|at| matches(rest, &tail[at..])),
            }),
    }
}

/// Reads one file of the table. Errors name the line.
pub fn parse(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut kind = String::new();
    let mut cases: Vec<Case> = Vec::new();
    let mut compilers: Vec<Vec<Compiler>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("{file}:{}: {what}: {line}", index + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, value) = line.split_once(' ').ok_or_else(|| wrong("no value"))?;
        let value = value.trim();
        if word == "kind" {
            kind = value.to_owned();
            continue;
        }
        if word == "case" {
            cases.push(Case {
                kind: kind.clone(),
                name: value.to_owned(),
                compiler: Compiler::Gcc,
                needs: Vec::new(),
                setup: Vec::new(),
                run: Vec::new(),
                change: Vec::new(),
                differs: Vec::new(),
                expect: None,
            });
            compilers.push(vec![Compiler::Gcc, Compiler::Clang]);
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| wrong("before any case"))?;
        match word {
            "for" => {
                let named = value
                    .split_whitespace()
                    .map(|name| match name {
                        "gcc" => Ok(Compiler::Gcc),
                        "clang" => Ok(Compiler::Clang),
                        _ => Err(wrong("unknown compiler")),
                    })
                    .collect::<Result<_, _>>()?;
                *compilers.last_mut().expect("one entry per case") = named;
            }
            "needs" => case
                .needs
                .extend(value.split_whitespace().map(str::to_owned)),
            "setup" => case.setup.push(value.to_owned()),
            "run" => case.run.push(value.to_owned()),
            "change" => case.change.push(value.to_owned()),
            "differs" => case
                .differs
                .push(parse_differs(value).ok_or_else(|| wrong("not `NAME HOW: reason`"))?),
            "expect" => {
                case.expect = Some(match value {
                    "skip" => Decision::Skip,
                    "compile" => Decision::Compile,
                    "as written" => Decision::AsWritten,
                    _ => return Err(wrong("unknown decision")),
                });
            }
            _ => return Err(wrong("unknown word")),
        }
    }
    if let Some(case) = cases.iter().find(|case| case.run.is_empty()) {
        return Err(format!("{file}: case `{}` runs nothing", case.name));
    }
    Ok(cases
        .into_iter()
        .zip(compilers)
        .flat_map(|(case, compilers)| {
            compilers.into_iter().map(move |compiler| Case {
                compiler,
                ..case.clone()
            })
        })
        .collect())
}

fn parse_differs(value: &str) -> Option<Differs> {
    let (head, reason) = value.split_once(": ")?;
    let (name, how) = head.rsplit_once(' ')?;
    Some(Differs {
        name: name.to_owned(),
        how: match how {
            "exists" => Weaker::Exists,
            "symbols" => Weaker::Symbols,
            "numbers" => Weaker::Numbers,
            "addresses" => Weaker::Addresses,
            "lines" => Weaker::Lines,
            _ => return None,
        },
        reason: reason.to_owned(),
    })
}
