"""scripts/plugin: a package changed by the lines in pyproject.toml alone, built over and over as pip builds it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import compilers
import modules
import needs
import plugin_lines
import setuptools_versions
import venvs
import wheel
from places import DEV, PACKAGES
from say import WRONG, Cannot, Progress, note, run_main, table
from sdist_rounds import Stress

TRUTH = [12, 42]
_ASK = "import json, sys; sys.path.insert(0, sys.argv[1]); import mod1, mod2; print(json.dumps([mod1.my_function(), mod2.my_function()]))"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/plugin",
        description="Build a package over and over with `pip wheel .`, isolated and without the network, in a clean environment: "
        "only pyproject.toml says that objguard is to guard it and to build extensions in parallel. Without PACKAGE it is "
        "the bundled pair of extensions, which must return 12 and 42; else the modules must equal those of a serial build of the "
        "unchanged sdist, byte for byte. Exit code: 0 all are right, 1 one isn't, 2 it could not be tried.",
    )
    parser.add_argument("package", nargs="?", metavar="PACKAGE==VERSION", help="a setuptools-based sdist from PyPI")
    parser.add_argument("-n", "--rounds", type=int, default=50, metavar="N", help="builds (default 50)")
    parser.add_argument("-j", "--jobs", type=int, default=4, metavar="N", help="`jobs` in the table (default 4)")
    parser.add_argument("--cflags", metavar="STR", help="CFLAGS of all builds; write --cflags=-flto")
    parser.add_argument(
        "--control", type=int, default=0, metavar="N", help="builds without the lines too, parallel by DIST_EXTRA_CONFIG: they may be wrong"
    )
    given = parser.parse_args()
    if given.rounds < 1 or given.jobs < 2 or given.control < 0:
        parser.error("--rounds takes a number from 1 on, --jobs one from 2 on")
    return given


@dataclass
class Package:
    """What is built: the tree as it was published, and what tells a right wheel."""

    name: str
    pristine: Path
    folder: Path
    cflags: str | None
    wheel: Path
    python: Path
    truth: object = None

    @property
    def tree(self) -> Path:
        """Where it is built; always the same path, so that debug information is comparable."""
        return self.folder / "tree"

    def variables(self) -> dict[str, str]:
        """A clean environment with no more than wheels at hand."""
        pip = setuptools_versions.pip_variables("newest", self.folder)
        more = {"CFLAGS": self.cflags} if self.cflags else {}
        return {**compilers.clean_environment(), **plugin_lines.with_wheel(pip, self.wheel), **more}

    def build(self, variables: dict[str, str], jobs: int | None) -> tuple[Path | None, str]:
        """`pip wheel .` of a fresh tree, with the lines if `jobs` says so; the wheel, if there is one, and what was printed."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.pristine, self.tree, symlinks=True)
        if jobs:
            plugin_lines.add_lines(self.tree, jobs)
        out = self.folder / "wheels"
        shutil.rmtree(out, ignore_errors=True)
        words = ["-m", "pip", "wheel", "--verbose", "--no-cache-dir", "--no-deps", "--wheel-dir", str(out), "."]
        done = subprocess.run(
            [str(self.python), *words],
            cwd=self.tree,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return next(out.glob("*.whl"), None) if done.returncode == 0 else None, done.stdout

    def made(self, built: Path) -> object:
        """What tells a right wheel from a wrong one."""
        if self.name != "twins":
            return modules.in_wheel(built)
        site = self.folder / "site"
        shutil.rmtree(site, ignore_errors=True)
        with zipfile.ZipFile(built) as archive:
            archive.extractall(site)
        asked = subprocess.run([str(self.python), "-I", "-c", _ASK, str(site)], capture_output=True, text=True, check=False)
        return json.loads(asked.stdout) if asked.returncode == 0 else asked.stderr.strip().splitlines()[-1:]


@dataclass
class Outcome:
    """What came of all builds of one way."""

    way: str
    right: int = 0
    wrong: int = 0
    failed: int = 0
    seconds: float = 0.0
    threads: list[int] = field(default_factory=list)
    failure: str = ""

    def row(self) -> list[str]:
        count = self.right + self.wrong + self.failed
        threads = f"{min(self.threads)}-{max(self.threads)}" if self.threads else "-"
        return [self.way, str(self.right), str(self.wrong), str(self.failed), threads, f"{self.seconds / count:.1f}"]


HEAD = ("build", "right", "wrong", "failed", "threads", "seconds")


def rounds(package: Package, way: str, number: int, variables: dict[str, str], jobs: int | None) -> Outcome:
    """All builds of one way, judged."""
    outcome = Outcome(way)
    progress = Progress(way, number)
    events = package.folder / "events"
    for done in range(number):
        progress.step(done, f"({outcome.right} right)")
        events.unlink(missing_ok=True)
        started = time.monotonic()
        built, printed = package.build({**variables, "OBJGUARD_LOG": str(events)}, jobs)
        outcome.seconds += time.monotonic() - started
        if jobs and events.exists():
            outcome.threads.append(linkers(events))
        if built is None:
            outcome.failed += 1
        elif package.made(built) == package.truth:
            outcome.right += 1
        else:
            outcome.wrong += 1
            printed += f"\n{package.made(built)}"
        if built is None or outcome.wrong:
            outcome.failure = outcome.failure or printed
    progress.close()
    return outcome


def linkers(events: Path) -> int:
    """How many threads linked modules."""
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    return len({tuple(line["lineage"][0][:3]) for line in lines if line["kind"] == "link"})


def prepared(given: argparse.Namespace) -> Package:
    """The package, unpacked, and its truth."""
    built = wheel.build_wheel()
    # Nothing but pip: the build environment is pip's own affair.
    python = venvs.python_of(venvs.ensure("clean", []))
    if given.package:
        needs.require_for_package(given.package.split("==")[0])
        stress = Stress(package=given.package, jobs=given.jobs, rounds=given.rounds)
        stress.folder.mkdir(parents=True, exist_ok=True)
        name, pristine = stress.name, stress.unpack(stress.fetch())
    else:
        name, pristine = "twins", PACKAGES / "twins"
    folder = DEV / "plugin" / f"{name}.{os.getpid()}"
    folder.mkdir(parents=True)
    package = Package(name, pristine, folder, given.cflags, built, python)
    serial, printed = package.build(package.variables(), None)
    if serial is None:
        raise Cannot(f"cannot build `{name}` as it was published, serially:\n{printed[-3000:]}")
    package.truth = package.made(serial)
    if name == "twins" and package.truth != TRUTH:
        raise Cannot(f"the serial build must give {TRUTH}, not {package.truth}")
    if not package.truth:
        raise Cannot(f"`{name}` builds no extension module here: there is nothing to compare")
    return package


def main() -> int:
    given = arguments()
    needs.require((needs.CARGO, *needs.BUILD))
    package = prepared(given)
    try:
        outcomes = []
        if given.control:
            config = package.folder / "parallel.cfg"
            config.write_text(f"[build_ext]\nparallel = {given.jobs}\n")
            variables = {**package.variables(), "DIST_EXTRA_CONFIG": str(config)}
            outcomes.append(rounds(package, "without the lines, parallel", given.control, variables, None))
        guarded = rounds(package, "with the lines", given.rounds, package.variables(), given.jobs)
        outcomes.append(guarded)
    finally:
        shutil.rmtree(package.folder, ignore_errors=True)
    flags = f", CFLAGS={given.cflags}" if given.cflags else ""
    note(f"\n{given.package or 'the bundled pair'}{flags}: pip wheel ., isolated; Python {sys.version.split()[0]}")
    note(table(HEAD, [outcome.row() for outcome in outcomes]))
    note("(threads: those that linked modules; seconds: per build)")
    if guarded.right == given.rounds and min(guarded.threads) > 1:
        return 0
    note(guarded.failure[-3000:] or "the extensions were not built in parallel")
    return WRONG


if __name__ == "__main__":
    run_main("scripts/plugin", main)
