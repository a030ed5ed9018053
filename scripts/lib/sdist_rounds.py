"""Build an sdist from PyPI many times, each time from a fresh tree in the same path, and compare the modules.

The same path, so that debug information and __FILE__ agree without any normalising: modules are compared byte for
byte with those of a serial build by the plain compiler. That one is done twice; a module in which even these two
differ (LTO, time stamps) can't be judged and is reported apart.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

import modules
import needs
import venvs
from compilers import Calls, Compilers, clean_environment, plain
from places import DEV
from say import WRONG, Cannot, Progress, note, table

_PEP517 = Path(__file__).with_name("pep517.py")


@dataclass
class Round:
    """One build."""

    seconds: float
    exit: int
    modules: dict[str, str]
    calls: Calls
    log: Path
    wheel: Path | None


@dataclass
class Way:
    """All rounds of one way to build, judged."""

    label: str
    counted: bool
    rounds: list[Round] = field(default_factory=list)
    differing: list[list[str]] = field(default_factory=list)  # for each round that built: module names

    @property
    def failed(self) -> int:
        return sum(built.exit != 0 for built in self.rounds)

    @property
    def wrong(self) -> int:
        return sum(bool(names) for names in self.differing)

    @property
    def right(self) -> int:
        return len(self.rounds) - self.failed - self.wrong

    def row(self) -> list[str]:
        good = [built for built in self.rounds if built.exit == 0] or self.rounds
        names: dict[str, int] = {}
        for name in (name for names_of_round in self.differing for name in names_of_round):
            names[name] = names.get(name, 0) + 1
        return [
            self.label,
            str(self.right),
            str(self.wrong),
            str(self.failed),
            span([built.calls.compiles for built in good]) if self.counted else "-",
            span([built.calls.links for built in good]) if self.counted else "-",
            f"{sum(built.seconds for built in self.rounds) / len(self.rounds):.1f}",
            ", ".join(f"{name.rsplit('/', 1)[-1]} ({count})" for name, count in sorted(names.items())) or "-",
        ]


HEAD = ("build", "right", "differ", "failed", "compiles", "links", "seconds", "differing modules (rounds)")


def span(numbers: Sequence[int]) -> str:
    """`7` or `7-9`."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}-{high}"


@dataclass
class Stress:
    """The stress of one package; `package` is NAME==VERSION."""

    package: str
    jobs: int
    rounds: int
    cflags: str | None = None
    setuptools: str | None = None
    timeout: float = 1800.0  # seconds for one build
    once: bool = False  # more compiles than different compile commands are a fault
    json_file: Path | None = None

    def __post_init__(self) -> None:
        match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)", self.package)
        if not match:
            raise Cannot(f"cannot read `{self.package}` as a package: write NAME==VERSION, such as systemd-python==235")
        self.name, self.version = needs.canonical(match[1]), match[2]
        self.folder = DEV / "stress" / f"{self.name}-{self.version}"
        self.tree = self.folder / "tree"

    def compare(self, ways: Sequence[tuple[Compilers, str, bool]]) -> int:
        """Build in each of `ways` (compilers, label, must it be right) and report; returns the exit code."""
        needs.require(needs.BUILD)
        needs.require_for_package(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note(f"another run builds {self.package} in `{self.folder}`; waiting for it …")
                fcntl.flock(lock, fcntl.LOCK_EX)
            return self._compare(ways)

    def _compare(self, ways: Sequence[tuple[Compilers, str, bool]]) -> int:
        for old in [*self.folder.glob("failed-*"), *self.folder.glob("differs-*"), *self.folder.glob("truth*")]:
            old.unlink()
        pristine = self.unpack(self.fetch())
        venv = self.build_venv(pristine)
        truth = self._truth(venv, pristine)
        reference_calls = truth.rounds[0].calls
        reference, unstable = truth.rounds[0].modules, set(truth.differing[1])
        judged = [truth]
        for compilers, label, _ in ways:
            judged.append(self._run(venv, pristine, compilers, label, reference, unstable))
        self._report(judged, unstable)
        bad = [way for way, (_, _, must) in zip(judged[1:], ways) if must and way.right != len(way.rounds)]
        if self.json_file:
            self._write_json(judged, unstable)
        needed = reference_calls.requests
        wasteful = [way for way in judged[1:] if self.once and any(built.calls.compiles > needed for built in way.rounds)]
        for way in wasteful:
            note(f"{way.label}: more than the {needed} compiles that were needed (--once)")
        return WRONG if bad or wasteful else 0

    # -- the sdist and its venv

    def fetch(self) -> Path:
        """The sdist, downloaded once."""
        sdists = DEV / "sdists" / f"{self.name}-{self.version}"
        found = _archives(sdists)
        if found:
            return found[0]
        note(f"downloading the sdist of {self.package} …")
        sdists.mkdir(parents=True, exist_ok=True)
        venv = venvs.ensure("fetch", [])
        # Only this package comes as source: its build requirements may be wheels.
        command = [
            *(str(venvs.python_of(venv)), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary", self.name, "--dest", str(sdists), f"{self.name}=={self.version}"),
        ]
        done = subprocess.run(
            command,
            env={**clean_environment(), **self._constraint()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        found = _archives(sdists)
        if done.returncode or not found:
            raise Cannot(
                f"cannot download the sdist of `{self.package}` (is there one? does its metadata need a system package "
                f"or an older --setuptools?):\n{_tail(done.stdout.decode(errors='replace'))}"
            )
        return found[0]

    def _constraint(self) -> dict[str, str]:
        """Pip's build isolation held to the chosen setuptools: the first variable up to pip 25, the second since."""
        if self.setuptools is None:
            return {}
        file = self.folder / "constraint.txt"
        file.write_text(f"setuptools=={self.setuptools}\n")
        return {"PIP_CONSTRAINT": str(file), "PIP_BUILD_CONSTRAINT": str(file)}

    def unpack(self, archive: Path) -> Path:
        """The sdist's one folder, fresh from the archive."""
        scratch = self.folder / "unpacked"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(scratch)
        else:
            with tarfile.open(archive) as packed:
                # The filter keeps everything inside `scratch`; Pythons without it are out of support.
                packed.extractall(scratch, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        tops = [path for path in scratch.iterdir() if path.is_dir()]
        if len(tops) != 1:
            raise Cannot(f"cannot unpack `{archive}`: an sdist has one folder at its top, this has {len(tops)}")
        return tops[0]

    def build_venv(self, pristine: Path) -> Path:
        system = json.loads(_ask(Path(sys.executable), pristine, "backend"))
        if not system["backend"].startswith("setuptools") and not system["own"]:
            raise Cannot(
                f"cannot stress `{self.package}`: it builds with `{system['backend']}`, not with setuptools, which is "
                "what builds extensions in parallel here"
            )
        requirements = [*system["requires"], *({"wheel"} - {*system["requires"]})]
        if self.setuptools:
            requirements.append(f"setuptools=={self.setuptools}")
        venv = venvs.ensure(venvs.name_for("build", requirements), requirements)
        # Asked for by setup.py itself (setup_requires); asking may write into the tree.
        self.fresh_tree(pristine)
        more = json.loads(_ask(venvs.python_of(venv), self.tree, "requires").splitlines()[-1])
        more = [requirement for requirement in more if requirement not in requirements]
        if more:
            venv = venvs.ensure(venvs.name_for("build", requirements + more), requirements + more)
        return venv

    # -- building

    def _truth(self, venv: Path, pristine: Path) -> Way:
        compilers = plain()
        way = Way("plain, serial (truth)", counted=True)
        for number in (1, 2):
            built = self._build(venv, pristine, compilers, f"truth{number}", jobs=1)
            if built.exit:
                raise Cannot(
                    f"cannot build `{self.package}` serially with the plain compiler (whole log: `{built.log}`):\n"
                    f"{_tail(built.log.read_text(errors='replace'))}"
                )
            way.rounds.append(built)
        if not way.rounds[0].modules:
            raise Cannot(f"`{self.package}` builds no extension module here: there is nothing to compare")
        way.differing = [[], modules.differing(way.rounds[0].modules, way.rounds[1].modules)]
        return way

    def _run(
        self, venv: Path, pristine: Path, compilers: Compilers, label: str, reference: dict[str, str], unstable: set
    ) -> Way:
        way = Way(label, compilers.counted)
        progress = Progress(label, self.rounds)
        for number in range(1, self.rounds + 1):
            progress.step(number - 1, f"({way.wrong} differ, {way.failed} failed)")
            built = self._build(venv, pristine, compilers, f"{compilers.name}-{number}", self.jobs)
            way.rounds.append(built)
            if built.exit:
                built.log.rename(self.folder / f"failed-{compilers.name}-{number}.log")
                continue
            names = [name for name in modules.differing(reference, built.modules) if name not in unstable]
            way.differing.append(names)
            if built.wheel:
                if names:
                    built.wheel.rename(self.folder / f"differs-{compilers.name}-{number}.whl")
                    built.log.rename(self.folder / f"differs-{compilers.name}-{number}.log")
                else:
                    built.wheel.unlink()
                    built.log.unlink()
        progress.close()
        return way

    def _build(self, venv: Path, pristine: Path, compilers: Compilers, label: str, jobs: int) -> Round:
        self.fresh_tree(pristine)
        wheels = self.folder / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        config = self.folder / "parallel.cfg"
        config.write_text(f"[build_ext]\nparallel = {jobs}\n")
        calls = self.folder / "calls.log"
        calls.unlink(missing_ok=True)
        more = {"DIST_EXTRA_CONFIG": str(config)}
        if self.cflags:
            more["CFLAGS"] = self.cflags
        # The venv's programs (cython, …) are on PATH in pip's isolated build too.
        path = f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        log = self.folder / f"{label}.log"
        started = time.monotonic()
        with open(log, "wb") as out, subprocess.Popen(
            [str(venvs.python_of(venv)), "-I", str(_PEP517), "wheel", str(wheels)],
            cwd=self.tree,
            env=compilers.environment(calls, PATH=path, **more),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                code = process.wait(self.timeout)
            except BaseException as problem:
                # Its own session, so this ends the compilers too and nothing else.
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
                if not isinstance(problem, subprocess.TimeoutExpired):
                    raise
                out.write(f"\nended after {self.timeout:.0f} seconds\n".encode())
        seconds = time.monotonic() - started
        wheel = next(wheels.glob("*.whl"), None)
        if wheel and code == 0:
            kept = self.folder / f"{label}.whl"
            wheel.replace(kept)
            wheel = kept
        found = modules.in_wheel(wheel) if wheel and code == 0 else {}
        return Round(seconds, code, found, Calls.read(calls), log, wheel)

    def fresh_tree(self, pristine: Path) -> None:
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(pristine, self.tree, symlinks=True)

    # -- reporting

    def _report(self, judged: list[Way], unstable: set) -> None:
        truth = judged[0]
        # The second build judges whether modules are reproducible at all; it is not a wrong one.
        truth.differing = [[], []]
        requests = truth.rounds[0].calls.requests
        note("")
        flags = f", CFLAGS={self.cflags}" if self.cflags else ""
        note(f"{self.package}{flags}: {len(truth.rounds[0].modules)} modules, {requests} different compile commands")
        note(table(HEAD, [way.row() for way in judged]))
        note("(compiles, links: calls of the real compiler per build that succeeded; seconds: per build)")
        if unstable:
            note(
                "not judged, because two serial plain builds differ in them: "
                + ", ".join(sorted(name.rsplit("/", 1)[-1] for name in unstable))
            )
        logs = sorted([*self.folder.glob("failed-*.log"), *self.folder.glob("differs-*.log")])
        if logs:
            note(f"kept in `{self.folder}`: {', '.join(log.name for log in logs)}")
            first = next((log for log in logs if log.name.startswith("failed")), None)
            if first:
                note(f"the end of {first.name}:\n{_tail(first.read_text(errors='replace'))}")

    def _write_json(self, judged: list[Way], unstable: set) -> None:
        assert self.json_file is not None
        answer = {
            "package": self.name,
            "version": self.version,
            "jobs": self.jobs,
            "cflags": self.cflags,
            "setuptools": self.setuptools,
            "python": sys.version.split()[0],
            "modules": sorted(judged[0].rounds[0].modules),
            "distinct_compile_commands": judged[0].rounds[0].calls.requests,
            "not_reproducible": sorted(unstable),
            "builds": [
                {
                    "label": way.label,
                    "right": way.right,
                    "differ": way.wrong,
                    "failed": way.failed,
                    "rounds": [
                        {
                            "seconds": round(built.seconds, 3),
                            "exit": built.exit,
                            "compiles": built.calls.compiles if way.counted else None,
                            "links": built.calls.links if way.counted else None,
                        }
                        for built in way.rounds
                    ],
                    "differing": way.differing,
                }
                for way in judged
            ],
        }
        self.json_file.write_text(json.dumps(answer, indent=1) + "\n")


def _archives(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*")) if path.name.endswith((".tar.gz", ".tar.bz2", ".tar.xz", ".zip"))]


def _ask(python: Path, tree: Path, question: str) -> str:
    done = subprocess.run(
        [str(python), "-I", str(_PEP517), question],
        cwd=tree,
        env=plain().environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise Cannot(f"cannot read the build requirements in `{tree}`:\n{_tail(done.stdout + done.stderr)}")
    return done.stdout.strip()


def _tail(text: str, lines: int = 20, width: int = 160) -> str:
    """The last lines, shortened: compiler commands are long, and the whole log is kept."""
    last = text.rstrip().splitlines()[-lines:]
    return "\n".join(f"    {line if len(line) <= width else line[:width] + ' …'}" for line in last)
