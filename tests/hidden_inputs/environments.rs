//! Build environments with a random name, a new one for each build.

use std::fs;
use std::process::Command;

use crate::Watched;
use crate::space::Outcome;

const FIRST: &str = "pip-build-env-0a1b2c3d";
const SECOND: &str = "pip-build-env-x7y8z9_w";

/// A compile that reads headers of a build environment.
struct Isolated {
    watched: Watched,
    args: String,
    environment: String,
}

impl Isolated {
    /// `args`: those of the compiler; `ENV` stands for the environment.
    fn new(test: &str, args: &str) -> Isolated {
        let mut watched = Watched::new(test, "");
        watched.args.clear();
        let mut new = Isolated {
            watched,
            args: args.to_owned(),
            environment: String::new(),
        };
        new.enter(FIRST);
        new
    }

    fn with(mut self, compiler: &'static str) -> Isolated {
        self.watched = self.watched.with(compiler);
        self
    }

    fn enter(&mut self, name: &str) {
        let path = self.watched.space.aside(name);
        fs::create_dir_all(&path).expect("the folder is ours");
        self.environment = path.to_str().expect("our names are UTF-8").to_owned();
        self.watched.args = format!("-c {}", self.args.replace("ENV", &self.environment));
    }

    fn source(mut self, text: &str) -> Isolated {
        self.watched = self.watched.write("x.c", text);
        self
    }

    fn own(mut self, name: &str, text: &str) -> Isolated {
        self.watched = self.watched.write(name, text);
        self
    }

    /// A header in the environment.
    fn header(&self, name: &str, text: &str) {
        let path = format!("{}/{name}", self.environment);
        let folder = path.rsplit_once('/').expect("a path").0;
        fs::create_dir_all(folder).expect("the folder is ours");
        fs::write(path, text).expect("the folder is ours");
    }

    /// Builds in one environment, removes it, and builds in another that `fill` fills, too. Whether that compiled.
    #[track_caller]
    fn builds_again(&mut self, second: &str, fill: impl Fn(&Isolated, usize)) -> bool {
        fill(self, 1);
        self.watched.space.settle();
        assert_eq!(self.watched.compile(), 1, "the first compile");
        assert_eq!(self.watched.compile(), 0, "the same again");
        fs::remove_dir_all(&self.environment).expect("it is ours");
        self.enter(second);
        fill(self, 2);
        self.watched.space.settle();
        let compiled = self.watched.compile() > 0;
        self.is_right();
        assert_eq!(self.watched.compile(), 0, "and at rest");
        self.is_right();
        compiled
    }

    /// But for debug information, the object must be what the plain compiler makes now.
    #[track_caller]
    fn is_right(&self) {
        let space = &self.watched.space;
        let mut command = space.command(self.watched.compiler);
        command
            .args(self.watched.args.split_whitespace())
            .args(["-o", "plain.o"]);
        Outcome::of(command).success();
        let stripped = |name: &str| {
            let mut strip = Command::new("objcopy");
            strip.arg("--strip-debug");
            strip.arg(space.path(name)).arg(space.path("stripped"));
            assert!(strip.status().expect("objcopy is installed").success());
            space.read("stripped")
        };
        assert!(
            stripped("x.o") == stripped("plain.o"),
            "the object is stale"
        );
    }

    #[track_caller]
    fn moves(mut self, fill: impl Fn(&Isolated, usize)) {
        assert!(!self.builds_again(SECOND, fill), "it compiled again");
    }

    #[track_caller]
    fn stays(mut self, fill: impl Fn(&Isolated, usize)) {
        assert!(
            self.builds_again(SECOND, fill),
            "the object of another environment was taken"
        );
    }
}

const PLAIN: &str = "#include <numbers/p.h>\nint z = P;\n";

fn plain(env: &Isolated, _: usize) {
    env.header("overlay/include/numbers/p.h", "#define P 1\n");
}

#[test]
fn an_equal_environment_compiles_nothing() {
    for options in [
        "-O2",
        "-O2 -g",
        "-O2 -flto -frandom-seed=1",
        "-g3",
        "-O2 -DNDEBUG -MD",
    ] {
        // What clang writes for the link-time optimisation is no object that objcopy reads.
        let compilers = if options.contains("lto") { 1 } else { 2 };
        for compiler in &["gcc", "clang"][..compilers] {
            Isolated::new("env_equal", &format!("{options} -IENV/overlay/include x.c"))
                .with(compiler)
                .source(PLAIN)
                .moves(plain);
        }
    }
}

#[test]
fn environments_of_build_and_uv() {
    for second in [
        "build-env-k3j_2h1g",
        "builds-v0/.tmpQw3RtZ",
        "pdm-build-env-q1w2e3r4-shared",
    ] {
        let mut env = Isolated::new("env_names", "-isystem ENV/include -IENV/nothing x.c");
        env.enter(second);
        let mut env = env.source(PLAIN);
        let fill = |env: &Isolated, _| env.header("include/numbers/p.h", "#define P 1\n");
        assert!(!env.builds_again(&second.replace(['3', 'Q'], "x"), fill));
    }
}

#[test]
fn two_environments_in_one_command() {
    Isolated::new("env_two", "-IENV/a -IENV/b x.c")
        .source(PLAIN)
        .moves(|env, _| {
            env.header("b/numbers/p.h", "#define P 1\n");
            env.header("a/numbers/q.h", "#define P 2\n");
        });
}

#[test]
fn a_folder_that_looks_the_same_but_is_no_environment() {
    let mut env = Isolated::new("env_none", "-IENV/overlay/include x.c").source(PLAIN);
    env.enter("my-folder-0a1b2c3d");
    assert!(env.builds_again("my-folder-x7y8z9_w", plain));
}

#[test]
fn other_content() {
    Isolated::new("env_content", "-IENV/overlay/include x.c")
        .source(PLAIN)
        .stays(|env, build| {
            let text = format!("#define P {build}\n");
            env.header("overlay/include/numbers/p.h", &text);
        });
}

#[test]
fn a_header_that_only_the_other_environment_has() {
    Isolated::new("env_shadow", "-IENV/first -IENV/second x.c")
        .source(PLAIN)
        .stays(|env, build| {
            env.header("second/numbers/p.h", "#define P 1\n");
            if build == 2 {
                env.header("first/numbers/p.h", "#define P 2\n");
            }
        });
    let asked =
        "#if __has_include(<numbers/q.h>)\n#define P 2\n#else\n#define P 1\n#endif\nint z = P;\n";
    Isolated::new("env_asked", "-IENV/first x.c")
        .source(asked)
        .stays(|env, build| {
            env.header(
                &format!("first/numbers/{}.h", if build == 1 { 'p' } else { 'q' }),
                "",
            );
        });
}

#[test]
fn unread_headers_of_the_same_name() {
    Isolated::new("env_mates", "-IENV/first -IENV/second x.c")
        .source(PLAIN)
        .moves(|env, _| {
            env.header("first/numbers/p.h", "#include \"detail/p.h\"\n");
            env.header("first/numbers/detail/p.h", "#define P 3\n");
            env.header("second/numbers/p.h", "#define P 4\n");
            env.header("second/p.h", "#define P 5\n");
        });
}

#[test]
fn the_path_in_the_program() {
    let uses = [
        "static const char *where(void) { return __FILE__; }",
        "static const char *where(void) { return (const char *)sizeof(__FILE__); }",
        "static const char *where(void) { return (const char *)sizeof(\"at \" __FILE__); }",
        "static const char *where(void) { return __builtin_FILE(); }",
        "#define HERE __FILE__\nstatic const char *where(void) { return (const char *)sizeof(HERE); }",
        "#define HERE() \\\n  __FILE__\n#define THERE HERE\nstatic const char *where(void) { return THERE(); }",
        "static const char *where(void) { return OWN; }",
        "static const char *where(void) { return (const char *)sizeof(OWN); }",
        "#define PASTE(a, b) a ## b\nstatic const char *where(void) { return PASTE(__FI, LE__); }",
        "#define HALF(a) a ## LE__\nstatic const char *where(void) { return HALF(__FI); }",
        "static const char *where(void) { return (const char *)sizeof(\"assert(\" __FILE__ \")\"); }",
        "void pybind11_fail(const char *);\nstatic const char *where(void) { pybind11_fail((const char[sizeof __FILE__]){0}); return \"\"; }",
        "static const char *where(void) { static char a = __FILE__[5]; return &a; }",
        "#include <assert.h>\nstatic const char *where(void) { assert(getenv(\"X\")); return \"\"; }",
    ];
    for text in uses {
        for options in ["-O0", "-O2 -g", "-O2 -flto -frandom-seed=1"] {
            Isolated::new("env_file", &format!("{options} -IENV/include x.c"))
                .own("own.h", "#define OWN __FILE__\n")
                .source("#include <stdlib.h>\n#include \"own.h\"\n#include <p.h>\nconst char *z(void) { return where(); }\n")
                .stays(|env, _| env.header("include/p.h", &format!("{text}\n")));
        }
    }
}

#[test]
fn the_path_in_words() {
    for option in ["-DP=\\\"ENV\\\"", "-DP=sizeof(\\\"ENV\\\")"] {
        let option = option.replace('\\', "");
        Isolated::new("env_words", &format!("{option} -IENV/include x.c"))
            .source("#include <p.h>\nlong z = (long)P;\n")
            .stays(|env, _| env.header("include/p.h", "\n"));
    }
}

#[test]
fn messages_that_are_not_compiled_in() {
    let fail = "void pybind11_fail(const char *);\nstatic inline void unused(void) { pybind11_fail(\"at \" __FILE__ \":1\"); }\n";
    Isolated::new("env_printer", "-O2 -IENV/include x.c")
        .source("#include <p.h>\nint z;\n")
        .moves(|env, _| env.header("include/p.h", fail));
    Isolated::new("env_printed", "-O2 -IENV/include x.c")
        .source("#include <p.h>\nvoid z(void) { unused(); }\n")
        .stays(|env, _| env.header("include/p.h", fail));
    Isolated::new(
        "env_assert",
        "-O2 -DNDEBUG -flto -frandom-seed=1 -IENV/include x.c",
    )
    .source("#include <p.h>\nint z(int a) { return checked(a); }\n")
    .moves(|env, _| {
        let text =
            "#include <assert.h>\nstatic inline int checked(int a) { assert(a); return a; }\n";
        env.header("include/p.h", text);
    });
}

#[test]
fn paths_that_are_not_used() {
    let texts = [
        "#ifdef TRACED\n#define DROP(a) drop(__FILE__, a)\n#else\n#define DROP(a) (a)\n#endif\nstatic int f(int a) { return DROP(a); }\n",
        "#if 0\nstatic const char *where = __FILE__;\n#endif\n",
        "#define HERE __FILE__\n#define NOTHING(a)\nNOTHING(HERE)\n",
        "/* __FILE__ */ static const char *name = \"x\";\n",
    ];
    for text in texts {
        for options in ["-O2 -g", "-O2 -flto -frandom-seed=1"] {
            Isolated::new("env_unused", &format!("{options} -IENV/include x.c"))
                .source("#include <p.h>\nint z;\n")
                .moves(|env, _| env.header("include/p.h", text));
        }
    }
}

#[test]
fn words_that_change_what_paths_are() {
    for options in [
        "-P",
        "-ffile-prefix-map=/tmp=.",
        "-Wp,-DHERE=__FILE__",
        "-dD",
        "-C",
        "-include own.h",
    ] {
        Isolated::new("env_options", &format!("{options} -IENV/include x.c"))
            .own("own.h", "#define OWN __FILE__\n")
            .source("#include <p.h>\nlong z = P;\n")
            .stays(|env, _| env.header("include/p.h", "#define HERE __FILE__\n#define P sizeof(HERE)\nstatic const char *here(void) { return HERE; }\nconst char *(*there)(void) = here;\n"));
    }
}

/// Its own file's name is the same in every environment.
#[test]
fn the_source_tells_its_own_path() {
    Isolated::new("env_own", "-O2 -IENV/include x.c")
        .source("#include <p.h>\nconst char *z = __FILE__;\n")
        .moves(|env, _| env.header("include/p.h", "#define P 1\n"));
}

#[test]
fn warnings_name_the_new_environment() {
    let mut env = Isolated::new("env_warnings", "-Wall -IENV/include x.c")
        .source("#include <p.h>\nint z = 1;\n");
    let fill = |env: &Isolated, _: usize| env.header("include/p.h", "static int unused;\n");
    assert!(!env.builds_again(SECOND, fill));
    let space = &env.watched.space;
    let plain = {
        let mut command = space.command("gcc");
        command.args(env.watched.args.split_whitespace());
        Outcome::of(command).success()
    };
    let args = format!("{} -o x.o", env.watched.args);
    let guarded = Outcome::of(space.wrapper(&args)).success();
    assert!(plain.stderr.contains(SECOND));
    assert_eq!(guarded.stderr, plain.stderr);
}
