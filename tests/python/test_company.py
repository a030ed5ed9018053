"""In company of other Pythons, front ends and build helpers, each run for real.

What the system lacks skips a test with the program's name in backquotes; `scripts/test` lets that pass only with `--without`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import compilers
import setuptools_versions
import venvs
from compilers import Calls
from conftest import VALUES, Space, end
from modules import elf_flaw

# Debian's: each with headers, and all with the setuptools of python3-setuptools.
IMPLEMENTATIONS = {"python3": "/usr/bin/python3", "python3-dbg": "/usr/bin/python3-dbg", "pypy3": "/usr/bin/pypy3"}

_CAN_BUILD = """
import os, sys, sysconfig
import setuptools
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
"""

_ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import mod1, mod2
print(json.dumps([mod1.my_function(), mod2.my_function()]))
"""


def run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """Run a command to its end; what it printed. A failure fails the test, with that text."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode} of {command}:\n{end(done.stdout)}"
    return done.stdout


def need(name: str, program: str) -> None:
    """Skip the test, by name, unless `program` can build extensions."""
    if not os.access(program, os.X_OK):
        pytest.skip(f"`{name}` is not installed")
    if subprocess.run([program, "-c", _CAN_BUILD], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip(f"`{name}` is installed without headers or setuptools")


def venv_with(*requirements: str) -> Path:
    """A venv of the tests' with these packages."""
    return venvs.ensure(venvs.name_for("company", requirements), list(requirements))


# Several Pythons at once


def build_all(space: Space, *arguments: str) -> dict[str, Calls]:
    """Every implementation builds the one tree at the same time, objects to one folder; the real compiler's calls of each."""
    running = {}
    for name, program in IMPLEMENTATIONS.items():
        log = space.folder / f"{name}.log"
        log.unlink(missing_ok=True)
        command = [program, "-B", "setup.py", "build_ext", "--build-temp", "temp", "--build-lib", f"out-{name}", "-j2"]
        running[name] = subprocess.Popen(
            [*command, *arguments],
            cwd=space.tree,
            env=space.ways["objguard"].environment(log),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    printed = {name: process.communicate()[0] for name, process in running.items()}
    for name, process in running.items():
        assert process.returncode == 0, f"{name}:\n{end(printed[name])}"
    return {name: Calls.read(space.folder / f"{name}.log") for name in running}


def answers(space: Space, name: str) -> list[int]:
    """What the twins return in that implementation."""
    program = IMPLEMENTATIONS[name]
    return json.loads(run([program, "-B", "-c", _ASK, str(space.tree / f"out-{name}")], space.tree, dict(os.environ)))


def test_several_implementations(space: Space, rounds: int) -> None:
    """As distutils-r1 did (gentoo-python, 2012-11-29): CPython, its debug build and PyPy in one tree, here even with one
    folder of objects; then everything is hard-linked away."""
    for name, program in IMPLEMENTATIONS.items():
        need(name, program)
    for _ in range(rounds // 2 or 1):
        space.fresh("twins")
        calls = build_all(space)
        assert {name: answers(space, name) for name in IMPLEMENTATIONS} == dict.fromkeys(IMPLEMENTATIONS, [12, 42])
        assert {name: c.compiles for name, c in calls.items()} == dict.fromkeys(IMPLEMENTATIONS, 4)

    # The first build made folders next to its sources, and a header may ask with `__has_include` what is there.
    build_all(space, "--force")
    image = space.folder / "image"
    shutil.rmtree(image, ignore_errors=True)
    run(["cp", "--archive", "--link", "--no-clobber", str(space.tree), str(image)], space.folder, dict(os.environ))
    merged = {path: path.read_bytes() for path in image.rglob("*") if path.suffix in (".o", ".so") and path.is_file()}
    assert {path.name for path in merged} >= {"shared.o", "mod1.o", "mod2.o"} and len(merged) >= 3 + 6
    assert all(path.stat().st_nlink > 1 for path in merged)

    # More names of an object, or another ctime, are no reason to compile: each takes its own again.
    calls = build_all(space, "--force")
    assert {name: c.compiles for name, c in calls.items()} == dict.fromkeys(IMPLEMENTATIONS, 0)
    assert {name: answers(space, name) for name in IMPLEMENTATIONS} == dict.fromkeys(IMPLEMENTATIONS, [12, 42])
    # A change reaches the tree, not the copy, though they share all files and what is known of them.
    header = space.tree / "shared.h"
    changed = header.read_text().replace("SHARED_OFFSET 0", "SHARED_OFFSET 100")
    header.unlink()
    header.write_text(changed)
    build_all(space, "--force")
    assert {name: answers(space, name) for name in IMPLEMENTATIONS} == dict.fromkeys(IMPLEMENTATIONS, [112, 142])
    assert {path: path.read_bytes() for path in merged} == merged
    # And the copy can be built by itself: nothing is known there that isn't so.
    shutil.rmtree(space.tree)
    image.rename(space.tree)
    calls = build_all(space, "--force")
    assert {name: c.compiles for name, c in calls.items()} == dict.fromkeys(IMPLEMENTATIONS, 0)
    assert {name: answers(space, name) for name in IMPLEMENTATIONS} == dict.fromkeys(IMPLEMENTATIONS, [12, 42])


# Front ends


def unpacked(space: Space, wheels: Path) -> Path:
    """The content of the one wheel in a folder."""
    [wheel] = wheels.glob("*.whl")
    site = space.folder / "site"
    shutil.rmtree(site, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.mark.parametrize("isolated", (True, False), ids=("isolated", "not-isolated"))
def test_build(space: Space, isolated: bool) -> None:
    """python -m build --wheel."""
    venv = venv_with("build", "setuptools", "wheel")
    space.fresh("twins")
    wheels = space.folder / "wheels"
    log = space.log
    variables = {"DIST_EXTRA_CONFIG": space.parallel_config(2), **space.isolated("newest")}
    env = space.ways["objguard"].environment(log, **variables)
    words = [str(venvs.python_of(venv)), "-m", "build", "--wheel", "--outdir", str(wheels)]
    run([*words, *([] if isolated else ["--no-isolation"])], space.tree, env)
    assert space.values(unpacked(space, wheels), "twins") == VALUES["twins"]
    assert Calls.read(log).compiles == 4


def test_uv(space: Space) -> None:
    """uv build, and uv pip install of the tree."""
    venv = venv_with("uv")
    uv = str(venv / "bin" / "uv")
    space.fresh("twins")
    pip = space.isolated("newest")
    links = ["--offline", "--no-index", "--find-links", pip["PIP_FIND_LINKS"]]
    variables = {"DIST_EXTRA_CONFIG": space.parallel_config(2), "UV_CACHE_DIR": str(space.folder / "cache")}
    variables["UV_PYTHON"] = sys.executable
    env = space.ways["objguard"].environment(space.log, **variables)
    wheels, site = space.folder / "wheels", space.folder / "installed"
    run([uv, "build", "--wheel", "--out-dir", str(wheels), *links, "."], space.tree, env)
    assert space.values(unpacked(space, wheels), "twins") == VALUES["twins"]
    assert Calls.read(space.log).compiles == 4
    run([uv, "pip", "install", "--no-deps", "--target", str(site), *links, "."], space.tree, env)
    assert space.values(site, "twins") == VALUES["twins"]


# Helpers that compile in pools of their own


def with_setup(space: Space, head: str, tail: str = "") -> None:
    """The package `pool` with another setup.py: three extensions that share sources, with a VALUE each."""
    space.fresh("pool")
    extensions = """
        SHARED = [f"part{number}.c" for number in range(1, 5)]
        EXTENSIONS = [
            Extension(name, sources=[f"{name}.c", *SHARED], define_macros=[("VALUE", str(value))])
            for name, value in (("first", 1), ("second", 10), ("third", 100))
        ]
    """
    parts = [textwrap.dedent(part) for part in (head, extensions, tail)]
    (space.tree / "setup.py").write_text("\n".join(parts))


def test_pybind11_parallel_compile(space: Space, rounds: int) -> None:
    """pybind11's ParallelCompile: a pool of threads compiles for each extension, another thread links it."""
    venv = venv_with("pybind11", "setuptools")
    bound = '#include <pybind11/pybind11.h>\nPYBIND11_MODULE(bound, m) { m.def("total", [] { return VALUE; }); }\n'
    for _ in range(rounds // 2 or 1):
        with_setup(
            space,
            """
            from setuptools import Extension, setup
            from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
            ParallelCompile("NPY_NUM_BUILD_JOBS", default=4).install()
            """,
            """
            bound = Pybind11Extension("bound", ["bound.cpp", "part1.c"], define_macros=[("VALUE", "7")], extra_compile_args=["-O0"])
            setup(name="pools", version="1.0", py_modules=[], ext_modules=[*EXTENSIONS, bound])
            """,
        )
        (space.tree / "bound.cpp").write_text(bound)
        log = space.log
        log.unlink(missing_ok=True)
        env = space.ways["objguard"].environment(log, NPY_NUM_BUILD_JOBS="4")
        run([str(venvs.python_of(venv)), "setup.py", "build_ext", "--build-lib", "out", "--build-temp", "temp", "-j3"], space.tree, env)
        assert space.values(space.tree / "out", "pool") == VALUES["pool"]
        assert Calls.read(log).compiles == 15 + 2
        ask = "import sys; sys.path.insert(0, 'out'); import bound; print(bound.total())"
        assert run([str(venvs.python_of(venv)), "-c", ask], space.tree, dict(os.environ)).strip() == "7"


def test_numpy_distutils(space: Space, binaries: Path) -> None:
    """numpy.distutils, which compiles in threads as NPY_NUM_BUILD_JOBS says, and archives a library first."""
    if sys.version_info >= (3, 12):
        pytest.skip("`numpy.distutils` is not in Python 3.12 and later")
    venv = venv_with("numpy<1.26", "setuptools<60")
    with_setup(
        space,
        "from numpy.distutils.core import Extension, setup",
        """
        EXTENSIONS[2].libraries = ["core"]
        setup(name="pools", version="1.0", ext_modules=EXTENSIONS, libraries=[("core", {"sources": ["core.c"]})])
        """,
    )
    (space.tree / "core.c").write_text("int core(void) { return 1; }\n")
    third = space.tree / "third.c"
    third.write_text(third.read_text() + "\nint core(void);\nint uses_core(void) { return core(); }\n")
    log = space.log
    log.unlink(missing_ok=True)
    # Only later distutils put CC into the link command on their own.
    variables = {"AR": str(binaries / "objguard-ar"), "LDSHARED": f"{binaries / 'objguard-cc'} -shared"}
    env = space.ways["objguard"].environment(log, NPY_NUM_BUILD_JOBS="4", **variables)
    python = str(venvs.python_of(venv))
    build = [python, "setup.py", "build", "--build-base", "build", "--build-lib", "out", "build_ext", "-j3"]
    run(build, space.tree, env)
    assert space.values(space.tree / "out", "pool") == VALUES["pool"]
    # It also compiles tests of the processor's features.
    lines = log.read_text().splitlines()
    assert sum(line.startswith("compile") and "-c part" in line for line in lines) == 12
    assert list(space.tree.glob("build/**/.objguard/libcore.a/claims")), "the archive isn't guarded"


# Libraries of setuptools


CLIB = """
from setuptools import Extension, setup
import os

value = os.environ["EXT_VALUE"]
core = ("core", {"sources": ["part.c", "common.c"], "macros": [("VALUE", os.environ["LIB_VALUE"])]})
setup(
    name="clib",
    version="1.0",
    py_modules=[],
    libraries=[core],
    ext_modules=[Extension("ext", ["ext.c", "part.c"], define_macros=[("VALUE", value)], libraries=["core"])],
)
"""

EXT = """
#include <Python.h>
int part(void);
int common(void);
static PyObject *values(PyObject *self, PyObject *none) { return Py_BuildValue("[iii]", VALUE, part(), common()); }
static PyMethodDef methods[] = {{"values", values, METH_NOARGS, ""}, {0, 0, 0, 0}};
static struct PyModuleDef ext = {PyModuleDef_HEAD_INIT, "ext", "", -1, methods};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&ext); }
"""


def test_build_clib(space: Space, binaries: Path, rounds: int) -> None:
    """setuptools' build_clib: the library and the extension compile one source to one object, with different macros; and two
    builds at once, with values of their own, make one archive each at one path."""
    for _ in range(rounds):
        shutil.rmtree(space.tree, ignore_errors=True)
        space.tree.mkdir()
        (space.tree / "setup.py").write_text(CLIB)
        (space.tree / "ext.c").write_text(EXT)
        (space.tree / "part.c").write_text("int part(void) { return VALUE; }\n")
        (space.tree / "common.c").write_text("int common(void) { return VALUE; }\n")
        for name in ("part.c", "common.c"):
            # build_clib doesn't mind --force: objects must be older than their sources.
            os.utime(space.tree / name, (4e9, 4e9))
        started = {}
        for base in (1000, 2000):
            # Forced: else setuptools would take what the other build left there for its own.
            words = ["setup.py", "build_clib", "--force", "--build-clib", "temp", "--build-temp", "temp"]
            words += ["build_ext", "--force", "--build-lib", f"out-{base}", "--build-temp", "temp"]
            values = {"LIB_VALUE": str(base + 1), "EXT_VALUE": str(base + 2), "AR": str(binaries / "objguard-ar")}
            started[base] = space.start(words, log=space.folder / f"{base}.log", **values)
        printed = {base: process.communicate()[0] for base, process in started.items()}
        for base, process in started.items():
            assert process.returncode == 0, end(printed[base])
            ask = f"import sys; sys.path.insert(0, 'out-{base}'); import ext; print(ext.values())"
            got = run([str(venvs.python_of(space.venv)), "-c", ask], space.tree, dict(os.environ))
            assert json.loads(got) == [base + 2, base + 2, base + 1]
        assert elf_flaw((space.tree / "temp" / "part.o").read_bytes()) is None
