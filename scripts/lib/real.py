"""scripts/real: builds that nobody here wrote, plain and guarded, with their own test suites."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import compilers
import debian_source
import needs
from places import DEV
from say import Cannot, WRONG, note, run_main, table


@dataclass(frozen=True)
class Build:
    """A source package of Debian's and how it is built; `{jobs}` stands for their number."""

    package: str
    kind: str
    needs: tuple[needs.Need, ...]
    prepare: tuple[tuple[str, ...], ...]
    build: tuple[str, ...]
    test: tuple[str, ...]
    # Words that put objguard in front of the compilers, for what doesn't ask CC.
    launched: bool = False
    # Words of make's that say what the compiler is, where the makefile sets it.
    by_words: bool = False


_MAKE = needs.of_programs("make", "make", "builds by make", "make")
BUILDS = (
    Build(
        "xz-utils",
        "configure, libtool",
        (_MAKE,),
        (("./configure", "--quiet", "--disable-nls", "--disable-doc"),),
        ("make", "-j{jobs}"),
        ("make", "-j{jobs}", "check"),
    ),
    Build(
        "brotli",
        "CMake, Ninja",
        (
            needs.of_programs("cmake", "cmake", "builds by CMake", "cmake"),
            needs.of_programs("ninja", "ninja-build", "builds by ninja", "ninja"),
        ),
        (("cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"),),
        ("ninja", "-C", "build", "-j{jobs}"),
        ("ctest", "--test-dir", "build", "-j{jobs}", "--output-on-failure"),
        launched=True,
    ),
    Build("bzip2", "a Makefile", (_MAKE,), (), ("make", "-j{jobs}", "libbz2.a", "bzip2", "bzip2recover"), ("make", "test"), by_words=True),
)


@dataclass
class Result:
    """How a build went: what it left, and what it took."""

    objects: dict[str, str]
    programs: dict[str, str]
    seconds: float
    events: Counter


def arguments() -> argparse.Namespace:
    known = ", ".join(build.package for build in BUILDS)
    parser = argparse.ArgumentParser(
        prog="scripts/real",
        description="Build source packages of Debian's in parallel, with the plain compilers and with objguard, each from a fresh tree "
        "in the same path, and run their own test suites; then touch all sources and build again. Objects, libraries and programs "
        "must be equal byte for byte. Exit code: 0 all went well, 1 something didn't, 2 it could not be tried.",
    )
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"only these: {known}")
    parser.add_argument("-j", "--jobs", type=int, default=4, metavar="N", help="jobs of each build (default 4)")
    given = parser.parse_args()
    for name in given.packages:
        if name not in {build.package for build in BUILDS}:
            parser.error(f"knows {known}; not `{name}`")
    if given.jobs < 1:
        parser.error("--jobs takes a number from 1 on")
    return given


class Way:
    """The plain compilers, or objguard in front of them."""

    def __init__(self, name: str, binaries: Path | None, folder: Path) -> None:
        self.name, self.binaries = name, binaries
        self.log = folder / "events"
        self.reasons: Counter = Counter()
        self.env = {**compilers.clean_environment(), "LC_ALL": "C"}
        if binaries:
            self.env["OBJGUARD_LOG"] = str(self.log)

    def _tool(self, plain: str, guarded: str) -> str:
        return str(self.binaries / guarded) if self.binaries else plain

    def run(self, build: Build, words: tuple[str, ...], tree: Path, jobs: int) -> None:
        env = dict(self.env)
        command = [word.format(jobs=jobs) for word in words]
        tools = {"CC": self._tool("gcc", "objguard-cc"), "CXX": self._tool("g++", "objguard-c++"), "AR": self._tool("ar", "objguard-ar")}
        if self.binaries:
            env |= {"OBJGUARD_CC": "gcc", "OBJGUARD_CXX": "g++", "OBJGUARD_AR": "ar"}
        if build.launched:
            env |= {"CC": "gcc", "CXX": "g++"}
            if self.binaries and command[0] == "cmake":
                command += [f"-DCMAKE_{of}_COMPILER_LAUNCHER={self.binaries / 'objguard'}" for of in ("C", "CXX")]
        elif build.by_words and command[0] == "make":
            command += [f"CC={tools['CC']}", f"AR={tools['AR']}"]
        else:
            env |= tools
        done = subprocess.run(
            command, cwd=tree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False,
        )
        if done.returncode:
            raise Failed(f"{build.package}, {self.name}: `{' '.join(command)}` ended with exit code {done.returncode}:\n{done.stdout[-3000:]}")

    def events(self) -> Counter:
        """What was done since the last look, by kind and by what was decided."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        events = [json.loads(line) for line in lines]
        self.reasons = Counter(event["why"] for event in events if "why" in event)
        return Counter(f"{event['kind']}: {event['what']}" if event["kind"] == "compile" else event["kind"] for event in events)


class Failed(Exception):
    """A build or a test suite failed."""


def left(tree: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of the objects, and of the libraries and programs."""
    objects, programs = {}, {}
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name != ".objguard"]
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            with open(path, "rb") as file:
                begins = file.read(8)
            if begins[:4] != b"\x7fELF" and begins != b"!<arch>\n":
                continue
            # CMake's own look at the compilers: done in folders with random names.
            if "CMakeFiles" in path.parts and "CMakeScratch" in path.parts:
                continue
            kind = objects if name.endswith(".o") else programs
            kind[str(path.relative_to(tree))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return objects, programs


def play(build: Build, way: Way, tree: Path, jobs: int) -> Result:
    """Build, look and test."""
    shutil.rmtree(tree.parent, ignore_errors=True)
    debian_source.unpacked(build.package, tree.parent).rename(tree)
    way.events()
    started = time.monotonic()
    for words in build.prepare:
        way.run(build, words, tree, jobs)
    way.run(build, build.build, tree, jobs)
    seconds = time.monotonic() - started
    objects, programs = left(tree)
    way.run(build, build.test, tree, jobs)
    return Result(objects, programs, seconds, way.events())


def again(build: Build, way: Way, tree: Path, jobs: int) -> Counter:
    """Touch all sources and build: what was done."""
    for path in tree.rglob("*.[ch]"):
        path.touch()
    way.run(build, build.build, tree, jobs)
    return way.events()


def compare(build: Build, work: Path, binaries: Path, jobs: int) -> tuple[list[object], list[str]]:
    """A line of the table, and what was wrong."""
    tree = work / "tree" / build.package
    plain, guarded = Way("plain", None, work), Way("objguard", binaries, work)
    truth = play(build, plain, tree, jobs)
    mine = play(build, guarded, tree, jobs)
    bad = []
    for what, ours, theirs in (("object", mine.objects, truth.objects), ("library or program", mine.programs, truth.programs)):
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                bad.append(f"{build.package}: {what} `{name}` is not the plain build's")
    rebuilt = again(build, guarded, tree, jobs)
    compiled = sum(count for what, count in mine.events.items() if what.startswith("compile"))
    if not truth.objects or not compiled:
        bad.append(f"{build.package}: nothing was compared: {len(truth.objects)} objects, {compiled} guarded compiles")
    skipped = rebuilt["compile: skip"]
    recompiled = sum(count for what, count in rebuilt.items() if what.startswith("compile")) - skipped
    # libtool removes its objects before it compiles: there is nothing to skip to.
    removed = guarded.reasons["no file holds the object any more"]
    if recompiled > removed or not skipped:
        bad.append(f"{build.package}: built again after a touch: {dict(rebuilt)}; the reasons: {guarded.reasons.most_common(3)}")
    if after := [name for name, digest in left(tree)[0].items() if truth.objects.get(name, digest) != digest]:
        bad.append(f"{build.package}: after a touch these objects differ: {after}")
    row = [
        build.package, build.kind, len(truth.objects), len(truth.programs), "passed, passed", compiled, f"{skipped}, {removed} removed by the build",
        f"{truth.seconds:.1f}", f"{mine.seconds:.1f}",
    ]
    return row, bad


def main() -> int:
    given = arguments()
    builds = [build for build in BUILDS if not given.packages or build.package in given.packages]
    needs.require((needs.CARGO, *needs.BUILD, debian_source.APT, *(need for build in builds for need in build.needs)))
    binaries = compilers.build_objguard()
    work = DEV / "real"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rows, bad = [], []
    for build in builds:
        try:
            row, wrong = compare(build, work, binaries, given.jobs)
        except Failed as problem:
            bad.append(str(problem))
            continue
        rows.append(row)
        bad += wrong
    head = ("build", "by", "objects", "others", "its tests: plain, guarded", "guarded compiles", "skipped after a touch", "plain, s", "guarded, s")
    note(table(head, rows))
    for problem in bad:
        note(f"WRONG: {problem}")
    if not bad:
        shutil.rmtree(work, ignore_errors=True)
    return WRONG if bad else 0


if __name__ == "__main__":
    run_main("scripts/real", main)
