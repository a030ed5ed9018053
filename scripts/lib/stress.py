"""scripts/stress: a real package, built in parallel over and over, judged byte for byte."""

from __future__ import annotations

import argparse
from pathlib import Path

import compilers
import needs
from say import Cannot, run_main
from sdist_rounds import Stress


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/stress",
        description="Build a setuptools-based sdist from PyPI serially with the plain compiler (twice: the truth), then "
        "in parallel with objguard, each time from a fresh tree in the same path; report failures, modules that differ "
        "byte for byte, calls of the real compiler and seconds. Exit code: 0 all builds equal the truth, 1 one failed "
        "or differs, 2 it could not be tried (something is missing).",
    )
    parser.add_argument("package", metavar="NAME==VERSION", help="such as libvirt-python==9.0.0")
    parser.add_argument("-j", "--jobs", type=int, default=4, metavar="N", help="parallel extensions (default 4)")
    parser.add_argument("-n", "--rounds", type=int, default=10, metavar="N", help="parallel builds (default 10)")
    parser.add_argument("--cflags", metavar="STR", help="CFLAGS of all builds; write --cflags=-flto")
    parser.add_argument("--setuptools", metavar="VERSION", help="build with this setuptools")
    parser.add_argument(
        "--once", action="store_true", help="a build that runs more compiles than there are different ones is bad too"
    )
    parser.add_argument(
        "--wrapper",
        metavar="CMD",
        help="build in parallel with CC=CMD instead of objguard-cc; `plain` is the plain compiler, counted",
    )
    parser.add_argument(
        "--wrapper-cxx", metavar="CMD", help="CXX for --wrapper (default: CMD with gcc, clang, cc as g++, clang++, c++)"
    )
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="for one build (default 1800)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    given = parser.parse_args()
    if given.jobs < 1 or given.rounds < 1:
        parser.error("--jobs and --rounds take numbers from 1 on")
    return given


def cxx_for(cc: str) -> str:
    """The C++ twin of the command `cc`: the last word's compiler name is changed."""
    for name, twin in (("clang", "clang++"), ("gcc", "g++"), ("cc", "c++")):
        if cc.endswith(name):
            return cc[: -len(name)] + twin
    raise Cannot(f"cannot tell the C++ compiler that goes with `{cc}`: give it with --wrapper-cxx")


def main() -> int:
    given = arguments()
    stress = Stress(
        package=given.package,
        jobs=given.jobs,
        rounds=given.rounds,
        cflags=given.cflags,
        setuptools=given.setuptools,
        timeout=given.timeout,
        once=given.once,
        json_file=given.json,
    )
    needs.require(needs.BUILD)
    if given.wrapper == "plain":
        way = compilers.plain()
    elif given.wrapper:
        way = compilers.wrapped(given.wrapper, given.wrapper_cxx or cxx_for(given.wrapper), "wrapper")
    else:
        needs.require((needs.CARGO,))
        way = compilers.guarded(compilers.build_objguard())
    label = f"{given.wrapper or 'objguard'}, -j{given.jobs}"
    return stress.compare([(way, label, True)])


if __name__ == "__main__":
    run_main("scripts/stress", main)
