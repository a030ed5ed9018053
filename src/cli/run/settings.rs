//! The environment of a guarded build: which variables are set to what, and which links they lead to. Looks at PATH, writes
//! nothing.
//!
//! ```text
//! <folder of links>/
//!   cc-<digest>/gcc    CC: objguard-cc under the name of the user's compiler, for builds that look for `gcc` or `clang` in it
//!   cxx-<digest>/g++   CXX
//!   ar-<digest>/ar     AR
//!   bin-<digest>/…     first on PATH: builds that call a compiler by name get ours as well. A run turns on parallel builds,
//!                      so a compile that slips by would meet the very races it is there to prevent
//! ```
//!
//! What the user had in CC goes to OBJGUARD_CC, launchers included; its options stay in CC, where builds may look for them.
//! Build trees remember $CC for longer than the run (CMakeCache.txt, config.status): the folders are named by what the links
//! stand for, so that the next run has the same ones, and lie in the user's cache, where they outlive the run.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::compiler::{self, Compiler};
use crate::config::{Config, ROLES, role_folder};

/// Variables that hold a command beginning with a compiler. They are changed where the user set them, not added.
const COMMANDS: [&str; 11] = [
    "LDSHARED",
    "LDCXXSHARED",
    "LINKCC",
    "CCLD",
    "CXXLD",
    "CC_FOR_BUILD",
    "CXX_FOR_BUILD",
    "BUILD_CC",
    "BUILD_CXX",
    "HOSTCC",
    "HOSTCXX",
];

/// Variables that hold a number of jobs: numpy.distutils and, by its documentation's advice, pybind11's ParallelCompile; CMake.
const JOBS: [&str; 2] = ["NPY_NUM_BUILD_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL"];

/// Our executables.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// `objguard`.
    pub(super) command: PathBuf,
    /// `objguard-cc`, which is `objguard-c++` by name.
    pub(super) compiler: PathBuf,
    /// `objguard-ar`, if it is installed.
    pub(super) archiver: Option<PathBuf>,
}

/// What a run sets up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Settings {
    /// Variables and their values.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Links and where they lead.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// One line each for the user.
    pub(super) notes: Vec<String>,
}

/// Works out the settings for a build with `environment`; `folder` is that of links.
pub(super) fn settings(
    folder: &Path,
    programs: &Programs,
    environment: &[(OsString, OsString)],
    jobs: usize,
) -> Settings {
    let mut plan = Plan {
        folder,
        programs,
        environment,
        out: Settings::default(),
    };
    let cc = plan.compiler("CC", "OBJGUARD_CC", "cc", "cc");
    let cxx = plan.compiler("CXX", "OBJGUARD_CXX", "cxx", "c++");
    for name in COMMANDS {
        plan.command(name, [&cc, &cxx].into_iter().flatten());
    }
    plan.archiver();
    plan.path();
    for name in JOBS {
        if plan.variable(name).is_none() {
            plan.set(name, jobs.to_string());
        }
    }
    plan.out
}

/// A compiler that got a link.
struct Linked {
    /// The words that named it.
    words: Vec<OsString>,
    link: PathBuf,
}

struct Plan<'a> {
    folder: &'a Path,
    programs: &'a Programs,
    environment: &'a [(OsString, OsString)],
    out: Settings,
}

impl Plan<'_> {
    /// A variable's value; an empty one counts as none.
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.environment.iter().find(|(n, _)| n == name)?;
        (!value.is_empty()).then_some(value)
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.out.variables.push((name.into(), value.into()));
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.cc = self.variable("OBJGUARD_CC").map(OsStr::to_owned);
        config.cxx = self.variable("OBJGUARD_CXX").map(OsStr::to_owned);
        config.ar = self.variable("OBJGUARD_AR").map(OsStr::to_owned);
        config
    }

    /// CC or CXX. `None`: there is no such compiler, and the variable stays as it is.
    fn compiler(&mut self, name: &str, ours: &str, role: &str, standard: &str) -> Option<Linked> {
        let before = self
            .variable(ours)
            .map_or_else(|| OsString::from(standard), OsStr::to_owned);
        let given = self.variable(name).map(OsStr::to_owned);
        let words = match &given {
            Some(value) => compiler::split(value.as_bytes()).unwrap_or_default(),
            None => Vec::new(),
        };
        // CC=objguard-cc, or a link of a run around this one: the real compiler is in our variable already.
        let (real, mut options) = match words.first() {
            None => (before, Vec::new()),
            Some(first) if stands_for_ours(first, &self.config()) => (before, words[1..].to_vec()),
            Some(first) if file_name(first) == "objguard" => (quoted(&words[1..]), Vec::new()),
            Some(_) => (given.clone().unwrap_or_default(), Vec::new()),
        };
        let mut config = Config::default();
        config.cc = Some(real.clone());
        config.cxx = Some(real.clone());
        let invoked_as = if role == "cc" {
            "objguard-cc"
        } else {
            "objguard-c++"
        };
        let found = match compiler::resolve(invoked_as.as_ref(), &config, self.variable("PATH")) {
            Ok(found) => found,
            Err(e) => {
                if given.is_some() {
                    self.out.notes.push(format!("{name} is left as it is: {e}"));
                }
                return None;
            }
        };
        let mut words = compiler::split(real.as_bytes()).unwrap_or_default();
        words.truncate(words.len() - found.flags.len());
        options.splice(0..0, found.flags.iter().cloned());
        let real = quoted(&words);
        let folder = role_folder(role, &real);
        let program = self.programs.compiler.clone();
        let link = self.link(&folder, &visible_name(&found), &program);
        let mut value = vec![link.clone().into_os_string()];
        value.extend(options);
        self.set(name, quoted(&value));
        self.set(ours, real);
        Some(Linked { words, link })
    }

    /// A command that begins with a compiler, if the user set it.
    fn command<'l>(&mut self, name: &str, mut linked: impl Iterator<Item = &'l Linked>) {
        let Some(mut words) = self
            .variable(name)
            .and_then(|v| compiler::split(v.as_bytes()))
        else {
            return;
        };
        let ours = words
            .first()
            .is_none_or(|w| file_name(w).as_bytes().starts_with(b"objguard"));
        if ours {
            return;
        }
        let begins = |l: &&Linked| words.starts_with(&l.words);
        if let Some(linked) = linked.find(begins) {
            words.splice(0..linked.words.len(), [linked.link.clone().into()]);
            self.set(name, quoted(&words));
            return;
        }
        let found = compiler::resolve_prefix(&words, &Config::default(), self.variable("PATH"));
        let is_compiler =
            |used: usize| compiler::driver(file_name(&words[used - 1]).as_bytes()).is_some();
        if found.is_ok_and(|(_, used)| is_compiler(used)) {
            words.insert(0, self.programs.command.clone().into());
            self.set(name, quoted(&words));
        }
    }

    fn archiver(&mut self) {
        let Some(ours) = self.programs.archiver.clone() else {
            return;
        };
        let given = self
            .variable("AR")
            .and_then(|v| compiler::split(v.as_bytes()));
        let mut words = given.unwrap_or_else(|| vec!["ar".into()]);
        let before = || {
            self.variable("OBJGUARD_AR")
                .map_or_else(|| "ar".into(), OsStr::to_owned)
        };
        let Some(first) = words.first() else { return };
        let real = if stands_for_ours(first, &self.config()) {
            before()
        } else {
            quoted(std::slice::from_ref(first))
        };
        let program = compiler::split(real.as_bytes()).and_then(|w| w.into_iter().next());
        let Some(program) = program.filter(|p| self.is_there(p)) else {
            return;
        };
        let link = self.link(&role_folder("ar", &real), &file_name(&program), &ours);
        words[0] = link.into();
        self.set("AR", quoted(&words));
        self.set("OBJGUARD_AR", real);
    }

    fn is_there(&self, program: &OsStr) -> bool {
        if program.as_bytes().contains(&b'/') {
            return Path::new(program).is_file();
        }
        let executable =
            |path: &Path, meta: &fs::Metadata| compiler::executable(path, meta).then_some(());
        compiler::each_on_path(self.variable("PATH"), program, executable).is_some()
    }

    /// Links of every compiler and archiver on PATH, by name.
    fn path(&mut self) {
        let Some(path) = self.variable("PATH").map(OsStr::to_owned) else {
            return;
        };
        let mut names = BTreeSet::new();
        for folder in std::env::split_paths(&path) {
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            names.extend(
                entries
                    .flatten()
                    .map(|e| e.file_name())
                    .filter(|n| role_of(n.as_bytes()).is_some()),
            );
        }
        let target = |name: &OsStr| match role_of(name.as_bytes())? {
            Role::Compiler => Some(self.programs.compiler.clone()),
            Role::Archiver => self.programs.archiver.clone(),
        };
        let links: Vec<(OsString, PathBuf)> = names
            .into_iter()
            .filter(|name| self.is_there(name))
            .filter_map(|name| Some((name.clone(), target(&name)?)))
            .collect();
        // A name that is no longer on PATH must not be there by way of ours: another set, another folder.
        let mut digest = blake3::Hasher::new();
        for (name, to) in &links {
            crate::request::tagged(&mut digest, "name", name.as_bytes());
            crate::request::tagged(&mut digest, "to", to.as_os_str().as_bytes());
        }
        let folder = format!("bin-{}", &digest.finalize().to_hex()[..16]);
        for (name, to) in links {
            self.link(&folder, &name, &to);
        }
        let mut first = self.folder.join(folder).into_os_string();
        first.push(":");
        first.push(path);
        self.set("PATH", first);
    }

    fn link(&mut self, folder: &str, name: &OsStr, to: &Path) -> PathBuf {
        let link = self.folder.join(folder).join(name);
        self.out.links.push((link.clone(), to.to_owned()));
        link
    }
}

/// Whether a word is objguard-cc or one of its like, or a link of a run's.
fn stands_for_ours(word: &OsStr, config: &Config) -> bool {
    let name = file_name(word);
    ROLES.iter().any(|(_, ours)| name == *ours) || config.role(Path::new(word)).is_some()
}

fn file_name(word: &OsStr) -> OsString {
    Path::new(word).file_name().unwrap_or_default().to_owned()
}

/// The compiler's name, as a build would like to see it: that of the program, or, where it says nothing (`cc`), of what it
/// links to.
fn visible_name(compiler: &Compiler) -> OsString {
    let name = compiler.proper.file_name().unwrap_or_default().to_owned();
    let mut path = compiler.proper.clone();
    // The kernel follows 40 links.
    for _ in 0..40 {
        let here = path.file_name().unwrap_or_default().to_owned();
        let has = |word: &str| here.to_string_lossy().contains(word);
        if has("gcc") || has("g++") || has("clang") {
            return here;
        }
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    name
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Compiler,
    Archiver,
}

/// What a program of this name is, with a target's name before it and a version behind it: `x86_64-linux-gnu-gcc-12`.
fn role_of(name: &[u8]) -> Option<Role> {
    const COMPILERS: [&[u8]; 6] = [b"cc", b"c++", b"gcc", b"g++", b"clang", b"clang++"];
    const ARCHIVERS: [&[u8]; 6] = [
        b"ar",
        b"gcc-ar",
        b"llvm-ar",
        b"ranlib",
        b"gcc-ranlib",
        b"llvm-ranlib",
    ];
    let version = name
        .iter()
        .rposition(|b| !b.is_ascii_digit() && *b != b'.')
        .filter(|at| name[*at] == b'-' && at + 1 < name.len());
    let bare = &name[..version.unwrap_or(name.len())];
    let is = |tool: &&[u8]| {
        bare.strip_suffix(*tool)
            .is_some_and(|target| target.is_empty() || target.ends_with(b"-"))
    };
    if ARCHIVERS.iter().any(is) {
        Some(Role::Archiver)
    } else if COMPILERS.iter().any(is) {
        Some(Role::Compiler)
    } else {
        None
    }
}

/// Words as one value that a shell, make and setuptools split into them again.
fn quoted(words: &[OsString]) -> OsString {
    let mut out = Vec::new();
    for (n, word) in words.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_=+./:,@%^~".contains(b) || *b >= 0x80;
        if !word.is_empty() && word.as_bytes().iter().all(plain) {
            out.extend_from_slice(word.as_bytes());
            continue;
        }
        out.push(b'\'');
        for byte in word.as_bytes() {
            match byte {
                b'\'' => out.extend_from_slice(br"'\''"),
                other => out.push(*other),
            }
        }
        out.push(b'\'');
    }
    OsString::from_vec(out)
}

#[cfg(test)]
#[path = "settings/tests.rs"]
mod tests;
