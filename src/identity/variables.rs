//! The environment, as far as it decides which compiler answers and what it says.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Variables that are part of every key, sorted. PATH is not: it changes with every isolated build of pip's, so what is looked
/// up on it is recorded and looked up again (`store`).
const KEY: [&str; 23] = [
    "CCACHE_COMPILER",
    "CCACHE_PATH",
    "CCACHE_PREFIX",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_CONFIG_FILE_SYSTEM_DIR",
    "CLANG_CONFIG_FILE_USER_DIR",
    "CLANG_NO_DEFAULT_CONFIG",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "DEVELOPER_DIR",
    "GCC_EXEC_PREFIX",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MACOSX_DEPLOYMENT_TARGET",
    "OBJCPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "QEMU_LD_PREFIX",
    "SDKROOT",
    "TCC_PATH",
    "TOOLCHAINS",
];

/// Families of variables that compiler wrappers build the names of, so that no script of theirs mentions them (Nix, Spack).
const FAMILIES: [&[u8]; 2] = [b"NIX_", b"SPACK_"];

/// What a shell sets for itself, and ours.
const VOLATILE: [&[u8]; 3] = [b"_", b"SHLVL", crate::config::INNER.as_bytes()];

/// Where things are, not what they are: these may decide which programs a script runs, but those are recorded themselves.
const PLACES: [&[u8]; 5] = [b"PATH", b"PWD", b"TMPDIR", b"TMP", b"TEMP"];

/// The value of `name`; like getenv(3), of its first entry.
pub(super) fn get<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    environment
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_os_str())
}

/// Calls `item` with the number and value of every variable that a key consists of.
pub(super) fn key_values(environment: &[(OsString, OsString)], mut item: impl FnMut(usize, &[u8])) {
    let mut values: [Option<&OsStr>; KEY.len()] = [None; KEY.len()];
    for (name, value) in environment {
        if let Ok(i) = KEY.binary_search_by(|known| known.as_bytes().cmp(name.as_bytes())) {
            values[i].get_or_insert(value);
        }
    }
    for (i, value) in values.iter().enumerate() {
        if let Some(value) = value {
            item(i, value.as_bytes());
        }
    }
}

/// Which of the variables that scripts mention are hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// All that may lead a script to another compiler: decides whether what is known of it still holds.
    Facts,
    /// All that may change what it compiles: goes into the identity.
    Digest,
}

/// Hashes the values of the variables in `names` (sorted) and of the wrappers' families.
pub(super) fn mentioned<N: AsRef<[u8]>>(
    names: &[N],
    environment: &[(OsString, OsString)],
    scope: Scope,
) -> [u8; 32] {
    let mut values = BTreeMap::new();
    for (name, value) in environment {
        let name = name.as_bytes();
        let wanted = names.binary_search_by(|known| known.as_ref().cmp(name)).is_ok()
            || FAMILIES.iter().any(|family| name.starts_with(family))
            // Scripts find other programs by it without a word.
            || name == b"PATH";
        if wanted && !VOLATILE.contains(&name) && (scope == Scope::Facts || !PLACES.contains(&name))
        {
            values.entry(name).or_insert(value.as_bytes());
        }
    }
    let mut hasher = blake3::Hasher::new();
    for (name, value) in values {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        vars.iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(KEY.is_sorted());
    }

    #[test]
    fn key_values_come_in_the_order_of_the_table() {
        let list = |vars: &[(&str, &str)]| {
            let mut seen = Vec::new();
            key_values(&environment(vars), |i, value| {
                seen.push((KEY[i], String::from_utf8(value.to_vec()).unwrap()))
            });
            seen
        };
        assert_eq!(
            list(&[
                ("SDKROOT", "s"),
                ("PATH", "/bin"),
                ("CPATH", "a"),
                ("CPATH", "b")
            ]),
            [("CPATH", "a".to_owned()), ("SDKROOT", "s".to_owned())]
        );
        assert_eq!(list(&[("HOME", "/")]), []);
    }

    #[test]
    fn variables_that_a_script_mentions_count() {
        let names: Vec<Vec<u8>> = vec![b"PWD".to_vec(), b"REAL_CC".to_vec()];
        let hash = |vars: &[(&str, &str)], scope| mentioned(&names, &environment(vars), scope);
        for scope in [Scope::Facts, Scope::Digest] {
            let plain = hash(&[("A", "1")], scope);
            assert_eq!(
                plain,
                hash(
                    &[
                        ("A", "2"),
                        ("SHLVL", "3"),
                        ("_", "x"),
                        ("OBJGUARD_INNER", "1.2")
                    ],
                    scope
                )
            );
            assert_ne!(plain, hash(&[("REAL_CC", "gcc")], scope));
            assert_ne!(hash(&[("REAL_CC", "")], scope), plain);
            assert_ne!(plain, hash(&[("NIX_CFLAGS_COMPILE_x86", "-O1")], scope));
            assert_eq!(
                hash(&[("REAL_CC", "a"), ("NIX_B", "c")], scope),
                hash(&[("NIX_B", "c"), ("REAL_CC", "a")], scope)
            );
        }
        assert_ne!(
            hash(&[("PATH", "/a")], Scope::Facts),
            hash(&[("PATH", "/b")], Scope::Facts)
        );
        assert_eq!(
            hash(&[("PATH", "/a"), ("PWD", "/")], Scope::Digest),
            hash(&[("PATH", "/b")], Scope::Digest)
        );
    }
}
