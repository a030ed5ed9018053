use super::*;
use crate::compiler::tests::Space;
use crate::compiler::{resolve, resolve_prefix};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant, SystemTime};

type Environment = Vec<(OsString, OsString)>;

/// The environment of the tests, without what would change the answers.
fn environment(changes: &[(&str, &OsStr)]) -> Environment {
    let kept = |name: &OsStr| {
        !name.as_bytes().starts_with(b"OBJGUARD")
            && changes.iter().all(|(changed, _)| name != *changed)
    };
    let mut all: Environment = std::env::vars_os().filter(|(name, _)| kept(name)).collect();
    all.extend(
        changes
            .iter()
            .map(|(name, value)| (OsString::from(name), value.to_os_string())),
    );
    all
}

/// Folders before the real PATH.
fn before_path(folders: &[PathBuf]) -> OsString {
    let real = std::env::var_os("PATH").unwrap();
    std::env::join_paths(folders.iter().cloned().chain(std::env::split_paths(&real))).unwrap()
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// A compiler that is asked, with a cache of its own.
struct Bench {
    space: Space,
    command: Vec<OsString>,
    flags: Vec<OsString>,
    language: Language,
    environment: Environment,
}

impl Bench {
    fn new(command: &[&str]) -> Bench {
        let space = Space::new();
        fs::create_dir(space.at("cache")).unwrap();
        Bench {
            space,
            command: words(command),
            flags: Vec::new(),
            language: Language::C,
            environment: environment(&[]),
        }
    }

    fn flags(mut self, flags: &[&str]) -> Bench {
        self.flags = words(flags);
        self
    }

    fn language(mut self, language: Language) -> Bench {
        self.language = language;
        self
    }

    fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
    }

    /// A script that is executable.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        self.space
            .file(name, format!("#!/bin/sh\n{text}\n").as_bytes(), 0o755)
    }

    fn cache(&self) -> Vec<CacheDir> {
        cache_dirs(
            &environment(&[("XDG_CACHE_HOME", self.space.at("cache").as_os_str())]),
            None,
        )
    }

    fn identify_in(&self, cache: &[CacheDir]) -> Identity {
        let config = Config::default();
        let path = variables::get(&self.environment, "PATH");
        let (compiler, _) = resolve_prefix(&self.command, &config, path).unwrap();
        let question = Question {
            compiler: &compiler,
            config: &config,
            probe_flags: &self.flags,
            language: self.language,
            environment: &self.environment,
        };
        identify(&question, cache).unwrap()
    }

    fn identify(&self) -> Identity {
        self.identify_in(&self.cache())
    }

    /// Asks once nothing is too young to be kept, and sees that it is.
    fn settled(&self) -> Identity {
        let start = SystemTime::now();
        while start.elapsed().unwrap() < Duration::from_millis(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = self.identify();
        let second = self.identify();
        assert!(second.cached, "kept: {first:?}");
        assert_eq!(
            second,
            Identity {
                cached: true,
                ..first
            }
        );
        second
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.space.at("cache/objguard")) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn files_of(identity: &Identity, role: Role) -> Vec<&Path> {
    identity
        .tools()
        .filter(|tool| tool.role == role)
        .map(|tool| tool.path)
        .collect()
}

fn has(identity: &Identity, role: Role, name: &str) -> bool {
    files_of(identity, role).iter().any(|path| {
        path.file_name()
            .unwrap()
            .as_bytes()
            .starts_with(name.as_bytes())
    })
}

/// Whether `name` is installed; says so if not, so that no test passes for nothing without a word.
fn installed(name: &str) -> bool {
    let found = crate::compiler::each_on_path(
        std::env::var_os("PATH").as_deref(),
        OsStr::new(name),
        |_, _| Some(()),
    )
    .is_some();
    if !found {
        eprintln!("not tested: there is no {name} here");
    }
    found
}

#[test]
fn roles_are_numbered_in_order() {
    for role in Role::ALL {
        assert_eq!(Role::numbered(role.number()), Some(role));
    }
    assert_eq!(Role::numbered(Role::ALL.len() as u8), None);
}

#[test]
fn gcc_is_known_with_its_tools() {
    let bench = Bench::new(&["gcc"]);
    let c = bench.settled();
    assert_eq!((c.kind, c.dialect()), (Kind::Gcc, Dialect::Gcc));
    assert!(c.version.0 >= 4, "{:?}", c.version);
    assert!(c.target.contains('-'), "{}", c.target);
    assert!(
        c.include_dirs.contains(&PathBuf::from("/usr/include")),
        "{:?}",
        c.include_dirs
    );
    assert!(
        has(&c, Role::Driver, "gcc")
            && has(&c, Role::Compiler, "cc1")
            && has(&c, Role::Assembler, "as")
    );
    assert!(
        c.tools()
            .all(|tool| tool.path.is_absolute() && tool.content.is_none())
    );
    if cfg!(target_os = "linux") {
        assert!(has(&c, Role::Library, "libc.so") && has(&c, Role::Library, "libgmp"));
    }
    assert_eq!(bench.files().len(), 1);
    let preprocessed = bench.language(Language::CPreprocessed);
    assert!(
        preprocessed.identify().cached,
        "the same programs compile it"
    );
}

#[test]
fn each_language_has_an_identity_of_its_own() {
    let c = Bench::new(&["gcc"]).settled();
    let cxx = Bench::new(&["g++"]).language(Language::Cxx).settled();
    let asm = Bench::new(&["gcc"]).language(Language::Asm).settled();
    assert!(has(&cxx, Role::Compiler, "cc1plus"));
    assert!(cxx.include_dirs.iter().any(|dir| {
        dir.as_os_str()
            .as_bytes()
            .windows(3)
            .any(|part| part == b"c++")
    }));
    assert!(has(&asm, Role::Assembler, "as"));
    assert_ne!(c.digest, cxx.digest);
}

#[test]
fn the_same_compiler_through_another_link_is_the_same() {
    let bench = Bench::new(&["gcc"]);
    let link = bench.space.at("my-gcc");
    symlink(files_of(&bench.settled(), Role::Driver)[0], &link).unwrap();
    let linked = Bench::new(&[link.to_str().unwrap()]);
    assert_eq!(linked.settled().digest, bench.identify().digest);
}

#[test]
fn clang_is_known_with_its_libraries() {
    if !installed("clang") {
        return;
    }
    let c = Bench::new(&["clang"]).settled();
    assert_eq!((c.kind, c.dialect()), (Kind::Clang, Dialect::Clang));
    assert!(c.version.0 >= 3);
    assert!(has(&c, Role::Driver, "clang") && has(&c, Role::Compiler, "clang"));
    assert!(!has(&c, Role::Assembler, "as"), "it assembles itself");
    assert!(c.include_dirs.contains(&PathBuf::from("/usr/include")));
    let external = Bench::new(&["clang"])
        .flags(&["-fno-integrated-as"])
        .settled();
    assert!(has(&external, Role::Assembler, "as"));
    assert_ne!(c.digest, external.digest);
    let undone = Bench::new(&["clang"])
        .flags(&["-fno-integrated-as", "-fintegrated-as"])
        .settled();
    assert!(!has(&undone, Role::Assembler, "as"));
    assert_eq!(c.digest, undone.digest);
}

#[test]
fn a_newer_gcc_beside_the_chosen_one_is_noticed_for_clang() {
    if !installed("clang") {
        return;
    }
    let space = Space::new();
    let versions = "toolchain/lib/gcc/x86_64-linux-gnu";
    let install = |version: &str| {
        space.file(&format!("{versions}/{version}/crtbegin.o"), b"", 0o644);
        space.file(
            &format!("toolchain/include/c++/{version}/vector"),
            b"",
            0o644,
        );
    };
    install("8");
    let toolchain = space.at("toolchain");
    let mut asked = Bench::new(&["clang++"]).language(Language::Cxx);
    asked.flags = words(&["--target=x86_64-linux-gnu"]);
    asked
        .flags
        .push(format!("--gcc-toolchain={}", toolchain.display()).into());
    let uses = |identity: &Identity, version: &str| {
        let dir = format!("c++/{version}");
        identity
            .include_dirs
            .iter()
            .any(|path| path.ends_with(&dir))
    };
    let first = asked.settled();
    assert!(uses(&first, "8"), "{:?}", first.include_dirs);
    install("9");
    let second = asked.identify();
    assert!(uses(&second, "9") && second.digest != first.digest);
}

#[test]
fn launchers_are_part_of_the_identity() {
    for launcher in ["ccache", "distcc"] {
        if !installed(launcher) {
            continue;
        }
        let plain = Bench::new(&["gcc"]).settled();
        let c = Bench::new(&[launcher, "gcc"]).settled();
        assert_eq!((c.kind, c.version), (plain.kind, plain.version));
        assert!(
            has(&c, Role::Launcher, launcher)
                && has(&c, Role::Driver, "gcc")
                && has(&c, Role::Compiler, "cc1")
        );
        assert_ne!(c.digest, plain.digest);
    }
}

#[test]
fn an_upgraded_cc1_behind_an_unchanged_driver_is_noticed() {
    let real = files_of(&Bench::new(&["gcc"]).settled(), Role::Compiler)[0].to_owned();
    let bench = Bench::new(&["gcc"]);
    fs::create_dir(bench.space.at("lib")).unwrap();
    let bench = Bench {
        flags: vec![
            ["-B", bench.space.at("lib/").to_str().unwrap()]
                .concat()
                .into(),
        ],
        ..bench
    };
    let plain = bench.settled();
    assert_eq!(files_of(&plain, Role::Compiler), [&*real]);
    // One appears where it is looked for first …
    bench.script("lib/cc1", &format!("exec '{}' \"$@\"", real.display()));
    let first = bench.identify();
    assert!(!first.cached && first.digest != plain.digest);
    assert_eq!(
        files_of(&first, Role::Compiler),
        [bench.space.at("lib/cc1")]
    );
    let first = bench.settled();
    // … is upgraded …
    bench.script("lib/cc1", &format!("exec '{}' \"$@\" ", real.display()));
    let second = bench.identify();
    assert!(!second.cached && second.digest != first.digest);
    bench.settled();
    // … and removed again.
    fs::remove_file(bench.space.at("lib/cc1")).unwrap();
    assert_eq!(bench.identify().digest, plain.digest);
}

#[test]
fn a_binary_replaced_with_its_old_times_is_noticed() {
    let mut bench = Bench::new(&[]);
    fs::copy("/bin/true", bench.space.at("true")).unwrap();
    bench.command = vec![bench.space.at("true").into()];
    let first = bench.settled();
    assert_eq!(first.kind, Kind::Unknown);
    let times = fs::metadata(bench.space.at("true"))
        .unwrap()
        .modified()
        .unwrap();
    let mut bytes = fs::read(bench.space.at("true")).unwrap();
    // A byte in the name of a section, which nobody looks at.
    let at = bytes
        .windows(9)
        .rposition(|part| part == b".shstrtab")
        .unwrap();
    bytes[at + 1] = b'S';
    fs::write(bench.space.at("true"), bytes).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(bench.space.at("true"))
        .unwrap();
    file.set_modified(times).unwrap();
    drop(file);
    let second = bench.identify();
    assert!(!second.cached && second.digest != first.digest);
}

#[test]
fn an_as_that_appears_earlier_on_path_is_noticed() {
    let mut bench = Bench::new(&["gcc"]);
    fs::create_dir(bench.space.at("bin")).unwrap();
    bench.set("PATH", before_path(&[bench.space.at("bin")]));
    let plain = bench.settled();
    let real = files_of(&plain, Role::Assembler)[0].to_owned();
    bench.script("bin/as", &format!("exec '{}' \"$@\"", real.display()));
    let c = bench.identify();
    assert_ne!(c.digest, plain.digest);
    assert_eq!(files_of(&c, Role::Assembler), [bench.space.at("bin/as")]);
    bench.settled();
    // It can't be executed any more, so the next one is taken.
    fs::set_permissions(bench.space.at("bin/as"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(bench.identify().digest, plain.digest);
}

#[test]
fn a_specs_file_that_appears_is_noticed() {
    let bench = Bench::new(&["gcc"]);
    fs::create_dir(bench.space.at("lib")).unwrap();
    let bench = Bench {
        flags: vec![
            ["-B", bench.space.at("lib/").to_str().unwrap()]
                .concat()
                .into(),
        ],
        ..bench
    };
    let plain = bench.settled();
    bench
        .space
        .file("lib/specs", b"*cc1_options:\n+ -fno-builtin\n\n", 0o644);
    let c = bench.identify();
    assert_ne!(c.digest, plain.digest);
    assert_eq!(files_of(&c, Role::Settings), [bench.space.at("lib/specs")]);
}

#[test]
fn a_path_that_leads_to_the_same_tools_changes_nothing() {
    // pip puts new folders in front of PATH for every isolated build.
    let mut bench = Bench::new(&["gcc"]);
    let plain = bench.settled();
    bench.space.file("isolated/python", b"", 0o755);
    bench.set(
        "PATH",
        before_path(&[bench.space.at("isolated"), bench.space.at("missing")]),
    );
    let c = bench.identify();
    assert!(c.cached && c.digest == plain.digest);
}

#[test]
fn include_paths_of_the_environment_count() {
    let mut bench = Bench::new(&["gcc"]);
    let plain = bench.settled();
    fs::create_dir(bench.space.at("include")).unwrap();
    bench.set("CPATH", bench.space.at("include"));
    let c = bench.identify();
    assert!(!c.cached && c.digest != plain.digest);
    assert_eq!(c.include_dirs[0], bench.space.at("include"));
    bench.set("CPATH", bench.space.at("later"));
    let missing = bench.settled();
    assert_eq!(
        missing.digest, plain.digest,
        "a folder that isn't there is none"
    );
    fs::create_dir(bench.space.at("later")).unwrap();
    let appeared = bench.identify();
    assert!(!appeared.cached);
    assert_eq!(appeared.include_dirs[0], bench.space.at("later"));
}

#[test]
fn a_script_is_seen_through() {
    let mut bench = Bench::new(&[]);
    let script = bench.script("mycc", "exec ${REAL_CC:-gcc} \"$@\"");
    bench.command = vec![script.clone().into()];
    let plain = bench.settled();
    assert_eq!(plain.kind, Kind::Gcc);
    assert!(has(&plain, Role::Compiler, "cc1"));
    assert_eq!(files_of(&plain, Role::Driver)[0], script);
    assert!(
        has(&plain, Role::Driver, "gcc"),
        "{:?}",
        files_of(&plain, Role::Driver)
    );
    assert!(
        plain
            .tools()
            .find(|tool| tool.path == script)
            .unwrap()
            .content
            .is_some()
    );
    // Written anew with the same content, it is the same.
    fs::remove_file(&script).unwrap();
    bench.script("mycc", "exec ${REAL_CC:-gcc} \"$@\"");
    let again = bench.identify();
    assert!(!again.cached && again.digest == plain.digest);
    bench.settled();
    // A variable that it mentions counts, one that it doesn't mention doesn't.
    bench.set("UNRELATED", "1");
    assert!(bench.identify().cached);
    if installed("clang") {
        bench.set("REAL_CC", "clang");
        assert_eq!(bench.identify().kind, Kind::Clang);
    }
    bench.set("REAL_CC", "gcc");
    assert_ne!(bench.settled().digest, plain.digest);
    bench.script("mycc", "exec ${REAL_CC:-gcc} -O1 \"$@\"");
    assert_ne!(bench.settled().digest, plain.digest);
}

#[test]
fn a_compiler_that_says_nothing_has_an_identity() {
    let mut bench = Bench::new(&[]);
    let log = bench.space.at("log");
    let script = bench.script(
        "mycc",
        &format!("echo \"$@\" >> '{}'; exit 3", log.display()),
    );
    bench.command = vec![script.into()];
    let c = bench.settled();
    assert_eq!(
        (c.kind, c.version, c.target.as_str()),
        (Kind::Unknown, (0, 0, 0), "")
    );
    let asked = fs::read_to_string(&log).unwrap();
    assert_eq!(asked, "-E -v -x c /dev/null\n", "once, and not with -c");
    bench.script(
        "mycc",
        &format!("echo \"$@\" >> '{}'; exit 4", log.display()),
    );
    assert_ne!(bench.identify().digest, c.digest);
}

#[test]
fn no_question_has_a_compile_in_it() {
    let mut bench = Bench::new(&[]);
    let log = bench.space.at("log");
    let script = bench.script(
        "mycc",
        &format!("echo \"$@\" >> '{}'; exec gcc \"$@\"", log.display()),
    );
    bench.command = vec![script.into()];
    bench.flags = words(&["-m64"]);
    bench.settled();
    let asked = fs::read_to_string(&log).unwrap();
    assert_eq!(
        asked,
        "-m64 -E -v -x c /dev/null\n-m64 -print-prog-name=as\n-m64 -print-search-dirs\n"
    );
}

#[test]
fn asking_leaves_nothing_behind() {
    let mut bench = Bench::new(&[]);
    let seen = bench.space.at("seen");
    let script = bench.script(
        "mycc",
        &format!("env >> '{}'; exec gcc \"$@\"", seen.display()),
    );
    bench.command = vec![script.into()];
    bench.set("DEPENDENCIES_OUTPUT", bench.space.at("deps"));
    bench.set("SUNPRO_DEPENDENCIES", bench.space.at("sunpro"));
    bench.set("CC_PRINT_HEADERS", "1");
    bench.set("CC_PRINT_HEADERS_FILE", bench.space.at("headers"));
    bench.identify();
    for name in ["deps", "sunpro", "headers"] {
        assert!(!bench.space.at(name).exists(), "{name}");
    }
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.lines()
            .any(|line| line.starts_with("OBJGUARD_INNER=") && line.len() > 16),
        "an objguard below steps aside"
    );
    assert!(seen.lines().any(|line| line == "LC_ALL=C"));
}

#[test]
fn a_daemon_that_keeps_the_pipe_is_not_waited_for() {
    let mut bench = Bench::new(&[]);
    let stop = bench.space.at("stop");
    let made = std::process::Command::new("mkfifo")
        .arg(&stop)
        .status()
        .unwrap();
    assert!(made.success());
    // It holds stderr open until somebody writes to the FIFO.
    let script = bench.script(
        "mycc",
        &format!("(read x < '{}') & exec gcc \"$@\"", stop.display()),
    );
    bench.command = vec![script.into()];
    let start = Instant::now();
    assert_eq!(bench.identify().kind, Kind::Gcc);
    assert!(start.elapsed() < Duration::from_secs(30));
    for _ in 0..3 {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&stop)
            .and_then(|mut fifo| std::io::Write::write_all(&mut fifo, b"x\nx\nx\n"))
            .unwrap();
    }
}

#[test]
fn a_compiler_that_cannot_be_started_is_an_error() {
    let mut bench = Bench::new(&[]);
    let program = bench.space.file("mycc", b"#!/no/such/interpreter\n", 0o755);
    bench.command = vec![program.clone().into()];
    let config = Config::default();
    let (compiler, _) = resolve_prefix(&bench.command, &config, None).unwrap();
    let question = Question {
        compiler: &compiler,
        config: &config,
        probe_flags: &[],
        language: Language::C,
        environment: &bench.environment,
    };
    let error = identify(&question, &bench.cache()).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "cannot run `{}`: No such file or directory (os error 2)",
            program.display()
        )
    );
}

#[test]
fn what_cannot_be_compiled_yet_is_not_kept() {
    // cc1obj comes in a package of its own; if it is there, the answer is as good as any.
    let bench = Bench::new(&["gcc"]).language(Language::ObjC);
    let c = bench.identify();
    assert_eq!(c.kind, Kind::Gcc);
    assert_eq!(
        bench.files().len(),
        usize::from(has(&c, Role::Compiler, "cc1obj"))
    );
}

#[test]
fn young_files_are_not_trusted() {
    let mut bench = Bench::new(&[]);
    let script = bench.script("mycc", "exit 0");
    bench.command = vec![script.into()];
    bench.identify();
    let start = SystemTime::now();
    let age = start
        .duration_since(
            fs::metadata(bench.space.at("mycc"))
                .unwrap()
                .modified()
                .unwrap(),
        )
        .unwrap();
    if age < Duration::from_millis(50) {
        assert_eq!(bench.files(), [] as [PathBuf; 0]);
    }
    bench.settled();
}

#[test]
fn whatever_is_in_the_cache_is_a_miss_at_worst() {
    let bench = Bench::new(&["gcc"]);
    let good = bench.settled();
    let [file] = bench.files().try_into().unwrap();
    let bytes = fs::read(&file).unwrap();
    let attempt = |changed: &[u8]| {
        fs::write(&file, changed).unwrap();
        bench.identify()
    };
    for changed in [
        &b""[..],
        b"x",
        &bytes[..bytes.len() - 1],
        &[&bytes[..], b"x"].concat(),
        &bytes[..60],
        &vec![0; 2 << 20],
    ] {
        let c = attempt(changed);
        assert!(!c.cached && c.digest == good.digest);
    }
    assert!(attempt(&bytes).cached);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(!bench.identify().cached, "others could have written it");
    fs::remove_dir_all(bench.space.at("cache/objguard")).unwrap();
    assert!(!bench.identify().cached);
    assert!(bench.identify().cached, "made again");
    fs::remove_dir_all(bench.space.at("cache")).unwrap();
    assert_eq!(bench.identify().digest, good.digest);
    assert!(
        !bench.space.at("cache").exists(),
        "the folder that must be there is not made"
    );
}

#[test]
fn no_bytes_make_the_reader_fail() {
    let bench = Bench::new(&["gcc"]);
    bench.settled();
    let [file] = bench.files().try_into().unwrap();
    let bytes = fs::read(&file).unwrap();
    let config = Config::default();
    let path = variables::get(&bench.environment, "PATH");
    let (compiler, _) = resolve_prefix(&bench.command, &config, path).unwrap();
    let question = Question {
        compiler: &compiler,
        config: &config,
        probe_flags: &[],
        language: Language::C,
        environment: &bench.environment,
    };
    let key = question.key();
    assert!(store::decode(bytes.clone(), &key, &question).is_some());
    let attempt = |changed: Vec<u8>| {
        if let Some(identity) = store::decode(changed, &key, &question) {
            assert!(identity.tools().count() < 100);
        }
    };
    for at in 0..bytes.len() {
        attempt(bytes[..at].to_vec());
        for value in [0, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            attempt(changed);
        }
    }
}

#[test]
fn the_first_folder_that_is_ours_is_used() {
    let bench = Bench::new(&["gcc"]);
    let space = &bench.space;
    for name in ["xdg", "state", "open"] {
        fs::create_dir(space.at(name)).unwrap();
    }
    fs::set_permissions(space.at("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let state = space.at("state");
    let dirs = |xdg: &str| {
        cache_dirs(
            &environment(&[("XDG_CACHE_HOME", space.at(xdg).as_os_str())]),
            Some(&state),
        )
    };
    for (xdg, used) in [
        ("missing", "state/fingerprints"),
        ("open", "state/fingerprints"),
        ("xdg", "xdg/objguard"),
    ] {
        let first = bench.identify_in(&dirs(xdg));
        assert!(!first.cached || used != "xdg/objguard");
        let files = fs::read_dir(space.at(used)).unwrap().count();
        assert_eq!(files, 1, "{xdg}");
        assert!(bench.identify_in(&dirs(xdg)).cached);
        assert_eq!(
            fs::metadata(space.at(used)).unwrap().permissions().mode() & 0o777,
            0o700
        );
        if used.starts_with("state") {
            fs::remove_dir_all(space.at(used)).unwrap();
        }
    }
    assert!(
        !space.at("missing").exists()
            && !space.at("open/objguard").exists()
            && !space.at("state/fingerprints").exists()
    );
    assert!(!bench.identify_in(&[]).cached);
}

#[test]
fn only_the_environment_says_where_the_home_is() {
    let list = |vars: &[(&str, &str)], state: Option<&str>| -> Vec<PathBuf> {
        let vars: Environment = vars
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        cache_dirs(&vars, state.map(Path::new))
            .iter()
            .map(|dir| dir.path().to_owned())
            .collect()
    };
    let paths = |names: &[&str]| -> Vec<PathBuf> { names.iter().map(PathBuf::from).collect() };
    assert_eq!(
        list(&[("HOME", "/h")], Some("b/.objguard")),
        paths(&["/h/.cache/objguard", "b/.objguard/fingerprints"])
    );
    assert_eq!(
        list(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], None),
        paths(&["/x/objguard"])
    );
    assert_eq!(
        list(&[("HOME", ""), ("XDG_CACHE_HOME", "relative")], None),
        paths(&[])
    );
    assert_eq!(list(&[], Some("s")), paths(&["s/fingerprints"]));
}

#[test]
fn the_cache_does_not_grow_for_ever() {
    let bench = Bench::new(&["gcc"]);
    bench.settled();
    for i in 0..300 {
        bench.space.file(&format!("cache/objguard/{i}"), b"", 0o600);
    }
    let bench = bench.flags(&["-m64"]);
    bench.settled();
    let left = bench.files().len();
    assert!((100..256).contains(&left), "{left}");
}

#[test]
fn the_real_default_compiler_can_be_identified() {
    let config = Config::default();
    let environment = environment(&[]);
    let compiler = resolve(
        OsStr::new("objguard-cc"),
        &config,
        variables::get(&environment, "PATH"),
    )
    .unwrap();
    let question = Question {
        compiler: &compiler,
        config: &config,
        probe_flags: &[],
        language: Language::C,
        environment: &environment,
    };
    let identity = identify(&question, &[]).unwrap();
    assert_ne!(identity.kind, Kind::Unknown);
    assert_eq!(identity.dialect(), compiler.likely_dialect());
}
