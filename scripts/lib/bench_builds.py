"""Real packages, built from fresh trees: plain and guarded in turn; then built again with nothing changed."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

import needs
import venvs
from bench_scenes import Goal
from compilers import clean_environment
from say import Cannot, Progress, note, table
from sdist_rounds import Stress

PACKAGES = ("libvirt-python==9.0.0", "systemd-python==235", "lxml==5.3.0")
JOBS = 2


@dataclass(frozen=True)
class Way:
    """A way to build."""

    label: str
    jobs: int
    compilers: Mapping[str, str]


class Builds:
    """Builds packages with setuptools' own `build`; its parallel compiles are those of one process's threads."""

    def __init__(self, binaries: Path, cache: Path, rounds: int) -> None:
        self.rounds = rounds
        plain = {"CC": "cc", "CXX": "c++"}
        guarded = {
            "CC": str(binaries / "objguard-cc"),
            "CXX": str(binaries / "objguard-c++"),
            "XDG_CACHE_HOME": str(cache),
        }
        self.serial = Way("plain, serial", 1, plain)
        self.parallel = Way(f"plain, -j{JOBS}", JOBS, plain)
        self.guarded = Way(f"objguard, -j{JOBS}", JOBS, guarded)
        self.true = Way("`true`", JOBS, {"CC": "true", "CXX": "true", "AR": "true"})
        self.goals: list[Goal] = []
        self.measured: dict[str, object] = {}

    def package(self, package: str) -> None:
        """Builds one package in every way and says how long that took."""
        stress = Stress(package=package, jobs=JOBS, rounds=self.rounds)
        needs.require_for_package(stress.name)
        stress.folder.mkdir(parents=True, exist_ok=True)
        pristine = stress.unpack(stress.fetch())
        venv = stress.build_venv(pristine)
        seconds: dict[str, list[float]] = {}
        progress = Progress(package, self.rounds)
        for number in range(self.rounds):
            progress.step(number)
            for way in (self.serial, self.parallel, self.guarded):
                stress.fresh_tree(pristine)
                took = self._build(stress, venv, way)
                if took is None and way is not self.parallel:
                    raise Cannot(f"`{package}` doesn't build ({way.label}); see `{stress.folder / 'bench.log'}`")
                if took is not None:
                    seconds.setdefault(way.label, []).append(took)
            # The guarded tree stands: nothing changed; and every command run again.
            time.sleep(2.2)
            for more in ((), ("--force",)):
                for way in (self.true, self.guarded) if not more else (self.guarded, self.true):
                    took = self._build(stress, venv, way, more)
                    if took is not None:
                        seconds.setdefault(f"{way.label}, again{' --force' if more else ''}", []).append(took)
        progress.close()
        self._judge(package, seconds)

    def _build(self, stress: Stress, venv: Path, way: Way, more: Sequence[str] = ()) -> float | None:
        config = stress.folder / "bench.cfg"
        config.write_text(f"[build_ext]\nparallel = {way.jobs}\n")
        environment = {**clean_environment(), **way.compilers, "DIST_EXTRA_CONFIG": str(config)}
        environment["PATH"] = f"{venv / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
        words = [str(venvs.python_of(venv)), "setup.py", "-q", "build", *more]
        began = time.monotonic()
        with open(stress.folder / "bench.log", "wb") as log:
            done = subprocess.run(
                words, cwd=stress.tree, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        return time.monotonic() - began if done.returncode == 0 else None

    def _judge(self, package: str, seconds: Mapping[str, Sequence[float]]) -> None:
        least = {label: min(took) for label, took in seconds.items()}
        serial = least[self.serial.label]
        rows = [
            (label, f"{statistics.median(seconds[label]):.2f}", f"{took:.2f}", f"{serial / took:.2f}")
            for label, took in least.items()
        ]
        note(f"\n{package}: builds, {self.rounds} of each")
        note(table(("build", "seconds", "least", "× as fast as serial"), rows))
        self.measured[package] = {label: list(took) for label, took in seconds.items()}
        mine, plain = least[self.guarded.label], least.get(self.parallel.label)
        if plain is None:
            note(f"  {self.parallel.label} never succeeded")
        else:
            self._goal(package, f"not slower than {self.parallel.label}", f"{mine / plain:.3f} ×", mine <= plain)
        self._goal(package, "1.6 × as fast as the serial plain build", f"{serial / mine:.2f} ×", serial / mine >= 1.6)
        true, again = (least.get(f"{way.label}, again") for way in (self.true, self.guarded))
        if true and again:
            self._goal(f"{package}, again", "at most 1.1 × with `true`", f"{again / true:.3f} ×", again <= 1.1 * true)

    def _goal(self, what: str, goal: str, seen: str, met: bool) -> None:
        self.goals.append(Goal(what, goal, seen, met))
