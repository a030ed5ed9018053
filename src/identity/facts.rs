//! What is found out about a compiler by asking it: once per compiler, then kept by `store`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::answers::{self, Verbose};
use super::run::{self, Answer, Wanted};
use super::{Kind, Question, Role, elf, variables};
use crate::compiler::{each_on_path, executable};
use crate::stamp::Stamp;

/// All that is known of a compiler.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) version: (u32, u32, u32),
    pub(super) target: String,
    pub(super) include_dirs: Vec<PathBuf>,
    /// The files it consists of, and those whose change may give it others.
    pub(super) files: Vec<Recorded>,
    /// What isn't there, and would be used if it were.
    pub(super) absent: Vec<PathBuf>,
    /// Names that it looks up on PATH, and what that gave.
    pub(super) lookups: Vec<(OsString, PathBuf)>,
    /// The variables that its scripts mention, if it has any. Sorted.
    pub(super) variables: Option<Vec<Vec<u8>>>,
    /// Whether the facts will hold as long as what is recorded stays as it is.
    pub(super) lasting: bool,
}

/// One file of a compiler.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) role: Role,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    /// The hash of its content, where the stamp alone won't do.
    pub(super) content: Option<[u8; 32]>,
}

/// Stamps younger than this (ns) prove nothing: the file may change again within the same tick of the file-system clock, 10 ms
/// at HZ=100.
const YOUNG: i64 = 50_000_000;

/// Scripts longer than this (bytes) are not looked through.
const LONG_SCRIPT: u64 = 4 << 20;

/// Asks the compiler.
///
/// # Errors
/// It can't be started.
pub(super) fn find_out(question: &Question<'_>) -> Result<Facts> {
    let mut inquiry = Inquiry {
        question,
        mark: question.compiler.inner_mark(question.config),
        facts: Facts::default(),
    };
    let program = &question.compiler.program;
    let words = [
        "-E",
        "-v",
        "-x",
        super::asked_as(question.language),
        "/dev/null",
    ];
    let answer = inquiry
        .ask(&words, Wanted::Stderr)
        .with_context(|| format!("cannot run `{}`", program.display()))?;
    let said = answers::verbose(&answer.text);
    inquiry.facts.lasting = answer.ok || said.kind == Kind::Unknown;
    inquiry.program_files(&said);
    match said.kind {
        Kind::Gcc => inquiry.gcc(&said),
        Kind::Clang => inquiry.clang(&said),
        Kind::Unknown => {}
    }
    inquiry.loader();
    let mut facts = inquiry.facts;
    (facts.kind, facts.version, facts.target) = (said.kind, said.version, said.target);
    facts.include_dirs = said.include_dirs;
    // A relative name may mean another file from another folder; what is there is compared, so only what isn't matters.
    for missing in &said.missing_dirs {
        facts.note_absence(missing);
    }
    let now = clock();
    facts.lasting &= facts
        .files
        .iter()
        .all(|file| file.stamp.ctime < now - YOUNG);
    Ok(facts)
}

struct Inquiry<'a> {
    question: &'a Question<'a>,
    mark: OsString,
    facts: Facts,
}

impl Inquiry<'_> {
    /// Runs the compiler with the probe flags and `words`.
    fn ask(&self, words: &[&str], wanted: Wanted) -> io::Result<Answer> {
        let Question {
            compiler,
            probe_flags,
            environment,
            ..
        } = self.question;
        let args: Vec<&OsStr> = (compiler
            .words
            .iter()
            .chain(*probe_flags)
            .map(OsString::as_os_str))
        .chain(words.iter().map(OsStr::new))
        .collect();
        run::ask(
            &compiler.program,
            &compiler.argv0,
            &args,
            environment,
            &self.mark,
            wanted,
        )
    }

    /// One line that the compiler prints, as a path.
    fn ask_path(&self, word: &str) -> Option<PathBuf> {
        let mut text = self.ask(&[word], Wanted::Stdout).ok()?.text;
        text.truncate(text.iter().position(|b| *b == b'\n').unwrap_or(text.len()));
        (!text.is_empty()).then(|| PathBuf::from(OsString::from_vec(text)))
    }

    /// The program that was run, its launchers, and the compiler behind them.
    fn program_files(&mut self, said: &Verbose) {
        let compiler = self.question.compiler;
        for launcher in &compiler.launchers {
            self.tool(Role::Launcher, launcher);
        }
        self.tool(Role::Driver, &compiler.proper);
        if said.kind == Kind::Unknown
            && let Some(driver) = self
                .facts
                .files
                .iter_mut()
                .find(|file| file.role == Role::Driver)
        {
            driver.content = driver.content.or_else(|| hash(&driver.path));
        }
        // A script, ccache or distcc may have chosen another gcc than we think.
        match &said.driver {
            Some(driver) if driver.as_os_str() != compiler.argv0 => {
                self.tool_by_word(Role::Driver, driver)
            }
            _ => {}
        }
        match &said.compiler {
            Some(program) => self.tool_by_word(Role::Compiler, program),
            None => self.facts.lasting &= said.kind == Kind::Unknown,
        }
        for file in &said.settings {
            self.file(Role::Settings, file);
        }
    }

    fn gcc(&mut self, said: &Verbose) {
        let assembler = self
            .ask_path("-print-prog-name=as")
            .unwrap_or_else(|| PathBuf::from("as"));
        self.tool_by_word(Role::Assembler, &assembler);
        let dirs = self
            .ask(&["-print-search-dirs"], Wanted::Stdout)
            .map(|answer| answers::search_dirs(&answer.text))
            .unwrap_or_default();
        for tool in [said.compiler.as_deref(), Some(&assembler)]
            .into_iter()
            .flatten()
        {
            let Some(name) = tool.file_name() else {
                continue;
            };
            for dir in &dirs.programs {
                let candidate = dir.join(name);
                if candidate == tool {
                    break;
                }
                self.facts.note_absence(&candidate);
            }
        }
        // A file called `specs` is read from any of these without a word of it on the command line.
        let tooldir = format!("/{}/lib/", said.target);
        let in_tooldir = |dir: &&PathBuf| {
            dir.as_os_str()
                .as_bytes()
                .windows(tooldir.len())
                .any(|part| part == tooldir.as_bytes())
        };
        for dir in dirs
            .install
            .iter()
            .chain(&dirs.programs)
            .chain(dirs.libraries.iter().filter(in_tooldir))
        {
            self.facts.note_absence(&dir.join("specs"));
        }
        // Of these gcc doesn't tell that they are missing.
        for prefix in self.program_prefixes() {
            for name in ["include", "include-fixed"] {
                let mut joined = prefix.clone();
                joined.push(name);
                self.facts.note_absence(Path::new(&joined));
                self.facts.note_absence(&Path::new(&prefix).join(name));
            }
        }
    }

    /// The values of `-B`: folders, or the beginnings of paths (gcc(1), Directory Options).
    fn program_prefixes(&self) -> Vec<OsString> {
        let Question {
            compiler,
            probe_flags,
            ..
        } = self.question;
        let mut prefixes = Vec::new();
        let mut words = compiler.words.iter().chain(*probe_flags);
        while let Some(word) = words.next() {
            match word.as_bytes().strip_prefix(b"-B") {
                Some(b"") => prefixes.extend(words.next().cloned()),
                Some(value) => prefixes.push(OsStr::from_bytes(value).to_owned()),
                None => {}
            }
        }
        prefixes
    }

    fn clang(&mut self, said: &Verbose) {
        let external =
            |flag: &&OsString| *flag == "-fno-integrated-as" || *flag == "-no-integrated-as";
        let internal = |flag: &&OsString| *flag == "-fintegrated-as" || *flag == "-integrated-as";
        let last = self
            .question
            .probe_flags
            .iter()
            .rfind(|flag| external(flag) || internal(flag));
        if last.as_ref().is_some_and(external) {
            let assembler = self
                .ask_path("-print-prog-name=as")
                .unwrap_or_else(|| PathBuf::from("as"));
            self.tool_by_word(Role::Assembler, &assembler);
        }
        // A newer gcc beside the chosen one brings another libstdc++.
        for installation in &said.gcc_installations {
            if let Some(versions) = installation.parent() {
                self.file(Role::Watched, versions);
            }
        }
        // Since 16, clang reads these if they are there.
        if let Some(dir) = said.compiler.as_deref().and_then(Path::parent) {
            let name = self
                .question
                .compiler
                .proper
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            for file in [
                format!("{name}.cfg"),
                format!("{}-{name}.cfg", said.target),
                format!("{}.cfg", said.target),
                "clang.cfg".into(),
            ] {
                self.facts.note_absence(&dir.join(file));
            }
        }
    }

    /// What decides which shared libraries are loaded.
    fn loader(&mut self) {
        self.file(Role::Watched, Path::new("/etc/ld.so.cache"));
        self.file(Role::Watched, Path::new("/etc/ld.so.preload"));
        self.facts.note_absence(Path::new("/etc/ld.so.preload"));
        let Some(dirs) = variables::get(self.question.environment, "LD_LIBRARY_PATH") else {
            return;
        };
        let libraries: Vec<PathBuf> = self
            .facts
            .files
            .iter()
            .filter(|file| file.role == Role::Library)
            .map(|file| file.path.clone())
            .collect();
        for library in libraries {
            let Some(name) = library.file_name() else {
                continue;
            };
            for dir in dirs
                .as_bytes()
                .split(|b| matches!(b, b':' | b';'))
                .filter(|dir| !dir.is_empty())
            {
                let candidate = Path::new(OsStr::from_bytes(dir)).join(name);
                if candidate == library {
                    break;
                }
                self.facts.note_absence(&candidate);
            }
        }
    }

    /// Records a program named by a path, or by a word that is looked up on PATH.
    fn tool_by_word(&mut self, role: Role, word: &Path) {
        if word.as_os_str().as_bytes().contains(&b'/') {
            return self.tool(role, word);
        }
        match on_path(word.as_os_str(), self.question.path()) {
            Some(path) => {
                self.tool(role, &path);
                self.facts.lookups.push((word.as_os_str().to_owned(), path));
            }
            // It may be installed any time.
            None => self.facts.lasting = false,
        }
    }

    /// Records a program and what it loads; of a script, the content and the variables it mentions.
    fn tool(&mut self, role: Role, path: &Path) {
        let Some(at) = self.file(role, path) else {
            self.facts.lasting = false;
            return;
        };
        let same = |other: &&Recorded| {
            (other.stamp.dev, other.stamp.ino)
                == (
                    self.facts.files[at].stamp.dev,
                    self.facts.files[at].stamp.ino,
                )
        };
        if let Some(other) = self.facts.files[..at].iter().find(same) {
            // The same program under another name (`/usr/bin/clang` and what its link leads to): all that follows is known.
            self.facts.files[at].content = other.content;
            return;
        }
        match script(path) {
            Ok(None) => {
                for library in elf::libraries(path, self.question.environment, &self.mark) {
                    self.file(Role::Library, &library);
                }
            }
            Ok(Some(content)) => {
                self.facts.files[at].content = Some(*blake3::hash(&content).as_bytes());
                match answers::variables(&content) {
                    Some(names) => {
                        let all = self.facts.variables.get_or_insert_default();
                        all.extend(names);
                        all.sort_unstable();
                        all.dedup();
                    }
                    None => self.facts.lasting = false,
                }
            }
            Err(_) => self.facts.lasting = false,
        }
    }

    /// Records a file under its path, if it is there; gives its place in the list.
    fn file(&mut self, role: Role, path: &Path) -> Option<usize> {
        let stamp = Stamp::of(path).ok()?;
        if let Some(at) = self.facts.files.iter().position(|file| file.path == path) {
            return Some(at);
        }
        let content = if role == Role::Settings || !stamp.tells(path) {
            hash(path)
        } else {
            None
        };
        self.facts.files.push(Recorded {
            role,
            path: path.to_owned(),
            stamp,
            content,
        });
        Some(self.facts.files.len() - 1)
    }
}

impl Facts {
    /// Notes that `path` isn't there, by the outermost folder that isn't: one look at that one tells as much.
    fn note_absence(&mut self, path: &Path) {
        if fs::metadata(path).is_ok() {
            return;
        }
        let mut missing = path;
        while let Some(parent) = missing
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            && fs::metadata(parent).is_err()
        {
            missing = parent;
        }
        if !self.absent.iter().any(|known| known == missing) {
            self.absent.push(missing.to_owned());
        }
    }
}

/// The first program `name` on PATH.
fn on_path(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    each_on_path(path, name, |candidate, meta| {
        executable(candidate, meta).then(|| candidate.to_owned())
    })
}

/// The content of `path` if it is a script: text, as far as its beginning tells.
fn script(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = fs::File::open(path)?;
    let mut content = Vec::new();
    file.by_ref().take(512).read_to_end(&mut content)?;
    // Every executable format has zeros in its header.
    if content.contains(&0) {
        return Ok(None);
    }
    file.take(LONG_SCRIPT).read_to_end(&mut content)?;
    if content.len() as u64 >= LONG_SCRIPT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(content))
}

/// The hash of a file's content, or of the names in a folder.
pub(super) fn hash(path: &Path) -> Option<[u8; 32]> {
    if path.is_dir() {
        let entries: io::Result<Vec<_>> = fs::read_dir(path).ok()?.collect();
        let mut names: Vec<_> = entries.ok()?.iter().map(fs::DirEntry::file_name).collect();
        names.sort();
        return Some(*blake3::hash(names.join(OsStr::new("/")).as_bytes()).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path).ok()?).ok()?;
    Some(*hasher.finalize().as_bytes())
}

/// Now, in ns since the epoch.
fn clock() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
