//! Command lines put together from pieces, by numbers that somebody else draws.

use std::ffi::OsString;

/// Where the numbers come from: each is below the limit.
pub trait Dice {
    /// The next number.
    fn below(&mut self, limit: usize) -> usize;

    /// One of several.
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const MODES: &[&str] = &[
    "-c",
    "-c",
    "-c",
    "-S",
    "--compile",
    "--assemble",
    "-c -S",
    "-S -c",
    "",
    "",
    "",
];
const SOURCES: &[&str] = &[
    "a.c",
    "a.c",
    "dir/a.c",
    "dir/b.d.c",
    "a.cc",
    "a.C",
    "a.cpp",
    "a.i",
    "a.ii",
    "a.s",
    "a.S",
    "a.h",
    "a.hpp",
    "odd~name.c",
    "$x#.c",
    "-x~c++ a.c",
    "-xc noext",
    "-x~c noext -x none",
    "--language=c++ noext",
    "--language c a.cc",
    "-x assembler a.c",
    "-xnone a.c",
    "-x c a.c -x none",
    "-x cpp-output a.c",
    "-x c-header a.c",
    "-x c .c",
    "-x c .hidden.c",
    ".hidden.c",
    "a.c b.c",
    "",
    "lib.a",
    "a.c.txt",
];
const OUTPUTS: &[&str] = &[
    "",
    "",
    "-o x.o",
    "-ox.o",
    "--output x.o",
    "--output=x.o",
    "-o dir/x.o",
    "-o x",
    "-o ./x.o",
    "-objects",
    "-o out.s",
];
const FLAGS: &[&str] = &[
    "-O2",
    "-O",
    "-g",
    "-Wall",
    "-DX=1",
    "-D X",
    "-Ifoo",
    "-I foo",
    "-Idir -isystem dir",
    "-iquote dir",
    "-include a.h",
    "-std=gnu99",
    "-fPIC",
    "-fno-common",
    "-march=native",
    "-m64",
    "-pthread",
    "-MD",
    "-MMD -MF dep -MT t",
    "-MD -MP -MQ q",
    "-Wl,-z,now",
    "-lmine1",
    "-L dir",
    "-Wl,-rpath,/x",
    "-Wl,-soname -Wl,a.o",
    "-pipe",
    "-w",
    "-ansi",
    "-U X",
    "-idirafter dir",
    "-Wa,--noexecstack",
    "-Wp,-DY=1",
    "-Xpreprocessor -DZ",
    "--param max-inline-insns-single=10",
    "--param=max-inline-insns-single=10",
    "-fdiagnostics-color=never",
    "-imacros a.h",
    "-H",
    "-undef",
    "--define-macro W=1",
    "--include-directory=dir",
    "--include-directory dir",
    "-u sym",
    "-T script.txt",
    "-s",
    "-nostdlib",
    "-z now",
    "-e main",
    "-isysroot /",
    "--sysroot=/",
    "-fstack-usage",
    "-fdebug-prefix-map=/a=/b",
    "-Xlinker -h -Xlinker b.o",
    "-Wl,-lmine2,-Ldir",
];
const LINKED: &[&str] = &[
    "a.o",
    "a.o b.o",
    "lib.a",
    "lib.so",
    "dir/c.o",
    "script.txt",
    "a.o -lmine1 b.o",
    "-Wl,a.o,b.o",
    "-Xlinker dir/c.o",
    "-Wl,--whole-archive,lib.a",
    "-Wl,--start-group a.o lib.a -Wl,--end-group",
    "a.o -Wl,-rpath -Wl,/x b.o",
    "a.c b.o",
    "a.c",
    "a.s b.o",
    "a.C",
    "-x c a.c b.c b.o",
    "-xnone a.c b.c",
    "-l mine1 a.o",
    "x.inc a.o",
    "-Wl,-T,script.txt a.o",
    "-x c noext -x none a.o",
    "a.o -Wl,--version-script=x.inc",
    "-lmine1",
    "-Wl,-L,dir,-l,mine3 a.o",
];
const LINK_FLAGS: &[&str] = &[
    "-shared",
    "-static",
    "-r",
    "-pie",
    "-no-pie",
    "-Wl,-O1",
    "-Wl,--as-needed",
    "-Wl,-z,relro",
    "-rdynamic",
    "-Wl,-soname,a.o",
    "-Wl,-Bsymbolic",
    "-Wl,--build-id",
    "-nostartfiles",
    "-static-libgcc",
    "-fuse-ld=bfd",
    "-Wl,-h,b.o",
    "-L.",
    "-Wl,-Map,x.inc",
    "-Wl,--defsym,a=1",
    "-fPIC",
];

/// The words of a piece: at spaces, `~` standing for one inside a word.
fn words(pieces: &[&str]) -> Vec<OsString> {
    pieces
        .iter()
        .flat_map(|piece| piece.split(' '))
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('~', " ").into())
        .collect()
}

/// A line that compiles, mostly.
pub fn compile_line(dice: &mut impl Dice) -> Vec<OsString> {
    let mut pieces = vec![dice.one(MODES), dice.one(OUTPUTS)];
    for _ in 0..dice.below(4) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(FLAGS));
    }
    pieces.insert(dice.below(pieces.len() + 1), dice.one(SOURCES));
    words(&pieces)
}

/// A line that links, mostly.
pub fn link_line(dice: &mut impl Dice) -> Vec<OsString> {
    let mut pieces = vec![dice.one(OUTPUTS)];
    for _ in 0..dice.below(3) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(LINK_FLAGS));
    }
    for _ in 0..dice.below(2) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(FLAGS));
    }
    for _ in 0..1 + dice.below(2) {
        pieces.insert(dice.below(pieces.len() + 1), dice.one(LINKED));
    }
    words(&pieces)
}
