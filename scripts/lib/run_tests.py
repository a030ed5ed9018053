"""scripts/test: everything that the tests need, then the Rust tests and the end-to-end tests in Python."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree
from dataclasses import dataclass, field
from pathlib import Path

import compilers
import needs
import setuptools_versions
import venvs
import wheel
from places import DEV, ROOT
from say import Cannot, note, run_main, table

SUITES = ("rust", "python")


def arguments() -> argparse.Namespace:
    known = ", ".join(need.name for need in needs.FOR_TESTS)
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Set up what the tests need (venvs with pip below .objguard-dev, a release build with cargo), run the "
        "Rust tests and the end-to-end tests in Python. What the system lacks is named; the tests that need it can't "
        "run, and that is a failure unless it is allowed with --without. Exit code: 0 all passed, 1 not, 2 nothing "
        "could be tried.",
    )
    parser.add_argument("--quick", action="store_true", help="one setuptools version, fewer rounds, no release tests")
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help=f"do without it, and count what is left out: {known}"
    )
    parser.add_argument("--only", choices=SUITES, help="one of the two suites")
    parser.add_argument("--release", action="store_true", help="run the Rust tests of the release profile as well")
    parser.add_argument("rest", nargs="*", metavar="ARG", help="after --: goes to cargo test or pytest (with --only)")
    given = parser.parse_args()
    for name in given.without:
        if name not in {need.name for need in needs.FOR_TESTS}:
            parser.error(f"--without takes one of {known}; not `{name}`")
    if given.rest and not given.only:
        parser.error("arguments after -- go to one suite: name it with --only")
    return given


@dataclass
class Suite:
    """How one suite went."""

    name: str
    passed: int = 0
    failed: int = 0
    not_run: list[str] = field(default_factory=list)  # "test: why"
    seconds: float = 0.0

    def row(self) -> list[str]:
        return [self.name, str(self.passed), str(self.failed), str(len(self.not_run)), f"{self.seconds:.0f}"]


def main() -> int:
    given = arguments()
    suites = [given.only] if given.only else list(SUITES)
    needs.require((needs.CARGO, *needs.BUILD))
    os.environ.update(python_tools())
    env = dict(os.environ)
    lacking = needs.missing(needs.FOR_TESTS)
    for need in lacking:
        allowed = "left out" if need.name in given.without else f"NOT ALLOWED: install it or say --without {need.name}"
        note(f"not on this system: {need.name} (Debian: {need.package}); it is for {need.purpose}; {allowed}")
    done: list[Suite] = []
    if "rust" in suites:
        done.append(rust("Rust tests", [], given, env))
        if given.release and not given.quick:
            done.append(rust("Rust tests, release", ["--release"], given, env))
    if "python" in suites:
        done.append(python(given, env))
    return report(done, lacking, given.without)


def python_tools() -> dict[str, str]:
    """PATH with cmake and ninja from PyPI at its end, if the system lacks them."""
    wanted = [name for name in ("cmake", "ninja") if not needs.program(name)()]
    if not wanted:
        return {}
    venv = venvs.ensure(venvs.name_for("tools", wanted), wanted)
    folder = DEV / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        # Links, so that the venv's python doesn't come to PATH with them.
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(venv / "bin" / name)
    return {"PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{folder}"}


def rust(name: str, profile: list[str], given: argparse.Namespace, env: dict[str, str]) -> Suite:
    """`cargo test`, its output passed on and counted."""
    rest = given.rest if given.only == "rust" else []
    command = ["cargo", "test", "--no-fail-fast", *profile, *rest]
    note(f"\n== {name}: {' '.join(command)}")
    suite = Suite(name)
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            print(line, flush=True)
            count(line, suite)
    suite.seconds = time.monotonic() - started
    if process.returncode and not suite.failed:
        # It did not compile, or a test binary died.
        suite.failed = 1
    return suite


def count(line: str, suite: Suite) -> None:
    """Add what one line of cargo test's output says. Tests that can't run say `not run here: TEST: WHY`."""
    result = re.match(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", line)
    if result:
        suite.passed += int(result[1])
        suite.failed += int(result[2])
        suite.not_run += ["an #[ignore]d test: nothing may be ignored"] * int(result[3])
    left_out = re.search(r"not run here: (.*)", line)
    if left_out:
        # Such a test returns early, and the runner counts it as passed.
        suite.not_run.append(left_out[1])
        suite.passed -= 1


def python(given: argparse.Namespace, env: dict[str, str]) -> Suite:
    """pytest over tests/python, with its own venv."""
    note("\n== end-to-end tests in Python")
    venv = venvs.ensure("tests", ["pytest>=8,<10", "pytest-xdist>=3,<4"])
    env["OBJGUARD_TESTS_BIN"] = str(compilers.build_objguard())
    env["OBJGUARD_TESTS_WHEEL"] = str(wheel.build_wheel())
    versions = setuptools_versions.VERSIONS[-1:] if given.quick else setuptools_versions.VERSIONS
    for version in versions:
        setuptools_versions.venv(version)
    note(f"setuptools: {', '.join(versions)}; Python {sys.version.split()[0]}")
    results = DEV / "python-tests.xml"
    results.unlink(missing_ok=True)
    quick = ["--quick"] if given.quick else []
    # Much of a build is one Python starting, so two tests at once take little more than one.
    rest = given.rest if given.only == "python" and given.rest else ["-n", str(min(4, os.cpu_count() or 1))]
    command = [
        *(str(venvs.python_of(venv)), "-B", "-m", "pytest", "-q", f"--junit-xml={results}", *quick, *rest),
    ]
    suite = Suite("end-to-end tests in Python")
    started = time.monotonic()
    code = subprocess.run(
        command, cwd=ROOT / "tests" / "python", env=env, stdin=subprocess.DEVNULL, check=False
    ).returncode
    suite.seconds = time.monotonic() - started
    if results.exists():
        for cases in xml.etree.ElementTree.parse(results).getroot().iter("testsuite"):
            bad = int(cases.get("failures", 0)) + int(cases.get("errors", 0))
            skipped = int(cases.get("skipped", 0))
            suite.failed += bad
            suite.passed += int(cases.get("tests", 0)) - bad - skipped
            for case in cases.iter("testcase"):
                for why in case.iter("skipped"):
                    suite.not_run.append(f"{case.get('name')}: {why.get('message')}")
    if code and not suite.failed:
        suite.failed = 1
    return suite


def report(done: list[Suite], lacking: list[needs.Need], without: list[str]) -> int:
    """Print the sum; returns the exit code."""
    note("")
    note(table(("suite", "passed", "failed", "not run", "seconds"), [suite.row() for suite in done]))
    left_out = [why for suite in done for why in suite.not_run]
    allowed = [need for need in needs.FOR_TESTS if need.name in without]
    forbidden = [why for why in left_out if not any(need.explains(why) for need in allowed)]
    for why in left_out:
        note(f"{'NOT RUN, and not allowed with --without' if why in forbidden else 'not run, as allowed'}: {why}")
    # A missing program fails the run even if no test happened to say that it needs it.
    for need in lacking:
        if need.name not in without and not any(need.explains(why) for why in forbidden):
            forbidden.append(need.name)
            note(f"NOT RUN, and not allowed with --without: what needs {need.name} (Debian: {need.package})")
    passed = sum(suite.passed for suite in done)
    failed = sum(suite.failed for suite in done) + len(forbidden)
    note(f"{passed} passed, {failed} failed, {len(left_out) - len([why for why in left_out if why in forbidden])} skipped")
    if passed == 0 and failed == 0:
        raise Cannot("no test ran at all")
    return 1 if failed else 0


if __name__ == "__main__":
    run_main("scripts/test", main)
