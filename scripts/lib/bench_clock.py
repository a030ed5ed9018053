"""Measures commands: interleaved, so that a machine that slows down slows all of them; medians, because times are noisy."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Sequence

from say import Cannot, Progress


@dataclass(frozen=True)
class Run:
    """One run of a command."""

    wall: float  # ms
    cpu: float  # ms, of the command and all it waited for
    own: float  # ms, of the command's first thread alone; 0 where the kernel doesn't tell


@dataclass
class Command:
    """A command to measure: its label in tables, its words, its environment, and what must be done before each run."""

    label: str
    words: Sequence[str]
    environment: Mapping[str, str]
    before: Callable[[], object] = lambda: None
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        program = shutil.which(self.words[0], path=self.environment.get("PATH"))
        if program is None:
            raise Cannot(f"cannot find `{self.words[0]}`")
        self.program = program

    def run(self) -> Run:
        """Runs it once in the current folder. posix_spawn, as a builder would, and nothing between the clocks but that."""
        self.before()
        output = os.path.abspath("output.log")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [(os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        environment = dict(self.environment)
        began = time.perf_counter_ns()
        child = os.posix_spawn(self.program, list(self.words), environment, file_actions=actions)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter_ns() - began
        own = _run_time(child)
        _, status, used = os.wait4(child, 0)
        if status:
            said = Path(output).read_text(errors="replace").strip()
            raise Cannot(f"`{' '.join(self.words)}` failed with status {status}:\n{said}")
        return Run(wall / 1e6, (used.ru_utime + used.ru_stime) * 1e3, own)

    def summary(self) -> "Summary":
        return Summary.of(self.runs)


def _run_time(pid: int) -> float:
    """What the scheduler says that a process which has ended, but isn't waited for yet, ran (ms; proc(5), sched-stats)."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclass(frozen=True)
class Summary:
    """Many runs of one command: medians, and half of what lies between the quartiles."""

    wall: float
    wall_least: float
    wall_spread: float
    cpu: float
    own_least: float
    runs: int

    @staticmethod
    def of(runs: Sequence[Run]) -> "Summary":
        walls = sorted(run.wall for run in runs)
        low, _, high = statistics.quantiles(walls, n=4) if len(walls) > 1 else (walls[0],) * 3
        return Summary(
            wall=statistics.median(walls),
            wall_least=walls[0],
            wall_spread=(high - low) / 2,
            cpu=statistics.median(run.cpu for run in runs),
            own_least=min(run.own for run in runs),
            runs=len(walls),
        )


def interleave(commands: Sequence[Command], rounds: int, warm_up: int = 2) -> None:
    """Runs all of `commands` in turn, `rounds` times, after a few rounds that don't count."""
    progress = Progress("measuring", rounds)
    for number in range(-warm_up, rounds):
        for command in commands:
            run = command.run()
            if number >= 0:
                command.runs.append(run)
        progress.step(max(number, 0))
    progress.close()
