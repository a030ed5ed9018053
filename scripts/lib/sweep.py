"""scripts/sweep: objguard killed at each of its system calls, and each call failing with each error."""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import lineages
from places import ROOT
from say import Cannot, Progress, WRONG, note, run_main, table
from sweep_scenes import NEVER_SEEN, SCENES, Scene, Stage, linked

ERRORS = ("ENOSPC", "EIO", "EACCES", "EINTR", "EMFILE", "EROFS")

# Calls that can't fail, or whose failure is none of objguard's: the loader's, the clock's, memory.
NEVER_FAILS = set(
    "exit exit_group brk mmap munmap mprotect arch_prctl set_tid_address set_robust_list rseq prlimit64 sigaltstack "
    "rt_sigaction rt_sigprocmask rt_sigreturn getpid getppid gettid geteuid getuid umask sched_getaffinity getrandom "
    "futex madvise clock_nanosleep restart_syscall execve".split()
)


@dataclass(frozen=True)
class Point:
    """One call to strike: the `nth` call of this name."""

    scene: str
    call: str
    nth: int
    error: str | None  # None: killed

    def injection(self) -> str:
        what = f"error={self.error}" if self.error else "signal=SIGKILL"
        return f"inject={self.call}:{what}:when={self.nth}"

    def __str__(self) -> str:
        error = f" --error {self.error}" if self.error else ""
        return f"--scene {self.scene} --call {self.call} --nth {self.nth}{error}"


@dataclass(frozen=True)
class Result:
    point: Point
    struck: bool
    code: int | None
    complaints: tuple[str, ...]


def stops(ended: lineages.Ended) -> bool:
    """A link that says that it can't know: once the builder has taken an object, another's newer claim may be its own."""
    return ended.code == 1 and "it can't be known which variant" in ended.err


class Bench:
    """Plays scenes in a folder of its own."""

    def __init__(self, folder: Path, wrapper: Path, quick_cc: Path) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "TMPDIR": str(folder.parent),
            "LC_ALL": "C",
            "OBJGUARD_CC": str(quick_cc),
            "RUST_BACKTRACE": "0",
        }
        self.trace = folder.parent / f"{folder.name}.trace"
        self.stage = Stage.make(folder, wrapper, environment)
        self.expected: dict[str, dict[str, bytes | None]] = {}
        # What the command says when it runs again after it has ended well: whoever has taken its objects may stop there.
        self.again: dict[str, lineages.Ended] = {}

    def strike(self, words: list[str], more: list[str]) -> list[str]:
        return ["strace", "-qq", "-o", str(self.trace), *more, *words]

    def rehearse(self, scene: Scene) -> Counter[str]:
        """Plays the scene undisturbed; the calls it makes. Its outputs are what every later run must come to."""
        scene.prepare(self.stage)
        self.stage.ours.run(scene.command(self.stage))  # now the compiler is known
        scene.prepare(self.stage)
        ended = self.stage.ours.run(self.strike(scene.command(self.stage), []))
        if not ended.quiet:
            raise Cannot(f"cannot play scene {scene.name}: {ended}")
        self.expected[scene.name] = {name: self.stage.content(name) for name in scene.outputs}
        complaints = self._links(scene, self.stage.theirs)
        if complaints:
            raise Cannot(f"scene {scene.name} is wrong undisturbed: {complaints}")
        self.again[scene.name] = self.stage.ours.run(scene.command(self.stage))
        calls = re.findall(r"^(\w+)\(", self.trace.read_text(errors="replace"), re.MULTILINE)
        return Counter(calls)

    def play(self, scene: Scene, point: Point) -> Result:
        if scene.name not in self.expected:
            self.rehearse(scene)
        stage = self.stage
        scene.prepare(stage)
        before = {name: stage.content(name) for name in scene.outputs}
        words = scene.command(stage)
        ended = stage.ours.run(self.strike(words, ["-e", f"trace={point.call}", "-e", point.injection()]))
        # strace dies of the signal that killed its child.
        struck = ended.killed if point.error is None else "(INJECTED)" in self.trace.read_text(errors="replace")
        # Rust's library asserts that closing a folder never fails, and on Linux it doesn't: nothing is written then. And before
        # main, which only the command has of Rust, it gives up without a word if it can't see whether its standard streams are open.
        gave_up = Path(words[0]).name == "objguard" and ended.code == -signal.SIGABRT and not ended.err
        if point.error and ("unexpected error during closedir" in ended.err or gave_up):
            return Result(point, False, ended.code, ())
        complaints = self._struck(scene, ended, point, before) if struck else []
        if not struck and not ended.quiet:
            complaints = [f"not struck: {ended}"]
        return Result(point, struck, ended.code, tuple(complaints))

    def _struck(self, scene: Scene, ended: lineages.Ended, point: Point, before: dict[str, bytes | None]) -> list[str]:
        stage, expected, complaints = self.stage, self.expected[scene.name], []
        if ended.stuck:
            complaints.append("stuck")
        if "panicked" in ended.err or ended.code == 101:
            complaints.append(f"panic: {ended}")
        if ended.code is not None and ended.code < 0 and point.error:
            complaints.append(f"crash: {ended}")
        if ended.code == 0 and not ended.quiet:
            complaints.append(f"noise: {ended}")
        if ended.code not in (0, None) and point.error and not ended.err.strip():
            complaints.append(f"no message: {ended}")
        if scene.in_place:
            lineages.wait_for_group(ended.group)
        for name in scene.outputs:
            held = stage.content(name)
            allowed = [expected[name]] if ended.code == 0 else [expected[name], before[name], None]
            if held not in allowed:
                shown = held and held[:60]
                complaints.append(f"WRONG: after {ended}, {name} holds {shown!r}")
        if ended.code == 0:
            complaints += self._links(scene, stage.theirs)
        elif scene.theirs and (complaint := linked(stage, stage.theirs, scene.theirs)):
            complaints.append(complaint)
        was_done = all(stage.content(name) == expected[name] for name in scene.outputs)
        again = stage.ours.run(scene.command(stage))
        if not again.quiet and not (was_done and stops(again) and stops(self.again[scene.name])):
            complaints.append(f"the next run: {again}")
        for name in scene.outputs:
            if stage.content(name) != expected[name]:
                complaints.append(f"WRONG: after the next run, {name} isn't right")
        complaints += self._links(scene, stage.others)
        lineages.wait_for_group(ended.group)
        later = stage.theirs.run(stage.compiling(NEVER_SEEN, "-O1"))
        if not later.quiet:
            complaints.append(f"a later run: {later}")
        if strays := stage.strays():
            complaints.append(f"strays: {strays}")
        return complaints

    def _links(self, scene: Scene, theirs: lineages.Builder) -> list[str]:
        stage, complaints = self.stage, []
        if scene.links:
            held = (stage.content("prog") or b"").decode(errors="replace").strip()
            if held != scene.ours:
                complaints.append(f"WRONG: the program holds `{held}`, not `{scene.ours}`")
        elif scene.ours:
            complaints.append(linked(stage, stage.ours, scene.ours))
        if scene.theirs:
            complaints.append(linked(stage, theirs, scene.theirs))
        return [complaint for complaint in complaints if complaint]


_bench: Bench | None = None


def _start_worker(folder: Path, wrapper: Path, quick_cc: Path) -> None:
    global _bench
    _bench = Bench(folder / f"job-{os.getpid()}", wrapper, quick_cc)


def _play(point: Point) -> Result:
    assert _bench is not None
    scene = next(scene for scene in SCENES if scene.name == point.scene)
    try:
        return _bench.play(scene, point)
    except Cannot as problem:
        return Result(point, True, None, (f"the bench: {problem}",))


def arguments() -> argparse.Namespace:
    names = ", ".join(f"{scene.name} ({scene.about})" for scene in SCENES)
    parser = argparse.ArgumentParser(
        prog="scripts/sweep",
        description="Kill objguard at each of its system calls (kill), or have each call that deals with files and "
        f"processes fail with each of {', '.join(ERRORS)} (fault), in every scene: {names}. After each: the outputs are "
        "absent, old or new; another builder's link is right at once; the next run gives the right result; nothing is "
        "stuck, nothing panics, strays are swept. Exit code: 0 all held, 1 not, 2 it could not be tried.",
    )
    parser.add_argument("--kind", choices=("kill", "fault"), help="one of the two")
    parser.add_argument("--scene", action="append", choices=[scene.name for scene in SCENES], help="only these")
    parser.add_argument("--error", action="append", choices=ERRORS, help="only these errors")
    parser.add_argument("--call", help="only calls of this name")
    parser.add_argument("--nth", type=int, help="only the nth of them")
    parser.add_argument("--short", action="store_true", help="a sample of about a minute, another one each day")
    jobs = 3 * (os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, default=jobs, help="how many at once (default: three a processor; they mostly wait)")
    parser.add_argument("--binaries", type=Path, help="a folder with objguard-cc (default: cargo build)")
    parser.add_argument("--folder", type=Path, help="where to work; another file system, for one")
    parser.add_argument("--keep-going", action="store_true", help="go on after 20 failures")
    return parser.parse_args()


def binaries() -> Path:
    """A debug build: overflows and broken assertions panic in it."""
    done = subprocess.run(["cargo", "build", "--quiet", "--bins"], cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Cannot("`cargo build` failed; its messages are above")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return ROOT / target / "debug"


def points(given: argparse.Namespace, bench: Bench) -> list[Point]:
    """All that is to be struck, scene by scene."""
    found = []
    for scene in SCENES:
        if given.scene and scene.name not in given.scene:
            continue
        calls = bench.rehearse(scene)
        for call, count in sorted(calls.items()):
            if given.call and call != given.call:
                continue
            for nth in range(1, count + 1):
                if given.nth and nth != given.nth:
                    continue
                if given.kind != "fault" and not given.error:
                    found.append(Point(scene.name, call, nth, None))
                if given.kind != "kill" and call not in NEVER_FAILS:
                    found += [Point(scene.name, call, nth, error) for error in given.error or ERRORS]
    return found


def sample(found: list[Point]) -> list[Point]:
    """The calls that change something all killed, of the rest a few."""
    changes = {"rename", "link", "linkat", "unlink", "unlinkat", "mkdir", "rmdir", "write", "flock", "utimensat", "chmod"}
    important = [point for point in found if point.error is None and point.call in changes]
    rest = [point for point in found if point not in set(important)]
    dice = random.Random(os.environ.get("OBJGUARD_SEED"))
    return important + dice.sample(rest, min(len(rest), 400))


def main() -> int:
    given = arguments()
    if not shutil.which("strace"):
        raise Cannot("something of the system is missing: `strace`; on Debian: apt-get install strace")
    wrapper = (given.binaries or binaries()).resolve() / "objguard-cc"
    if not wrapper.exists():
        raise Cannot(f"cannot find `{wrapper}`")
    folder = Path(tempfile.mkdtemp(prefix="objguard-sweep-", dir=given.folder))
    quick_cc = folder / "quick-cc"
    source = ROOT / "tests" / "fake" / "quick_cc.c"
    subprocess.run(["gcc", "-O1", "-o", str(quick_cc), str(source)], check=True)
    time.sleep(2.5)  # What a compiler is made of is kept once its times are old enough to tell a change.
    bench = Bench(folder / "rehearsal", wrapper, quick_cc)
    found = points(given, bench)
    bench.stage.close()
    if given.short:
        found = sample(found)
    note(f"{len(found)} points in {len({point.scene for point in found})} scenes; working in {folder}")
    results = play_all(given, found, folder, wrapper, quick_cc)
    report(results)
    failed = [result for result in results if result.complaints]
    if failed:
        note(f"{len(failed)} failed; kept: {folder}")
        return WRONG
    shutil.rmtree(folder)
    note("0 failed")
    return 0


def play_all(
    given: argparse.Namespace, found: list[Point], folder: Path, wrapper: Path, quick_cc: Path
) -> list[Result]:
    results: list[Result] = []
    progress, failures = Progress("points", len(found)), 0
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        given.jobs, context, _start_worker, (folder, wrapper, quick_cc)
    ) as pool:
        for number, result in enumerate(pool.map(_play, found, chunksize=4), 1):
            results.append(result)
            progress.step(number)
            for complaint in result.complaints:
                note(f"{result.point}: {complaint}")
            failures += bool(result.complaints)
            if failures >= 20 and not given.keep_going:
                note("that is enough; --keep-going shows the rest")
                pool.shutdown(cancel_futures=True)
                break
    progress.close()
    return results


def report(results: list[Result]) -> None:
    """A line for each scene and kind: how many points were struck, and what became of the command."""
    rows = []
    for scene in SCENES:
        for kind, of_kind in (("kill", lambda r: r.point.error is None), ("fault", lambda r: r.point.error)):
            all_of = [result for result in results if result.point.scene == scene.name and of_kind(result)]
            if not all_of:
                continue
            struck = [result for result in all_of if result.struck]
            went_on = sum(1 for result in struck if result.code == 0)
            wrong = sum(1 for r in struck if any("WRONG" in c for c in r.complaints))
            failed = sum(1 for r in struck if r.complaints)
            rows.append([scene.name, kind, len(all_of), len(struck), went_on, len(struck) - went_on, wrong, failed])
    head = ["scene", "kind", "points", "struck", "right", "stopped", "wrong", "failed"]
    note(table(head, rows))


if __name__ == "__main__":
    run_main("scripts/sweep", main)
