//! The options only gcc has, or gives another meaning than clang. Sorted by name.

use super::Effect::*;
use super::Form::*;
use super::{Row, Side, row};

const ASKS: &str = "it asks the compiler for information";
const CHATTER: &str = "what it prints differs from run to run";
const COUNTS: &str = "a compile removes the counts of earlier runs, and where they are isn't known";
const DUMPS: &str = "it writes dumps beside the object";
const TWICE: &str = "it compiles twice and compares";
const INTERNAL: &str = "it belongs to the inside of the compiler";
const ADA: &str = "it writes Ada specifications";
const FILES: &str = "it says where messages are written";
const MODULES: &str = "the module files it reads and writes are in no dependency list";
const PROFILE: &str = "the profile it reads is in no dependency list";

pub(super) const ROWS: &[Row] = &[
    row("--dump", SeparateOrEquals, Named(DUMPS)),
    row(
        "--dumpbase",
        SeparateOrEquals,
        InPlace("it names the files beside the object"),
    ),
    row(
        "--dumpbase-ext",
        SeparateOrEquals,
        InPlace("it names the files beside the object"),
    ),
    row(
        "--dumpdir",
        SeparateOrEquals,
        InPlace("it names the files beside the object"),
    ),
    row(
        "--no-integrated-cpp",
        Flag,
        InPlace("another preprocessor may be run"),
    ),
    row("--no-sysroot-suffix", Flag, Probe),
    row(
        "--output-pch=",
        Joined,
        Aside("it belongs to the inside of the compiler"),
    ),
    row("--pass-exit-codes", Flag, Plain),
    row("--static-pie", Flag, Plain),
    row("--time", Flag, InPlace(CHATTER)),
    row(
        "-Hd",
        JoinedOrSeparate,
        Aside("it is no option of every gcc"),
    ),
    row(
        "-Hf",
        JoinedOrSeparate,
        Aside("it is no option of every gcc"),
    ),
    row(
        "-J",
        JoinedOrSeparate,
        InPlace("it says where Fortran modules are written"),
    ),
    row(
        "-Mmodules",
        Flag,
        InPlace("it changes what the dependency file holds"),
    ),
    row(
        "-Mno-modules",
        Flag,
        InPlace("it changes what the dependency file holds"),
    ),
    row("-Q", Flag, Never(CHATTER)),
    row("-Tbss", JoinedOrSeparate, Plain),
    row("-Tdata", JoinedOrSeparate, Plain),
    row("-Ttext", JoinedOrSeparate, Plain),
    row(
        "-Xf",
        JoinedOrSeparate,
        Aside("it is no option of every gcc"),
    ),
    row("-Z", Flag, Plain),
    row(
        "-aux-info",
        SeparateOrEquals,
        Writes("it writes prototypes to a file"),
    ),
    row(
        "-auxbase",
        Separate,
        InPlace("it names the files beside the object"),
    ),
    row(
        "-auxbase-strip",
        Separate,
        InPlace("it names the files beside the object"),
    ),
    row("-d", Joined, Named(DUMPS)),
    row("-dH", Flag, Plain),
    row("-dN", Flag, Plain),
    row("-dP", Flag, Plain),
    row("-dU", Flag, Plain),
    row("-dp", Flag, Plain),
    row("-dumpfullversion", Flag, Aside(ASKS)),
    row("-dumpspecs", Flag, Aside(ASKS)),
    row("-dx", Flag, Plain),
    row("-e", JoinedOrSeparate, Plain),
    row("-export-dynamic", Flag, Plain),
    row("-fada-spec", FlagOrJoined, InPlace(ADA)),
    row("-fbranch-probabilities", Flag, Named(PROFILE)),
    row("-fcallgraph-info", FlagOrEquals, Side(Side::CallGraph)),
    row("-fcompare-debug", FlagOrJoined, InPlace(TWICE)),
    row(
        "-fdeps-",
        Joined,
        InPlace("it writes the dependencies of modules"),
    ),
    row("-fdiagnostics-add-output=", Joined, InPlace(FILES)),
    row("-fdiagnostics-plain-output", Flag, Colour),
    row("-fdiagnostics-set-output=", Joined, InPlace(FILES)),
    row("-fdump-ada-spec", FlagOrJoined, InPlace(ADA)),
    row(
        "-fdump-go-spec=",
        Joined,
        Writes("it writes a Go specification"),
    ),
    row("-fdump-noaddr", Flag, Plain),
    row("-fdump-passes", Flag, Plain),
    row("-fdump-unnumbered", Flag, Plain),
    row("-fdump-unnumbered-links", Flag, Plain),
    row("-fhelp", FlagOrJoined, Aside(ASKS)),
    row(
        "-fintrinsic-modules-path",
        SeparateOrEquals,
        InPlace(MODULES),
    ),
    row("-flto-incremental", FlagOrJoined, Plain),
    row("-flto-report", FlagOrJoined, Never(CHATTER)),
    row("-fltrans", FlagOrJoined, InPlace(INTERNAL)),
    row("-fmem-report", FlagOrJoined, Never(CHATTER)),
    row("-fopt-info", FlagOrJoined, OptInfo),
    row("-fpost-ipa-mem-report", Flag, Never(CHATTER)),
    row("-fpre-ipa-mem-report", Flag, Never(CHATTER)),
    row("-fprofile-dir=", Joined, Never(COUNTS)),
    row("-fprofile-exclude-files=", Joined, Plain),
    row("-fprofile-filter-files=", Joined, Plain),
    row(
        "-fprofile-note=",
        Joined,
        InPlace("it names the notes of the coverage"),
    ),
    row("-fprofile-prefix-map=", Joined, Plain),
    row("-fprofile-prefix-path=", Joined, Plain),
    row("-fprofile-report", Flag, Never(CHATTER)),
    row(
        "-frepo",
        Flag,
        InPlace("it writes a repository of templates"),
    ),
    row("-fresolution=", Joined, InPlace(INTERNAL)),
    row(
        "-fsave-optimization-record",
        Flag,
        Side(Side::OptimizationRecord),
    ),
    row(
        "-fsearch-include-path",
        FlagOrEquals,
        Aside("the source is searched for"),
    ),
    row("-fself-test", FlagOrJoined, Aside(ASKS)),
    row("-fstats", Flag, Never(CHATTER)),
    row("-ftarget-help", Flag, Aside(ASKS)),
    row("-fversion", Flag, Aside(ASKS)),
    row(
        "-fvtable-verify=",
        Joined,
        InPlace("it writes what it verifies to files"),
    ),
    row(
        "-fvtv-",
        Joined,
        InPlace("it writes what it verifies to files"),
    ),
    row("-fwpa", FlagOrJoined, InPlace(INTERNAL)),
    row("-gnatO", JoinedOrSeparate, InPlace("it names Ada's object")),
    row("-h", JoinedOrSeparate, Plain),
    row("-imultiarch", Separate, Probe),
    row(
        "-iplugindir",
        SeparateOrEquals,
        InPlace("a plugin may read and write any file"),
    ),
    row(
        "-no-integrated-cpp",
        Flag,
        InPlace("another preprocessor may be run"),
    ),
    row("-pass-exit-codes", Flag, Plain),
    row("-posix", Flag, Plain),
    row("-time", FlagOrEquals, InPlace(CHATTER)),
    row(
        "-wrapper",
        Separate,
        InPlace("another program runs every step"),
    ),
    row("-z", JoinedOrSeparate, Plain),
];
