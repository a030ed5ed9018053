"""Upstream sources as Debian keeps them, fetched with apt into folders of its own: nothing of the system's apt changes."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import needs
from places import DEV
from say import Cannot, note

_SOURCES = Path("/etc/apt")
APT = needs.of_programs("apt-get", "apt", "sources from Debian", "apt-get")


def unpacked(package: str, into: Path) -> Path:
    """Unpack the upstream archive of a source package; the folder it holds."""
    kept = DEV / "debian"
    found = _archive(kept, package) or _fetch(kept, package)
    into.mkdir(parents=True)
    with tarfile.open(found) as archive:
        archive.extractall(into, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(into)
    folders = [path for path in into.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise Cannot(f"cannot tell the source tree in `{found}`: it holds {sorted(path.name for path in into.iterdir())}")
    return folders[0]


def _archive(kept: Path, package: str) -> Path | None:
    found = sorted(kept.glob(f"{package}_*.orig.tar.*[2xz]"))
    return found[-1] if found else None


def _fetch(kept: Path, package: str) -> Path:
    note(f"fetching the source of {package} with apt …")
    own = kept / "apt"
    for folder in ("sources.list.d", "lists/partial", "cache/archives/partial"):
        (own / folder).mkdir(parents=True, exist_ok=True)
    _write_sources(own / "sources.list.d")
    options = [
        *("-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={own / 'sources.list.d'}"),
        *("-o", f"Dir::State::lists={own / 'lists'}", "-o", f"Dir::Cache={own / 'cache'}", "-o", "APT::Sandbox::User="),
        # Contents and translations are of no use here.
        *("-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb-src::Contents-dsc::DefaultEnabled=false"),
    ]
    for words in (["update", "-q"], ["source", "-q", "--download-only", package]):
        command = ["apt-get", *options, *words]
        done = subprocess.run(
            command, cwd=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise Cannot(f"cannot fetch the source of `{package}`: `apt-get {' '.join(words)}` said:\n{done.stdout[-2000:]}")
    found = _archive(kept, package)
    if found is None:
        raise Cannot(f"cannot find the upstream archive of `{package}` in `{kept}` after apt-get source")
    return found


def _write_sources(folder: Path) -> None:
    """The system's sources of programs, as sources of sources. Not those of security updates: not every mirror keeps theirs."""
    written = False
    for path in sorted([_SOURCES / "sources.list", *(_SOURCES / "sources.list.d").glob("*")]):
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".sources":
            stanzas = [stanza for stanza in re.split(r"\n\s*\n", text) if "-security" not in stanza]
            text = re.sub(r"^Types:.*$", "Types: deb-src", "\n\n".join(stanzas) + "\n", flags=re.MULTILINE)
        else:
            text = "".join(
                re.sub(r"^deb\s", "deb-src ", line) + "\n"
                for line in text.splitlines()
                if re.match(r"deb\s", line) and "-security" not in line
            )
        if text.strip():
            (folder / path.name).write_text(text)
            written = True
    if not written:
        raise Cannot(f"cannot find apt's sources below `{_SOURCES}`: this takes a Debian-like system")
