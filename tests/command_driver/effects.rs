//! What the verdict says of an option is true of the compiler: which files a compile writes, whether it says the same twice, and
//! whether the object comes out byte for byte when the compiler works in scratch.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use objguard::command::{Compile, Dialect, Driver, Placement, Verdict, parse};

const SOURCE: &str = "#include \"h.h\"\n#include <stddef.h>\nstatic int g(int a) { return a * 3; }\n\
    int f(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += g(p[i]) + H; if (n > 5) s = h(s); return s; }\n\
    int main(void) { int a[3] = {1, 2, 3}; return f(a, 3); }\n";

/// Options of every effect; each is tried with `-O2 -g -c dir/x.c -o out/foo.o`. One the compiler refuses says nothing.
const OPTIONS: &[&str] = &[
    "",
    "-S",
    "-S -fverbose-asm",
    "--coverage",
    "--coverage -frandom-seed=1",
    "-ftest-coverage",
    "-fprofile-arcs",
    "-fprofile-generate",
    "-fprofile-generate -frandom-seed=1",
    "-fprofile-generate=prof",
    "-fprofile-instr-generate -fcoverage-mapping",
    "-fprofile-use",
    "-fauto-profile",
    "-gsplit-dwarf",
    "-gsplit-dwarf -gno-split-dwarf",
    "-g0 -gsplit-dwarf",
    "-gsplit-dwarf=single",
    "-fstack-usage",
    "-fcallgraph-info",
    "-fcallgraph-info=su,da",
    "-fsave-optimization-record",
    "-fsave-optimization-record=bitstream",
    "-foptimization-record-passes=inline",
    "-foptimization-record-file=r.yaml",
    "-save-temps",
    "-save-temps=obj",
    "-save-temps=cwd",
    "-fdump-tree-all",
    "-fdump-tree-optimized=tree.txt",
    "-fdump-rtl-expand",
    "-fdump-ipa-inline",
    "-fdump-final-insns",
    "-fdump-go-spec=x.go",
    "-fdump-ada-spec",
    "-fdump-passes",
    "-da",
    "-dp",
    "-dA",
    "-dD",
    "-dM",
    "-fopt-info",
    "-fopt-info-all",
    "-fopt-info-vec=vec.txt",
    "-aux-info aux.txt",
    "-flto",
    "-flto -frandom-seed=1",
    "-flto -ffat-lto-objects -frandom-seed=1",
    "-flto=thin",
    "-frecord-gcc-switches",
    "-frecord-command-line",
    "-fcompare-debug",
    "-Wa,-adhln",
    "-Wa,-adhln=listing.txt",
    "-Wa,--MD,as.d",
    "-Wa,--noexecstack",
    "-Wa,--gdwarf-4",
    "-Wa,--compress-debug-sections",
    "-Wa,--defsym,sym=1",
    "-Wa,-Iout",
    "-Wa,--statistics",
    "-Wp,-MD,wp.d",
    "-Wp,-MMD,wp.d,-MT,t",
    "-Wp,-DX=1",
    "-Xpreprocessor -MD -Xpreprocessor wp.d",
    "-MD",
    "-MMD",
    "-MD -MF own.d -MT t -MP",
    "-MMD -MQ a$b",
    "-MJ c.json",
    "-fdiagnostics-format=json",
    "-fdiagnostics-format=sarif-file",
    "-fdiagnostics-format=json-file",
    "-ftime-report",
    "-fmem-report",
    "-Q",
    "-time",
    "-time=time.txt",
    "-ftime-trace",
    "-fproc-stat-report=stat.txt",
    "-save-stats",
    "--serialize-diagnostics x.dia",
    "-dependency-dot x.dot",
    "-fsanitize=address,undefined",
    "-fsanitize-coverage=trace-pc",
    "-fsanitize-ignorelist=h.h",
    "-fanalyzer",
    "-fembed-bitcode",
    "-fembed-bitcode-marker",
    "-gz",
    "-g3",
    "-gdwarf-5",
    "-pg",
    "-fopenmp",
    "-H",
    "-P",
    "-v",
    "-pipe",
    "-fno-integrated-as",
    "-ffile-prefix-map=out=x",
    "-fdebug-compilation-dir=/x",
    "-march=native",
    "-include h.h",
    "-imacros h.h",
    "-Wdate-time",
    "-Wall -Wextra -pedantic",
    "-DX=__TIME__",
    "-Rpass=inline",
    "-std=gnu11 -fvisibility=hidden -fPIC",
];

/// A folder with one source, made anew for each run; the path stays, for objects hold it.
struct Twin {
    folder: PathBuf,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Twin {
    fn fresh(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        for folder in ["dir", "out", ".scratch/foo"] {
            fs::create_dir_all(self.folder.join(folder)).unwrap();
        }
        fs::write(self.folder.join("dir/x.c"), SOURCE).unwrap();
        fs::write(self.folder.join("dir/h.h"), "#define H 4\nint h(int);\n").unwrap();
        fs::copy(self.folder.join("dir/h.h"), self.folder.join("h.h")).unwrap();
    }

    /// Runs the compiler in a fresh folder: what it says, and the files that are new.
    fn run(&self, program: &str, args: &[OsString]) -> Option<(Output, Files)> {
        self.fresh();
        let before = self.files();
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .output()
            .ok()?;
        let mut files = self.files();
        files.retain(|path, bytes| before.get(path) != Some(bytes));
        Some((output, files))
    }

    fn files(&self) -> Files {
        let mut files = Files::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path().strip_prefix(&self.folder).unwrap().to_owned();
                    files.insert(path, fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

const STAGED: &str = ".scratch/foo/foo.o";

/// The command with which the object is made in scratch.
fn staged(compile: &Compile) -> Vec<OsString> {
    let mut args = compile.words.args.clone();
    let mut last: Vec<OsString> = Vec::new();
    if compile.depfile_allowed {
        last.extend(["-MF", ".scratch/dep"].map(OsString::from));
        if compile.depfile.is_none() {
            last.push("-MD".into());
        }
        if compile
            .depfile
            .as_ref()
            .is_none_or(|request| !request.has_target)
        {
            last.extend(["-MQ".into(), compile.output.clone().into()]);
        }
    }
    if compile.placement == Placement::Named {
        last.extend(
            [
                "-dumpdir",
                "out/",
                "-dumpbase",
                "foo.c",
                "-dumpbase-ext",
                ".c",
            ]
            .map(OsString::from),
        );
    }
    args.splice(compile.append_at..compile.append_at, last);
    args.splice(
        compile.output_words.clone().unwrap(),
        ["-o".into(), STAGED.into()],
    );
    args.insert(0, "-fdiagnostics-color=always".into());
    args
}

/// What an option does is what the verdict says.
fn is_true(
    twin: &Twin,
    program: &str,
    dialect: Dialect,
    compile: &Compile,
) -> Result<bool, String> {
    let args = &compile.words.args;
    let (said, files) = twin.run(program, args).ok_or("not installed")?;
    if !said.status.success() {
        return Ok(false);
    }
    let depfile = compile.depfile.iter().map(|request| &request.file);
    let sides = compile.side_outputs.iter().map(|side| &side.path);
    let known: Vec<&PathBuf> = [&compile.output]
        .into_iter()
        .chain(depfile)
        .chain(sides)
        .collect();
    let unknown: Vec<&PathBuf> = files.keys().filter(|path| !known.contains(path)).collect();
    if !unknown.is_empty() && (compile.reuse.is_ok() || compile.placement == Placement::Staged) {
        return Err(format!("it writes {unknown:?}"));
    }
    let (again, files_again) = twin.run(program, args).ok_or("not installed")?;
    if compile.reuse.is_ok() && (said.stdout, said.stderr) != (again.stdout, again.stderr) {
        return Err("it doesn't say the same twice".into());
    }
    let scratch = match compile.placement {
        Placement::Staged => true,
        Placement::Named => dialect == Dialect::Gcc,
        Placement::InPlace(_) => false,
    };
    if !scratch {
        return Ok(true);
    }
    let (staged, mut made) = twin.run(program, &staged(compile)).ok_or("not installed")?;
    if !staged.status.success() {
        return Err(format!(
            "in scratch it fails: {}",
            String::from_utf8_lossy(&staged.stderr)
        ));
    }
    let object = made
        .remove(Path::new(STAGED))
        .ok_or("nothing is made in scratch")?;
    made.insert(compile.output.clone(), object);
    if let Some(dep) = made.remove(Path::new(".scratch/dep"))
        && let Some(request) = &compile.depfile
    {
        made.insert(request.file.clone(), dep);
    }
    if made.keys().ne(files.keys()) {
        return Err(format!(
            "in scratch it writes {:?}, else {:?}",
            made.keys(),
            files.keys()
        ));
    }
    for (path, bytes) in &files {
        // What differs from run to run anyway can't be compared.
        if files_again.get(path) == Some(bytes) && made.get(path) != Some(bytes) {
            return Err(format!(
                "in scratch `{}` comes out differently",
                path.display()
            ));
        }
    }
    Ok(true)
}

fn check(program: &str, dialect: Dialect) {
    let name = format!("command_driver-effects-{program}-{}", std::process::id());
    let twin = Twin {
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name),
    };
    twin.fresh();
    if Command::new(program).arg("--version").output().is_err() {
        eprintln!("not run: {program} is not installed");
        return;
    }
    let mut tried = 0;
    for option in OPTIONS {
        let line = format!("-O2 -g -c {option} dir/x.c -o out/foo.o");
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        if let Verdict::Compile(compile) = parse(&args, Driver::C, dialect) {
            match is_true(&twin, program, dialect, &compile) {
                Ok(compiles) => tried += usize::from(compiles),
                Err(why) => panic!("{program} {line}: {why}\n{compile:?}"),
            }
        }
    }
    eprintln!("{program}: {tried} of {} options", OPTIONS.len());
    assert!(tried > OPTIONS.len() / 2);
}

#[test]
fn gcc() {
    check("gcc", Dialect::Gcc);
}

#[test]
fn clang() {
    check("clang", Dialect::Clang);
}
