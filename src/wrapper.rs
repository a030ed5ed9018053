//! The wrapper's flow, from `main` to the exit code.

use std::ffi::{OsStr, OsString};

use anyhow::Context as _;

use crate::command::{self, Verdict};
use crate::compiler::{self, Compiler};
use crate::config::Config;
use crate::events::Events;
use crate::guard::{self, Done, Session};
use crate::lineage;
use crate::process::Ended;

/// Runs the wrapper with the process's own arguments and environment; ends the process as the compiler would have ended.
pub fn main() -> ! {
    let mut args = std::env::args_os();
    let invoked_as = args.next().unwrap_or_else(|| "objguard-cc".into());
    let args: Vec<OsString> = args.collect();
    exit(run(
        |config, path| Ok((compiler::resolve(&invoked_as, config, path)?, 0)),
        &args,
    ))
}

/// The prefix form, `objguard CC ARGS…`.
pub fn prefixed(words: &[OsString]) -> ! {
    exit(run(
        |config, path| compiler::resolve_prefix(words, config, path),
        words,
    ))
}

/// Finds the compiler and guards the command; `resolve` also says how many of the words name the compiler.
fn run(
    resolve: impl FnOnce(&Config, Option<&OsStr>) -> anyhow::Result<(Compiler, usize)>,
    words: &[OsString],
) -> anyhow::Result<Ended> {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let config = Config::from_env(environment.iter().map(|(n, v)| (n, v)))?;
    let path = environment
        .iter()
        .find(|(n, _)| n == "PATH")
        .map(|(_, v)| v.as_os_str());
    let (compiler, used) = resolve(&config, path)?;
    guarded(&config, &compiler, &words[used..], &environment)
}

fn exit(ended: anyhow::Result<Ended>) -> ! {
    match ended {
        Ok(ended) => ended.follow(),
        Err(e) => {
            crate::process::say(format!("objguard: {e:#}\n").as_bytes());
            std::process::exit(1)
        }
    }
}

/// Guards one command, or executes it as written.
fn guarded(
    config: &Config,
    compiler: &Compiler,
    args: &[OsString],
    environment: &[(OsString, OsString)],
) -> anyhow::Result<Ended> {
    let mut session = Session {
        config,
        compiler,
        dialect: compiler.likely_dialect(),
        args,
        environment,
        lineage: lineage::Lineage {
            host: 0,
            began: 0,
            beside: lineage::Beside::Nothing,
            steps: Vec::new(),
        },
        events: Events::of(config),
    };
    let why = if config.disable {
        "OBJGUARD_DISABLE is set".into()
    } else if config.is_inner() {
        "another objguard guards this command".into()
    } else {
        let mut words = compiler.flags.clone();
        words.extend_from_slice(args);
        // Before anything that takes time: see `lineage`.
        session.lineage = lineage::read();
        match attempt(&mut session, &words)? {
            Ok(ended) => return Ok(ended),
            Err(why) => why,
        }
    };
    if config.debug {
        crate::process::say(format!("objguard: runs as written: {why}\n").as_bytes());
    }
    let error = session.as_written().exec();
    Err(error).with_context(|| format!("cannot run `{}`", compiler.program.display()))
}

/// Guards one command; the inner error says why it must run as written.
fn attempt(session: &mut Session<'_>, words: &[OsString]) -> anyhow::Result<Result<Ended, String>> {
    for _ in 0..2 {
        let done = match command::parse(words, session.compiler.driver, session.dialect) {
            Verdict::Compile(compile) => guard::compile(session, &compile)?,
            Verdict::Link(link) => guard::link(session, &link)?,
            Verdict::PassThrough(reason) => Done::AsWritten(reason.to_string()),
        };
        match done {
            Done::Ended(ended) => return Ok(Ok(ended)),
            Done::AsWritten(why) => return Ok(Err(why)),
            Done::ReadAs(dialect) => session.dialect = dialect,
        }
    }
    Ok(Err("the compiler says now this, now that of itself".into()))
}
