"""scripts/deb: the Debian package, built with dpkg-buildpackage, installed, used and removed in a root of its own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import compilers
import needs
import venvs
from places import DEV, PACKAGES, ROOT
from say import WRONG, Cannot, note, run_main

TOOLS = (
    needs.of_programs("dpkg-buildpackage", "dpkg-dev", "building the package", "dpkg-buildpackage"),
    needs.of_programs("dh", "debhelper", "building the package", "dh"),
    needs.of_programs("dpkg", "dpkg", "installing it", "dpkg", "dpkg-deb"),
)
_EXPORTED = ("Cargo.toml", "Cargo.lock", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "pyproject.toml", "src", "scripts")
_ASK = "import sys; sys.path.insert(0, 'out'); import mod1, mod2; print(mod1.my_function(), mod2.my_function())"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/deb",
        description="Build the Debian package from scripts/dist/debian, install it into a root of its own, build the bundled pair of "
        "extensions with it, by CC and by the folder of links, and remove it. Exit code: 0 all went well, 1 something didn't, "
        "2 it could not be tried.",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the package there")
    parser.add_argument(
        "--compile", action="store_true", help="have debian/rules compile it (as on a builder); else it takes this checkout's release build"
    )
    return parser.parse_args()


def run(command: list[object], **options) -> str:
    """Run a command to its end; what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **options
    )
    if done.returncode:
        raise Cannot(f"`{' '.join(words)}` ended with exit code {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def build(work: Path, programs: Path | None) -> Path:
    """The .deb, built from a copy of what a release holds."""
    tree = work / "objguard-0.1.0"
    tree.mkdir()
    for name in _EXPORTED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)
    shutil.copytree(ROOT / "scripts" / "dist" / "debian", tree / "debian")
    env = {**compilers.clean_environment()}
    if programs:
        env["OBJGUARD_PROGRAMS"] = str(programs)
    # -d: the Rust here need not be a package of Debian's.
    run(["dpkg-buildpackage", "-us", "-uc", "-b", "-d"], cwd=tree, env=env)
    [package] = work.glob("objguard_*.deb")
    return package


def dpkg(root: Path, *words: object) -> str:
    """dpkg, at work on the root. It brings no dependencies: libc is the system's, outside."""
    # Ownership can't be kept by those who aren't root.
    forced = ["--force-depends", "--force-script-chrootless", "--force-not-root"]
    return run(["dpkg", f"--root={root}", *forced, "--log=/dev/null", *words])


def use(root: Path, work: Path) -> list[str]:
    """Build the pair of extensions with the installed programs; what was wrong."""
    bad = []
    venv = venvs.ensure("demo", ["setuptools", "wheel"])
    programs, links = root / "usr" / "bin", root / "usr" / "lib" / "objguard"
    real = os.environ.get("PATH", os.defpath)
    ways = {
        "CC": {"CC": str(programs / "objguard-cc"), "CXX": str(programs / "objguard-c++"), "AR": str(programs / "objguard-ar")},
        "links first on PATH": {"CC": "gcc", "CXX": "g++", "PATH": f"{links}{os.pathsep}{real}"},
    }
    for way, variables in ways.items():
        tree, log = work / "twins", work / "events"
        shutil.rmtree(tree, ignore_errors=True)
        log.unlink(missing_ok=True)
        shutil.copytree(PACKAGES / "twins", tree)
        env = {**compilers.clean_environment(), **variables, "OBJGUARD_LOG": str(log)}
        python = venvs.python_of(venv)
        run([python, "-B", "setup.py", "build_ext", "--build-lib", "out", "-j2"], cwd=tree, env=env)
        values = run([python, "-B", "-c", _ASK], cwd=tree, env=env).strip()
        count = len([json.loads(line) for line in log.read_text().splitlines()]) if log.exists() else 0
        note(f"used by {way}: {values}, {count} commands guarded")
        if (values, count) != ("12 42", 6):
            bad.append(f"by {way}: {values} instead of 12 42, or {count} commands guarded instead of 6")
    for page in ("objguard.1.gz", "objguard-run.1.gz"):
        if not (root / "usr" / "share" / "man" / "man1" / page).is_file():
            bad.append(f"there is no {page}")
    return bad


def main() -> int:
    given = arguments()
    needs.require((*TOOLS, needs.CARGO, *needs.BUILD))
    programs = None if given.compile else compilers.build_objguard()
    DEV.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="deb-", dir=DEV))
    try:
        package = build(work, programs)
        note(f"built: {package.name}, {package.stat().st_size} bytes")
        note(run(["dpkg-deb", "--field", package, "Depends"]).strip())
        root = work / "root"
        for folder in ("info", "updates", "triggers"):
            (root / "var" / "lib" / "dpkg" / folder).mkdir(parents=True)
        (root / "var" / "lib" / "dpkg" / "status").write_text("")
        before = {path for path in root.rglob("*") if "dpkg" not in path.parts}
        dpkg(root, "--install", package)
        installed = dpkg(root, "--listfiles", "objguard").split()
        note(f"installed: {len(installed)} paths")
        bad = use(root, work)
        dpkg(root, "--purge", "objguard")
        left = {path for path in root.rglob("*") if "dpkg" not in path.parts} - before
        bad += [f"left behind: {path.relative_to(root)}" for path in sorted(left)]
        note("removed")
        if given.out and not bad:
            given.out.mkdir(parents=True, exist_ok=True)
            note(str(Path(shutil.copy2(package, given.out))))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for problem in bad:
        print(f"scripts/deb: {problem}", file=sys.stderr)
    return WRONG if bad else 0


if __name__ == "__main__":
    run_main("scripts/deb", main)
