//! Which real archiver to run: `$OBJGUARD_AR`, or the program of the name that we were called by.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::programs::{Mark, Own, Search};
use super::{Command, Compiler, Origin, names};
use crate::archive;
use crate::command::Driver;
use crate::config::Config;

/// The variable that names the archiver.
pub(super) const VARIABLE: &str = "OBJGUARD_AR";

/// The real archiver for an instance that was invoked as `invoked_as` (`argv[0]`), with PATH's value in `path`.
///
/// # Errors
/// There is no such program, `OBJGUARD_AR` can't be used, or everything found leads back to objguard: one line that says what
/// to do.
pub fn resolve_archiver(
    invoked_as: &OsStr,
    config: &Config,
    path: Option<&OsStr>,
) -> Result<Compiler> {
    beside(&Own::of_this_process(), invoked_as, config, path)
}

fn beside(
    own: &Own,
    invoked_as: &OsStr,
    config: &Config,
    path: Option<&OsStr>,
) -> Result<Compiler> {
    let search = Search {
        path,
        own,
        mark: Mark(config.inner()),
    };
    let invoked_as = config
        .role(Path::new(invoked_as))
        .map_or(invoked_as, OsStr::new);
    let name = Path::new(invoked_as)
        .file_name()
        .unwrap_or(OsStr::new("objguard-ar"));
    let (origin, words) = if !name.as_bytes().starts_with(b"objguard") {
        (Origin::Masquerade(name), vec![name.to_owned()])
    } else if let Some(value) = &config.ar {
        let shown = value.display();
        let Some(words) = names::split(value.as_bytes()) else {
            bail!(
                "cannot read `{VARIABLE}={shown}`: a quote is not closed; set {VARIABLE} to the archiver to run, as in `gcc-ar`"
            );
        };
        if words.first().is_none_or(|word| word.is_empty()) {
            bail!(
                "cannot use `{VARIABLE}={shown}`: it names no archiver; set it to the archiver to run, or unset it"
            );
        }
        let origin = Origin::Variable {
            name: VARIABLE,
            value,
        };
        (origin, words)
    } else {
        let origin = Origin::Standard {
            name: "ar",
            variable: VARIABLE,
        };
        (origin, vec!["ar".into()])
    };
    // `nice -n 5 gcc-ar --plugin x`: what runs it, and the options behind it.
    let is_archiver = |word: &OsString| {
        let name = Path::new(word).file_name();
        name.is_some_and(|name| archive::tool(name).is_some())
    };
    let at = words.iter().position(is_archiver).unwrap_or(0);
    let command = Command {
        search,
        origin,
        words,
    };
    let look = |at: usize| {
        let word = &command.words[at];
        search
            .program(word)
            .map_err(|miss| command.explain(word, &miss))
    };
    let program = look(0)?;
    let proper = look(at)?;
    let mut ids = vec![program.id];
    if at > 0 {
        ids.push(proper.id);
    }
    let mut words = command.words[1..=at].to_vec();
    if let Some(last) = words.last_mut()
        && !proper.plain
    {
        // Whoever runs it would look for it on PATH and find what was passed over here.
        *last = proper.path.clone().into();
    }
    Ok(Compiler {
        argv0: if program.plain {
            command.words[0].clone()
        } else {
            program.path.clone().into()
        },
        program: program.path.clone(),
        words,
        flags: command.words[at + 1..].to_vec(),
        driver: Driver::C,
        proper: proper.path,
        launchers: if at > 0 {
            vec![program.path]
        } else {
            Vec::new()
        },
        ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::tests::Space;

    /// Programs in `a/` and `b/`, objguard in `own/` and as `ar` in `a/`.
    fn space() -> (Space, Own) {
        let space = Space::new();
        for name in ["own/objguard-ar", "b/ar", "b/gcc-ar", "b/ranlib", "b/nice"] {
            space.file(name, format!("\x7fELF {name}").as_bytes(), 0o755);
        }
        space.link("own/objguard-ar", "a/ar");
        let own = Own::at(space.at("own/objguard-ar"));
        (space, own)
    }

    fn found(invoked_as: &str, ar: Option<&str>) -> Result<String> {
        let (space, own) = space();
        let config = Config::from_env(ar.map(|value| (VARIABLE, value)))?;
        let path = space.path(&["a", "b"]);
        let c = beside(&own, OsStr::new(invoked_as), &config, Some(&path))?;
        let mut words = vec![c.program.into_os_string(), c.argv0];
        words.extend(c.words);
        words.push("|".into());
        words.extend(c.flags);
        let text = words.join(OsStr::new(" ")).into_string().unwrap();
        Ok(text.replace(space.at("").to_str().unwrap(), ""))
    }

    #[test]
    fn the_real_archiver() {
        for (invoked_as, ar, expected) in [
            ("objguard-ar", None, "b/ar b/ar |"),
            ("/x/ar", None, "b/ar b/ar |"),
            ("ranlib", None, "b/ranlib ranlib |"),
            ("gcc-ar", None, "b/gcc-ar gcc-ar |"),
            ("objguard-ar", Some("gcc-ar"), "b/gcc-ar gcc-ar |"),
            ("gcc-ar", Some("ar"), "b/gcc-ar gcc-ar |"),
            (
                "objguard-ar",
                Some("ar --plugin p"),
                "b/ar b/ar | --plugin p",
            ),
            (
                "objguard-ar",
                Some("nice -n 5 gcc-ar"),
                "b/nice nice -n 5 gcc-ar |",
            ),
            ("objguard-ar", Some("nice ar -X"), "b/nice nice b/ar | -X"),
        ] {
            assert_eq!(
                found(invoked_as, ar).unwrap(),
                expected,
                "{invoked_as} {ar:?}"
            );
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (ar, expected) in [
            (
                "none",
                "cannot find `none` (`OBJGUARD_AR=none`): there is no such program on PATH; set OBJGUARD_AR to the archiver to run",
            ),
            (
                "'ar",
                "cannot read `OBJGUARD_AR='ar`: a quote is not closed; set OBJGUARD_AR to the archiver to run, as in `gcc-ar`",
            ),
            (
                "''",
                "cannot use `OBJGUARD_AR=''`: it names no archiver; set it to the archiver to run, or unset it",
            ),
        ] {
            assert_eq!(
                found("objguard-ar", Some(ar)).unwrap_err().to_string(),
                expected
            );
        }
        let (space, own) = space();
        let path = space.path(&["none"]);
        let refusal = beside(
            &own,
            OsStr::new("objguard-ar"),
            &Config::default(),
            Some(&path),
        );
        assert_eq!(
            refusal.unwrap_err().to_string(),
            "cannot find an archiver: there is no `ar` on PATH; install one, or set OBJGUARD_AR to the archiver to run"
        );
    }
}
