"""scripts/wheel: the wheel and the sdist, to upload or to install elsewhere."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import needs
import venvs
import wheel
from places import DEV
from say import Cannot, note, run_main

_ZIG = "ziglang>=0.13,<0.14"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/wheel",
        description="Build objguard's wheel and sdist. The wheel's tag says which glibc it needs: with this machine's linker "
        "the symbols that the programs came to use, with --glibc that one, by way of zig's linker (from PyPI).",
    )
    parser.add_argument("--out", type=Path, default=DEV / "upload", metavar="DIR", help="where to put them")
    parser.add_argument("--glibc", metavar="2.N", help="the oldest glibc that the wheel is to run with, such as 2.17")
    given = parser.parse_args()
    if given.glibc and not (given.glibc.startswith("2.") and given.glibc[2:].isdigit()):
        parser.error("--glibc takes a version such as 2.17")
    return given


def main() -> int:
    given = arguments()
    needs.require((needs.CARGO, needs.CC, needs.LIBC_HEADERS, needs.PYTHON_VENV))
    scratch = DEV / f"upload.{os.getpid()}"
    # Without these words the backend gives it the tag of this machine alone, as for an installation from source.
    words = f"--compatibility manylinux_{given.glibc.replace('.', '_')} --zig" if given.glibc else "--compatibility pypi"
    try:
        built = wheel.into(scratch, [_ZIG] if given.glibc else [], {"MATURIN_PEP517_ARGS": words})
        check(built)
        source = wheel.sdist_into(scratch)
        given.out.mkdir(parents=True, exist_ok=True)
        for file in (built, source):
            note(str(Path(shutil.move(file, given.out / file.name))))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def check(built: Path) -> None:
    """Have auditwheel say the same of the wheel as its tag."""
    venv = venvs.ensure("auditwheel", ["auditwheel"])
    done = subprocess.run(
        [str(venvs.python_of(venv)), "-m", "auditwheel", "show", str(built)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = " ".join(done.stdout.split())
    tag = next((word.strip('".') for word in said.split() if "manylinux_" in word and word.startswith('"')), None)
    if done.returncode or tag is None:
        raise Cannot(f"cannot tell which systems `{built.name}` is for:\n{done.stdout}{done.stderr}")
    note(f"auditwheel: {tag}")
    if glibc_of(tag) > glibc_of(built.name):
        raise Cannot(f"`{built.name}` needs a newer glibc than its name says: {tag}")


def glibc_of(tag: str) -> int:
    """The N of glibc 2.N in `…manylinux_2_N_…`, the lowest if there are several."""
    minors = [int(rest.split("_")[0]) for rest in tag.split("manylinux_2_")[1:]]
    if not minors:
        raise Cannot(f"`{tag}` names no glibc")
    return min(minors)


if __name__ == "__main__":
    run_main("scripts/wheel", main)
