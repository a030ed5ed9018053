"""scripts/load: many builders that share their objects, killed, stopped and cleaned up after, and in narrow places."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import compilers
import needs
from load_builders import Count, Job, prepare, work
from places import ROOT
from say import Cannot, WRONG, note, run_main, table

# Threads of one process of builders; a process lives for a few rounds, so that what it asked for can be cleaned away.
THREADS, ROUNDS = 8, 10


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/load",
        description="Builder threads that compile the same objects in variants of their own and link them; each program must "
        "be its builder's. Some commands are killed, some stopped for a moment, and `objguard clean` runs all the time. On "
        "the file systems that can be had, then with a full disk, long paths and command lines, few descriptors, thousands "
        "of objects, and a stopped holder of a lock. Exit code: 0 all right, 1 not, 2 it could not be tried.",
    )
    parser.add_argument("--threads", type=int, default=64, metavar="N", help="builder threads at once (default 64)")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="rounds of each thread (default 200)")
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument("--big", action="store_true", help="objects of 2 GiB as well: needs 12 GiB of disk")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this part; several are given one by one")
    parser.add_argument("--binaries", type=Path, metavar="DIR", help="with objguard-cc and objguard (default: cargo build)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work (default: the one for temporary files)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other numbers")
    return parser.parse_args()


class Load:
    """What is run, and how it went."""

    def __init__(self, given: argparse.Namespace, folder: Path, binaries: Path) -> None:
        self.folder, self.binaries = folder, binaries
        self.wrapper, self.compiler = binaries / "objguard-cc", folder / "quick-cc"
        self.quick, self.seed = given.quick, given.seed
        self.threads = min(given.threads, 32) if given.quick else given.threads
        self.rounds = min(given.rounds, 2) if given.quick else given.rounds
        self.aside = folder / "aside"
        self.aside.mkdir()
        source = ROOT / "tests" / "fake" / "quick_cc.c"
        subprocess.run(["gcc", "-O1", "-o", str(self.compiler), str(source)], check=True)
        self.rows: list[list[object]] = []
        self.bad: list[str] = []
        self.not_had: list[str] = []
        self.seeds = iter(range(self.seed * 100_000, 10**9))

    def job(self, folder: Path, **more: object) -> Job:
        prepare(folder)
        settings: dict[str, object] = {"threads": THREADS, "rounds": ROUNDS, **more}
        return Job(folder, self.wrapper, self.compiler, self.aside, seed=next(self.seeds), **settings)  # type: ignore[arg-type]

    def add(self, name: str, count: Count, started: float, more: str = "") -> None:
        seconds = time.monotonic() - started
        wrong = len(count.wrong)
        self.rows.append(
            [name, count.commands, count.programs, count.killed, count.stopped, wrong, len(count.stuck), f"{seconds:.0f}", more]
        )
        self.bad += [f"{name}: {what}" for what in [*count.wrong, *(f"stuck: {s}" for s in count.stuck)]]
        note(f"{name}: {count.programs} programs, {wrong} wrong, {len(count.stuck)} stuck, {seconds:.0f} s")

    # --- builders ---

    def builders(self, name: str, base: Path) -> None:
        """Processes of builders in a few folders, `objguard clean` beside them."""
        started, total = time.monotonic(), Count()
        processes = max(1, self.threads // THREADS)
        rounds = min(ROUNDS, max(1, self.rounds // 2))
        left = processes * -(-self.rounds // rounds)
        folders = [base / f"project{n}" for n in range(max(2, processes // 2))]
        running: list[tuple[multiprocessing.Process, multiprocessing.connection.Connection]] = []
        context = multiprocessing.get_context("spawn")
        with self.cleaning(base) as cleaned:
            while left or running:
                while left and len(running) < processes:
                    job = self.job(folders[left % len(folders)], rounds=rounds, killed=20, stopped=10)
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(job, theirs))
                    process.start()
                    theirs.close()
                    running.append((process, ours))
                    left -= 1
                for end in multiprocessing.connection.wait([ours for _, ours in running]):
                    process = next(process for process, ours in running if ours is end)
                    try:
                        total.add(end.recv())  # type: ignore[union-attr]
                    except EOFError:
                        total.wrong.append("a process of builders died")
                    process.join()
                    running = [one for one in running if one[0] is not process]
        self.add(name, total, started, f"{cleaned[0]} objects' state cleaned away")

    @contextlib.contextmanager
    def cleaning(self, base: Path) -> Iterator[list[int]]:
        """Runs `objguard clean` again and again; counts the objects whose state went."""
        stop, cleaned = threading.Event(), [0]

        def clean() -> None:
            while not stop.wait(0.2):
                words = [str(self.binaries / "objguard"), "clean", str(base)]
                done = subprocess.run(words, capture_output=True, text=True, check=False)
                found = re.match(r"removed \d+ folders? with the state of (\d+) object", done.stdout)
                cleaned[0] += int(found[1]) if found else 0
                if done.returncode and "No such file" not in done.stderr:
                    self.bad.append(f"objguard clean: {done.stderr.strip()[-500:]}")

        thread = threading.Thread(target=clean)
        thread.start()
        try:
            yield cleaned
        finally:
            stop.set()
            thread.join()

    # --- narrow places ---

    def full_disk(self) -> None:
        """Builders on a disk that fills up; with room again they must all come right."""
        with mounted("tmpfs", self.folder / "small", "size=4m") as disk:
            if disk is None:
                self.not_had.append("a full disk: only root can mount a small file system")
                return
            started, stop = time.monotonic(), threading.Event()

            def fill() -> None:
                while not stop.is_set():
                    with contextlib.suppress(OSError), (disk / "filler").open("wb") as filler:
                        while not stop.is_set():
                            filler.write(bytes(1 << 14))
                            filler.flush()
                    stop.wait(0.3)
                    (disk / "filler").unlink(missing_ok=True)
                    stop.wait(0.2)

            thread = threading.Thread(target=fill)
            thread.start()
            rounds = 5 if self.quick else 60
            count = work(self.job(disk / "project", rounds=rounds, may_fail=True))
            stop.set()
            thread.join()
            (disk / "filler").unlink(missing_ok=True)
            failed = count.failed
            if not failed:
                count.wrong.append("nothing has failed: the disk was never full")
            count.add(work(self.job(disk / "project", rounds=3)))
            self.add("a full disk, then room", count, started, f"{failed} commands failed with a message")

    def thousands(self) -> None:
        """Thousands of objects in one folder, and a link of all of them; then each again."""
        started, count = time.monotonic(), Count()
        number = 200 if self.quick else 3000
        names = tuple(f"object{n}.o" for n in range(number))
        for _ in range(2):
            count.add(work(self.job(self.folder / "thousands", threads=2, rounds=1, objects=names)))
        self.add(f"{number} objects in one folder", count, started)

    def long_paths(self) -> None:
        started, count = time.monotonic(), Count()
        folder = self.folder / "long"
        while len(str(folder)) < 3500:
            folder = folder / ("d" * 100)
        names = tuple(letter * 253 + ".o" for letter in "xy")
        rounds = 2 if self.quick else 10
        count.add(work(self.job(self.folder / "names", rounds=rounds, objects=names)))
        paths = tuple(str(folder / f"{letter}.o") for letter in "xy") + tuple(f"{folder}/{n * 200}.o" for n in "zw")
        folder.mkdir(parents=True)
        count.add(work(self.job(self.folder / "paths", rounds=rounds, objects=paths)))
        self.add("names of 255 bytes, paths of 3,700", count, started)

    def long_lines(self) -> None:
        started, count = time.monotonic(), Count()
        more = tuple(f"-DLONG{n}={'x' * 990}" for n in range(100))
        for respond in (False, True):
            rounds = 1 if self.quick else 10
            folder = self.folder / f"lines{int(respond)}"
            count.add(work(self.job(folder, rounds=rounds, more=more, respond=respond)))
        self.add("command lines of 100,000 bytes", count, started)

    def few_descriptors(self) -> None:
        started = time.monotonic()
        rounds = 2 if self.quick else 20
        names = tuple(f"{n}.o" for n in range(40))
        count = work(self.job(self.folder / "few", rounds=rounds, threads=4, objects=names, descriptors=32))
        self.add("32 descriptors, 40 objects a link", count, started)

    def stopped_holder(self) -> None:
        """The holder of an object's lock stands still: others wait in silence, those of other objects don't."""
        started, seconds = time.monotonic(), 3 if self.quick else 60
        folder = self.folder / "holder"
        count = work(self.job(folder, threads=1, rounds=1, objects=("x.o",)))
        lock = folder / ".objguard" / "x.o" / "publish.lock"
        holder = os.fork()
        if holder == 0:
            held = os.open(lock, os.O_RDWR)
            fcntl.flock(held, fcntl.LOCK_EX)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(holder, os.WUNTRACED)
        results: list[Count] = []
        job = self.job(folder, rounds=1, objects=("x.o",))
        waiting = threading.Thread(target=lambda: results.append(work(job)))
        waiting.start()
        others = work(self.job(folder, threads=2, rounds=2, objects=("y.o",)))
        time.sleep(seconds)
        if results:
            others.wrong.append("nobody has waited for the holder of the lock")
        os.kill(holder, signal.SIGCONT)
        os.waitpid(holder, 0)
        waiting.join()
        for one in [*results, others]:
            count.add(one)
        self.add(f"a holder stopped for {seconds} s", count, started)

    def big(self) -> None:
        """Objects of 2 GiB: compiled, skipped, replaced, published again and linked."""
        started, count = time.monotonic(), Count()
        folder = self.folder / "big"
        folder.mkdir()
        if shutil.disk_usage(folder).free < 14 << 30:
            self.not_had.append("objects of 2 GiB: less than 14 GiB of disk are free")
            return
        size = 2 << 30
        for value in (1, 2):
            source = f".data\n.globl mark\nmark: .byte {value}\n.zero {size}\n.section .note.GNU-stack\n"
            (folder / f"v{value}.s").write_text(source)
        time.sleep(0.1)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OBJGUARD_LOG": str(folder / "log"), "LC_ALL": "C"}
        for value in (1, 1, 2, 1):
            words = [str(self.wrapper), "-c", f"v{value}.s", "-o", "x.o"]
            done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            count.commands += 1
            with (folder / "x.o").open("rb") as made:
                if done.returncode or made.read(65)[64] != value or (folder / "x.o").stat().st_size <= size:
                    count.wrong.append(f"variant {value} of 2 GiB: {done.stderr[:300]}")
        said = re.findall(r'"what":"([a-z-]+)"', (folder / "log").read_text())
        linked = subprocess.run(
            [str(self.wrapper), "-shared", "-nostdlib", "x.o", "-o", "x.so"], cwd=folder, env=environment, check=False
        )
        count.commands += 1
        count.programs += linked.returncode == 0
        if linked.returncode or (folder / "x.so").stat().st_size <= size:
            count.wrong.append("the link of 2 GiB failed")
        shutil.rmtree(folder)
        self.add("objects of 2 GiB", count, started, ", ".join(said))


def _work(job: Job, end: multiprocessing.connection.Connection) -> None:
    end.send(work(job))


@contextlib.contextmanager
def mounted(kind: str, folder: Path, options: str) -> Iterator[Path | None]:
    """A file system of that kind at `folder`; None if it can't be had."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", kind, "-o", options, kind, str(folder)]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def kind_of(folder: Path) -> str:
    """The name of the file system that a folder is on."""
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False)
    name = done.stdout.strip() or "unknown"
    return {"ext2/ext3": "ext4", "overlayfs": "overlayfs"}.get(name, name)


def file_systems(load: Load) -> Iterator[tuple[str, Callable[[], None]]]:
    """The builders on each file system that can be had."""

    def on_disk() -> None:
        base = load.folder / "disk"
        base.mkdir()
        load.builders(f"builders, {kind_of(base)}", base)

    def on(kind: str, options: Callable[[], str]) -> None:
        with mounted(kind, load.folder / kind, options()) as base:
            if base is None:
                load.not_had.append(f"builders on {kind}: it can't be mounted here")
                return
            load.builders(f"builders, {kind_of(base)}", base)

    def overlay_options() -> str:
        parts = {name: load.folder / f"overlay-{name}" for name in ("lower", "upper", "work")}
        for part in parts.values():
            part.mkdir()
        return f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"

    yield "disk", on_disk
    yield "tmpfs", lambda: on("tmpfs", lambda: "size=512m")
    yield "overlay", lambda: on("overlay", overlay_options)


def main() -> int:
    given = arguments()
    needs.require(needs.BUILD)
    binaries = (given.binaries or compilers.build_objguard()).resolve()
    if not (binaries / "objguard-cc").exists():
        raise Cannot(f"cannot find `{binaries / 'objguard-cc'}`")
    folder = Path(tempfile.mkdtemp(prefix="objguard-load-", dir=given.folder))
    load = Load(given, folder, binaries)
    parts: dict[str, Callable[[], None]] = dict(file_systems(load))
    parts |= {
        "full-disk": load.full_disk,
        "thousands": load.thousands,
        "long-paths": load.long_paths,
        "long-lines": load.long_lines,
        "few-descriptors": load.few_descriptors,
        "stopped-holder": load.stopped_holder,
    }
    if given.big:
        parts["big"] = load.big
    for name in given.only or []:
        if name not in parts:
            raise Cannot(f"there is no part `{name}`: {', '.join(parts)}")
    for name, part in parts.items():
        if not given.only or name in given.only:
            part()
    head = ["load", "commands", "programs", "killed", "stopped", "wrong", "stuck", "seconds", ""]
    note(table(head, load.rows))
    for what in load.not_had:
        note(f"not had here: {what}")
    for what in load.bad[:40]:
        note(what)
    if load.bad:
        note(f"{len(load.bad)} failed; kept: {folder}")
        return WRONG
    shutil.rmtree(folder)
    note("0 wrong, 0 stuck")
    return 0


if __name__ == "__main__":
    run_main("scripts/load", main)
