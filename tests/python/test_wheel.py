"""objguard's own wheel, installed as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import compilers
import modules
import venvs
from conftest import Space

PROGRAMS = {"objguard", "objguard-cc", "objguard-c++", "objguard-ar"}


def run(*command: object, cwd: Path, **env: str) -> str:
    """Run a command to its end; what it printed. A failure fails the test, with that text."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**compilers.clean_environment(), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def empty_venv(folder: Path) -> Path:
    """A venv with nothing in it, not even pip: its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    return venvs.python_of(folder)


def pip(space: Space, python: Path, *words: object, **env: str) -> str:
    """pip of the test's venv, at work on another one."""
    quiet = ("--disable-pip-version-check", "--python", python)
    return run(venvs.python_of(space.venv), "-m", "pip", *quiet, *words, cwd=space.folder, **env)


def test_install_use_uninstall(space: Space, wheel: Path) -> None:
    """Four programs, each under its own name, and nothing left when it goes."""
    python = empty_venv(space.folder / "venv")
    folder = python.parent
    before = set(folder.iterdir())
    pip(space, python, "install", "--no-index", wheel)
    assert {path.name for path in set(folder.iterdir()) - before} == PROGRAMS
    assert not any(path.is_symlink() for path in set(folder.iterdir()) - before)

    (space.folder / "a.c").write_text("int a(void) { return sizeof 'a'; }\n")
    (space.folder / "b.cpp").write_text("#include <string>\nstd::string b(int n) { return std::to_string(n); }\n")
    log = space.folder / "log"
    on_path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "COUNTING_LOG": str(log), "OBJGUARD_LOG": str(space.folder / "events")}
    real = {"OBJGUARD_CC": str(compilers.COUNTING_CC), "OBJGUARD_CXX": str(compilers.COUNTING_CXX)}
    run("objguard-cc", "-c", "a.c", cwd=space.folder, **on_path, **real)
    # A C++ compiler links its library by itself; under the other name it would be a C compiler.
    run("objguard-c++", "-shared", "-fPIC", "b.cpp", "-o", "b.so", cwd=space.folder, **on_path, **real)
    run("objguard-ar", "rcs", "liba.a", "a.o", cwd=space.folder, **on_path)
    assert [line.split("\t")[0] for line in log.read_text().splitlines() if not line.startswith("other")] == ["compile", "link"]
    assert b"libstdc++" in (space.folder / "b.so").read_bytes()
    assert modules.elf_flaw((space.folder / "a.o").read_bytes()) is None
    assert (space.folder / "liba.a").exists()
    assert "objguard 0." in run("objguard", "--version", cwd=space.folder, **on_path)
    assert len((space.folder / "events").read_text().splitlines()) == 3

    where = "import objguard; print(*map(objguard.program, objguard.PROGRAMS), sep='\\n')"
    assert run(python, "-c", where, cwd=space.folder).split("\n")[:-1] == [
        str(folder / name) for name in ("objguard", "objguard-cc", "objguard-c++", "objguard-ar")
    ]
    pip(space, python, "uninstall", "--yes", "objguard")
    assert set(folder.iterdir()) == before
    assert not list((space.folder / "venv").rglob("*objguard*"))


def test_the_wheel_says_what_it_holds(space: Space, wheel: Path) -> None:
    """Name, licences and every file with its hash; no other Python than the package."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [record] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/RECORD")]
        [about] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    assert {line.split(",")[0] for line in record.splitlines()} == set(names) and len(names) == len(set(names))
    assert {name.split("/")[0].split("-")[0] for name in names} == {"objguard"}
    assert {Path(name).name for name in names if ".data/scripts/" in name} == PROGRAMS
    assert {Path(name).name for name in names if "/licenses/" in name} == {"LICENSE-APACHE", "LICENSE-MIT"}
    assert "License-Expression: MIT OR Apache-2.0" in about and "\nName: objguard\n" in about
