"""scripts/demo: the race, and objguard in it, side by side."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import compilers
import needs
import sdist_rounds
import venvs
from compilers import Calls, Compilers
from places import DEV, PACKAGES
from say import WRONG, Cannot, Progress, note, run_main, table

TRUTH = {"mod1": 12, "mod2": 42}
CALLS = ("mod1.my_function", "mod2.my_function")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Build a package serially with the plain compiler (the truth), in parallel with the plain compiler "
        "and in parallel with objguard, many rounds, each from scratch, and show what came out. Without PACKAGE it is "
        "the bundled pair of extensions that share shared.c, compiled with -DVALUE=12 and -DVALUE=42 (setuptools "
        "#3942). Exit code: 0 the guarded builds all equal the truth, 1 one differs, 2 something is missing.",
    )
    parser.add_argument(
        "package",
        nargs="?",
        metavar="PACKAGE==VERSION",
        help="build this setuptools-based sdist from PyPI instead, and compare its modules byte for byte",
    )
    parser.add_argument(
        "-n", "--rounds", type=int, metavar="N", help="rounds of each way (default 200; 5 for a PACKAGE)"
    )
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="parallel jobs (default 2; 4 for a PACKAGE)")
    parser.add_argument("--cflags", metavar="STR", help="CFLAGS for all builds, such as -flto")
    given = parser.parse_args()
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds takes a number from 1 on")
    if given.jobs is not None and given.jobs < 2:
        parser.error("--jobs takes a number from 2 on: with one job there is no race")
    return given


@dataclass
class Outcome:
    """What came of all rounds of one way to build."""

    way: str
    right: int = 0
    wrong: int = 0
    failed: int = 0
    seen: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    calls: Calls | None = None
    failure: str = ""  # of the first failed round

    @property
    def rounds(self) -> int:
        return self.right + self.wrong + self.failed

    def add(self, result: dict) -> None:
        values = [result["values"].get(name) for name in TRUTH]
        self.seconds += result["seconds"]
        if result["exit"] != 0:
            self.failed += 1
            self.seen["build failed"] += 1
            self.failure = self.failure or result["log"]
        elif not all(isinstance(value, int) for value in values):
            self.failed += 1
            self.seen["import failed"] += 1
            self.failure = self.failure or "\n".join(str(value) for value in values if isinstance(value, str))
        else:
            self.right += result["values"] == TRUTH
            self.wrong += result["values"] != TRUTH
            self.seen["/".join(map(str, values))] += 1

    def row(self) -> list[str]:
        calls = "-" if self.calls is None else f"{self.calls.compiles / self.rounds:.1f}"
        seen = ", ".join(f"{what} ({count})" for what, count in self.seen.most_common())
        return [
            self.way,
            str(self.right),
            str(self.wrong),
            str(self.failed),
            calls,
            f"{self.seconds / self.rounds:.2f}",
            seen,
        ]


HEAD = ("build", "right", "wrong", "failed", "compiles", "seconds", "mod1/mod2 (rounds)")


def bundled(given: argparse.Namespace) -> int:
    """The bundled pair; returns the exit code."""
    rounds, jobs = given.rounds or 200, given.jobs or 2
    needs.require((needs.CARGO, *needs.BUILD))
    binaries = compilers.build_objguard()
    venv = venvs.ensure("demo", ["setuptools", "wheel"])
    DEV.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="demo-", dir=DEV))
    note(f"{rounds} rounds of each, every one in a fresh folder; right is 12/42")
    plain, guard = compilers.plain(), compilers.guarded(binaries)
    try:
        outcomes = [
            run(venv, work, plain, "plain, serial (truth)", rounds, 1, given.cflags),
            run(venv, work, plain, f"plain, -j{jobs}", rounds, jobs, given.cflags),
            run(venv, work, guard, f"objguard, -j{jobs}", rounds, jobs, given.cflags),
        ]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    truth, racing, guarded = outcomes
    note("")
    note(table(HEAD, [outcome.row() for outcome in outcomes]))
    note("(compiles: calls of the real compiler per build; seconds: per build)")
    note("")
    if truth.right != rounds:
        raise Cannot(f"the serial plain build must always give 12/42 but did not; its first failure:\n{truth.failure}")
    if racing.right == rounds:
        note(f"The race did not show itself in {rounds} plain parallel builds here; try more rounds.")
    else:
        note(f"Plain and parallel: wrong or failed in {rounds - racing.right} of {rounds} builds.")
    if guarded.right == rounds:
        note(f"With objguard: right in {rounds} of {rounds} builds.")
        return 0
    note(f"WITH OBJGUARD: WRONG OR FAILED IN {rounds - guarded.right} OF {rounds} BUILDS.")
    if guarded.failure:
        note(f"Its first failure:\n{guarded.failure}")
    return WRONG


def run(
    venv: Path, work: Path, way: Compilers, label: str, rounds: int, jobs: int, cflags: str | None
) -> Outcome:
    """All rounds of one way to build."""
    log = work / "calls.log"
    log.unlink(missing_ok=True)
    more = {"CFLAGS": cflags} if cflags else {}
    command = [
        *(str(venvs.python_of(venv)), "-I", str(Path(__file__).with_name("build_rounds.py"))),
        *("--package", str(PACKAGES / "twins"), "--work", str(work)),
        *("--rounds", str(rounds), "--jobs", str(jobs)),
        *(word for call in CALLS for word in ("--call", call)),
    ]
    outcome = Outcome(label)
    progress = Progress(label, rounds)
    with subprocess.Popen(
        command, env=way.environment(log, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            outcome.add(json.loads(line))
            progress.step(outcome.rounds, f"({outcome.right} right)")
    progress.close()
    if process.returncode or outcome.rounds != rounds:
        raise Cannot(f"the rounds of `{label}` ended early with exit code {process.returncode} after {outcome.rounds}")
    if way.counted:
        outcome.calls = Calls.read(log)
    return outcome


def main() -> int:
    given = arguments()
    if given.package is None:
        return bundled(given)
    needs.require((needs.CARGO, *needs.BUILD))
    stress = sdist_rounds.Stress(
        package=given.package, jobs=given.jobs or 4, rounds=given.rounds or 5, cflags=given.cflags
    )
    plain = compilers.plain()
    guard = compilers.guarded(compilers.build_objguard())
    return stress.compare(
        [(plain, f"plain, -j{stress.jobs}", False), (guard, f"objguard, -j{stress.jobs}", True)],
    )


if __name__ == "__main__":
    run_main("scripts/demo", main)
