//! What the user asks for with `OBJGUARD_…` in the environment, read once.
//!
//! | variable | value | what for |
//! |---|---|---|
//! | `OBJGUARD_CC`, `OBJGUARD_CXX` | a command, split as a shell would | the real compilers |
//! | `OBJGUARD_AR` | a command | the real archiver |
//! | `OBJGUARD_DISABLE` | yes or no | run everything as it is written |
//! | `OBJGUARD_AMBIGUOUS` | `error` or `newest` | what a link does when nothing tells which variant is meant |
//! | `OBJGUARD_LOG` | a file | events are appended to it |
//! | `OBJGUARD_DEBUG` | yes or no | say on stderr what is decided and why |
//! | `OBJGUARD_RUN` | opaque | set by `objguard run` for what it starts: tells its events from others |
//! | `OBJGUARD_INNER` | opaque | set for the compilers that objguard runs ([`Config::is_inner`]) |
//! | `OBJGUARD` | anything | the switch of the setuptools plug-in; not looked at here |
//!
//! A yes is `1`, `true` or `yes`, a no is `0`, `false`, `no` or empty. Anything else, and any other name that starts with
//! `OBJGUARD_`, is an error: a misspelt switch that does nothing is found out too late.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The variables that [`Config::from_env`] knows, for messages and help.
pub const VARIABLES: [&str; 9] = [
    "OBJGUARD_CC",
    "OBJGUARD_CXX",
    "OBJGUARD_AR",
    "OBJGUARD_DISABLE",
    "OBJGUARD_AMBIGUOUS",
    "OBJGUARD_LOG",
    "OBJGUARD_DEBUG",
    "OBJGUARD_RUN",
    INNER,
];

/// The mark in the environment of the compilers that objguard runs.
pub const INNER: &str = "OBJGUARD_INNER";

/// The folders of links that `objguard run` makes, and what the links in them stand for.
pub const ROLES: [(&str, &str); 3] = [
    ("cc", "objguard-cc"),
    ("cxx", "objguard-c++"),
    ("ar", "objguard-ar"),
];

/// What a link does when nothing tells which variant of an object is meant (DESIGN, section 5, 2d).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ambiguous {
    /// Stop with an error that names the variants.
    #[default]
    Error,
    /// Take the one that was claimed last.
    Newest,
}

/// What the environment asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// The C compiler: a command, not split yet.
    pub cc: Option<OsString>,
    /// The C++ compiler.
    pub cxx: Option<OsString>,
    /// The archiver.
    pub ar: Option<OsString>,
    /// Run everything as it is written.
    pub disable: bool,
    /// What a link does when nothing tells which variant is meant.
    pub ambiguous: Ambiguous,
    /// Where events are appended.
    pub log: Option<PathBuf>,
    /// Say on stderr what is decided and why.
    pub debug: bool,
    /// The id of the `objguard run` that this runs below.
    pub run: Option<OsString>,
    /// The programs that outer instances already ran, as `compiler` writes them.
    inner: Option<OsString>,
}

impl Config {
    /// Reads the variables among `vars`; unrelated ones cost a comparison each. An empty value of a variable that is no
    /// switch counts as unset, as everywhere in the world of `make`.
    ///
    /// # Errors
    /// An unknown `OBJGUARD_…` variable, or a value that its variable doesn't take: one line that says what to do.
    pub fn from_env<I, K, V>(vars: I) -> Result<Config>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut config = Config::default();
        for (name, value) in vars {
            let Some(rest) = name.as_ref().as_bytes().strip_prefix(b"OBJGUARD") else {
                continue;
            };
            // `OBJGUARD` is the plug-in's; `OBJGUARDIAN` is somebody else's.
            let Some(rest) = rest.strip_prefix(b"_") else {
                continue;
            };
            let (name, value) = (name.as_ref(), value.as_ref());
            match rest {
                b"CC" => config.cc = given(value),
                b"CXX" => config.cxx = given(value),
                b"AR" => config.ar = given(value),
                b"DISABLE" => config.disable = switch(name, value)?,
                b"AMBIGUOUS" => config.ambiguous = ambiguous(value)?,
                b"LOG" => config.log = given(value).map(PathBuf::from),
                b"DEBUG" => config.debug = switch(name, value)?,
                b"RUN" => config.run = given(value),
                b"INNER" => config.inner = given(value),
                _ => bail!(
                    "unknown variable `{}` in the environment: unset it; known are {}",
                    name.display(),
                    known()
                ),
            }
        }
        Ok(config)
    }

    /// The name that a link of `objguard run` stands for. In its folders of links, `cc-<digest of OBJGUARD_CC>/gcc` is
    /// `objguard-cc`: the link's name is there for builds that look for one in `$CC`. Where OBJGUARD_CC is another, or not set
    /// (a build tree remembers `$CC` for longer than the run), it is a link like any other, and means the `gcc` on PATH.
    pub fn role(&self, invoked_as: &Path) -> Option<&'static str> {
        let folder = invoked_as.parent()?.file_name()?.to_str()?;
        let (role, digest) = folder.rsplit_once('-')?;
        let (_, ours) = ROLES.into_iter().find(|(name, _)| *name == role)?;
        let command = match role {
            "cc" => &self.cc,
            "cxx" => &self.cxx,
            _ => &self.ar,
        };
        (digest_of(command.as_deref()?) == digest).then_some(ours)
    }

    /// Whether this was started by a compiler that another objguard runs (a `cc` script that ends in `exec objguard-cc "$@"`).
    /// Such an instance steps aside: it runs the real compiler and guards nothing, since the outer one does.
    pub fn is_inner(&self) -> bool {
        self.inner.is_some()
    }

    /// The mark of the outer instances ([`crate::compiler::Compiler::inner_mark`] reads and extends it).
    pub fn inner(&self) -> Option<&OsStr> {
        self.inner.as_deref()
    }
}

/// The name of the folder of links that stand for `command` in a role of [`ROLES`].
pub fn role_folder(role: &str, command: &OsStr) -> String {
    format!("{role}-{}", digest_of(command))
}

fn digest_of(command: &OsStr) -> String {
    blake3::hash(command.as_bytes()).to_hex()[..16].to_owned()
}

fn given(value: &OsStr) -> Option<OsString> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn switch(name: &OsStr, value: &OsStr) -> Result<bool> {
    match value.as_bytes() {
        b"1" | b"true" | b"yes" => Ok(true),
        b"0" | b"false" | b"no" | b"" => Ok(false),
        _ => bail!(
            "cannot use `{}={}`: set it to 1 or 0, or unset it",
            name.display(),
            value.display()
        ),
    }
}

fn ambiguous(value: &OsStr) -> Result<Ambiguous> {
    match value.as_bytes() {
        b"error" | b"" => Ok(Ambiguous::Error),
        b"newest" => Ok(Ambiguous::Newest),
        _ => bail!(
            "cannot use `OBJGUARD_AMBIGUOUS={}`: set it to error or newest, or unset it",
            value.display()
        ),
    }
}

/// The names a user may set: all but the mark.
fn known() -> String {
    let names: Vec<&str> = VARIABLES
        .into_iter()
        .filter(|name| *name != INNER)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config> {
        Config::from_env(vars.iter().copied())
    }

    fn refusal(vars: &[(&str, &str)]) -> String {
        read(vars).expect_err("should be refused").to_string()
    }

    #[test]
    fn an_environment_without_our_variables_gives_the_defaults() {
        let config = read(&[
            ("PATH", "/bin"),
            ("OBJGUARDIAN", "x"),
            ("OBJGUARD", "1"),
            ("", ""),
        ])
        .unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.ambiguous, Ambiguous::Error);
        assert!(!config.is_inner());
    }

    #[test]
    fn every_known_variable_is_read() {
        let config = read(&[
            ("OBJGUARD_CC", "ccache gcc"),
            ("OBJGUARD_CXX", "g++"),
            ("OBJGUARD_AR", "gcc-ar"),
            ("OBJGUARD_DISABLE", "yes"),
            ("OBJGUARD_AMBIGUOUS", "newest"),
            ("OBJGUARD_LOG", "build/log"),
            ("OBJGUARD_DEBUG", "1"),
            ("OBJGUARD_RUN", "7"),
            ("OBJGUARD_INNER", "1.2"),
        ])
        .unwrap();
        assert_eq!(config.cc.as_deref(), Some(OsStr::new("ccache gcc")));
        assert_eq!(config.cxx.as_deref(), Some(OsStr::new("g++")));
        assert_eq!(config.ar.as_deref(), Some(OsStr::new("gcc-ar")));
        assert!(config.disable && config.debug && config.is_inner());
        assert_eq!(config.ambiguous, Ambiguous::Newest);
        assert_eq!(config.log, Some(PathBuf::from("build/log")));
        assert_eq!(config.run.as_deref(), Some(OsStr::new("7")));
        assert_eq!(config.inner(), Some(OsStr::new("1.2")));
    }

    #[test]
    fn links_of_a_run_stand_for_ours() {
        let config = read(&[("OBJGUARD_CC", "ccache gcc"), ("OBJGUARD_CXX", "g++")]).unwrap();
        let cc = role_folder("cc", OsStr::new("ccache gcc"));
        let cxx = role_folder("cxx", OsStr::new("g++"));
        let other = role_folder("cc", OsStr::new("clang"));
        for (path, role) in [
            (format!("/r/{cc}/gcc"), Some("objguard-cc")),
            (format!("/r/{cxx}/clang++-14"), Some("objguard-c++")),
            (format!("/r/{other}/clang"), None),
            (
                format!("/r/{}/ar", role_folder("ar", OsStr::new("ar"))),
                None,
            ),
            (format!("/r/{cc}/deeper/gcc"), None),
            ("/usr/bin/gcc".into(), None),
            ("gcc".into(), None),
        ] {
            assert_eq!(config.role(Path::new(&path)), role, "{path}");
        }
        assert_eq!(
            Config::default().role(Path::new(&format!("/r/{cc}/gcc"))),
            None
        );
    }

    #[test]
    fn the_table_of_names_is_the_code_s() {
        for name in VARIABLES {
            let value = if name == "OBJGUARD_AMBIGUOUS" {
                "error"
            } else {
                "1"
            };
            assert!(read(&[(name, value)]).is_ok(), "{name}");
        }
    }

    #[test]
    fn switches_take_these_values() {
        for (value, on) in [
            ("1", true),
            ("true", true),
            ("yes", true),
            ("0", false),
            ("false", false),
            ("no", false),
            ("", false),
        ] {
            assert_eq!(
                read(&[("OBJGUARD_DISABLE", value)]).unwrap().disable,
                on,
                "{value}"
            );
            assert_eq!(
                read(&[("OBJGUARD_DEBUG", value)]).unwrap().debug,
                on,
                "{value}"
            );
        }
        assert_eq!(
            refusal(&[("OBJGUARD_DISABLE", "maybe")]),
            "cannot use `OBJGUARD_DISABLE=maybe`: set it to 1 or 0, or unset it"
        );
    }

    #[test]
    fn an_empty_value_is_no_value() {
        let config = read(&[
            ("OBJGUARD_CC", ""),
            ("OBJGUARD_LOG", ""),
            ("OBJGUARD_INNER", ""),
            ("OBJGUARD_AMBIGUOUS", ""),
        ])
        .unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert_eq!(
            refusal(&[("OBJGUARD_AMBIGUOUS", "oldest")]),
            "cannot use `OBJGUARD_AMBIGUOUS=oldest`: set it to error or newest, or unset it"
        );
        assert_eq!(
            refusal(&[("OBJGUARD_JOBS", "4")]),
            "unknown variable `OBJGUARD_JOBS` in the environment: unset it; known are OBJGUARD_CC, OBJGUARD_CXX, OBJGUARD_AR, \
             OBJGUARD_DISABLE, OBJGUARD_AMBIGUOUS, OBJGUARD_LOG, OBJGUARD_DEBUG, OBJGUARD_RUN"
        );
    }

    #[test]
    fn values_need_not_be_utf8() {
        let value = OsStr::from_bytes(b"/opt/\xff/gcc");
        let config = Config::from_env([(OsStr::new("OBJGUARD_CC"), value)]).unwrap();
        assert_eq!(config.cc.as_deref(), Some(value));
        assert!(Config::from_env([(OsStr::new("OBJGUARD_DEBUG"), value)]).is_err());
    }
}
