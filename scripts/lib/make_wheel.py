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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/wheel",
        description="Build objguard's wheel and sdist. Where the C library has an archive (Debian's libc6-dev), the programs are linked "
        "statically and run with any glibc; else the wheel's tag says which they need.",
    )
    parser.add_argument("--out", type=Path, default=DEV / "upload", metavar="DIR", help="where to put them")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    needs.require((needs.CARGO, needs.CC, needs.LIBC_HEADERS, needs.PYTHON_VENV))
    scratch = DEV / f"upload.{os.getpid()}"
    try:
        # Without these words the backend gives it the tag of this machine alone, as for an installation from source.
        built = wheel.into(scratch, env={"MATURIN_PEP517_ARGS": "--compatibility pypi"})
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
