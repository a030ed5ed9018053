//! What a line that links adds up to.

use super::*;

fn inputs(link: &Link) -> Vec<(&str, usize, Option<usize>)> {
    link.inputs
        .iter()
        .map(|input| (input.path.to_str().unwrap(), input.word, input.piece))
        .collect()
}

#[test]
fn links() {
    check(
        BOTH,
        &[
            ("a.o b.o -o p", "link p, staged"),
            ("-shared a.o -o m.so", "link m.so, staged"),
            ("-r a.o b.o -o c.o", "link relocatable c.o, staged"),
            (
                "-Wl,-r a.o -o c.o -nostdlib",
                "link relocatable c.o, staged",
            ),
            ("-static a.o", "link a.out, staged"),
            ("-lfoo", "link a.out, staged"),
            (
                "-shared -Wl,--whole-archive,x.a -o m.so",
                "link m.so, staged",
            ),
            ("-T script a.o", "link a.out, staged"),
            ("-g a.c b.o -o p", "link p with sources, staged"),
            ("-flto a.o -o p", "link p, staged"),
            ("--coverage a.o -o p", "link p, staged"),
            ("--coverage a.c -o p", "link p with sources, in place"),
            ("-g -gsplit-dwarf a.c", "link a.out with sources, in place"),
            ("-g -gsplit-dwarf -flto a.o", "link a.out, in place"),
            ("-MD a.c -o p", "link p with sources, in place"),
            ("-MD a.o -o p", "link p, staged"),
            ("-Wp,-MD,x a.c -o p", "link p with sources, in place"),
            ("-save-temps a.o", "link a.out, in place"),
            ("-v a.o", "link a.out, in place"),
            ("-t a.o", "link a.out, in place"),
            ("a.f90 b.o", "link a.out with sources, in place"),
            ("a.o -o p -o q", "link q, in place"),
            ("a.o -Wl,-Map,x.map", "link a.out, in place"),
            ("a.o -Wl,-Map=x.map", "link a.out, in place"),
            ("a.o -Xlinker -Map -Xlinker x.map", "link a.out, in place"),
            ("a.o -Wl,--dependency-file=x", "link a.out, in place"),
            ("a.o -Wl,--trace", "link a.out, in place"),
            ("a.o -Wl,-t", "link a.out, in place"),
            ("a.o -Wl,-o,q", "link a.out, in place"),
            ("a.o -Wl,--out-implib,x", "link a.out, in place"),
            ("a.o -Wl,@more", "link a.out, in place"),
            ("a.o -Xlinker @more", "link a.out, in place"),
            ("a.o -Wl,-plugin-opt=save-temps", "link a.out, in place"),
            ("a.o -Wl,-rpath", "link a.out, in place"),
            ("a.o -Wl,-rpath b.o -Wl,x", "link a.out, in place"),
            (
                "a.o -Wl,--version",
                "as written: `-Wl,--version` is run as written: it asks the linker for information",
            ),
        ],
    );
}

#[test]
fn inputs_of_links() {
    let link = link(
        Gcc,
        "-shared -L. -Wl,-rpath,/x a.o -Xlinker b.o -lm -o m.so -Wl,--whole-archive,x.a,--no-whole-archive -l:y.a -L z",
    );
    assert_eq!(
        inputs(&link),
        [("a.o", 3, None), ("b.o", 5, None), ("x.a", 9, Some(1))]
    );
    let libraries: Vec<_> = link
        .libraries
        .iter()
        .map(|l| (l.name.to_str().unwrap(), l.word))
        .collect();
    assert_eq!(libraries, [("m", 6), (":y.a", 10)]);
    assert_eq!(link.library_dirs, [".", "z"]);
    assert_eq!(link.output_words, Some(7..9));

    for (line, expected) in [
        (
            "a.o -Wl,-soname -Wl,b.o c.o",
            &[("a.o", 0, None), ("c.o", 3, None)][..],
        ),
        (
            "-Wl,--start-group a.a b.a -Wl,--end-group",
            &[("a.a", 1, None), ("b.a", 2, None)],
        ),
        ("-Wl,-h,b.o,-T,c.o,d.o", &[("d.o", 0, Some(4))]),
        (
            "-Wl,--version-script=x.map a.o -Wl,--version-script,y.map",
            &[("a.o", 1, None)],
        ),
        ("-Xlinker -rpath -Xlinker x.o y.o", &[("y.o", 4, None)]),
        ("-T x.o y.o -u z.o", &[("y.o", 2, None)]),
        ("-x c x.o -x none y.o", &[("y.o", 5, None)]),
        (
            "a.o -e main -z now lib.so",
            &[("a.o", 0, None), ("lib.so", 5, None)],
        ),
    ] {
        assert_eq!(inputs(&super::link(Gcc, line)), expected, "{line}");
    }
    let named = super::link(
        Clang,
        "a.o -Wl,-wibble,libx.so -o libx.so -Wl,-install_name,liby.so",
    );
    assert_eq!(inputs(&named), [("a.o", 0, None)]);
    let forced = super::link(
        Clang,
        "-force_load x.a a.o -framework F -bundle -undefined dynamic_lookup",
    );
    assert_eq!(inputs(&forced), [("x.a", 1, None), ("a.o", 2, None)]);
    let dirs = super::link(Gcc, "a.o -Wl,-L,x,-Ly,--library-path=z,-l,m -L w");
    assert_eq!(dirs.library_dirs, ["w", "x", "y", "z"]);
    assert_eq!(
        dirs.libraries[0],
        Library {
            word: 1,
            piece: Some(5),
            name: "m".into()
        }
    );
}
