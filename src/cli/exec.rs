//! `objguard exec -o OUT… [-i IN…] -- COMMAND`: guards any command that makes files ([`crate::guard::generate`]).

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::Config;
use crate::events::Events;
use crate::generator::Generator;
use crate::guard::{self, Surroundings};
use crate::lineage;
use crate::process::Ended;

pub(super) fn command() -> Command {
    let files = |name: &'static str, letter: char, value: &'static str| {
        Arg::new(name)
            .short(letter)
            .long(name)
            .value_name(value)
            .num_args(1..)
            .action(ArgAction::Append)
            .value_parser(value_parser!(OsString))
    };
    Command::new("exec")
        .about("Run a command that makes files, one at a time and not twice for nothing")
        .override_usage("objguard exec -o OUT… [-i IN…] -- COMMAND ARGS…")
        .arg(files("output", 'o', "OUT").help("A file that the command makes"))
        .arg(files("input", 'i', "IN").help(
            "A file that it reads. With all of them given, the command is skipped while they, the command, the files it names and \
             the environment are as they were. Without any, only if the same one was run while this one waited for it",
        ))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(1..)
                .last(true)
                .value_parser(value_parser!(OsString))
                .help("What to run"),
        )
        .after_help(
            "`{out}` in a word of the command stands for the path to write to, `{out1}`, `{out2}` … for those of several outputs: the \
             files are made aside and renamed when the command has ended with 0, so nobody sees a part of one. Without any the \
             command writes to the outputs themselves; then others of the same output wait, and what a failing one leaves behind \
             is put back.\n\n\
             objguard exec -o parser.c -i parser.y -- bison -o {out} parser.y",
        )
}

pub(super) fn main(given: &ArgMatches) -> anyhow::Result<Ended> {
    // First thing: see `lineage`.
    let lineage = lineage::read().map_err(super::cannot("read", std::path::Path::new("/proc")))?;
    let words = |name: &str| -> Vec<OsString> {
        let given = given.get_many::<OsString>(name);
        given.into_iter().flatten().cloned().collect()
    };
    let paths = |name: &str| words(name).into_iter().map(PathBuf::from).collect();
    let generator = Generator::new(paths("output"), paths("input"), words("command"));
    let generator = match generator {
        Ok(generator) => generator,
        Err(why) => {
            eprintln!("objguard: {why}");
            return Ok(Ended::Code(2));
        }
    };
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let config = Config::from_env(environment.iter().map(|(n, v)| (n, v)))?;
    let around = Surroundings {
        config: &config,
        environment: &environment,
        lineage,
        events: Events::of(&config),
    };
    guard::generate(&generator, &around).map_err(|e| anyhow!("{e:#}"))
}
