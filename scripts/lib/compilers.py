"""The compilers of a build as environment variables: plain, guarded or behind another wrapper, all counted.

The plain reference must run the same compiler with the same flags as the guarded build. Python's default CC can be
`gcc -pthread`, so plain builds set CC=cc and CXX=c++ too, through tests/tools/counting-cc, which writes down each
call and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Mapping

from places import DEV, ROOT, TOOLS
from say import Cannot, note

sys.path.append(str(ROOT / "src" / "python"))
import static  # noqa: E402  (how the wheel's programs are linked, too)

COUNTING_CC = TOOLS / "counting-cc"
COUNTING_CXX = TOOLS / "counting-c++"

_PROGRAMS = ("objguard-cc", "objguard-c++", "objguard-ar", "objguard")

# Settings of the caller's that would make a build another one.
_DROPPED = (
    "CC CXX CPP AR ARFLAGS RANLIB LDSHARED LDCXXSHARED CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CPATH C_INCLUDE_PATH "
    "CPLUS_INCLUDE_PATH LIBRARY_PATH DIST_EXTRA_CONFIG MAKEFLAGS MFLAGS MAKELEVEL PYTHONPATH PYTHONHOME "
    "PYTHONDONTWRITEBYTECODE SOURCE_DATE_EPOCH NPY_NUM_BUILD_JOBS DEPENDENCIES_OUTPUT SUNPRO_DEPENDENCIES "
    "_PYTHON_SYSCONFIGDATA_NAME ARCHFLAGS VIRTUAL_ENV PIP_CONSTRAINT PIP_BUILD_CONSTRAINT"
).split()
_DROPPED_PREFIXES = ("OBJGUARD_", "COUNTING_", "FAKE_CC", "CCACHE_", "DISTCC_", "GCC_", "SETUPTOOLS_")


@dataclass(frozen=True)
class Compilers:
    """A way to compile: its name for tables, and what it sets in a build's environment."""

    name: str
    variables: Mapping[str, str]
    counted: bool = True

    def environment(self, log: Path | None = None, **more: str) -> dict[str, str]:
        """A whole environment for a build; real compiler calls are counted in the file `log`."""
        env = clean_environment()
        env.update(self.variables)
        if log is not None:
            env["COUNTING_LOG"] = str(log)
        env.update(more)
        return env


def clean_environment() -> dict[str, str]:
    """The caller's environment without anything that would change a build."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }


def plain(name: str = "plain") -> Compilers:
    """The system's cc and c++, as they are."""
    return Compilers(name, {"CC": shlex.quote(str(COUNTING_CC)), "CXX": shlex.quote(str(COUNTING_CXX))})


def guarded(binaries: Path, name: str = "objguard") -> Compilers:
    """objguard-cc and objguard-c++ in the folder `binaries`, in front of cc and c++."""
    return wrapped(f"{shlex.quote(str(binaries / 'objguard-cc'))}", f"{shlex.quote(str(binaries / 'objguard-c++'))}", name)


def wrapped(cc: str, cxx: str, name: str) -> Compilers:
    """Any other words for CC and CXX. Calls are counted if what they run is OBJGUARD_CC's compiler."""
    variables = {
        "CC": cc,
        "CXX": cxx,
        "OBJGUARD_CC": shlex.quote(str(COUNTING_CC)),
        "OBJGUARD_CXX": shlex.quote(str(COUNTING_CXX)),
    }
    return Compilers(name, variables, counted="objguard" in cc)


@dataclass(frozen=True)
class Calls:
    """The real compiler's calls in one build."""

    compiles: int
    requests: int  # different compile commands: what has to run at least once
    links: int

    @staticmethod
    def read(log: Path) -> "Calls":
        """Count the lines of a counting-cc log; a missing one means that nothing ran."""
        try:
            lines = log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        compiles = [line for line in lines if line.startswith("compile\t")]
        links = [line for line in lines if line.startswith("link\t")]
        return Calls(len(compiles), len(set(compiles)), len(links))


def build_objguard() -> Path:
    """Build objguard in release mode and return a folder that has its programs under all their names.

    They are copies in a folder named after their content: another build, even while this one is in use, changes
    nothing in it.
    """
    note("building objguard (cargo build --release) …")
    # --locked would refuse a checkout without a lock file.
    locked = ["--locked"] if (ROOT / "Cargo.lock").exists() else []
    _cargo(["build", "--release", "--bins", *locked], quiet=True)
    metadata = json.loads(_cargo(["metadata", "--format-version", "1", "--no-deps"], capture=True))
    release = Path(metadata["target_directory"]) / "release"
    wrapper = release / "objguard-cc"
    if not wrapper.exists():
        raise Cannot(f"cannot find `{wrapper}` after cargo build --release: does Cargo.toml still build it?")
    # One program answers to several names; which ones have a file of their own is cargo's business.
    sources = {name: release / name if (release / name).exists() else wrapper for name in _PROGRAMS}
    digest = hashlib.sha256(b"".join(sources[name].read_bytes() for name in _PROGRAMS)).hexdigest()[:12]
    folder = DEV / "bin" / digest
    if not folder.exists():
        forget_old(folder.parent.iterdir() if folder.parent.exists() else ())
        fresh = folder.with_name(f".{digest}.{os.getpid()}")
        fresh.mkdir(parents=True)
        for name, source in sources.items():
            shutil.copy2(source, fresh / name)
        try:
            fresh.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    os.utime(folder)
    return folder


def forget_old(copies: Iterable[Path]) -> None:
    """Remove copies that nobody has used for a day."""
    for old in copies:
        if time.time() - old.lstat().st_mtime > 24 * 3600:
            old.unlink() if old.is_symlink() else shutil.rmtree(old, ignore_errors=True)


def _cargo(arguments: list[str], quiet: bool = False, capture: bool = False) -> str:
    command = ["cargo", *arguments]
    if quiet:
        command.insert(2, "--quiet")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **static.rustflags()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        check=False,
        text=True,
    )
    if done.returncode:
        raise Cannot(f"`{' '.join(command)}` failed with exit code {done.returncode}; its messages are above")
    return done.stdout or ""
