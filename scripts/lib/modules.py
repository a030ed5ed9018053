"""Built modules: find them, compare them byte for byte, see whether a file is a whole ELF file."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path
from typing import Mapping


def in_wheel(wheel: Path) -> dict[str, str]:
    """The compiled modules in a wheel: name in it → hash of its bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: _digest(archive.read(name)) for name in archive.namelist() if _is_module(name)}


def in_folder(folder: Path) -> dict[str, str]:
    """The compiled modules below `folder`: path from it → hash of its bytes."""
    return {
        str(path.relative_to(folder)): _digest(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _is_module(path.name)
    }


def differing(truth: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names of modules that are not the same in both, missing ones too."""
    return sorted(name for name in {*truth, *other} if truth.get(name) != other.get(name))


def elf_flaw(data: bytes) -> str | None:
    """What is missing of an ELF object file, or None if everything that its headers speak of is there.

    GNU as writes the section headers last and ld lays them at the end, so a file that is being written either
    has no header yet or points past its end.
    """
    if not data:
        return "empty"
    if len(data) < 64:
        return f"only {len(data)} bytes"
    if data[:4] != b"\x7fELF":
        return "no ELF magic"
    if data[4] != 2:
        return "not a 64-bit ELF file"
    order = "<" if data[5] == 1 else ">"
    (section_offset,) = struct.unpack_from(order + "Q", data, 0x28)
    entry_size, entries = struct.unpack_from(order + "HH", data, 0x3A)
    if section_offset == 0 or entries == 0:
        return "no section headers"
    end = section_offset + entry_size * entries
    if end > len(data):
        return f"{len(data)} bytes of {end}"
    for index in range(entries):
        kind, _flags, _address, offset, size = struct.unpack_from(
            order + "IQQQQ", data, section_offset + index * entry_size + 4
        )
        no_bits = 8
        if kind != no_bits and offset + size > len(data):
            return f"section {index} ends at {offset + size} of {len(data)} bytes"
    return None


def _is_module(name: str) -> bool:
    # `.so` alone and `.so.1` occur beside `.cpython-311-x86_64-linux-gnu.so`; archives of helpers count too.
    base = name.rsplit("/", 1)[-1]
    return base.endswith((".so", ".a")) or ".so." in base


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
