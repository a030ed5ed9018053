//! Command lines put together from the pieces of `tests/command_driver`, and what gcc and clang say that they would do.

#![no_main]

#[path = "../../command_driver/lines.rs"]
mod lines;
#[path = "../../command_driver/plan.rs"]
#[allow(dead_code, reason = "the tests look at more of it")]
mod plan;

use std::sync::OnceLock;

use lines::{Dice, compile_line, link_line};
use objguard::command::{Dialect, Driver};
use plan::{Bench, Count, check};

/// Numbers out of the input; then none but 0.
struct Drawn<'a>(std::slice::Iter<'a, u8>);

impl Dice for Drawn<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte)) % limit
    }
}

const PROGRAMS: [(&str, Driver, Dialect); 4] = [
    ("gcc", Driver::C, Dialect::Gcc),
    ("g++", Driver::Cxx, Dialect::Gcc),
    ("clang", Driver::C, Dialect::Clang),
    ("clang++", Driver::Cxx, Dialect::Clang),
];

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let name = format!("objguard-fuzz-driver-{}", std::process::id());
        Bench::new(std::env::temp_dir().join(name))
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let mut dice = Drawn(rest.iter());
    let (program, driver, dialect) = PROGRAMS[usize::from(first >> 6)];
    let args = if first & 1 == 0 {
        compile_line(&mut dice)
    } else {
        link_line(&mut dice)
    };
    let asked = check(
        bench(),
        program,
        driver,
        dialect,
        &args,
        &mut Count::default(),
    );
    assert!(asked, "`{program}` is not installed");
});
