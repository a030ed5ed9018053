//! The parser against the drivers themselves: what gcc and clang plan to do (`-###`) is what the verdict says.
//!
//! A few hundred command lines are put together from pieces, by a fixed rule. For each the driver is asked what it would run, and
//! the verdict must agree: a compile or a link, which output, which language, which files for the linker. A driver that isn't
//! installed is named on standard error.

#[path = "command_driver/effects.rs"]
mod effects;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use objguard::command::{Compile, Dialect, Driver, Language, Link, Reason, Stage, Verdict, parse};
use objguard::response;

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
struct Bench {
    folder: PathBuf,
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
    fn new(name: &str) -> Bench {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("command_driver-{name}-{}", std::process::id()));
        for file in FILES {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Bench { folder }
    }

    fn run(&self, program: &str, args: &[OsString]) -> Option<(bool, String)> {
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
struct Count {
    compiles: usize,
    links: usize,
    as_written: usize,
    refused: usize,
}

fn check(
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

/// The same numbers every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const MODES: &[&str] = &[
    "-c",
    "-c",
    "-c",
    "-S",
    "--compile",
    "--assemble",
    "-c -S",
    "-S -c",
    "",
    "",
    "",
];
const SOURCES: &[&str] = &[
    "a.c",
    "a.c",
    "dir/a.c",
    "dir/b.d.c",
    "a.cc",
    "a.C",
    "a.cpp",
    "a.i",
    "a.ii",
    "a.s",
    "a.S",
    "a.h",
    "a.hpp",
    "odd~name.c",
    "$x#.c",
    "-x~c++ a.c",
    "-xc noext",
    "-x~c noext -x none",
    "--language=c++ noext",
    "--language c a.cc",
    "-x assembler a.c",
    "-xnone a.c",
    "-x c a.c -x none",
    "-x cpp-output a.c",
    "-x c-header a.c",
    "-x c .c",
    "-x c .hidden.c",
    ".hidden.c",
    "a.c b.c",
    "",
    "lib.a",
    "a.c.txt",
];
const OUTPUTS: &[&str] = &[
    "",
    "",
    "-o x.o",
    "-ox.o",
    "--output x.o",
    "--output=x.o",
    "-o dir/x.o",
    "-o x",
    "-o ./x.o",
    "-objects",
    "-o out.s",
];
const FLAGS: &[&str] = &[
    "-O2",
    "-O",
    "-g",
    "-Wall",
    "-DX=1",
    "-D X",
    "-Ifoo",
    "-I foo",
    "-Idir -isystem dir",
    "-iquote dir",
    "-include a.h",
    "-std=gnu99",
    "-fPIC",
    "-fno-common",
    "-march=native",
    "-m64",
    "-pthread",
    "-MD",
    "-MMD -MF dep -MT t",
    "-MD -MP -MQ q",
    "-Wl,-z,now",
    "-lmine1",
    "-L dir",
    "-Wl,-rpath,/x",
    "-Wl,-soname -Wl,a.o",
    "-pipe",
    "-w",
    "-ansi",
    "-U X",
    "-idirafter dir",
    "-Wa,--noexecstack",
    "-Wp,-DY=1",
    "-Xpreprocessor -DZ",
    "--param max-inline-insns-single=10",
    "--param=max-inline-insns-single=10",
    "-fdiagnostics-color=never",
    "-imacros a.h",
    "-H",
    "-undef",
    "--define-macro W=1",
    "--include-directory=dir",
    "--include-directory dir",
    "-u sym",
    "-T script.txt",
    "-s",
    "-nostdlib",
    "-z now",
    "-e main",
    "-isysroot /",
    "--sysroot=/",
    "-fstack-usage",
    "-fdebug-prefix-map=/a=/b",
    "-Xlinker -h -Xlinker b.o",
    "-Wl,-lmine2,-Ldir",
];
const LINKED: &[&str] = &[
    "a.o",
    "a.o b.o",
    "lib.a",
    "lib.so",
    "dir/c.o",
    "script.txt",
    "a.o -lmine1 b.o",
    "-Wl,a.o,b.o",
    "-Xlinker dir/c.o",
    "-Wl,--whole-archive,lib.a",
    "-Wl,--start-group a.o lib.a -Wl,--end-group",
    "a.o -Wl,-rpath -Wl,/x b.o",
    "a.c b.o",
    "a.c",
    "a.s b.o",
    "a.C",
    "-x c a.c b.c b.o",
    "-xnone a.c b.c",
    "-l mine1 a.o",
    "x.inc a.o",
    "-Wl,-T,script.txt a.o",
    "-x c noext -x none a.o",
    "a.o -Wl,--version-script=x.inc",
    "-lmine1",
    "-Wl,-L,dir,-l,mine3 a.o",
];
const LINK_FLAGS: &[&str] = &[
    "-shared",
    "-static",
    "-r",
    "-pie",
    "-no-pie",
    "-Wl,-O1",
    "-Wl,--as-needed",
    "-Wl,-z,relro",
    "-rdynamic",
    "-Wl,-soname,a.o",
    "-Wl,-Bsymbolic",
    "-Wl,--build-id",
    "-nostartfiles",
    "-static-libgcc",
    "-fuse-ld=bfd",
    "-Wl,-h,b.o",
    "-L.",
    "-Wl,-Map,x.inc",
    "-Wl,--defsym,a=1",
    "-fPIC",
];

/// The words of a piece: at spaces, `~` standing for one inside a word.
fn words(pieces: &[&str]) -> Vec<OsString> {
    pieces
        .iter()
        .flat_map(|piece| piece.split(' '))
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('~', " ").into())
        .collect()
}

fn compile_line(dice: &mut Dice) -> Vec<OsString> {
    let mut pieces = vec![dice.one(MODES), dice.one(OUTPUTS)];
    for _ in 0..dice.below(4) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(FLAGS));
    }
    pieces.insert(dice.below(pieces.len() + 1), dice.one(SOURCES));
    words(&pieces)
}

fn link_line(dice: &mut Dice) -> Vec<OsString> {
    let mut pieces = vec![dice.one(OUTPUTS)];
    for _ in 0..dice.below(3) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(LINK_FLAGS));
    }
    for _ in 0..dice.below(2) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(FLAGS));
    }
    for _ in 0..1 + dice.below(2) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(LINKED));
    }
    words(&pieces)
}

fn compare(program: &str, driver: Driver, dialect: Dialect, lines: usize) {
    let bench = Bench::new(program);
    let mut dice = Dice(lines as u64);
    let mut count = Count::default();
    for round in 0..lines {
        let args = if round % 3 == 2 {
            link_line(&mut dice)
        } else {
            compile_line(&mut dice)
        };
        if !check(&bench, program, driver, dialect, &args, &mut count) {
            eprintln!("not run: {program} is not installed");
            return;
        }
    }
    eprintln!("{program}: {count:?}");
    assert!(
        count.compiles * 5 > lines && count.links * 10 > lines,
        "too few lines mean something: {count:?}"
    );
}

#[test]
fn gcc() {
    compare("gcc", Driver::C, Dialect::Gcc, 600);
}

#[test]
fn gxx() {
    compare("g++", Driver::Cxx, Dialect::Gcc, 300);
}

#[test]
fn clang() {
    compare("clang", Driver::C, Dialect::Clang, 150);
}

#[test]
fn clangxx() {
    compare("clang++", Driver::Cxx, Dialect::Clang, 75);
}

/// What `quote` writes, both drivers read back: `-print-file-name=X` prints an `X` it doesn't find.
#[test]
fn response_files_read_back() {
    let bench = Bench::new("response");
    let every_byte: Vec<u8> = (1..=255u8)
        .filter(|byte| !matches!(byte, b'/' | 0x0b | 0x0c))
        .collect();
    for name in [
        &every_byte[..],
        b"a b",
        b"it's",
        b"\"",
        b"back\\slash",
        b"-c",
        b"line\nbreak",
        b"\\\\n",
        b"$HOME #x * \xff",
    ] {
        let word = OsString::from_vec([b"-print-file-name=", name].concat());
        fs::write(bench.folder.join("words"), response::quote([&word])).unwrap();
        for program in ["gcc", "clang"] {
            let Ok(output) = Command::new(program)
                .arg("@words")
                .current_dir(&bench.folder)
                .output()
            else {
                eprintln!("not run: {program} is not installed");
                continue;
            };
            let stdout = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
            assert_eq!(
                stdout.escape_ascii().to_string(),
                name.escape_ascii().to_string(),
                "{program}"
            );
        }
    }
}

/// What a response file holds, `expand` reads as the drivers do.
#[test]
fn response_files_are_split_alike() {
    let bench = Bench::new("split");
    let texts: &[&[u8]] = &[
        b"-c a.c\n-o\tx.o",
        b"'-c' \"a.c\"",
        b"-c 'odd name.c'",
        b"-c odd\\ name.c -o'x y.o'",
        b"-c \"odd name.c\" -D'A=\"b c\"'",
        b"-c a.c\\\n",
        b"-c \\$x#.c",
        b"-c '$x#.c",
        b"-c @inner",
        b"-c 'odd\\ name.c'",
        b"-c a.c #-S",
        b"-c a.c \\-S",
        b"@missing -c a.c",
    ];
    fs::write(bench.folder.join("inner"), "a.c -o inner.o").unwrap();
    for text in texts {
        fs::write(bench.folder.join("words"), text).unwrap();
        let read = |path: &Path| fs::read(bench.folder.join(path));
        let words = response::expand(&["@words".into()], &read).unwrap();
        for program in ["gcc", "clang"] {
            let ask = |args: &[OsString]| {
                let args: Vec<OsString> = ["-###".into()]
                    .into_iter()
                    .chain(args.iter().cloned())
                    .collect();
                let (done, text) = bench.run(program, &args)?;
                // Names of temporary files differ from run to run.
                let steps = text
                    .lines()
                    .filter(|line| line.starts_with(' '))
                    .map(|line| {
                        let temporary =
                            |word: &&str| !word.contains("/tmp/cc") && !word.contains("@words");
                        line.split(' ')
                            .filter(temporary)
                            .collect::<Vec<_>>()
                            .join(" ")
                    });
                Some((done, steps.collect::<Vec<_>>()))
            };
            let (Some(theirs), Some(ours)) = (ask(&["@words".into()]), ask(&words.args)) else {
                eprintln!("not run: {program} is not installed");
                continue;
            };
            assert_eq!(theirs, ours, "{program}: {}", text.escape_ascii());
            assert!(words.args.iter().all(|word| !word.as_bytes().is_empty()));
        }
    }
}
