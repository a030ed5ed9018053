"""What the scripts and tests need of the system, how to see whether it is there, and who needs it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

from say import Cannot


@dataclass(frozen=True)
class Need:
    """One thing of the system."""

    name: str  # as `--without` takes it
    package: str  # Debian's name of the package that has it
    purpose: str  # which tests or scripts can't run without it
    present: Callable[[], bool]
    programs: tuple[str, ...] = ()  # how tests that can't run here call it, in backquotes

    def explains(self, why: str) -> bool:
        """Whether the reason a test gives for not running is that this is missing."""
        return any(f"`{name}`" in why for name in (self.name, *self.programs))


def program(*names: str) -> Callable[[], bool]:
    """All the programs `names` are on PATH."""
    return lambda: all(shutil.which(name) for name in names)


def of_programs(name: str, package: str, purpose: str, *programs: str) -> Need:
    """A need that is there when its programs are on PATH."""
    return Need(name, package, purpose, program(*programs), programs)


def pkg_config(module: str) -> Callable[[], bool]:
    """pkg-config is there and knows `module`."""

    def present() -> bool:
        if not shutil.which("pkg-config"):
            return False
        return subprocess.run(["pkg-config", "--exists", module], check=False).returncode == 0

    return present


def c_headers() -> bool:
    """The C library's headers are there; true as well without a compiler, whose absence is reported by itself."""
    if not shutil.which("cc"):
        return True
    command = ["cc", "-x", "c", "-fsyntax-only", "-include", "stdio.h", os.devnull]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def python_headers() -> bool:
    """The running Python can compile extensions."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def python_venv() -> bool:
    """The running Python can make a venv with pip (Debian splits that off)."""
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def may_mount() -> bool:
    """Root, and not in a container that forbids it."""
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


CARGO = of_programs("cargo", "cargo (or rustup's)", "building objguard, the Rust tests", "cargo")
CC = of_programs("gcc", "gcc", "everything", "gcc", "cc")
CXX = of_programs("g++", "g++", "C++ packages and tests", "g++", "c++")
LIBC_HEADERS = Need("libc-dev", "libc6-dev", "everything", c_headers)
PYTHON_HEADERS = Need("python-headers", "python3-dev", "building extension modules", python_headers)
PYTHON_VENV = Need("python-venv", "python3-venv", "the venvs of the scripts and tests", python_venv)

# What a build of the bundled packages and of a plain sdist takes.
BUILD = (CC, LIBC_HEADERS, CXX, PYTHON_HEADERS, PYTHON_VENV)

# What single tests take beyond that.
FOR_TESTS = (
    of_programs("clang", "clang", "tests with clang", "clang", "clang++"),
    of_programs("lld", "lld", "LTO tests with clang", "ld.lld"),
    of_programs("make", "make", "builds by make, the jobserver", "make"),
    of_programs("cmake", "cmake", "builds by CMake", "cmake"),
    of_programs("ninja", "ninja-build", "builds by ninja", "ninja"),
    of_programs("ccache", "ccache", "objguard in front of ccache", "ccache"),
    of_programs("distcc", "distcc", "objguard in front of distcc, two servers on loopback", "distcc", "distccd"),
    of_programs("strace", "strace", "tests of the system calls made", "strace"),
    of_programs("clang-19", "clang-19", "#embed", "clang-19"),
    Need("mount", "no package: the right to mount", "tests on a file system with a coarse clock", may_mount),
    of_programs("python3-dbg", "python3-dbg", "several Python implementations at once", "python3-dbg"),
    Need("numpy.distutils", "no package: Python before 3.12", "numpy.distutils", lambda: sys.version_info < (3, 12)),
    of_programs("pypy3", "pypy3 and pypy3-dev", "several Python implementations at once", "pypy3"),
)

# System packages that known sdists need, as (Debian package, how to see that it is there).
OF_PACKAGES: dict[str, tuple[tuple[str, Callable[[], bool]], ...]] = {
    "libvirt-python": (("pkg-config", program("pkg-config")), ("libvirt-dev", pkg_config("libvirt"))),
    "systemd-python": (("pkg-config", program("pkg-config")), ("libsystemd-dev", pkg_config("libsystemd"))),
    "lxml": (
        ("pkg-config", program("pkg-config")),
        ("libxml2-dev", pkg_config("libxml-2.0")),
        ("libxslt1-dev", pkg_config("libxslt")),
    ),
    "cffi": (("pkg-config", program("pkg-config")), ("libffi-dev", pkg_config("libffi"))),
    "mysqlclient": (("pkg-config", program("pkg-config")), ("default-libmysqlclient-dev", pkg_config("libmariadb"))),
    "psycopg2": (("libpq-dev", program("pg_config")),),
}


def missing(needs: Iterable[Need]) -> list[Need]:
    """Those of `needs` that are not there."""
    return [need for need in needs if not need.present()]


def require(needs: Iterable[Need]) -> None:
    """Raise `Cannot`, naming all that is missing, unless everything is there."""
    lacking = missing(needs)
    if lacking:
        lines = [f"  {need.name}: needed for {need.purpose}; on Debian: {need.package}" for need in lacking]
        raise Cannot("something of the system is missing:\n" + "\n".join(lines))


def require_for_package(name: str) -> None:
    """Raise `Cannot` when a known sdist's system packages are missing (`name` as on PyPI)."""
    lacking = [
        package for package, present in OF_PACKAGES.get(canonical(name), ()) if not present()
    ]
    if lacking:
        raise Cannot(f"cannot build `{name}`: it needs {' '.join(lacking)} of the system: apt-get install {' '.join(lacking)}")


def canonical(name: str) -> str:
    """PyPI's normal form of a project's name (PEP 503)."""
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)
