"""Isolated builds: each installs its build requirements anew, in a folder with a random name."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import venvs
from conftest import Space, end

_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
print(*(__import__(name).total([1.0, 2.5]) for name in sys.argv[2:]))
"""

_FRONT_ENDS = {
    "pip": ["-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "--wheel-dir"],
    "build": ["-m", "build", "--wheel", "--outdir"],
    "uv": ["-m", "uv", "build", "--wheel", "--out-dir"],
}


def build(space: Space, tools: Path, front_end: str, headers: tuple[str, ...]) -> str:
    """Build a wheel, guarded; what its modules answer."""
    wheels = space.folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    space.log.unlink(missing_ok=True)
    command = [str(venvs.python_of(tools)), *_FRONT_ENDS[front_end], str(wheels), "."]
    env = space.ways["objguard"].environment(
        space.log, UV_CACHE_DIR=str(space.folder / "uv-cache"), HEADERS=" ".join(headers)
    )
    env["PATH"] = f"{venvs.python_of(tools).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        command,
        cwd=space.tree,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, end(done.stdout)
    modules = space.folder / "modules"
    shutil.rmtree(modules, ignore_errors=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(modules)
    asked = subprocess.run(
        [str(venvs.python_of(tools)), "-c", _ASK, str(modules), *(f"with_{name}" for name in headers)],
        stdout=subprocess.PIPE, text=True, check=True
    )
    return asked.stdout.strip()


@pytest.mark.parametrize(
    ("front_end", "headers"), [("pip", ("numpy", "pybind11")), ("build", ("numpy",)), ("uv", ("numpy",))]
)
def test_the_second_isolated_build_compiles_nothing(space: Space, front_end: str, headers: tuple[str, ...]) -> None:
    """Headers of NumPy and pybind11 in a new folder are the same headers."""
    tools = venvs.ensure("front-ends", ["build", "uv", "numpy"])
    space.fresh("headers")
    answers = " ".join("3.5" for _ in headers)
    assert build(space, tools, front_end, headers) == answers
    assert space.calls().compiles == len(headers)
    for source in (space.tree / "src").iterdir():
        source.touch()  # setuptools looks at nothing else
    assert build(space, tools, front_end, headers) == answers
    calls = space.calls()
    assert (calls.compiles, calls.links) == (0, len(headers))
