//! A tiny build: does what CC, CXX and AR say reach its compile, its link and its archive?
//!
//! With setuptools if python3 has it, else with the commands themselves. The environment is the user's own if his CC leads to
//! objguard, else that of `objguard run`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Report, TrialFolder};
use crate::cli::log::Log;
use crate::cli::text;
use crate::compiler;

const SETUP: &str = r#"from setuptools import Extension, setup

setup(
    name="objguard-doctor",
    version="1",
    py_modules=[],
    libraries=[("doctor_library", {"sources": ["library.c"]})],
    ext_modules=[Extension("doctor_module", sources=["module.c"])],
)
"#;

const LIBRARY: &str = "int doctor(void) { return 42; }\n";
/// Neither Python.h nor main is needed: the module is linked, not loaded.
const MODULE: &str = "int doctor(void);\nint PyInit_doctor_module(void) { return doctor(); }\n";

/// The steps, by the kind of event that tells of each.
const STEPS: [(&str, &str); 3] = [
    ("compile", "the compile"),
    ("link", "the link"),
    ("archive", "the archive"),
];

pub(super) fn check(environment: &[(OsString, OsString)], report: &mut Report) {
    let folder = match TrialFolder::new(&std::env::temp_dir()) {
        Ok(folder) => folder,
        Err(e) => {
            report.bad(
                "tiny build",
                format!(
                    "cannot create a folder in `{}`: {}",
                    text::path(&std::env::temp_dir()),
                    text::cause(&e)
                ),
            );
            return;
        }
    };
    if let Err(e) = write(&folder.0) {
        report.bad(
            "tiny build",
            format!("cannot write its sources: {}", text::cause(&e)),
        );
        return;
    }
    let own = leads_to_ours(environment);
    let (how, steps) = match setuptools() {
        Some(version) => (
            format!("setuptools {version}"),
            vec![words(&["python3", "setup.py", "-q", "build"])],
        ),
        None => (
            "plain commands (python3 has no setuptools)".to_owned(),
            plain_commands(),
        ),
    };
    let whose = if own {
        "as CC is set"
    } else {
        "under `objguard run`"
    };
    let what = format!("tiny build, {whose}");
    let log = folder.0.join("log");
    for step in steps {
        match build(&folder.0, &log, &step, own) {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let last = said
                    .lines()
                    .rev()
                    .find(|l| !l.trim().is_empty())
                    .unwrap_or("it said nothing");
                report.bad(
                    &what,
                    format!(
                        "{how}: `{}` failed ({}): {last}",
                        text::words(&step),
                        output.status
                    ),
                );
                return;
            }
            Err(e) => {
                report.bad(
                    &what,
                    format!(
                        "{how}: cannot run `{}`: {}",
                        text::words(&step),
                        text::cause(&e)
                    ),
                );
                return;
            }
        }
    }
    let events = Log::read(&log, 0).unwrap_or_default().events;
    for (kind, step) in STEPS {
        let reached = events.iter().any(|e| e.kind == kind);
        if reached {
            report.good(&what, format!("{how}: objguard guards {step}"));
        } else if kind == "archive" {
            report.note(
                &what,
                format!("{how}: {step} doesn't come through objguard: set AR=objguard-ar"),
            );
        } else {
            report.bad(
                &what,
                format!("{how}: {step} doesn't come through objguard"),
            );
        }
    }
    if !own {
        report.note(
            "CC",
            "doesn't lead to objguard: build with `objguard run`, or set CC=objguard-cc and CXX=objguard-c++",
        );
    }
}

fn write(dir: &Path) -> std::io::Result<()> {
    for (name, content) in [
        ("setup.py", SETUP),
        ("library.c", LIBRARY),
        ("module.c", MODULE),
    ] {
        fs::write(dir.join(name), content)?;
    }
    Ok(())
}

/// Whether CC is objguard, under its own name or as a link.
fn leads_to_ours(environment: &[(OsString, OsString)]) -> bool {
    let value = |name: &str| {
        environment
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_os_str())
    };
    let Some(words) = value("CC").and_then(|cc| compiler::split(cc.as_bytes())) else {
        return false;
    };
    let Some(first) = words.first() else {
        return false;
    };
    let path = if first.as_bytes().contains(&b'/') {
        Some(Path::new(first).to_owned())
    } else {
        compiler::each_on_path(value("PATH"), first, |candidate, meta| {
            compiler::executable(candidate, meta).then(|| candidate.to_owned())
        })
    };
    let target = path.and_then(|p| fs::canonicalize(p).ok());
    let name = target
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default();
    name.as_bytes().starts_with(b"objguard")
}

fn setuptools() -> Option<String> {
    let output = Command::new("python3")
        .args(["-c", "import setuptools; print(setuptools.__version__)"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !version.is_empty()).then_some(version)
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// The same steps by hand, by way of the variables as make would.
fn plain_commands() -> Vec<Vec<OsString>> {
    [
        "${CC:-cc} -c -fPIC library.c -o library.o",
        "${AR:-ar} rc libdoctor.a library.o",
        "${CC:-cc} -c -fPIC module.c -o module.o",
        "${CC:-cc} -shared module.o libdoctor.a -o module.so",
    ]
    .map(|line| words(&["sh", "-c", line]))
    .to_vec()
}

fn build(dir: &Path, log: &Path, step: &[OsString], own: bool) -> std::io::Result<Output> {
    let mut command = if own {
        let mut command = Command::new(&step[0]);
        command.args(&step[1..]);
        command
    } else {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["run", "-j1", "--no-summary", "--"])
            .args(step);
        command
    };
    command
        .current_dir(dir)
        .env("OBJGUARD_LOG", log)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cc_is_ours_by_what_it_leads_to() {
        let environment = |cc: &str| {
            vec![
                ("CC".into(), cc.into()),
                ("PATH".into(), "/bin:/usr/bin".into()),
            ]
        };
        assert!(!leads_to_ours(&environment("")));
        assert!(!leads_to_ours(&environment("sh")));
        assert!(!leads_to_ours(&[]));
    }
}
