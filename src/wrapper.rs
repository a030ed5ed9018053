//! The wrapper's flow, from `main` to the exit code.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context as _;

use crate::archive::{self, Tool};
use crate::command::{self, Verdict};
use crate::compiler::{self, Compiler};
use crate::config::Config;
use crate::events::Events;
use crate::guard::{self, Done, Session};
use crate::lineage;
use crate::process::{Ended, Stderr};

/// Runs the wrapper with the process's own words and environment; ends the process as the compiler, or the archiver, would
/// have ended.
pub fn main(words: &[OsString]) -> ! {
    let (invoked_as, args) = match words.split_first() {
        Some((first, args)) => (first.clone(), args),
        None => ("objguard-cc".into(), words),
    };
    exit(run(
        |config, path| {
            Ok(match tool(&invoked_as, config) {
                Some(tool) => Tools {
                    compiler: compiler::resolve_archiver(&invoked_as, config, path)?,
                    used: 0,
                    archiver: Some(tool),
                },
                None => Tools {
                    compiler: compiler::resolve(&invoked_as, config, path)?,
                    used: 0,
                    archiver: None,
                },
            })
        },
        args,
    ))
}

/// The prefix form, `objguard CC ARGS…`, or `objguard ar ARGS…`.
pub fn prefixed(words: &[OsString]) -> ! {
    exit(run(
        |config, path| {
            let (compiler, used) = compiler::resolve_prefix(words, config, path)?;
            Ok(Tools {
                archiver: tool(compiler.proper.as_os_str(), config),
                compiler,
                used,
            })
        },
        words,
    ))
}

/// The archiver that a program of this name is.
fn tool(invoked_as: &OsStr, config: &Config) -> Option<Tool> {
    let invoked_as = Path::new(invoked_as);
    let name = config.role(invoked_as).map(OsStr::new);
    archive::tool(name.or(invoked_as.file_name())?)
}

/// What is run in our place.
struct Tools {
    compiler: Compiler,
    /// How many of the words name it.
    used: usize,
    /// It is no compiler, but this.
    archiver: Option<Tool>,
}

/// Finds the compiler or archiver and guards the command.
fn run(
    resolve: impl FnOnce(&Config, Option<&OsStr>) -> anyhow::Result<Tools>,
    words: &[OsString],
) -> anyhow::Result<Ended> {
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let config = Config::from_env(environment.iter().map(|(n, v)| (n, v)))?;
    let path = environment
        .iter()
        .find(|(n, _)| n == "PATH")
        .map(|(_, v)| v.as_os_str());
    let tools = resolve(&config, path)?;
    guarded(&config, &tools, &words[tools.used..], &environment)
}

fn exit(ended: anyhow::Result<Ended>) -> ! {
    match ended {
        Ok(ended) => ended.follow(),
        Err(e) => {
            if let Some(signal) = crate::signals::caught() {
                // It cut short what failed.
                Ended::Signal(signal).follow();
            }
            crate::process::say(format!("objguard: {e:#}\n").as_bytes());
            std::process::exit(1)
        }
    }
}

/// Guards one command, or executes it as written.
fn guarded(
    config: &Config,
    tools: &Tools,
    args: &[OsString],
    environment: &[(OsString, OsString)],
) -> anyhow::Result<Ended> {
    let compiler = &tools.compiler;
    let mut args = args.to_vec();
    if tools.archiver == Some(Tool::Ar)
        && !compiler.flags.is_empty()
        && let Some(first) = args.first_mut()
        && !first.as_bytes().starts_with(b"-")
    {
        // Behind the options of OBJGUARD_AR, letters need a dash.
        *first = [OsStr::new("-"), first].into_iter().collect();
    }
    let args = &args[..];
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
        session.lineage = lineage::read()
            .context("cannot read in `/proc` who runs this command; free some descriptors")?;
        let attempted = match tools.archiver {
            Some(tool) => archive(&session, &words, tool)?,
            None => attempt(&mut session, &words)?,
        };
        match attempted {
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

/// Guards an archiver's command; the inner error says why it must run as written.
fn archive(
    session: &Session<'_>,
    words: &[OsString],
    tool: Tool,
) -> anyhow::Result<Result<Ended, String>> {
    let all = match archive::parse(words, tool) {
        archive::Verdict::PassThrough(aside) => return Ok(Err(aside.to_string())),
        archive::Verdict::Script => return Ok(ended(guard::archive_script(session)?)),
        archive::Verdict::TakeOut(archive) => {
            return Ok(ended(guard::take_out(session, &archive)?));
        }
        archive::Verdict::Change(all) => all,
    };
    if let [one] = all.as_slice() {
        return Ok(ended(guard::archive(session, one)?));
    }
    let name = session.compiler.proper.file_name().unwrap_or_default();
    if memchr::memmem::find(name.as_bytes(), b"llvm").is_some() {
        return Ok(Err("llvm-ranlib takes one archive".into()));
    }
    let mut worst = Ended::Code(0);
    for one in &all {
        let ended = match ended(guard::archive(session, one)?) {
            Ok(ended) => ended,
            Err(_) => {
                let invocation = session.invocation(one.words.args.clone());
                let outcome = invocation.run(Stderr::Inherit, &[]);
                let failed = || format!("cannot run `{}`", session.compiler.program.display());
                outcome.with_context(failed)?.ended
            }
        };
        if !ended.ok() {
            worst = ended;
        }
        if matches!(ended, Ended::Signal(_)) {
            break;
        }
    }
    Ok(Ok(worst))
}

fn ended(done: Done) -> Result<Ended, String> {
    match done {
        Done::Ended(ended) => Ok(ended),
        Done::AsWritten(why) => Err(why),
        Done::ReadAs(_) => Err("an archiver has no dialects".into()),
    }
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
