"""The build backend of this project: maturin's, with one more program in its wheels.

Cargo takes no `+` in a program's name, and a wheel holds no links. So `objguard-c++` is put into the finished wheel as a
copy of `objguard-cc`: they are one program, which asks what it was called as. How they are linked is `static`'s business.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import maturin
import static
from maturin import *  # noqa: F403  (the hooks that stay as they are)

_OF = "/scripts/objguard-cc"
_COPY = "/scripts/objguard-c++"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 517."""
    os.environ.update(static.rustflags())
    name = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    _complete(Path(wheel_directory, name))
    return name


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 660."""
    os.environ.update(static.rustflags())
    name = maturin.build_editable(wheel_directory, config_settings, metadata_directory)
    _complete(Path(wheel_directory, name))
    return name


def _complete(wheel: Path) -> None:
    """Put the copy into `wheel`, and into its list of files."""
    scratch = wheel.with_name(f".{wheel.name}.{os.getpid()}")
    copied = False
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as new:
        # RECORD stands last in every wheel.
        for entry in sorted(old.infolist(), key=lambda entry: entry.filename.endswith(".dist-info/RECORD")):
            data = old.read(entry)
            if entry.filename.endswith(_OF):
                copy = zipfile.ZipInfo(entry.filename[: -len(_OF)] + _COPY, entry.date_time)
                copy.compress_type, copy.external_attr = entry.compress_type, entry.external_attr
                new.writestr(copy, data)
                copied = True
            elif entry.filename.endswith(".dist-info/RECORD"):
                lines = data.decode().splitlines(keepends=True)
                data = "".join(line + _line_of_copy(line) for line in lines).encode()
            new.writestr(entry, data)
    if not copied:
        scratch.unlink()
        raise SystemExit(f"cannot complete `{wheel}`: there is no `…{_OF}` in it; does Cargo.toml still build it?")
    scratch.replace(wheel)


def _line_of_copy(line: str) -> str:
    """RECORD's line for the copy, behind that of the original."""
    name, rest = line.split(",", 1)
    return f"{name[: -len(_OF)]}{_COPY},{rest}" if name.endswith(_OF) else ""
