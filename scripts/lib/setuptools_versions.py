"""The setuptools versions that the tests build with: their venvs, and their wheels for pip's isolated builds."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import venvs
from compilers import clean_environment
from places import DEV
from say import Cannot, note

# 65 is the oldest that people still hold to; from Python 3.12 on it does not run, and 68 stands in for it.
OLDEST = "65" if sys.version_info < (3, 12) else "68"
VERSIONS = (OLDEST, "75", "80", "newest")

_WHEELS = DEV / "wheels"


def requirement(version: str) -> str:
    """Pip's notation for one of VERSIONS."""
    return "setuptools" if version == "newest" else f"setuptools=={version}.*"


def venv(version: str) -> Path:
    """The venv with this setuptools (and wheel, which those before 70.1 build wheels with)."""
    return venvs.ensure(f"setuptools-{version}", [requirement(version), "wheel"])


def pip_variables(version: str, folder: Path) -> dict[str, str]:
    """What holds an isolated `pip install .` to this setuptools; nothing is downloaded. Writes a file in `folder`."""
    wheels = _wheels(version)
    exact = next(wheels.glob("setuptools-*.whl")).name.split("-")[1]
    constraint = folder / f"setuptools-{version}.txt"
    constraint.write_text(f"setuptools=={exact}\n")
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        # Pip reads the first up to 25, the second since.
        "PIP_CONSTRAINT": str(constraint),
        "PIP_BUILD_CONSTRAINT": str(constraint),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "EXACT_SETUPTOOLS": exact,
    }


def _wheels(version: str) -> Path:
    folder = _WHEELS / version
    stamp = folder / "complete.json"
    wanted = {"python": list(sys.version_info[:2]), "requirement": requirement(version)}
    _WHEELS.mkdir(parents=True, exist_ok=True)
    with open(_WHEELS / f"{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and json.loads(stamp.read_text()) == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        note(f"downloading the wheels of {requirement(version)} …")
        tool = venvs.ensure("fetch", [])
        command = [
            *(str(venvs.python_of(tool)), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary", ":all:", "--dest", str(folder), requirement(version), "wheel"),
        ]
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        if done.returncode:
            raise Cannot(f"cannot download {requirement(version)}:\n{done.stdout}")
        stamp.write_text(json.dumps(wanted))
    return folder
