//! Images that are mounted one in the place of another: files with the same device, inodes, sizes and times, and other content.
//! (squashfs and ISO 9660 as reproducible builds make them: SDKs, containers of clusters. Here ext4 with inodes of 128 bytes, which
//! count in seconds as well, and times put in with debugfs.)

use std::path::PathBuf;
use std::sync::Mutex;

use crate::or_say_so;
use crate::space::{Outcome, TestSpace, WRAPPER};

/// Held while an image has a loop device: the other must get the same one.
static LOOP: Mutex<()> = Mutex::new(());

/// A space with two images, and commands of which the second sees another image than the first in the same place.
struct Images {
    space: TestSpace,
    images: [PathBuf; 2],
}

impl Images {
    /// Each image has these files, by name and text; the names must be as many and of the same order. All their times are `time`,
    /// in seconds since the epoch.
    fn new(test: &str, time: u32, contents: [&[(&str, &str)]; 2]) -> Images {
        let space = TestSpace::new(test);
        let images = ["one", "two"].map(|name| space.aside(name));
        for (image, files) in images.iter().zip(contents) {
            let tree = image.with_extension("tree");
            for (name, text) in files {
                space.write(tree.join(name), text);
            }
            let script = "date=$3; mkfs.ext4 -q -F -I 128 -O ^has_journal -d \"$2\" \"$1\" 4M || exit 1\n\
                cd \"$2\"; find . | while read -r name; do\n\
                for time in atime mtime ctime; do debugfs -w -R \"sif ${name#.} $time @$date\" \"$1\"; done\n\
                done\ndebugfs -w -R \"sif / mtime @$date\" \"$1\"; debugfs -w -R \"sif / ctime @$date\" \"$1\"";
            let mut command = space.command("sh");
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
            command.args(["-c", script, "sh"]).args([image, &tree]);
            command.arg(time.to_string());
            Outcome::of(command).success();
        }
        Images { space, images }
    }

    /// Runs `line` with the first image at `$mount`, then again with the second in its place. Gives what it printed, or says that
    /// nothing can be mounted here.
    fn run(&self, test: &str, line: &str) -> Option<String> {
        let mount = self.space.path("mount");
        std::fs::create_dir_all(&mount).expect("the folder is ours");
        let script = format!(
            "set -e; mount=$3; loop=$(losetup -f)\n\
             for image in \"$1\" \"$2\"; do losetup -r $loop \"$image\"; mount -o ro $loop $mount; echo mounted >&2\n\
             find $mount -name lost+found -prune -o -print | sort | xargs stat -c '%d %i %Y %Z' | cksum; {line}\n\
             umount $mount; losetup -d $loop; done"
        );
        let _alone = LOOP.lock().unwrap_or_else(|e| e.into_inner());
        let mut command = self.space.command("unshare");
        command
            .args(["-m", "sh", "-c", &script, "sh"])
            .args(&self.images)
            .args(["mount"])
            .env("OBJGUARD_CC", "gcc")
            .env("objguard", WRAPPER);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        let ended = Outcome::of(command);
        let able = ended.stderr.contains("mounted");
        let lacking = "no right to `mount` a file system of the test's own";
        or_say_so(test, able, lacking).then(|| ended.success().stdout)
    }

    /// The object that each run gave must be gcc's, and they must differ though all stamps are equal.
    fn tells_them_apart(&self, test: &str, options: &str) {
        let line = format!(
            "$objguard {options} -c x.c -o x.o; gcc {options} -c x.c -o plain.o; cksum < x.o; cksum < plain.o"
        );
        self.space.settle();
        let Some(said) = self.run(test, &line) else {
            return;
        };
        let [stamps, first, plain, same_stamps, second, other_plain] =
            said.lines().collect::<Vec<_>>()[..]
        else {
            panic!("{said}");
        };
        assert_eq!(
            stamps, same_stamps,
            "the images can be told by their stamps"
        );
        assert_eq!(first, plain);
        assert_ne!(plain, other_plain, "the test proves nothing");
        assert_eq!(second, other_plain, "the object is stale");
    }
}

#[test]
fn a_header_with_another_content() {
    let test = "image_content";
    // As nixpkgs and ostree set it, zip's first, and what a project may have set for good.
    for time in [0, 1, 315_532_800, 1_600_000_000] {
        let files: [&[_]; 2] = [&[("v.h", "#define V 1\n")], &[("v.h", "#define V 2\n")]];
        let images = Images::new(test, time, files);
        images.space.write("x.c", "#include <v.h>\nint v = V;\n");
        images.tells_them_apart(test, "-Imount");
    }
}

#[test]
fn a_header_that_comes_before_the_one_that_was_found() {
    let test = "image_shadow";
    let images = Images::new(
        test,
        1,
        [
            &[("a/w.h", "#define V 1\n"), ("b/v.h", "#define V 1\n")],
            &[("a/v.h", "#define V 2\n"), ("b/v.h", "#define V 1\n")],
        ],
    );
    images.space.write("x.c", "#include <v.h>\nint v = V;\n");
    images.tells_them_apart(test, "-Imount/a -Imount/b");
}

#[test]
fn a_header_that_is_only_asked_for() {
    let test = "image_has_include";
    let images = Images::new(
        test,
        1,
        [&[("w.h", "#define V 1\n")], &[("v.h", "#define V 1\n")]],
    );
    let source = "#if __has_include(<v.h>)\nint v = 1;\n#else\nint v = 2;\n#endif\n";
    images.space.write("x.c", source);
    images.tells_them_apart(test, "-Imount");
}

/// Contents are compared, so that the same image mounted again is the same; a header that looks like another one is none that came.
#[test]
fn the_same_content_is_skipped() {
    let test = "image_same";
    let files: &[(&str, &str)] = &[
        ("a/s/v.h", "#define S 1\n"),
        ("b/v.h", "#define V 1\n"),
        ("c/v.h", "#define V 3\n"),
    ];
    let images = Images::new(test, 1, [files, files]);
    images.space.write("x.c", "#include <v.h>\nint v = V;\n");
    let line = "$objguard -Imount/a -Imount/b -Imount/c -Imount/a/s -c x.c -o x.o; stat -c %i x.o";
    images.space.settle();
    let Some(said) = images.run(test, line) else {
        return;
    };
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], lines[2], "the images can be told by their stamps");
    assert_eq!(lines[1], lines[3], "it was compiled again");
}
