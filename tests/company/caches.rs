//! ccache, behind objguard: `OBJGUARD_CC="ccache gcc"`, and as what `gcc` on PATH is.

use std::path::Path;
use std::process::Command;

use crate::space::{Outcome, TestSpace, can_run};
use crate::{path_with, race, shared_source};

fn ccache(space: &TestSpace, args: &[&str]) -> Outcome {
    let mut command = space.command("ccache");
    command.args(args).env("CCACHE_DIR", space.aside("ccache"));
    Outcome::of(command).success()
}

/// One of ccache's counters.
fn counter(space: &TestSpace, name: &str) -> u64 {
    let text = ccache(space, &["--print-stats"]).stdout;
    let line = text
        .lines()
        .find(|line| line.split('\t').next() == Some(name));
    let value = line.and_then(|line| line.split('\t').nth(1));
    value.map_or(0, |v| v.parse().expect("a counter is a number"))
}

fn hits(space: &TestSpace) -> u64 {
    counter(space, "direct_cache_hit") + counter(space, "preprocessed_cache_hit")
}

/// Compiles go through ccache, and what it has is taken from it.
fn through_ccache(space: &TestSpace, prepare: &dyn Fn(&mut Command)) {
    let build = || {
        let mut command = space.wrapper("-DVALUE=5 -O2 -c shared.c -o shared.o");
        command.env_remove("OBJGUARD_CC");
        prepare(&mut command);
        Outcome::of(command).quiet();
        space.read("shared.o")
    };
    let first = build();
    assert_eq!((counter(space, "cache_miss"), hits(space)), (1, 0));
    // Skipped: ccache isn't even asked.
    assert_eq!(build(), first);
    assert_eq!(counter(space, "cache_miss") + hits(space), 1);
    // A fresh tree: nothing is known here, but in the cache.
    std::fs::remove_dir_all(space.path(".objguard")).expect("there is state");
    std::fs::remove_file(space.path("shared.o")).expect("it was compiled");
    assert_eq!(build(), first);
    assert_eq!((counter(space, "cache_miss"), hits(space)), (1, 1));
    // And a header that changes is seen by both.
    space.write(
        "shared.h",
        "#include <stdio.h>\nint shared(void);\nextern int more;\n",
    );
    space.settle();
    assert_eq!(build(), first);
    assert_eq!((counter(space, "cache_miss"), hits(space)), (2, 1));
}

#[test]
fn ccache_before_the_compiler() {
    if !can_run("ccache_before_the_compiler", "ccache") {
        return;
    }
    let space = shared_source("ccache_before_the_compiler", 4);
    let cache = space.aside("ccache");
    let prepare = |command: &mut Command| {
        command
            .env("OBJGUARD_CC", "ccache gcc")
            .env("CCACHE_DIR", &cache);
    };
    through_ccache(&space, &prepare);
    race(&space, 4, 5, &prepare);
    assert!(
        counter(&space, "cache_miss") > 20,
        "the race went through ccache"
    );
}

/// `/usr/lib/ccache` first on PATH: `gcc` there is ccache, and only under that name.
#[test]
fn ccache_as_the_compiler() {
    if !can_run("ccache_as_the_compiler", "ccache") {
        return;
    }
    let space = shared_source("ccache_as_the_compiler", 4);
    let folder = space.aside("as-gcc");
    std::fs::create_dir(&folder).expect("the space is new");
    let program = on_path("ccache");
    std::os::unix::fs::symlink(program, folder.join("gcc")).expect("the folder is new");
    let (cache, path) = (space.aside("ccache"), path_with(&[folder]));
    through_ccache(&space, &|command| {
        command
            .env("OBJGUARD_CC", "gcc")
            .env("PATH", &path)
            .env("CCACHE_DIR", &cache);
    });
}

fn on_path(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let mut folders =
        std::env::split_paths(&path).filter(|folder| folder != Path::new("/usr/lib/ccache"));
    let found = folders.find(|folder| folder.join(name).is_file());
    found.expect("it was looked for").join(name)
}
