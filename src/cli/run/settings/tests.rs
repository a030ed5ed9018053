use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A folder with programs: `name` a program, `name -> target` a link.
struct Bin(PathBuf);

impl Bin {
    fn new(test: &str, programs: &[&str]) -> Bin {
        let dir =
            std::env::temp_dir().join(format!("objguard-settings-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for program in programs {
            match program.split_once(" -> ") {
                Some((name, target)) => symlink(target, dir.join(name)).unwrap(),
                None => {
                    fs::write(dir.join(program), "").unwrap();
                    fs::set_permissions(dir.join(program), fs::Permissions::from_mode(0o755))
                        .unwrap();
                }
            }
        }
        Bin(dir)
    }

    fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        let mut environment: Vec<(OsString, OsString)> =
            vec![("PATH".into(), self.0.clone().into())];
        environment.extend(variables.iter().map(|(n, v)| (n.into(), v.into())));
        let programs = Programs {
            command: "/opt/objguard".into(),
            compiler: "/opt/objguard-cc".into(),
            archiver: Some("/opt/objguard-ar".into()),
        };
        settings(Path::new("/r"), &programs, &environment, 4)
    }
}

impl Drop for Bin {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A variable's value, without the digests in it.
fn value(settings: &Settings, name: &str) -> Option<String> {
    let (_, value) = settings.variables.iter().find(|(n, _)| n == name)?;
    Some(undigested(value.to_str()?))
}

fn undigested(text: &str) -> String {
    let is_digest = |part: &str| part.len() == 16 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('-') {
        out.push_str(before);
        match after.get(..16).filter(|part| is_digest(part)) {
            Some(_) => rest = &after[16..],
            None => {
                out.push('-');
                rest = after;
            }
        }
    }
    out + rest
}

#[test]
fn what_the_user_had_becomes_the_real_compiler() {
    let bin = Bin::new(
        "had",
        &[
            "cc -> gcc",
            "c++ -> g++",
            "gcc",
            "g++",
            "clang-14",
            "ccache",
            "ar",
            "gcc-ar",
        ],
    );
    // The user's variables, CC and OBJGUARD_CC of the build.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );
    let cases: [Case; 8] = [
        (&[], "/r/cc/gcc", "cc"),
        (&[("CC", "")], "/r/cc/gcc", "cc"),
        (
            &[("CC", "gcc -pthread '-DX=a b'")],
            "/r/cc/gcc -pthread '-DX=a b'",
            "gcc",
        ),
        (
            &[("CC", "ccache clang-14 -m32")],
            "/r/cc/clang-14 -m32",
            "ccache clang-14",
        ),
        (&[("CC", "objguard-cc -m32")], "/r/cc/gcc -m32", "cc"),
        (
            &[("CC", "objguard-cc"), ("OBJGUARD_CC", "ccache gcc -g")],
            "/r/cc/gcc -g",
            "ccache gcc",
        ),
        (&[("CC", "/x/objguard gcc -m32")], "/r/cc/gcc -m32", "gcc"),
        (
            &[("CC", "gcc"), ("OBJGUARD_CC", "clang-14")],
            "/r/cc/gcc",
            "gcc",
        ),
    ];
    for (variables, cc, real) in cases {
        let got = bin.settings(variables);
        assert_eq!(value(&got, "CC").as_deref(), Some(cc), "{variables:?}");
        assert_eq!(
            value(&got, "OBJGUARD_CC").as_deref(),
            Some(real),
            "{variables:?}"
        );
        assert_eq!(got.notes, [""; 0], "{variables:?}");
    }
    let outer = bin.settings(&[("CC", "ccache gcc -m32")]);
    let cc = outer.variables.iter().find(|(n, _)| n == "CC").unwrap();
    let cc = cc.1.to_str().unwrap();
    let inner = bin.settings(&[("CC", cc), ("OBJGUARD_CC", "ccache gcc")]);
    assert_eq!(inner.variables, outer.variables, "a run in a run");
    let plain = bin.settings(&[]);
    assert_eq!(
        (value(&plain, "CXX"), value(&plain, "OBJGUARD_CXX")),
        (Some("/r/cxx/g++".into()), Some("c++".into()))
    );
    assert_eq!(
        (value(&plain, "AR"), value(&plain, "OBJGUARD_AR")),
        (Some("/r/ar/ar".into()), Some("ar".into()))
    );
    let other = bin.settings(&[("AR", "gcc-ar rc")]);
    assert_eq!(
        (value(&other, "AR"), value(&other, "OBJGUARD_AR")),
        (Some("/r/ar/gcc-ar rc".into()), Some("gcc-ar".into()))
    );
    assert_eq!(value(&plain, "LDSHARED"), None);
}

#[test]
fn commands_that_begin_with_a_compiler_follow() {
    let bin = Bin::new("commands", &["cc", "gcc", "g++", "clang", "ld"]);
    for (command, expected) in [
        ("gcc -pthread -shared", Some("/r/cc/gcc -pthread -shared")),
        ("g++ -shared", Some("/r/cxx/g++ -shared")),
        ("clang -shared", Some("/opt/objguard clang -shared")),
        ("ld -shared", None),
        ("missing-gcc -shared", None),
        ("objguard-cc -shared", None),
    ] {
        let got = bin.settings(&[("CC", "gcc"), ("CXX", "g++"), ("LDSHARED", command)]);
        assert_eq!(value(&got, "LDSHARED").as_deref(), expected, "{command}");
    }
}

#[test]
fn a_compiler_that_is_not_there_is_left_alone() {
    let bin = Bin::new("missing", &["ls"]);
    let got = bin.settings(&[("CC", "nocc -g")]);
    assert_eq!((value(&got, "CC"), value(&got, "CXX")), (None, None));
    assert_eq!(got.notes.len(), 1);
    assert!(
        got.notes[0].starts_with("CC is left as it is: cannot find `nocc`"),
        "{}",
        got.notes[0]
    );
    assert_eq!(value(&got, "AR"), None);
}

#[test]
fn names_on_path_get_links() {
    let bin = Bin::new(
        "names",
        &[
            "gcc",
            "x86_64-linux-gnu-gcc-12",
            "gcc-ar",
            "ls",
            "gcc-nm",
            "g++-12",
            "clang-format-14",
        ],
    );
    let got = bin.settings(&[]);
    let links: Vec<String> = got
        .links
        .iter()
        .map(|(link, to)| format!("{} {}", undigested(link.to_str().unwrap()), to.display()))
        .filter(|link| link.starts_with("/r/bin"))
        .collect();
    assert_eq!(
        links,
        [
            "/r/bin/g++-12 /opt/objguard-cc",
            "/r/bin/gcc /opt/objguard-cc",
            "/r/bin/gcc-ar /opt/objguard-ar",
            "/r/bin/x86_64-linux-gnu-gcc-12 /opt/objguard-cc",
        ]
    );
    assert!(value(&got, "PATH").unwrap().starts_with("/r/bin:"));
    let folder = |settings: &Settings| {
        settings
            .links
            .last()
            .unwrap()
            .0
            .parent()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        folder(&got),
        folder(&bin.settings(&[])),
        "the same at every run"
    );
    fs::remove_file(bin.0.join("g++-12")).unwrap();
    assert_ne!(
        folder(&got),
        folder(&bin.settings(&[])),
        "another set of names"
    );
}

#[test]
fn numbers_of_jobs_that_are_set_stay() {
    let bin = Bin::new("jobs", &["gcc"]);
    let got = bin.settings(&[("NPY_NUM_BUILD_JOBS", "2")]);
    assert_eq!(
        (
            value(&got, "NPY_NUM_BUILD_JOBS"),
            value(&got, "CMAKE_BUILD_PARALLEL_LEVEL")
        ),
        (None, Some("4".into()))
    );
    assert_eq!(value(&got, "MAKEFLAGS"), None);
}

#[test]
fn roles_by_name() {
    for (name, role) in [
        ("cc", Some(Role::Compiler)),
        ("gcc-12", Some(Role::Compiler)),
        ("clang++-14", Some(Role::Compiler)),
        ("aarch64-linux-gnu-g++", Some(Role::Compiler)),
        ("ar", Some(Role::Archiver)),
        ("x86_64-linux-gnu-gcc-ranlib-12", Some(Role::Archiver)),
        ("distcc", None),
        ("ccache", None),
        ("gcc-nm", None),
        ("clang-tidy-14", None),
        ("tar", None),
        ("gcc-", None),
    ] {
        assert_eq!(role_of(name.as_bytes()), role, "{name}");
    }
}
