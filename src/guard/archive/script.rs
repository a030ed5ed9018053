//! `ar -M`: the archive and its members are named by a script on standard input.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Changing, Job};
use crate::archive;
use crate::guard::taken::{Named, Taken, guarded};
use crate::guard::{Done, Session, Target, cannot};
use crate::lineage;
use crate::process::{Redirect, Stderr};

/// Runs `ar -M`, in place.
///
/// # Errors
/// As [`super::archive()`].
pub fn archive_script(session: &Session<'_>) -> anyhow::Result<Done> {
    let began = Instant::now();
    let Some((text, input)) = Input::read()? else {
        return Ok(Done::AsWritten("the script is typed in".into()));
    };
    let script = archive::script(&text);
    let [path] = script.archives.as_slice() else {
        return as_written(session, &input);
    };
    let Ok(target) = Target::behind_links(path) else {
        return as_written(session, &input);
    };
    let why = "a script names it; write an `ar rcs` command";
    let files = script.files.into_iter();
    let taken = Taken {
        session,
        output: path,
        verb: "archive",
        inputs: guarded(files.map(|file| (Named::Fixed(why.into()), file)))?,
    };
    let job = Job::InPlace(session.words(), Some(input.again()?));
    match Changing::new(session, job, target, taken, began)? {
        Ok(changing) => changing.run(),
        Err(_) => as_written(session, &input),
    }
}

/// The script has been read: it can't be left to whoever is executed in our place.
fn as_written(session: &Session<'_>, input: &Input) -> anyhow::Result<Done> {
    let redirect = Redirect {
        stdin: Some(input.start()?),
        stdout: None,
        ..Redirect::default()
    };
    let run = session
        .as_written()
        .run_with(redirect, Stderr::Inherit, &[]);
    let outcome = run.map_err(cannot("run", &session.compiler.program))?;
    Ok(Done::Ended(outcome.ended))
}

/// A file from which the archiver can read the script, as often as it is run.
pub(super) struct Input {
    file: File,
    begin: u64,
}

impl Input {
    /// Reads standard input, and keeps it if it isn't a file already. `None`: somebody types it.
    fn read() -> anyhow::Result<Option<(Vec<u8>, Input)>> {
        let failed = || cannot("read", Path::new("standard input"));
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Ok(None);
        }
        let mut given = File::from(stdin.as_fd().try_clone_to_owned().map_err(failed())?);
        let mut text = Vec::new();
        if given.metadata().is_ok_and(|m| m.is_file()) {
            let begin = given.stream_position().map_err(failed())?;
            given.read_to_end(&mut text).map_err(failed())?;
            return Ok(Some((text, Input { file: given, begin })));
        }
        given.read_to_end(&mut text).map_err(failed())?;
        let file = unnamed(&text)?;
        Ok(Some((text, Input { file, begin: 0 })))
    }

    fn again(&self) -> anyhow::Result<Input> {
        let file = self.file.try_clone();
        Ok(Input {
            file: file.map_err(cannot("read", Path::new("standard input")))?,
            begin: self.begin,
        })
    }

    /// The file, at the script's begin.
    pub(super) fn start(&self) -> anyhow::Result<File> {
        let mut file = self.again()?.file;
        let sought = file.seek(SeekFrom::Start(self.begin));
        sought.map_err(cannot("read", Path::new("standard input")))?;
        Ok(file)
    }
}

/// A file with this content and without a name.
fn unnamed(text: &[u8]) -> anyhow::Result<File> {
    let id = format!("objguard-{}-{}", std::process::id(), lineage::boottime_ns());
    let path: PathBuf = std::env::temp_dir().join(id);
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(cannot("create", &path))?;
    let _ = fs::remove_file(&path);
    file.write_all(text).map_err(cannot("write", &path))?;
    Ok(file)
}
