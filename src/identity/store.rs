//! The cache of what is known about compilers: one small file for each way one is called.
//!
//! # Format
//!
//! Numbers are little-endian; a `text` is its length (u16) and its bytes; a `list` is its length (u16) and its items.
//!
//! ```text
//! "objguard compiler 1\n"
//! checksum      32 bytes   blake3 of all that follows
//! key           32 bytes
//! digest        32 bytes
//! kind          u8         0 gcc, 1 clang, 2 unknown
//! version       3 × u32
//! target        text
//! include dirs  list of text
//! files         list of { role u8, stamp 5 × u64 (dev, ino, size, mtime, ctime), hashed u8, [content 32 bytes], path text }
//! absent        list of text
//! lookups       list of { name text, path text }
//! scripts       u8         1: what follows is there
//!   values      32 bytes   hash of the values of the variables
//!   variables   list of text
//! ```
//!
//! What is read holds if every file still has its stamp, nothing absent has appeared, and every name is still found on PATH
//! where it was: about 30 calls of `stat` for gcc, 85 µs where one takes 2.3 µs. Anything else, and anything that can't be
//! read, is a miss: the compiler is asked again and the file replaced. Writing fails in silence; the folder may vanish any
//! time.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::variables::{self, Scope};
use super::{Identity, Kind, Question, Role, Tool};
use crate::compiler::{each_on_path, executable};
use crate::scratch;
use crate::stamp::Stamp;
use crate::state::is_ours;

const MAGIC: &[u8] = b"objguard compiler 1\n";

/// Longer files (bytes) are none of ours.
const LONGEST: u64 = 1 << 20;

/// When there are more files than this, the older half goes.
const MANY: usize = 256;

/// The folder of fingerprints in a state folder.
const IN_STATE: &str = "fingerprints";

/// A folder that compilers' identities may be kept in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheDir {
    /// This must be there and ours; nothing is made outside of it.
    base: PathBuf,
    path: PathBuf,
}

impl CacheDir {
    /// The folder itself, there or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, made if it isn't there; `None`: it can't be, or isn't ours alone.
    pub fn prepared(&self) -> Option<&Path> {
        prepare(self).ok().map(|()| self.path())
    }
}

/// Where identities may be kept, best first: below `$XDG_CACHE_HOME` or else `$HOME/.cache`, then in the state folder of
/// the build. The home is looked up nowhere but in the environment: packagers' builds set it to a folder of their own, or to
/// one that isn't there, so that nothing is written elsewhere. Looks at no file.
pub fn cache_dirs(environment: &[(OsString, OsString)], state_dir: Option<&Path>) -> Vec<CacheDir> {
    let folder = |name| {
        variables::get(environment, name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
    };
    let mut dirs = Vec::with_capacity(2);
    if let Some(base) = folder("XDG_CACHE_HOME") {
        dirs.push(CacheDir {
            base: base.to_owned(),
            path: base.join("objguard"),
        });
    } else if let Some(base) = folder("HOME") {
        dirs.push(CacheDir {
            base: base.to_owned(),
            path: base.join(".cache/objguard"),
        });
    }
    if let Some(base) = state_dir {
        dirs.push(CacheDir {
            base: base.to_owned(),
            path: base.join(IN_STATE),
        });
    }
    dirs
}

/// What is kept under `key`, if it still holds.
pub(super) fn load(dir: &CacheDir, key: &[u8; 32], question: &Question<'_>) -> Option<Identity> {
    decode(read(&dir.path.join(name(key)))?, key, question)
}

/// Reads what follows the checksum, which was right, and looks whether it holds.
pub(super) fn decode(body: Vec<u8>, key: &[u8; 32], question: &Question<'_>) -> Option<Identity> {
    let mut rest = Reader {
        bytes: body.get(MAGIC.len() + 32..)?,
    };
    if rest.take(32)? != key {
        return None;
    }
    let digest = rest.array()?;
    let kind = match rest.byte()? {
        0 => Kind::Gcc,
        1 => Kind::Clang,
        2 => Kind::Unknown,
        _ => return None,
    };
    let version = (rest.u32()?, rest.u32()?, rest.u32()?);
    let target = std::str::from_utf8(rest.text()?).ok()?.to_owned();
    let mut include_dirs = Vec::new();
    for _ in 0..rest.u16()? {
        include_dirs.push(rest.path()?.to_owned());
    }
    let files_at = body.len() - rest.bytes.len();
    for _ in 0..rest.u16()? {
        let file = rest.file()?;
        if Stamp::of(file.path).ok()? != file.stamp {
            return None;
        }
        // 30 MB of cc1 at every call, but only where nothing else tells.
        if !file.stamp.tells(file.path) && super::facts::hash(file.path)? != file.content? {
            return None;
        }
    }
    for _ in 0..rest.u16()? {
        if fs::metadata(rest.path()?).is_ok() {
            return None;
        }
    }
    for _ in 0..rest.u16()? {
        let (name, path) = (OsStr::from_bytes(rest.text()?), rest.path()?);
        let same = |candidate: &Path, meta: &fs::Metadata| {
            executable(candidate, meta).then_some(candidate == path)
        };
        if each_on_path(question.path(), name, same) != Some(true) {
            return None;
        }
    }
    if rest.byte()? == 1 {
        let values: [u8; 32] = rest.array()?;
        let mut names = Vec::new();
        for _ in 0..rest.u16()? {
            names.push(rest.text()?);
        }
        if variables::mentioned(&names, question.environment, Scope::Facts) != values {
            return None;
        }
    }
    rest.bytes.is_empty().then_some(Identity {
        kind,
        version,
        target,
        digest,
        include_dirs,
        cached: true,
        body,
        files_at,
    })
}

/// Reads a file whole, if it is ours and says so.
fn read(path: &Path) -> Option<Vec<u8>> {
    // Not blocking, lest somebody put a FIFO there.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || !is_ours(&meta, 0o022) || meta.len() > LONGEST {
        return None;
    }
    let mut body = vec![0; meta.len() as usize];
    file.read_exact(&mut body).ok()?;
    let rest = body.strip_prefix(MAGIC)?;
    let (checksum, content) = rest.split_at_checked(32)?;
    (blake3::hash(content).as_bytes() == checksum).then_some(body)
}

/// An identity of what was found out. Its tools are kept in the form of the cache, so that there is one way to read them.
pub(super) fn identity(key: &[u8; 32], facts: Facts, question: &Question<'_>) -> Identity {
    let digest = digest(&facts, question);
    let (body, files_at) = encode(key, &digest, &facts, question);
    let Facts {
        kind,
        version,
        target,
        include_dirs,
        ..
    } = facts;
    Identity {
        kind,
        version,
        target,
        digest,
        include_dirs,
        cached: false,
        body,
        files_at,
    }
}

/// Keeps `identity` under `key`; `false` if this folder can't be used.
pub(super) fn save(dir: &CacheDir, key: &[u8; 32], identity: &Identity) -> bool {
    let Ok(()) = prepare(dir) else { return false };
    let path = dir.path.join(name(key));
    let fresh = fs::symlink_metadata(&path).is_err();
    let written = scratch::write_atomically(&path, &identity.body, 0o600).is_ok();
    if written && fresh {
        thin_out(&dir.path);
    }
    written
}

/// Makes the folder, if its base is there and ours.
fn prepare(dir: &CacheDir) -> io::Result<()> {
    if !ours(&dir.base, 0o002) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut missing = Vec::new();
    let mut path = dir.path.as_path();
    while path != dir.base
        && fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    {
        missing.push(path);
        let Some(parent) = path.parent() else { break };
        path = parent;
    }
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    if ours(&dir.path, 0o022) {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Whether `path` is a folder of ours in which nobody else may write (`others`: their bits of the mode).
fn ours(path: &Path, others: u32) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_dir() && is_ours(&meta, others))
}

/// Removes the older half when there are too many, and what killed runs left behind.
fn thin_out(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut files: Vec<(i64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.mtime(), entry.path())))
        .collect();
    if files.len() > MANY {
        files.sort_unstable();
        for (_, path) in &files[..files.len() / 2] {
            let _ = fs::remove_file(path);
        }
    }
}

fn name(key: &[u8; 32]) -> String {
    let mut name = String::with_capacity(32);
    for byte in &key[..16] {
        name.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        name.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    }
    name
}

/// Hashes what a compiler consists of. Of a file, its stamp, but not the device, which network and overlay file systems
/// number anew at every mount; of scripts and settings the content, which is rewritten more often than changed. No paths:
/// the same compiler through another link is the same.
fn digest(facts: &Facts, question: &Question<'_>) -> [u8; 32] {
    let mut out = Writer::default();
    out.bytes.extend_from_slice(b"objguard compiler digest 1");
    out.bytes.push(kind_number(facts.kind));
    out.version(facts.version);
    out.text(facts.target.as_bytes());
    out.length(facts.include_dirs.len());
    for dir in &facts.include_dirs {
        out.text(dir.as_os_str().as_bytes());
    }
    for file in facts.files.iter().filter(|file| file.role != Role::Watched) {
        out.bytes.push(file.role.number());
        let by_stamp = file.content.is_none() || facts.kind == Kind::Unknown;
        if let Some(content) = &file.content {
            out.bytes.extend_from_slice(content);
        }
        if by_stamp {
            out.stamp(&Stamp {
                dev: 0,
                ..file.stamp
            });
        }
    }
    if let Some(names) = &facts.variables {
        out.bytes.extend_from_slice(&variables::mentioned(
            names,
            question.environment,
            Scope::Digest,
        ));
    }
    *blake3::hash(&out.bytes).as_bytes()
}

/// Gives the whole file and where its list of files starts.
fn encode(
    key: &[u8; 32],
    digest: &[u8; 32],
    facts: &Facts,
    question: &Question<'_>,
) -> (Vec<u8>, usize) {
    let mut out = Writer {
        bytes: Vec::with_capacity(4096),
    };
    out.bytes.extend_from_slice(MAGIC);
    out.bytes.extend_from_slice(&[0; 32]);
    out.bytes.extend_from_slice(key);
    out.bytes.extend_from_slice(digest);
    out.bytes.push(kind_number(facts.kind));
    out.version(facts.version);
    out.text(facts.target.as_bytes());
    out.length(facts.include_dirs.len());
    for dir in &facts.include_dirs {
        out.text(dir.as_os_str().as_bytes());
    }
    let files_at = out.bytes.len();
    out.length(facts.files.len());
    for file in &facts.files {
        out.bytes.push(file.role.number());
        out.stamp(&file.stamp);
        out.bytes.push(u8::from(file.content.is_some()));
        out.bytes
            .extend_from_slice(file.content.as_ref().map_or(&[], |hash| &hash[..]));
        out.text(file.path.as_os_str().as_bytes());
    }
    out.length(facts.absent.len());
    for path in &facts.absent {
        out.text(path.as_os_str().as_bytes());
    }
    out.length(facts.lookups.len());
    for (name, path) in &facts.lookups {
        out.text(name.as_bytes());
        out.text(path.as_os_str().as_bytes());
    }
    out.bytes.push(u8::from(facts.variables.is_some()));
    if let Some(names) = &facts.variables {
        out.bytes.extend_from_slice(&variables::mentioned(
            names,
            question.environment,
            Scope::Facts,
        ));
        out.length(names.len());
        for name in names {
            out.text(name);
        }
    }
    let start = MAGIC.len() + 32;
    let checksum = blake3::hash(&out.bytes[start..]);
    out.bytes[MAGIC.len()..start].copy_from_slice(checksum.as_bytes());
    (out.bytes, files_at)
}

/// The tools in an encoded identity.
pub(super) fn tools(body: &[u8], files_at: usize) -> impl Iterator<Item = Tool<'_>> {
    let mut rest = Reader {
        bytes: &body[files_at..],
    };
    let count = rest.u16().unwrap_or(0);
    (0..count).map_while(move |_| rest.file())
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Gcc => 0,
        Kind::Clang => 1,
        Kind::Unknown => 2,
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A length that doesn't fit makes a file that can't be read to its end, which is a miss.
    fn length(&mut self, length: usize) {
        self.bytes
            .extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.length(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn version(&mut self, (major, minor, patch): (u32, u32, u32)) {
        for number in [major, minor, patch] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn stamp(&mut self, stamp: &Stamp) {
        for number in [
            stamp.dev,
            stamp.ino,
            stamp.size,
            stamp.mtime as u64,
            stamp.ctime as u64,
        ] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn path(&mut self) -> Option<&'a Path> {
        self.text().map(|text| Path::new(OsStr::from_bytes(text)))
    }

    fn file(&mut self) -> Option<Tool<'a>> {
        let role = Role::numbered(self.byte()?)?;
        let stamp = Stamp {
            dev: self.u64()?,
            ino: self.u64()?,
            size: self.u64()?,
            mtime: self.u64()? as i64,
            ctime: self.u64()? as i64,
        };
        let content = if self.byte()? == 1 {
            Some(self.array()?)
        } else {
            None
        };
        Some(Tool {
            role,
            path: self.path()?,
            stamp,
            content,
        })
    }
}
