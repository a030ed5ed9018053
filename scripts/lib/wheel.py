"""objguard's wheel and sdist, built by this project's own build backend."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Mapping, Sequence

import venvs
from compilers import clean_environment, forget_old
from places import DEV, ROOT
from say import Cannot, note

_MATURIN = "maturin>=1.9,<2"
_BUILT = DEV / "dist"


def build_wheel() -> Path:
    """The wheel, in a folder named after its content that holds nothing else. The programs in it are those that
    `compilers.build_objguard` builds: cargo finds them done."""
    note("building objguard's wheel …")
    scratch = _BUILT / f".{os.getpid()}"
    try:
        wheel = into(scratch)
        folder = _BUILT / hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]
        forget_old(path for path in _BUILT.iterdir() if path.is_dir())
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        # Whoever builds the same at the same time puts the same there.
        return wheel.replace(folder / wheel.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def into(folder: Path, env: Mapping[str, str] | None = None) -> Path:
    """Build the wheel into `folder`."""
    tools = venvs.ensure(venvs.name_for("wheel", [_MATURIN]), [_MATURIN])
    command = [
        *(str(venvs.python_of(tools)), "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--disable-pip-version-check"),
        *("--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(ROOT)),
    ]
    _run(command, tools, env)
    return _the_one(folder, "*.whl")


def sdist_into(folder: Path) -> Path:
    """Build the sdist into `folder`."""
    tools = venvs.ensure(venvs.name_for("wheel", [_MATURIN]), [_MATURIN])
    call = "import os, sys; sys.path.insert(0, 'src/python'); import backend; backend.build_sdist(sys.argv[1])"
    folder.mkdir(parents=True, exist_ok=True)
    _run([str(venvs.python_of(tools)), "-B", "-c", call, str(folder)], tools, None)
    return _the_one(folder, "*.tar.gz")


def _run(command: Sequence[str], tools: Path, env: Mapping[str, str] | None) -> None:
    path = f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    _BUILT.mkdir(parents=True, exist_ok=True)
    # maturin writes its wheel below target first, always to the same place.
    with open(_BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**clean_environment(), "PATH": path, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise Cannot(f"cannot build objguard's wheel or sdist (`{' '.join(command)}`):\n{done.stdout.rstrip()}")


def _the_one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Cannot(f"cannot tell what was built: `{folder}` has {len(found)} of `{pattern}`")
    return found[0]
