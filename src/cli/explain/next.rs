//! Whether the next identical compile would be skipped.

use std::ffi::OsString;
use std::path::Path;

use crate::compiler;
use crate::config::Config;
use crate::dirty::Dirty;
use crate::guard;
use crate::identity::{self, Question};
use crate::record::{Maker, Record};

/// The reason to compile, or `None`: the record's variant would stand for the same words, in the same folder, with the same
/// variables. `lost`: no file holds the variant any more.
pub(super) fn dirty(record: &Record, lost: bool) -> Option<String> {
    if let Some(why) = &record.never {
        return Some(why.clone());
    }
    let here = std::env::current_dir();
    if !record.directory.as_os_str().is_empty()
        && std::env::set_current_dir(&record.directory).is_err()
    {
        return Some(format!(
            "its folder `{}` can't be entered",
            record.directory.display()
        ));
    }
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let reason = another_compiler(&record.maker, &environment).or_else(|| {
        // Diagnostics depend on the terminal and language of whoever asks: those of the next compile aren't known.
        let record = Record {
            stderr: Vec::new(),
            ..record.clone()
        };
        guard::standing(record, &environment, false)
            .err()
            .map(|d| d.to_string())
    });
    if let Ok(here) = here {
        let _ = std::env::set_current_dir(here);
    }
    reason.or_else(|| lost.then(|| Dirty::ObjectLost.to_string()))
}

/// Asks the compiler again what it is.
fn another_compiler(maker: &Maker, environment: &[(OsString, OsString)]) -> Option<String> {
    let language = identity::asked_about(&maker.language)?;
    let config = Config::from_env(environment.iter().map(|(n, v)| (n, v))).unwrap_or_default();
    let path = environment
        .iter()
        .find(|(n, _)| n == "PATH")
        .map(|(_, v)| v.as_os_str());
    let program = maker.command.first()?;
    let shown = Path::new(program).display().to_string();
    let compiler = match compiler::resolve_prefix(&maker.command, &config, path) {
        Ok((compiler, _)) => compiler,
        Err(_) => return Some(format!("its compiler, `{shown}`, is gone")),
    };
    let question = Question {
        compiler: &compiler,
        config: &config,
        probe_flags: &maker.probe_flags,
        language,
        environment,
    };
    match identity::identify(&question, &identity::cache_dirs(environment, None)) {
        Err(_) => Some(format!("its compiler, `{shown}`, can't be run")),
        Ok(identity) if identity.digest == maker.digest => None,
        Ok(identity) if identity.describe() == maker.name => Some(format!(
            "the compiler was upgraded: files of `{shown}` ({}) changed",
            maker.name
        )),
        Ok(identity) => Some(format!(
            "the compiler was upgraded: `{shown}` was {}, is {}",
            maker.name,
            identity.describe()
        )),
    }
}
