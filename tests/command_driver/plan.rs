//! What a driver plans to do with a command line (`-###`), and whether a verdict agrees with it.
//!
//! Also the judge of `tests/fuzz`, which asks the drivers about lines that nobody wrote down.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use objguard::command::{Compile, Dialect, Driver, Language, Link, Reason, Stage, Verdict, parse};

/// What a driver says it would do.
#[derive(Default, Debug)]
struct Plan {
    /// It refuses the command.
    refused: bool,
    /// Runs of the compiler proper and of the assembler, by the source's name: language as for `-x`, output.
    compiles: Vec<Step>,
    /// The linker's words.
    link: Option<Vec<String>>,
    text: String,
}

#[derive(Debug)]
struct Step {
    source: String,
    language: String,
    output: String,
    /// It ends with assembler text.
    assembly: bool,
}

/// A folder with sources of every kind, where the drivers are asked.
pub struct Bench {
    pub folder: PathBuf,
}

const FILES: &[&str] = &[
    "a.c",
    "b.c",
    "a.cc",
    "a.C",
    "a.cpp",
    "a.i",
    "a.ii",
    "a.s",
    "a.S",
    "a.sx",
    "a.h",
    "a.hpp",
    "dir/a.c",
    "dir/b.d.c",
    "noext",
    "odd name.c",
    "$x#.c",
    "a.o",
    "b.o",
    "dir/c.o",
    "lib.a",
    "lib.so",
    "script.txt",
    "a.c.txt",
    "x.inc",
    ".c",
    ".hidden.c",
];

impl Bench {
    /// Fills `folder`, which goes with the bench unless a check fails.
    pub fn new(folder: PathBuf) -> Bench {
        for file in FILES {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Bench { folder }
    }

    /// How the program ends, and its standard error.
    pub fn run(&self, program: &str, args: &[OsString]) -> Option<(bool, String)> {
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env("TMPDIR", "/tmp")
            .output()
            .ok()?;
        Some((
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// What `program` would do with `args`; `None`: there is no such program.
    fn plan(&self, program: &str, dialect: Dialect, args: &[OsString]) -> Option<Plan> {
        let asked: Vec<OsString> = [OsString::from("-###")]
            .into_iter()
            .chain(args.iter().cloned())
            .collect();
        let (done, text) = self.run(program, &asked)?;
        let refused = !done || text.contains(" error: ");
        let mut plan = Plan {
            refused,
            text,
            ..Plan::default()
        };
        for line in plan
            .text
            .clone()
            .lines()
            .filter(|line| line.starts_with(' '))
        {
            let words = split(line);
            match dialect {
                Dialect::Gcc => plan.gcc_step(&words),
                Dialect::Clang => plan.clang_step(&words),
            }
        }
        Some(plan)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The words of a line of `-###`: at spaces, with double quotes and backslashes inside them.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn after<'a>(words: &'a [String], option: &str) -> Option<&'a str> {
    let at = words.iter().rposition(|word| word == option)?;
    words.get(at + 1).map(String::as_str)
}

impl Plan {
    fn gcc_step(&mut self, words: &[String]) {
        let program = words[0].rsplit('/').next().unwrap();
        let has = |option: &str| words.iter().any(|word| word == option);
        match program {
            "cc1" | "cc1plus" => {
                let preprocessed = has("-fpreprocessed");
                let language = match (program, preprocessed) {
                    ("cc1", false) if has("-lang-asm") => "assembler-with-cpp",
                    ("cc1", false) => "c",
                    ("cc1", true) => "cpp-output",
                    (_, false) => "c++",
                    (_, true) => "c++-cpp-output",
                };
                // The input is the one word that names a file of the bench.
                let named = |at: &usize| {
                    ["-include", "-imacros", "-dumpbase", "-I"].contains(&words[at - 1].as_str())
                };
                let source = (1..words.len())
                    .filter(|at| !named(at))
                    .map(|at| &words[at]);
                let source = source
                    .into_iter()
                    .find(|word| FILES.contains(&word.as_str()))
                    .cloned()
                    .unwrap_or_default();
                let header = words
                    .iter()
                    .find_map(|word| word.strip_prefix("--output-pch=").map(|rest| (word, rest)));
                let output = match header {
                    Some((_, "")) => after(words, "--output-pch=").unwrap_or_default(),
                    Some((_, name)) => name,
                    None => after(words, "-o").unwrap_or_default(),
                };
                let language = if header.is_some() {
                    format!("{language}-header")
                } else {
                    language.into()
                };
                self.compiles.push(Step {
                    source,
                    language,
                    output: output.into(),
                    assembly: header.is_none(),
                });
            }
            "as" | "x86_64-linux-gnu-as" => {
                let output = after(words, "-o").unwrap_or_default().to_owned();
                let input = words.last().unwrap().clone();
                self.assembles(input, output);
            }
            "collect2" => self.link = Some(words[1..].to_vec()),
            _ => {}
        }
    }

    /// The assembler runs, on a source or on what a compile made.
    fn assembles(&mut self, input: String, output: String) {
        // With `-pipe` the assembler has no input among its words.
        let made = |step: &&mut Step| {
            step.output == "-" || !FILES.contains(&input.as_str()) && step.output == input
        };
        match self.compiles.iter_mut().find(made) {
            Some(step) => {
                step.output = output;
                step.assembly = false;
            }
            None => self.compiles.push(Step {
                source: input,
                language: "assembler".into(),
                output,
                assembly: false,
            }),
        }
    }

    fn clang_step(&mut self, words: &[String]) {
        let first = words.get(1).map_or("", String::as_str);
        match first {
            "-cc1" => {
                let output = after(words, "-o").unwrap_or_default().to_owned();
                let source = words.last().unwrap().clone();
                let language = after(words, "-x").unwrap_or_default().into();
                let assembly = words.iter().any(|word| word == "-S");
                self.compiles.push(Step {
                    source,
                    language,
                    output,
                    assembly,
                });
            }
            "-cc1as" => {
                let output = after(words, "-o").unwrap_or_default().to_owned();
                let input = words.last().unwrap().clone();
                self.assembles(input, output);
            }
            _ if words[0].ends_with("ld") || words[0].ends_with("ld.bfd") => {
                self.link = Some(words[1..].to_vec())
            }
            _ => {}
        }
    }
}

/// How many lines got which verdict.
#[derive(Default, Debug)]
pub struct Count {
    pub compiles: usize,
    pub links: usize,
    pub as_written: usize,
    pub refused: usize,
}

/// Whether the verdict agrees with the driver: panics if not; false if there is no such driver.
pub fn check(
    bench: &Bench,
    program: &str,
    driver: Driver,
    dialect: Dialect,
    args: &[OsString],
    count: &mut Count,
) -> bool {
    let Some(plan) = bench.plan(program, dialect, args) else {
        return false;
    };
    let line = args
        .iter()
        .map(|arg| arg.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let verdict = parse(args, driver, dialect);
    let told = || format!("{program} {line}\n{verdict:?}\n{plan:?}");
    match &verdict {
        // What fails may be taken for anything, for it fails again.
        _ if plan.refused => count.refused += 1,
        Verdict::Compile(compile) => {
            count.compiles += 1;
            agrees_on_compile(compile, &plan, dialect)
                .unwrap_or_else(|why| panic!("{why}: {}", told()));
        }
        Verdict::Link(link) => {
            count.links += 1;
            agrees_on_link(link, &plan).unwrap_or_else(|why| panic!("{why}: {}", told()));
        }
        Verdict::PassThrough(
            Reason::NoInput
            | Reason::NoSource
            | Reason::SeveralSources
            | Reason::OtherInput(_)
            | Reason::NothingToDo
            | Reason::PrecompiledHeader,
        ) => count.as_written += 1,
        Verdict::PassThrough(_) => panic!("nothing unusual in it: {}", told()),
    }
    true
}

fn agrees_on_compile(compile: &Compile, plan: &Plan, dialect: Dialect) -> Result<(), &'static str> {
    let [step] = &plan.compiles[..] else {
        return Err("not one compile");
    };
    if plan.link.is_some() {
        return Err("it links");
    }
    if Path::new(&step.source) != compile.source_path() {
        return Err("another source");
    }
    if Path::new(&step.output) != compile.output {
        return Err("another output");
    }
    let says = match (dialect, compile.language) {
        // Both run the preprocessor as C's for assembler.
        (Dialect::Clang, Language::AsmCpp) => "assembler-with-cpp",
        (_, language) => language.option_value().unwrap_or_default(),
    };
    if step.language != says {
        return Err("another language");
    }
    if (compile.stage == Stage::Assembly) != step.assembly {
        return Err("another stage");
    }
    Ok(())
}

fn agrees_on_link(link: &Link, plan: &Plan) -> Result<(), &'static str> {
    let Some(words) = &plan.link else {
        return Err("it doesn't link");
    };
    if Path::new(after(words, "-o").unwrap_or("a.out")) != link.output {
        return Err("another output");
    }
    if link.sources == plan.compiles.is_empty() {
        return Err("another idea of what is a source");
    }
    // Values of the linker's options are not among its inputs.
    let free: Vec<&str> = words
        .iter()
        .enumerate()
        .filter(|(at, _)| *at == 0 || !VALUED.contains(&words[at - 1].as_str()))
        .map(|(_, word)| word.as_str())
        .collect();
    let files: Vec<&str> = free
        .iter()
        .copied()
        .filter(|word| FILES.contains(word))
        .collect();
    let inputs: Vec<&str> = link
        .inputs
        .iter()
        .filter_map(|input| input.path.to_str())
        .collect();
    if files != inputs {
        return Err("other inputs");
    }
    let theirs: Vec<&str> = words
        .iter()
        .map(|word| word.strip_prefix("-l").unwrap_or(word))
        .filter(|name| name.starts_with("mine"))
        .collect();
    let ours: Vec<&str> = link
        .libraries
        .iter()
        .filter_map(|library| library.name.to_str())
        .filter(|name| name.starts_with("mine"))
        .collect();
    if ours != theirs {
        return Err("other libraries");
    }
    Ok(())
}

/// Options of the linker's whose value is the next word.
const VALUED: &[&str] = &[
    "-o", "-h", "-soname", "-rpath", "-T", "-Map", "-z", "-u", "-e",
];
