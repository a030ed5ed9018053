//! Which language a source is in: by its suffix, by `-x`, and by the driver's name.

use super::Dialect;

/// The driver's name decides what a `.c` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// `cc`, `gcc`, `clang`.
    C,
    /// `c++`, `g++`, `clang++`: `.c`, `.i` and `.h` are C++.
    Cxx,
}

/// The language of a source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjC,
    /// Objective-C++.
    ObjCxx,
    /// C that has been through the preprocessor (`.i`).
    CPreprocessed,
    /// C++ that has been through the preprocessor (`.ii`).
    CxxPreprocessed,
    /// Objective-C that has been through the preprocessor (`.mi`).
    ObjCPreprocessed,
    /// Objective-C++ that has been through the preprocessor (`.mii`).
    ObjCxxPreprocessed,
    /// A C header, which compiles to a precompiled header.
    CHeader,
    /// A C++ header, likewise.
    CxxHeader,
    /// An Objective-C header, likewise.
    ObjCHeader,
    /// An Objective-C++ header, likewise.
    ObjCxxHeader,
    /// Assembler as it is (`.s`).
    Asm,
    /// Assembler that goes through the preprocessor first (`.S`).
    AsmCpp,
    /// Any other the drivers know: Fortran, Ada, D, Go, CUDA, LLVM's own …: not guarded.
    Other,
}

impl Language {
    /// Whether compiling it runs the preprocessor, so that it reads headers and can list them.
    pub fn runs_preprocessor(self) -> bool {
        use Language::*;
        match self {
            C | Cxx | ObjC | ObjCxx | CHeader | CxxHeader | ObjCHeader | ObjCxxHeader | AsmCpp => {
                true
            }
            CPreprocessed | CxxPreprocessed | ObjCPreprocessed | ObjCxxPreprocessed | Asm
            | Other => false,
        }
    }

    /// Whether it compiles to a precompiled header.
    pub fn is_header(self) -> bool {
        use Language::*;
        matches!(self, CHeader | CxxHeader | ObjCHeader | ObjCxxHeader)
    }

    /// Whether it is assembler, preprocessed or not.
    pub fn is_assembler(self) -> bool {
        matches!(self, Language::Asm | Language::AsmCpp)
    }

    /// The value of `-x` that means this language, in gcc as in clang.
    pub fn option_value(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(_, language)| *language == self)
            .map(|(name, _)| *name)
    }
}

/// The values of `-x` both drivers know; the first of a language is the one to use.
const NAMES: &[(&str, Language)] = &[
    ("c", Language::C),
    ("c++", Language::Cxx),
    ("objective-c", Language::ObjC),
    ("objective-c++", Language::ObjCxx),
    ("cpp-output", Language::CPreprocessed),
    ("c++-cpp-output", Language::CxxPreprocessed),
    ("objective-c-cpp-output", Language::ObjCPreprocessed),
    ("objective-c++-cpp-output", Language::ObjCxxPreprocessed),
    ("c-header", Language::CHeader),
    ("c++-header", Language::CxxHeader),
    ("objective-c-header", Language::ObjCHeader),
    ("objective-c++-header", Language::ObjCxxHeader),
    ("assembler", Language::Asm),
    ("assembler-with-cpp", Language::AsmCpp),
    ("objc-cpp-output", Language::ObjCPreprocessed),
    ("objc++-cpp-output", Language::ObjCxxPreprocessed),
];

/// The language `-x NAME` asks for; `none` is the caller's to handle. Names we don't know are [`Language::Other`].
pub fn named(name: &[u8]) -> Language {
    NAMES
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map_or(Language::Other, |(_, language)| *language)
}

/// The language of the file `name` by its suffix, or `None` when it goes to the linker.
///
/// Measured: gcc 12 takes everything it doesn't know for the linker's, clang too.
pub fn of_file(name: &[u8], driver: Driver, dialect: Dialect) -> Option<Language> {
    use Language::*;
    let suffix = suffix(name, dialect)?;
    let language = match suffix {
        b"c" => C,
        b"i" => CPreprocessed,
        b"h" => CHeader,
        b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" | b"C" => Cxx,
        b"ii" => CxxPreprocessed,
        b"H" | b"hh" | b"hxx" | b"hpp" => CxxHeader,
        b"m" => ObjC,
        b"mi" => ObjCPreprocessed,
        b"mm" | b"M" => ObjCxx,
        b"mii" => ObjCxxPreprocessed,
        b"s" => Asm,
        b"S" => AsmCpp,
        b"f" | b"F" | b"for" | b"FOR" | b"fpp" | b"FPP" | b"f90" | b"F90" | b"f95" | b"F95" => {
            Other
        }
        b"cppm" | b"ccm" | b"cxxm" | b"c++m" | b"ixx" | b"iim" => Other,
        _ => return of_dialect(suffix, dialect),
    };
    Some(match (driver, language) {
        (Driver::Cxx, C) => Cxx,
        (Driver::Cxx, CPreprocessed) => CxxPreprocessed,
        (Driver::Cxx, CHeader) => CxxHeader,
        (_, language) => language,
    })
}

/// The suffixes only one of the drivers knows.
fn of_dialect(suffix: &[u8], dialect: Dialect) -> Option<Language> {
    use Language::*;
    match (dialect, suffix) {
        (Dialect::Gcc, b"hp" | b"h++" | b"HPP" | b"tcc") => Some(CxxHeader),
        (Dialect::Gcc, b"sx") => Some(AsmCpp),
        (Dialect::Gcc, b"ftn" | b"FTN" | b"f03" | b"F03" | b"f08" | b"F08" | b"fii") => Some(Other),
        (
            Dialect::Gcc,
            b"ads" | b"adb" | b"d" | b"dd" | b"di" | b"go" | b"rs" | b"mod" | b"m2i",
        ) => Some(Other),
        (Dialect::Gcc, b"cob" | b"COB" | b"cbl" | b"CBL" | b"a68" | b"brig") => Some(Other),
        (Dialect::Clang, b"C++") => Some(Cxx),
        (Dialect::Clang, b"asm") => Some(Asm),
        (Dialect::Clang, b"bc" | b"ll" | b"ast" | b"pcm" | b"pch" | b"gch" | b"ifs" | b"tbd") => {
            Some(Other)
        }
        (
            Dialect::Clang,
            b"cl" | b"clcpp" | b"cli" | b"clii" | b"cu" | b"cui" | b"hip" | b"hipi" | b"hlsl",
        ) => Some(Other),
        (Dialect::Clang, b"rs" | b"ads" | b"adb" | b"java" | b"lib" | b"cir") => Some(Other),
        _ => None,
    }
}

/// The text after the last dot of the last component. gcc wants something before the dot: `.c` has no suffix.
fn suffix(name: &[u8], dialect: Dialect) -> Option<&[u8]> {
    let base = base_name(name);
    let dot = base.iter().rposition(|&b| b == b'.')?;
    if dot == 0 && dialect == Dialect::Gcc {
        return None;
    }
    Some(&base[dot + 1..])
}

/// The last component of a path.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&b| b == b'/')
        .map_or(path, |slash| &path[slash + 1..])
}
