"""The measurements of scripts/bench that need nothing but a compiler: each fills a few rows of the table.

Goals are compared by the least times: what else runs on a machine only ever adds to them. Medians stand in the tables.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Mapping, Sequence

from bench_clock import Command, Summary, interleave
from bench_peers import Peers
from compilers import COUNTING_CC, Calls
from say import Cannot, note, table

# Instructions of a skip (valgrind, x86-64): so many by itself, and so many for each file that the compile read. What is
# printed as the budget is this and 20 % more.
SKIP_INSTRUCTIONS = 680_000
SKIP_INSTRUCTIONS_PER_INPUT = 1_650

# Times of files this young (s) may hide a further change: objguard looks at such files again.
_UNSETTLED = 2.2

_MODULE = """#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "one", 0, -1, 0};
PyMODINIT_FUNC PyInit_one(void) { return PyModule_Create(&module); }
"""


@dataclass(frozen=True)
class Goal:
    """A figure, what it should be at most (or at least), and whether it is."""

    what: str
    goal: str
    seen: str
    met: bool


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    compiles: int
    objects: int
    at_once: int
    crowd: int


FULL = Size(rounds=60, compiles=12, objects=1000, at_once=200, crowd=10_000)
QUICK = Size(rounds=15, compiles=4, objects=100, at_once=20, crowd=1000)


class Scenes:
    """Plays the scenes in `folder`, each in a folder of its own; collects goals and what was measured."""

    def __init__(self, folder: Path, binaries: Path, peers: Peers, size: Size) -> None:
        self.folder, self.size, self.peers = folder, size, peers
        self.wrapper = str(binaries / "objguard-cc")
        self.gcc = shutil.which("gcc") or "gcc"
        self.environment = {**peers.environment, "OBJGUARD_CC": shlex.quote(self.gcc)}
        self.goals: list[Goal] = []
        self.measured: dict[str, object] = {}
        self.words = ["-O2", "-fPIC", f"-I{sysconfig.get_path('include')}", "-c", "one.c", "-o"]

    # -- helpers

    def _enter(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        # Objects lie in a folder of their own, as setuptools lays them: a folder with sources that changes is looked at.
        (folder / "build").mkdir()
        os.chdir(folder)
        return folder

    def _guarded(self, label: str, words: Sequence[str], **more: str) -> Command:
        return Command(label, [self.wrapper, *words], {**self.environment, **more})

    def _plain(self, label: str, words: Sequence[str]) -> Command:
        return Command(label, [self.gcc, *words], self.peers.environment)

    def _settled_skip(self, words: Sequence[str], label: str = "objguard, skip") -> Command:
        """A compile that has been done, and looked at again when its inputs' times were old enough. A builder asks for an
        object once: before each run the claims are put back to what they were."""
        command = self._guarded(label, words)
        command.run()
        time.sleep(_UNSETTLED)
        command.run()
        guarded = Path(words[-1])
        claims = guarded.parent / ".objguard" / guarded.name / "claims"
        text = claims.read_bytes()
        command.before = lambda: claims.write_bytes(text)
        return command

    def _show(self, name: str, title: str, commands: Sequence[Command | None], base: Command) -> dict[str, Summary]:
        """Prints what was measured, as multiples of `base`."""
        there = [command for command in commands if command]
        found = {command.label: command.summary() for command in there}
        against = found[base.label]
        rows = [
            (
                label,
                f"{one.wall:.2f}",
                f"{one.wall_spread:.2f}",
                f"{one.wall_least:.2f}",
                f"{one.cpu:.2f}",
                f"{one.wall / against.wall:.2f}",
            )
            for label, one in found.items()
        ]
        rows += [(name, "not there", "", "", "", "") for name in self.peers.absent]
        note(f"\n{title}")
        note(table(("command", "ms", "±", "least", "CPU ms", f"× {base.label}"), rows))
        self.measured[name] = {label: asdict(one) for label, one in found.items()}
        return found

    def _goal(self, what: str, goal: str, seen: str, met: bool) -> None:
        self.goals.append(Goal(what, goal, seen, met))

    # -- scenes

    def skip(self) -> None:
        """A fresh object, of a file that includes Python.h."""
        folder = self._enter("skip")
        (folder / "one.c").write_text(_MODULE)
        inputs = self._inputs()
        (folder / "inputs").write_text("\n".join(inputs) + "\n")
        environment = self.peers.environment
        empty = Command("empty static C program", [str(self.peers.empty)], environment)
        stats = Command(f"static C, {len(inputs)} stats", [str(self.peers.stats), "inputs"], environment)
        rust = Command("Rust, nothing", [str(self.peers.rust)], environment) if self.peers.rust else None
        skip = self._settled_skip([*self.words, "build/guarded.o"])
        plain = self._plain("gcc", [*self.words, "build/plain.o"])
        ccache = self.peers.command("ccache", "ccache, direct hit", [self.gcc, *self.words, "build/ccache.o"])
        sccache = self.peers.command("sccache", "sccache, hit", [self.gcc, *self.words, "build/sccache.o"])
        commands = [command for command in (empty, rust, stats, skip, ccache, sccache) if command]
        interleave(commands, self.size.rounds)
        interleave([plain], max(3, self.size.compiles // 2), warm_up=1)
        title = f"a skip: a file that includes Python.h, {len(inputs)} inputs"
        found = self._show("skip", title, [*commands, plain], empty)
        mine, floor = found[skip.label], found[stats.label]
        ratio = mine.wall_least / found[empty.label].wall_least
        by_cpu = mine.cpu / found[empty.label].cpu
        seen = f"{ratio:.2f} × (by CPU time {by_cpu:.2f})"
        self._goal("skip", "at most 3 × an empty static program", seen, ratio <= 3)
        over = mine.wall_least - floor.wall_least
        self._goal("skip, distance to the floor", "-", f"{over:.2f} ms over the bare stats", True)
        for peer, times in ((ccache, 5), (sccache, 8)):
            if peer:
                ratio = found[peer.label].wall_least / mine.wall_least
                limit = found[peer.label].wall_least / floor.wall_least
                seen = f"{ratio:.2f} × (the bare stats: {limit:.2f} ×)"
                self._goal("skip", f"{times} × faster than {peer.label}", seen, ratio >= times)
        self._disk(folder / "build", len(inputs))

    def _inputs(self) -> list[str]:
        command = [self.gcc, *(word for word in self.words[:-1] if word != "-c"), "-M"]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        return said.replace("\\\n", " ").split()[1:]

    def _disk(self, folder: Path, inputs: int) -> None:
        record = max((folder / ".objguard" / "guarded.o").glob("*.record"), key=lambda path: path.stat().st_size)
        size = record.stat().st_size
        object_size = (folder / "guarded.o").stat().st_size
        copies = sum(
            path.is_file() and path.stat().st_size == object_size for path in (folder / ".objguard").rglob("*")
        )
        self.measured["disk"] = {"record": size, "inputs": inputs, "copies": copies}
        self._goal("disk", "a record of at most 150 bytes an input", f"{size / inputs:.0f}", size / inputs <= 150)
        self._goal("disk", "no second copy of an object", f"{copies} copies", copies == 0)

    def instructions(self) -> None:
        """Instructions of a skip, which are the same every time: what must not grow."""
        if not shutil.which("valgrind"):
            note("\ninstructions of a skip: valgrind isn't there")
            return
        folder = self._enter("instructions")
        rows = []
        for label, text in (("includes nothing", "int x;\n"), ("includes Python.h", _MODULE)):
            (folder / "one.c").write_text(text)
            words = [self.wrapper, *self.words, f"build/{len(rows)}.o"]
            tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
            counted = 0
            # valgrind sets LD_PRELOAD, which is part of the request: the first of these runs compiles.
            for pause in (_UNSETTLED, _UNSETTLED, 0):
                said = subprocess.run(
                    [*tool, *words], env=self.environment, stderr=subprocess.PIPE, check=True, text=True
                ).stderr
                match = re.search(r"Collected : (\d+)", said)
                if not match:
                    raise Cannot(f"cannot read what valgrind says:\n{said}")
                counted = int(match[1])
                time.sleep(pause)
            inputs = len(self._inputs())
            budget = int((SKIP_INSTRUCTIONS + SKIP_INSTRUCTIONS_PER_INPUT * inputs) * 1.2)
            rows.append((label, str(inputs), str(counted), str(budget), "pass" if counted <= budget else "over"))
            self._goal(f"instructions, {label}", f"at most {budget}", str(counted), counted <= budget)
        note("\ninstructions of a skip (valgrind --tool=callgrind)")
        note(table(("file", "inputs", "instructions", "budget", ""), rows))
        self.measured["instructions"] = rows

    def first_compile(self) -> None:
        """Nothing is known of the object: everything is really compiled."""
        folder = self._enter("first")
        (folder / "one.c").write_text(_MODULE)
        time.sleep(_UNSETTLED)

        aside = folder / "aside"
        aside.mkdir()
        numbers = itertools.count()

        def forget() -> None:
            # Put aside: ext4 takes long to make a file where many were removed a moment ago, which no build does.
            for path in (Path("build/.objguard"), Path("build/guarded.o")):
                if path.exists():
                    path.rename(aside / str(next(numbers)))

        guarded = self._guarded("objguard, first compile", [*self.words, "build/guarded.o"])
        guarded.before = forget
        plain = self._plain("gcc", [*self.words, "build/plain.o"])
        plain.before = lambda: Path("build/plain.o").unlink(missing_ok=True)
        others = [
            self.peers.command("ccache", "ccache, miss", [self.gcc, *self.words, "build/c.o"], CCACHE_RECACHE="1"),
            self.peers.command("sccache", "sccache, miss", [self.gcc, *self.words, "build/s.o"], SCCACHE_RECACHE="1"),
            self.peers.command("flock", "flock gcc", [self.gcc, *self.words, "build/f.o"]),
        ]
        commands = [plain, guarded, *(command for command in others if command)]
        interleave(commands, self.size.compiles)
        found = self._show("first", "a first compile (sccache's CPU time is its server's)", commands, plain)
        for what, ratio in (
            ("wall", found[guarded.label].wall_least / found[plain.label].wall_least),
            ("CPU", found[guarded.label].cpu / found[plain.label].cpu),
        ):
            self._goal(f"first compile, {what}", "at most 1.02 × the plain one", f"{ratio:.3f} ×", ratio <= 1.02)
        own = found[guarded.label].own_least
        self._goal("first compile, CPU time of objguard alone", "-", f"{own:.2f} ms", True)

    def link(self) -> None:
        """A link of many guarded objects, each with one variant."""
        folder = self._enter("link")
        count = self.size.objects
        objects = [f"o{number}.o" for number in range(count)]
        for number in range(count):
            (folder / f"o{number}.c").write_text(f"int f{number}(void) {{ return {number}; }}\n")
        self._compile_all(count)
        time.sleep(_UNSETTLED)
        plain = self._plain("gcc -shared", ["-shared", "-o", "plain.so", *objects])
        guarded = self._guarded("objguard, link", ["-shared", "-o", "guarded.so", *objects])
        interleave([plain, guarded], max(5, self.size.rounds // 4))
        found = self._show("link", f"a link of {count} guarded objects", [plain, guarded], plain)
        over = found[guarded.label].wall_least - found[plain.label].wall_least
        self._goal(f"link of {count} objects", "at most 20 ms over the plain one", f"{over:.1f} ms", over <= 20)

    def _compile_all(self, count: int) -> None:
        """Compiles them as a builder would, two at a time."""
        waiting = 0
        for number in range(count):
            words = [self.wrapper, "-c", f"o{number}.c", "-o", f"o{number}.o"]
            os.posix_spawn(self.wrapper, words, self.environment)
            waiting += 1
            if waiting == 2:
                waiting -= 1
                if os.wait()[1]:
                    raise Cannot("a compile failed")
        while waiting:
            os.wait()
            waiting -= 1

    def at_once(self) -> None:
        """Many identical compiles of one object at the same time."""
        folder = self._enter("at-once")
        (folder / "one.c").write_text(_MODULE)
        time.sleep(_UNSETTLED)
        count, cores = self.size.at_once, len(os.sched_getaffinity(0))
        log = folder / "calls"
        environment = {**self.environment, "OBJGUARD_CC": shlex.quote(str(COUNTING_CC)), "COUNTING_LOG": str(log)}
        words = [self.wrapper, *self.words, "build/guarded.o"]
        # What the compiler is made of is known before, as it is after the first compile of a user's life.
        Command("", [self.wrapper, *self.words, "build/first.o"], environment).run()
        log.unlink()
        ended, _ = self._all_at_once(count, words, environment)
        compiles = Calls.read(log).compiles
        # That of the one which compiled counts the compiler's.
        resident = sorted(kib for _, kib in ended)[-1 - compiles] / 1024
        Command("", [self.wrapper, *self.words, "build/first.o"], self.environment).run()
        # Timed without the shell script that counts: here it would wait for its turn among all the others.
        walls, skips = [], []
        for _ in range(3):
            shutil.rmtree("build/.objguard/guarded.o")
            Path("build/guarded.o").unlink()
            walls.append(self._all_at_once(count, words, self.environment)[1])
            time.sleep(_UNSETTLED)
            skips.append(self._all_at_once(count, words, self.environment)[1])
        wall, all_skip = min(walls), min(skips)
        skip = self._settled_skip([*self.words, "build/other.o"])
        plain = self._plain("gcc", [*self.words, "build/plain.o"])
        interleave([skip], 10)
        interleave([plain], 3, warm_up=1)
        compiler, single = plain.summary().wall_least, skip.summary().wall_least
        may = compiler + count * single / cores
        note(
            f"\n{count} identical compiles at once: {compiles} real, {wall:.0f} ms, {resident:.1f} MiB resident each; "
            f"{count} skips at once: {all_skip:.0f} ms; a compile: {compiler:.0f} ms; a skip: {single:.2f} ms"
        )
        self.measured["at once"] = {
            "count": count, "compiles": compiles, "ms": wall, "skips, ms": all_skip, "may": may, "MiB": resident,
        }
        what = f"{count} at once"
        self._goal(what, "1 real compile", str(compiles), compiles == 1)
        self._goal(what, f"at most a compile + {count} skips / {cores} = {may:.0f} ms", f"{wall:.0f} ms", wall <= may)
        self._goal(f"{what}, beside as many skips at once", "-", f"{wall - all_skip:.0f} ms more", True)
        self._goal(what, "at most 6 MiB resident each", f"{resident:.1f} MiB", resident <= 6)

    def _all_at_once(
        self, count: int, words: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[list[tuple[int, int]], float]:
        """Runs so many of one command at the same time: exit status and resident KiB of each, and how long it took (ms)."""
        began = time.perf_counter()
        said = subprocess.run(
            [str(self.peers.at_once), str(count), *words], env=environment, stdout=subprocess.PIPE, check=True, text=True
        ).stdout
        wall = (time.perf_counter() - began) * 1e3
        ended = [tuple(map(int, line.split())) for line in said.splitlines()]
        if any(status for status, _ in ended):
            raise Cannot("one of the compiles at once failed")
        return [(status, kib) for status, kib in ended], wall

    def crowd(self) -> None:
        """One skip in a folder with many objects, against one in a folder with none other."""
        folder = self._enter("crowd")
        (folder / "one.c").write_text(_MODULE)
        for name in ("few", "many"):
            (folder / name).mkdir()
            self._guarded("", [*self.words, f"{name}/one.o"]).run()
        many = folder / "many"
        # What the others are made from doesn't matter: they stand in the way by being there.
        for number in range(self.size.crowd):
            shutil.copyfile(many / "one.o", many / f"x{number}.o")
            shutil.copytree(many / ".objguard" / "one.o", many / ".objguard" / f"x{number}.o")
        few_skip, many_skip = (
            self._settled_skip([*self.words, f"{name}/one.o"], f"objguard, {name}") for name in ("few", "many")
        )
        interleave([few_skip, many_skip], self.size.rounds)
        title = f"a skip among {self.size.crowd} objects"
        found = self._show("crowd", title, [few_skip, many_skip], few_skip)
        ratio = found[many_skip.label].wall_least / found[few_skip.label].wall_least
        self._goal(title, "within 10 % of one in an empty folder", f"{ratio:.3f} ×", ratio <= 1.1)
        shutil.rmtree(many)
