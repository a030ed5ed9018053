"""Virtual environments below `.objguard-dev/venvs`, made once and reused while they fit."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Mapping, Sequence

from places import DEV
from say import Cannot, note

VENVS = DEV / "venvs"
_STAMP = "made-from.json"


def python_of(venv: Path) -> Path:
    """The interpreter of `venv`."""
    return venv / "bin" / "python"


def ensure(name: str, requirements: Sequence[str]) -> Path:
    """The venv `name` with `requirements` installed (pip's notation); made now unless it is there and fits.

    A venv records what it was made from; another Python, another place or other requirements make it anew.
    """
    venv = VENVS / name
    wanted = {
        "python": os.path.realpath(sys.executable),
        "version": sys.version,
        "place": str(venv),
        "requirements": list(requirements),
    }
    VENVS.mkdir(parents=True, exist_ok=True)
    with open(VENVS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _made_from(venv) == wanted:
            return venv
        note(f"making the venv `{venv.relative_to(DEV.parent)}` with {', '.join(requirements) or 'pip only'} …")
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)], "cannot make a venv")
        if requirements:
            pip_install(venv, requirements)
        (venv / _STAMP).write_text(json.dumps(wanted))
    return venv


def pip_install(venv: Path, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """`pip install ARGUMENTS` in `venv`."""
    command = [str(python_of(venv)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    command += arguments
    _run(command, f"cannot install {' '.join(arguments)}", env)


def name_for(prefix: str, requirements: Sequence[str]) -> str:
    """A name for the venv with exactly these requirements."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:10]
    return f"{prefix}-{digest}"


def _made_from(venv: Path) -> object:
    try:
        stamp = json.loads((venv / _STAMP).read_text())
    except (OSError, ValueError):
        return None
    return stamp if python_of(venv).exists() else None


def _run(command: Sequence[str], failure: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, check=False
    )
    if done.returncode:
        raise Cannot(f"{failure} (`{' '.join(command)}`):\n{done.stdout.decode(errors='replace').rstrip()}")
