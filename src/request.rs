//! The request key: everything known before a compile that decides what it will give.
//!
//! One walk over the items feeds the digest and, for `objguard explain`, the list of what was hashed ([`items`]). Every item
//! is tagged and its length stands before it, so no two lists hash alike.
//!
//! | hashed | why |
//! |---|---|
//! | version of this list | another objguard may hash otherwise |
//! | compiler identity | an upgraded `cc1` behind an unchanged driver gives other objects |
//! | words, but for where object and depfile go | they decide the rest |
//! | of include directories in a build environment with a random name, its number for that | see [`relocation`] |
//! | spelling of the output | `-MD`'s target, names of side files (only where there are any) |
//! | working directory, as the compiler spells it | DW_AT_comp_dir, LTO streams, relative names (compiler-options.md, C) |
//! | the variables in [`VARIABLES`] | include paths, tool paths, `__DATE__` (compiler-options.md, D3) |
//! | the host's processor, with `-march=native` | expands to its features |
//!
//! Not hashed: `TMPDIR`, `MAKEFLAGS`, the umask (the mode is put right on a skip), `LANG` and colours (they decide diagnostics
//! only, and are compared when there are any to replay).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::Compile;
use crate::identity::Identity;
use crate::relocation;

/// Hashes one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

/// One content of an object: request key and the hashes of what was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct Variant(pub [u8; 16]);

macro_rules! short_names {
    ($type:ident) => {
        impl $type {
            /// 32 hexadecimal digits.
            pub fn short(&self) -> String {
                format!("{:032x}", u128::from_be_bytes(self.0))
            }

            /// Reads what [`Self::short`] gives.
            pub fn from_short(text: impl AsRef<[u8]>) -> Option<$type> {
                from_hex(text.as_ref()).map($type)
            }
        }
    };
}
short_names!(Key);
short_names!(Variant);

/// The number that 1 to 16 hexadecimal digits in lower case give.
pub fn hex_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    // Without a branch for each digit: a link of a thousand objects reads a quarter of a million.
    let (mut number, mut all) = (0, 0);
    for digit in digits {
        let value = DIGITS[usize::from(*digit)];
        number = number << 4 | u64::from(value & 15);
        all |= value;
    }
    (all & NO_DIGIT == 0).then_some(number)
}

/// The values of hexadecimal digits in lower case, by byte.
const DIGITS: [u8; 256] = {
    let (mut table, mut n) = ([NO_DIGIT; 256], 0);
    while n < 16 {
        table[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    table
};
const NO_DIGIT: u8 = 16;

/// The 16 bytes that 32 hexadecimal digits in lower case give.
pub fn from_hex(digits: &[u8]) -> Option<[u8; 16]> {
    let (high, low) = digits.split_at_checked(16)?;
    let number = u128::from(hex_number(high)?) << 64 | u128::from(hex_number(low)?);
    (low.len() == 16).then_some(number.to_be_bytes())
}

/// Variables that gcc, clang, as or the loader read and that can change an object.
pub const VARIABLES: [&str; 25] = [
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "LIBRARY_PATH",
    "LPATH",
    "SOURCE_DATE_EPOCH",
    "SDKROOT",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "CLANG_CONFIG_FILE_SYSTEM_DIR",
    "CLANG_CONFIG_FILE_USER_DIR",
    "CLANG_NO_DEFAULT_CONFIG",
    "CLANG_MODULE_CACHE_PATH",
    "CUDA_PATH",
    "ROCM_PATH",
    "HIP_PATH",
    "HIP_DEVICE_LIB_PATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "QEMU_LD_PREFIX",
    "ASAN_OPTIONS",
];

/// Variables of compiler wrappers (Nix, Spack, conda): by prefix.
pub const PREFIXES: [&str; 3] = ["NIX_", "SPACK_", "CONDA_BUILD"];

/// Variables that decide how diagnostics look and nothing else.
pub const DIAGNOSTIC_VARIABLES: [&str; 11] = [
    "LANG",
    "LC_ALL",
    "LC_MESSAGES",
    "LC_CTYPE",
    "LANGUAGE",
    "GCC_COLORS",
    "GCC_URLS",
    "TERM_URLS",
    "TERM",
    "COLUMNS",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
];

/// What is hashed, as pairs of a tag and a value, in order.
pub struct Request<'a> {
    /// The compile.
    pub compile: &'a Compile,
    /// Its compiler.
    pub identity: &'a Identity,
    /// Words that stand before the user's (`-pthread` of `OBJGUARD_CC="gcc -pthread"`) are among the compile's already; these
    /// are the program and its launcher.
    pub program: &'a [&'a OsStr],
    /// The working directory as the compiler will spell it: see [`working_directory`].
    pub directory: &'a Path,
    /// The environment.
    pub environment: &'a [(OsString, OsString)],
    /// The build environments in its include directories ([`relocation::places`]).
    pub places: &'a [PathBuf],
}

impl Request<'_> {
    /// Calls `item` for everything that is hashed.
    pub fn items(&self, item: &mut dyn FnMut(&str, &[u8])) {
        item("version", b"objguard request 1");
        item("compiler", &self.identity.digest);
        for word in self.program {
            item("program", word.as_bytes());
        }
        let compile = self.compile;
        let depfile = compile.depfile.as_ref().and_then(|d| d.file_words.clone());
        for (n, word) in compile.words.args.iter().enumerate() {
            let of_output = compile
                .output_words
                .as_ref()
                .is_some_and(|r| r.contains(&n));
            let of_depfile = depfile.as_ref().is_some_and(|r| r.contains(&n));
            if of_output || of_depfile {
                continue;
            }
            match relocation::placeless(compile, n, self.places) {
                Some(word) => item("placeless word", &word),
                None => item("word", word.as_bytes()),
            }
        }
        if compile.depfile.is_some() || !compile.side_outputs.is_empty() {
            item("output", compile.output.as_os_str().as_bytes());
        }
        if compile
            .depfile
            .as_ref()
            .is_some_and(|d| d.file_words.is_some())
        {
            item("depfile", b"named");
        }
        item("directory", self.directory.as_os_str().as_bytes());
        for (name, value) in self.environment {
            if relevant(name) {
                item("variable", name.as_bytes());
                item("value", value.as_bytes());
            }
        }
        if compile.native {
            item("processor", &processor());
        }
    }

    /// The key.
    pub fn key(&self) -> Key {
        let mut hasher = blake3::Hasher::new();
        self.items(&mut |tag, value| {
            tagged(&mut hasher, tag, value);
        });
        Key(truncate(&hasher))
    }
}

/// Whether the variable of this name is hashed.
pub fn relevant(name: &OsStr) -> bool {
    let name = name.as_bytes();
    VARIABLES.iter().any(|v| v.as_bytes() == name)
        || PREFIXES.iter().any(|p| name.starts_with(p.as_bytes()))
        || name.ends_with(b"_DEPLOYMENT_TARGET")
}

/// Feeds one tagged item.
pub fn tagged(hasher: &mut blake3::Hasher, tag: &str, value: &[u8]) {
    hasher.update(tag.as_bytes());
    hasher.update(&[0]);
    hasher.update(&(value.len() as u64).to_le_bytes());
    hasher.update(value);
}

/// The first 16 bytes of a hash.
pub fn truncate(hasher: &blake3::Hasher) -> [u8; 16] {
    hasher.finalize().as_bytes()[..16]
        .try_into()
        .expect("16 of 32 bytes")
}

/// Digest of the variables that decide how diagnostics look.
pub fn diagnostics_digest(environment: &[(OsString, OsString)]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for wanted in DIAGNOSTIC_VARIABLES {
        if let Some((_, value)) = environment.iter().find(|(name, _)| name == wanted) {
            tagged(&mut hasher, wanted, value.as_bytes());
        }
    }
    truncate(&hasher)
}

/// The working directory as gcc and clang spell it: `$PWD` if that names the same folder as `.`, else what getcwd says
/// (compiler-options.md, C).
///
/// # Errors
/// The working directory has been removed.
pub fn working_directory(pwd: Option<&OsStr>) -> std::io::Result<PathBuf> {
    if let Some(pwd) = pwd
        && pwd.as_bytes().starts_with(b"/")
        && let (Ok(named), Ok(here)) = (
            crate::stamp::Stamp::of(Path::new(pwd)),
            crate::stamp::Stamp::of(Path::new(".")),
        )
        && (named.dev, named.ino) == (here.dev, here.ino)
    {
        return Ok(PathBuf::from(pwd));
    }
    std::env::current_dir()
}

/// What `-march=native` looks at, as far as the kernel tells: the first processor's lines that aren't measurements.
fn processor() -> Vec<u8> {
    let text = std::fs::read("/proc/cpuinfo").unwrap_or_default();
    let first = text.split(|b| *b == b'\n').take_while(|l| !l.is_empty());
    let stable = first.filter(|l| !l.starts_with(b"cpu MHz") && !l.starts_with(b"bogomips"));
    stable.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_lower_case_only() {
        for byte in 0..=u8::MAX {
            let wanted = char::from(byte)
                .to_digit(16)
                .filter(|_| !byte.is_ascii_uppercase())
                .map(u64::from);
            assert_eq!(hex_number(&[byte]), wanted, "{byte}");
            assert_eq!(hex_number(&[b'1', byte]), wanted.map(|n| 16 + n), "{byte}");
        }
        assert_eq!(hex_number(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(hex_number(b"0ffffffffffffffff"), None);
        assert_eq!(hex_number(b""), None);
    }
}
