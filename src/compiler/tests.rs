use super::*;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of programs that are removed with it.
pub(crate) struct Space(PathBuf);

impl Space {
    pub(crate) fn new() -> Space {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("objguard-compiler-{}-{id}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Space(fs::canonicalize(path).unwrap())
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with `content`, executable if `mode` says so.
    pub(crate) fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn program(&self, name: &str) -> PathBuf {
        self.file(name, format!("\x7fELF {name}").as_bytes(), 0o755)
    }

    fn script(&self, name: &str) -> PathBuf {
        self.file(
            name,
            format!("#!/bin/sh\n# {name}\nexec objguard-cc \"$@\"\n").as_bytes(),
            0o755,
        )
    }

    /// objguard as it is installed, in `own/`.
    fn own(&self) -> Own {
        self.program("own/objguard");
        Own::at(self.program("own/objguard-cc"))
    }

    pub(crate) fn link(&self, target: &str, name: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(self.at(target), path).unwrap();
    }

    pub(crate) fn path(&self, folders: &[&str]) -> OsString {
        std::env::join_paths(folders.iter().map(|folder| self.at(folder))).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn config(vars: &[(&str, &OsStr)]) -> Config {
    Config::from_env(vars.iter().map(|(name, value)| (OsStr::new(*name), *value))).unwrap()
}

fn with_cc(cc: &str) -> Config {
    config(&[("OBJGUARD_CC", OsStr::new(cc))])
}

fn inner(mark: &OsStr) -> Config {
    config(&[("OBJGUARD_INNER", mark)])
}

fn get(own: &Own, invoked_as: &str, config: &Config, path: &OsStr) -> Compiler {
    resolve_beside(own, OsStr::new(invoked_as), config, Some(path)).unwrap()
}

fn refusal(own: &Own, invoked_as: &str, config: &Config, path: &OsStr) -> String {
    resolve_beside(own, OsStr::new(invoked_as), config, Some(path))
        .expect_err("should be refused")
        .to_string()
}

fn strings(words: &[OsString]) -> Vec<&str> {
    words.iter().map(|word| word.to_str().unwrap()).collect()
}

#[test]
fn without_a_variable_the_first_cc_on_path_is_taken() {
    let space = Space::new();
    let own = space.own();
    let (a, b) = (space.program("a/cc"), space.program("b/c++"));
    space.program("b/cc");
    let path = space.path(&["missing", "a", "b"]);
    let c = get(&own, "/anywhere/objguard-cc", &Config::default(), &path);
    assert_eq!((&c.program, &c.proper, c.driver), (&a, &a, Driver::C));
    assert_eq!(
        c.argv0, "cc",
        "the compiler may look itself up by the name and finds itself"
    );
    assert!(c.words.is_empty() && c.flags.is_empty() && c.launchers.is_empty());
    let cxx = get(&own, "objguard-c++", &Config::default(), &path);
    assert_eq!((&cxx.program, cxx.driver), (&b, Driver::Cxx));
}

#[test]
fn the_real_path_has_a_compiler() {
    let path = std::env::var_os("PATH").unwrap();
    let c = resolve(OsStr::new("objguard-cc"), &Config::default(), Some(&path)).unwrap();
    assert!(c.program.is_absolute() && c.program.ends_with("cc"));
    assert_eq!(
        c.likely_dialect(),
        if c.program
            .canonicalize()
            .unwrap()
            .to_string_lossy()
            .contains("clang")
        {
            Dialect::Clang
        } else {
            Dialect::Gcc
        }
    );
}

#[test]
fn the_variables_are_split_into_launchers_compiler_and_flags() {
    let space = Space::new();
    let own = space.own();
    for name in [
        "gcc", "g++", "ccache", "distcc", "nice", "env", "zig", "mywrap", "my cc",
    ] {
        space.program(&format!("a/{name}"));
    }
    let path = space.path(&["a"]);
    let proper = |name: &str| space.at("a").join(name);
    for (value, program, words, flags, compiler) in [
        ("gcc", "gcc", &[][..], &[][..], "gcc"),
        (
            "gcc -pthread -DX='a b'",
            "gcc",
            &[],
            &["-pthread", "-DX=a b"],
            "gcc",
        ),
        ("ccache gcc -m32", "ccache", &["gcc"], &["-m32"], "gcc"),
        (
            "ccache max_size=5G gcc",
            "ccache",
            &["max_size=5G", "gcc"],
            &[],
            "gcc",
        ),
        (
            "ccache distcc gcc",
            "ccache",
            &["distcc", "gcc"],
            &[],
            "gcc",
        ),
        (
            "nice -n 5 gcc -O2",
            "nice",
            &["-n", "5", "gcc"],
            &["-O2"],
            "gcc",
        ),
        (
            "env -u X LC_ALL=C ccache gcc -O2",
            "env",
            &["-u", "X", "LC_ALL=C", "ccache", "gcc"],
            &["-O2"],
            "gcc",
        ),
        ("mywrap gcc -O2", "mywrap", &["gcc"], &["-O2"], "gcc"),
        ("mywrap -O2 gcc", "mywrap", &[], &["-O2", "gcc"], "mywrap"),
        ("zig cc -target x", "zig", &["cc"], &["-target", "x"], "zig"),
        ("'my cc' -c", "my cc", &[], &["-c"], "my cc"),
        ("ccache", "ccache", &[], &[], "ccache"),
    ] {
        let c = get(&own, "objguard-cc", &with_cc(value), &path);
        assert_eq!(c.program, proper(program), "{value}");
        assert_eq!(c.argv0, program, "{value}");
        assert_eq!(
            (strings(&c.words), strings(&c.flags)),
            (words.to_vec(), flags.to_vec()),
            "{value}"
        );
        assert_eq!(c.proper, proper(compiler), "{value}");
        assert_eq!(c.driver, Driver::C, "{value}");
    }
    let c = get(&own, "objguard-cc", &with_cc("ccache distcc gcc"), &path);
    assert_eq!(c.launchers, [proper("ccache"), proper("distcc")]);
    assert_eq!(
        get(&own, "objguard-cc", &with_cc("ccache g++"), &path).driver,
        Driver::Cxx
    );
    let cxx = |value: &str| {
        get(
            &own,
            "objguard-c++",
            &config(&[("OBJGUARD_CXX", OsStr::new(value))]),
            &path,
        )
        .driver
    };
    assert_eq!(
        (cxx("gcc"), cxx("mywrap"), cxx("zig c++")),
        (Driver::C, Driver::Cxx, Driver::Cxx)
    );
}

#[test]
fn a_path_is_taken_as_it_is_written() {
    let space = Space::new();
    let own = space.own();
    space.program("a/gcc-12");
    space.link("a/gcc-12", "b/gcc");
    let written = space.at("b/gcc");
    let c = get(
        &own,
        "objguard-cc",
        &with_cc(written.to_str().unwrap()),
        OsStr::new(""),
    );
    assert_eq!(
        (&c.program, c.argv0.as_os_str()),
        (&written, written.as_os_str())
    );
}

#[test]
fn names_that_are_not_utf8_work() {
    let space = Space::new();
    let own = space.own();
    let name = OsString::from_vec(b"cc-\xff".to_vec());
    let program = space.program("a/x");
    fs::rename(&program, space.at("a").join(&name)).unwrap();
    let c = get(
        &own,
        "objguard-cc",
        &config(&[("OBJGUARD_CC", &name)]),
        &space.path(&["a"]),
    );
    assert_eq!(c.program, space.at("a").join(&name));
}

#[test]
fn under_another_name_the_next_program_of_that_name_is_taken() {
    let space = Space::new();
    let own = space.own();
    let real = space.program("z/x86_64-linux-gnu-g++-12");
    let path = space.path(&["m", "z"]);
    let name = "x86_64-linux-gnu-g++-12";
    for make in [
        (|s, n| s.link("own/objguard-cc", n)) as fn(&Space, &str),
        |s, n| s.link("own/objguard", n),
        |s, n| fs::hard_link(s.at("own/objguard-cc"), s.at(n)).unwrap(),
        |s, n| {
            fs::copy(s.at("own/objguard-cc"), s.at(n))
                .map(drop)
                .unwrap()
        },
    ] {
        fs::create_dir_all(space.at("m")).unwrap();
        make(&space, &format!("m/{name}"));
        for invoked_as in [
            name.to_owned(),
            format!("/some/where/{name}"),
            space.at("m").join(name).to_str().unwrap().to_owned(),
        ] {
            // The variable doesn't count: who calls g++ wants g++.
            let c = get(&own, &invoked_as, &with_cc("nonsense"), &path);
            assert_eq!((&c.program, c.driver), (&real, Driver::Cxx));
            assert_eq!(
                c.argv0,
                real.as_os_str(),
                "by the bare name gcc would find our link and look for its cc1 beside it"
            );
        }
        fs::remove_dir_all(space.at("m")).unwrap();
    }
    assert_eq!(
        refusal(&own, "gcc", &Config::default(), &path),
        "cannot find `gcc`: there is no such program on PATH; put the folder of the real `gcc` on PATH, or call objguard by another name"
    );
    space.link("own/objguard-cc", "m/gcc");
    let own_link = space.at("m/gcc");
    assert_eq!(
        refusal(&own, "gcc", &Config::default(), &path),
        format!(
            "cannot run `{}`: it is objguard itself; put the folder of the real `gcc` on PATH, or call objguard by another name",
            own_link.display()
        )
    );
}

#[test]
fn a_path_to_one_of_our_links_means_the_real_program_of_that_name() {
    let space = Space::new();
    let own = space.own();
    let real = space.program("z/gcc");
    space.link("own/objguard-cc", "m/gcc");
    let link = space.at("m/gcc");
    let c = get(
        &own,
        "objguard-cc",
        &with_cc(link.to_str().unwrap()),
        &space.path(&["m", "z"]),
    );
    assert_eq!((&c.program, c.argv0.as_os_str()), (&real, real.as_os_str()));
    let (c, used) = resolve_prefix_beside(
        &own,
        &[link.into(), "-c".into()],
        &Config::default(),
        Some(&space.path(&["m", "z"])),
    )
    .unwrap();
    assert_eq!((c.program, used), (real, 1));
}

#[test]
fn a_launcher_is_given_the_path_of_a_compiler_that_our_link_hides() {
    let space = Space::new();
    let own = space.own();
    let real = space.program("z/gcc");
    space.program("z/ccache");
    space.link("own/objguard-cc", "m/gcc");
    let c = get(
        &own,
        "objguard-cc",
        &with_cc("ccache gcc -g"),
        &space.path(&["m", "z"]),
    );
    assert_eq!(
        (strings(&c.words), &c.proper),
        (vec![real.to_str().unwrap()], &real)
    );
    assert_eq!(c.argv0, "ccache");
}

#[test]
fn the_compiler_behind_a_launcher_s_link_is_found() {
    let space = Space::new();
    let own = space.own();
    let real = space.program("z/gcc");
    space.program("z/ccache");
    space.link("z/ccache", "c/gcc");
    let c = get(
        &own,
        "objguard-cc",
        &with_cc("gcc"),
        &space.path(&["c", "z"]),
    );
    assert_eq!(
        (c.program, c.argv0.as_os_str()),
        (space.at("c/gcc"), OsStr::new("gcc"))
    );
    assert_eq!((c.proper, c.launchers), (real, vec![space.at("c/gcc")]));
}

#[test]
fn a_script_that_runs_us_is_passed_over_by_the_inner_instance() {
    let space = Space::new();
    let own = space.own();
    let script = space.script("w/cc");
    let real = space.program("z/cc");
    let path = space.path(&["w", "z"]);
    let outer = get(&own, "objguard-cc", &Config::default(), &path);
    assert_eq!(outer.program, script);
    let mark = outer.inner_mark(&Config::default());
    let config = inner(&mark);
    assert!(config.is_inner());
    let second = get(&own, "objguard-cc", &config, &path);
    assert_eq!(
        (&second.program, second.argv0.as_os_str()),
        (&real, real.as_os_str())
    );
    // Two scripts in a row end at the real one, too.
    let third = space.script("v/cc");
    let path = space.path(&["w", "v", "z"]);
    let second = get(&own, "objguard-cc", &config, &path);
    assert_eq!(second.program, third);
    assert_eq!(
        get(
            &own,
            "objguard-cc",
            &inner(&second.inner_mark(&config)),
            &path
        )
        .program,
        real
    );
}

#[test]
fn a_script_behind_a_launcher_is_passed_over_and_the_launcher_left_out() {
    let space = Space::new();
    let own = space.own();
    space.script("w/cc");
    let real = space.program("z/cc");
    space.program("z/ccache");
    let path = space.path(&["w", "z"]);
    let outer = get(&own, "objguard-cc", &with_cc("ccache cc -g"), &path);
    let mark = outer.inner_mark(&Config::default());
    let again = config(&[
        ("OBJGUARD_CC", OsStr::new("ccache cc -g")),
        ("OBJGUARD_INNER", &mark),
    ]);
    let c = get(&own, "objguard-cc", &again, &path);
    assert_eq!(
        (c.program, strings(&c.words), strings(&c.flags)),
        (real, vec![], vec!["-g"])
    );
}

#[test]
fn a_launcher_s_link_that_finds_us_again_is_passed_over() {
    let space = Space::new();
    let own = space.own();
    let real = space.program("z/gcc");
    space.program("z/ccache");
    space.link("z/ccache", "c/gcc");
    space.link("own/objguard-cc", "m/gcc");
    let path = space.path(&["c", "m", "z"]);
    let outer = get(&own, "gcc", &Config::default(), &path);
    assert_eq!(outer.program, space.at("c/gcc"));
    // ccache looks for the next gcc that isn't ccache, and that is our link.
    let c = get(
        &own,
        "gcc",
        &inner(&outer.inner_mark(&Config::default())),
        &path,
    );
    assert_eq!(c.program, real);
}

#[test]
fn a_loop_without_a_way_out_ends_with_an_error() {
    let space = Space::new();
    let own = space.own();
    let script = space.script("w/cc");
    let path = space.path(&["w"]);
    for cc in [None, Some(script.to_str().unwrap()), Some("cc")] {
        let mut mark = OsString::new();
        let mut runs = 0;
        let refused = loop {
            let mut vars = vec![("OBJGUARD_INNER", mark.as_os_str())];
            vars.extend(cc.map(|cc| ("OBJGUARD_CC", OsStr::new(cc))));
            let config = config(&vars);
            match resolve_beside(&own, OsStr::new("objguard-cc"), &config, Some(&path)) {
                Ok(c) => mark = c.inner_mark(&config),
                Err(e) => break e.to_string(),
            }
            runs += 1;
            assert!(runs < 10, "endless");
        };
        assert!(
            refused.starts_with(&format!(
                "objguard would call itself through `{}`",
                script.display()
            )),
            "{refused}"
        );
        assert!(
            refused.ends_with("set OBJGUARD_CC to the compiler to run that doesn't run objguard"),
            "{refused}"
        );
    }
}

#[test]
fn a_real_compiler_may_run_a_program_of_its_own_name() {
    // gcc → ld, a script → `gcc -print-file-name=x` → our link: this must be the same gcc, not the next one on PATH.
    let space = Space::new();
    let own = space.own();
    let first = space.program("y/gcc");
    space.program("z/gcc");
    space.link("own/objguard-cc", "m/gcc");
    let path = space.path(&["m", "y", "z"]);
    let outer = get(&own, "gcc", &Config::default(), &path);
    assert_eq!(outer.program, first);
    assert_eq!(
        get(
            &own,
            "gcc",
            &inner(&outer.inner_mark(&Config::default())),
            &path
        )
        .program,
        first
    );
}

#[test]
fn a_broken_variable_is_refused_in_one_line() {
    let space = Space::new();
    let own = space.own();
    space.program("z/cc");
    space.program("z/ccache");
    space.file("z/data", b"no program", 0o644);
    fs::create_dir_all(space.at("z/folder")).unwrap();
    let path = space.path(&["z"]);
    let at = |name: &str| space.at(name).to_str().unwrap().to_owned();
    let advice = "set OBJGUARD_CC to the compiler to run";
    for (value, message) in [
        ("nosuch -x".to_owned(), format!("cannot find `nosuch` (`OBJGUARD_CC=nosuch -x`): there is no such program on PATH; {advice}")),
        ("ccache nosuch".to_owned(), format!("cannot find `nosuch` (`OBJGUARD_CC=ccache nosuch`): there is no such program on PATH; {advice}")),
        (at("z/none"), format!("cannot run `{0}` (`OBJGUARD_CC={0}`): No such file or directory; {advice}", at("z/none"))),
        (at("z/data"), format!("cannot run `{0}` (`OBJGUARD_CC={0}`): it is not executable; {advice}", at("z/data"))),
        ("data".to_owned(), format!("cannot run `{}` (`OBJGUARD_CC=data`): it is not executable; {advice}", at("z/data"))),
        (at("z/folder"), format!("cannot run `{0}` (`OBJGUARD_CC={0}`): it is a folder; {advice}", at("z/folder"))),
        (at("own/objguard-cc"), format!("cannot run `{0}` (`OBJGUARD_CC={0}`): it is objguard itself; {advice}", at("own/objguard-cc"))),
        (
            "gcc 'x".to_owned(),
            "cannot read `OBJGUARD_CC=gcc 'x`: a quote is not closed; set OBJGUARD_CC to the compiler to run, as in `ccache gcc`".to_owned(),
        ),
        (" ".to_owned(), "cannot use `OBJGUARD_CC= `: it names no compiler; set it to the compiler to run, or unset it".to_owned()),
    ] {
        assert_eq!(refusal(&own, "objguard-cc", &with_cc(&value), &path), message);
    }
    assert_eq!(
        refusal(&own, "objguard-c++", &Config::default(), &path),
        "cannot find a compiler: there is no `c++` on PATH; install one, or set OBJGUARD_CXX to the compiler to run"
    );
}

#[test]
fn the_prefix_form_takes_the_words_that_name_the_compiler() {
    let space = Space::new();
    let own = space.own();
    for name in ["gcc", "g++", "ccache", "cc", "nice", "mywrap"] {
        space.program(&format!("a/{name}"));
    }
    let path = space.path(&["a"]);
    for (line, program, words, used, driver) in [
        ("gcc -c x.c", "gcc", &[][..], 1, Driver::C),
        ("gcc cc -o x", "gcc", &[], 1, Driver::C),
        ("ccache g++ -c x.cc", "ccache", &["g++"], 2, Driver::Cxx),
        (
            "nice -n 3 ccache gcc x.c",
            "nice",
            &["-n", "3", "ccache", "gcc"],
            5,
            Driver::C,
        ),
        ("mywrap gcc x.c", "mywrap", &["gcc"], 2, Driver::C),
        ("mywrap x.c", "mywrap", &[], 1, Driver::C),
    ] {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (c, n) = resolve_prefix_beside(&own, &line, &Config::default(), Some(&path)).unwrap();
        assert_eq!(
            (c.program, strings(&c.words), n, c.driver),
            (space.at("a").join(program), words.to_vec(), used, driver),
            "{line:?}"
        );
        assert!(c.flags.is_empty());
    }
    let refused = |line: &[&str]| {
        let line: Vec<OsString> = line.iter().map(OsString::from).collect();
        resolve_prefix_beside(&own, &line, &Config::default(), Some(&path))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&[]),
        "no compiler given; write it first, as in `objguard gcc -c x.c`"
    );
    assert_eq!(
        refused(&["nosuch", "-c"]),
        "cannot find `nosuch`: there is no such program on PATH; give the compiler to run, as in `objguard gcc -c x.c`"
    );
}

#[test]
fn relative_folders_of_path_give_absolute_programs() {
    let space = Space::new();
    let own = space.own();
    // No test may change the working folder; a way to the program from it does as well.
    let real = space.program("z/cc");
    let mut relative = PathBuf::new();
    for _ in std::env::current_dir().unwrap().components().skip(1) {
        relative.push("..");
    }
    relative.push(space.at("z").strip_prefix("/").unwrap());
    let c = get(
        &own,
        "objguard-cc",
        &Config::default(),
        relative.as_os_str(),
    );
    assert!(c.program.is_absolute());
    assert_eq!(fs::canonicalize(&c.program).unwrap(), real);
}

#[test]
fn the_dialect_is_guessed_by_name_or_behind_the_links() {
    let space = Space::new();
    let own = space.own();
    for name in ["gcc", "clang-14", "x86_64-linux-gnu-g++", "tcc"] {
        space.program(&format!("a/{name}"));
    }
    space.link("a/clang-14", "b/cc");
    space.link("a/gcc", "c/cc");
    let dialect = |name: &str, folder: &str| {
        get(&own, name, &Config::default(), &space.path(&[folder])).likely_dialect()
    };
    assert_eq!(dialect("gcc", "a"), Dialect::Gcc);
    assert_eq!(dialect("x86_64-linux-gnu-g++", "a"), Dialect::Gcc);
    assert_eq!(dialect("clang-14", "a"), Dialect::Clang);
    assert_eq!(dialect("cc", "b"), Dialect::Clang);
    assert_eq!(dialect("cc", "c"), Dialect::Gcc);
    assert_eq!(dialect("tcc", "a"), Dialect::Gcc);
}
