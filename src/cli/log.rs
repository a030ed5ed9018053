//! Reads event logs.

use std::fs;
use std::path::Path;

use super::{cannot, text};
use crate::events::Logged;

/// What a log says.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The events, by their start.
    pub(super) events: Vec<Logged>,
    /// Lines that can't be read, counted from 1, and why.
    pub(super) broken: Vec<(usize, String)>,
}

impl Log {
    /// Reads the log at `path`, from the byte `from` on.
    ///
    /// # Errors
    /// The file can't be read.
    pub(super) fn read(path: &Path, from: u64) -> anyhow::Result<Log> {
        let bytes = fs::read(path).map_err(cannot("read", path))?;
        Ok(Log::parse(bytes.get(from as usize..).unwrap_or(&bytes)))
    }

    /// Reads lines.
    pub(super) fn parse(bytes: &[u8]) -> Log {
        let mut log = Log::default();
        for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let read = std::str::from_utf8(line)
                .map_err(|_| "it is no text".to_owned())
                .and_then(Logged::parse);
            match read {
                Ok(event) => log.events.push(event),
                Err(why) => log.broken.push((n + 1, why)),
            }
        }
        log.events.sort_by_key(|e| (e.began, e.at));
        log
    }

    /// Says on stderr which lines can't be read; whether there were any.
    pub(super) fn complain(&self, path: &Path) -> bool {
        for (line, why) in self.broken.iter().take(10) {
            eprintln!(
                "objguard: cannot read line {line} of `{}`: {}",
                text::path(path),
                text::one_line(why)
            );
        }
        if self.broken.len() > 10 {
            eprintln!("objguard: and {} more lines of it", self.broken.len() - 10);
        }
        !self.broken.is_empty()
    }
}
