"""objguard's Python side: where its programs are, and the plug-in for setuptools (`objguard.plugin`).

The programs themselves, `objguard-cc` and its like, are no Python.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Iterator, Optional

PROGRAMS = ("objguard", "objguard-cc", "objguard-c++", "objguard-ar")
"""What an installation puts on PATH."""


def program(name: str) -> Optional[str]:
    """The absolute path of one of `PROGRAMS`: the one that was installed with this module, else the first on PATH; None if
    there is none."""
    for candidate in _candidates(name):
        # Not resolved: what a link is called counts.
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return os.path.abspath(candidate)
    found = shutil.which(name)
    return os.path.abspath(found) if found else None


def _candidates(name: str) -> Iterator[Path]:
    site = Path(__file__).resolve().parents[1]
    # In an isolated build the folder of scripts isn't the interpreter's, but the installer wrote down where it is.
    for distribution in metadata.distributions(name="objguard", path=[str(site)]):
        for file in distribution.files or ():
            if file.name == name:
                yield Path(os.path.normpath(str(file.locate())))
    # What `pip install --target` writes down is not where things end up.
    yield site / "bin" / name
    yield Path(sysconfig.get_path("scripts"), name)
