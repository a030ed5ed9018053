//! Why a variant can't stand for a request now.

use std::fmt;
use std::path::{Path, PathBuf};

/// A reason to compile. Its [`fmt::Display`] is what `objguard explain` prints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dirty {
    /// Nothing is known of this request: a first compile, another compiler, other words or variables; or a record that can't be read.
    NoRecord,
    /// The request is never skipped, and why.
    NeverSkipped(String),
    /// A file that the compile read has other content.
    InputChanged(PathBuf),
    /// A file that the compile read can't be read.
    InputMissing(PathBuf),
    /// A file that the search for headers would find, or `__has_include` would tell of, has come or gone.
    Shadowed(PathBuf),
    /// A folder of the search path changed, and a computed `__has_include` could tell.
    SearchFolderChanged(PathBuf),
    /// The diagnostics to replay were made for another language or terminal.
    Diagnostics,
    /// No file holds the variant any more.
    ObjectLost,
    /// The build environment is another, and what would be restored is not what a compile gives now: why.
    Moved(String),
    /// The build environment is another, and its path may matter to the object: why.
    Bound(String),
    /// A file that is written beside the object is missing or another.
    SideOutput(PathBuf),
}

impl fmt::Display for Dirty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |p: &PathBuf| p.display().to_string();
        match self {
            Dirty::NoRecord => write!(
                f,
                "no compile with these words, variables and this compiler is on record"
            ),
            Dirty::NeverSkipped(why) => write!(f, "{why}"),
            Dirty::InputChanged(p) => write!(f, "{} `{}` changed", kind(p), show(p)),
            Dirty::InputMissing(p) => write!(f, "{} `{}` is missing", kind(p), show(p)),
            Dirty::Shadowed(p) => write!(f, "`{}` has come or gone on the search path", show(p)),
            Dirty::SearchFolderChanged(p) => write!(
                f,
                "folder `{}` changed, and a computed `__has_include` could see it",
                show(p)
            ),
            Dirty::Diagnostics => {
                write!(f, "its warnings were made for another language or terminal")
            }
            Dirty::Moved(why) => write!(f, "the build environment is another one: {why}"),
            Dirty::Bound(why) => write!(
                f,
                "the build environment is another one, and may show: {why}"
            ),
            Dirty::ObjectLost => write!(f, "no file holds the object any more"),
            Dirty::SideOutput(p) => write!(
                f,
                "`{}`, written beside the object, is missing or another",
                show(p)
            ),
        }
    }
}

fn kind(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .map(|e| e.as_encoded_bytes())
        .unwrap_or_default();
    match extension {
        b"c" | b"cc" | b"cpp" | b"cxx" | b"C" | b"m" | b"mm" | b"s" | b"S" | b"i" | b"ii" => {
            "source"
        }
        _ => "header",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wording() {
        assert_eq!(
            Dirty::InputChanged("inc/h.h".into()).to_string(),
            "header `inc/h.h` changed"
        );
        assert_eq!(
            Dirty::InputMissing("a.c".into()).to_string(),
            "source `a.c` is missing"
        );
        assert_eq!(
            Dirty::NeverSkipped("`-fplugin` is never skipped".into()).to_string(),
            "`-fplugin` is never skipped"
        );
    }
}
