"""scripts/fuzz: the targets of tests/fuzz, each for some minutes, with how often they were run."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from pathlib import Path

import needs
from places import DEV, ROOT
from say import Cannot, WRONG, note, run_main, table

FUZZ = ROOT / "tests" / "fuzz"
TARGETS = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Run fuzz targets on inputs made up from the corpus of tests/fuzz: "
        "bytes as command lines, response files, depfiles, records and claims, of which what must hold is checked "
        "(tests/properties/invariants.rs); and `driver`, command lines of which gcc and clang say what they would do. What is "
        "found goes to .objguard-dev/fuzz; what is worth keeping belongs into tests/fuzz/corpus, where `cargo test --test "
        "properties` tries it again. Exit code: 0 nothing found, 1 something was, 2 it could not be tried.",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"only these: {', '.join(TARGETS)}")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="for each target (default 5)")
    given = parser.parse_args()
    for target in given.targets:
        if target not in TARGETS:
            parser.error(f"there is no target `{target}`")
    return given


def build(targets: list[str]) -> Path:
    """Builds the targets; the folder they are in."""
    needs.require((needs.CARGO, *needs.BUILD))
    if not needs.program("cargo-fuzz")():
        raise Cannot("something is missing: `cargo-fuzz`; cargo install cargo-fuzz")
    folder = DEV / "fuzz" / "target"
    # The sanitizers' flags are unstable; the compiler is not.
    env = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_TARGET_DIR": str(folder)}
    for target in targets:
        command = ["cargo", "fuzz", "build", "--fuzz-dir", str(FUZZ), target]
        if subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode:
            raise Cannot(f"`{' '.join(command)}` failed; its messages are above")
    found = sorted(folder.glob(f"*/release/{targets[0]}"))
    if not found:
        raise Cannot(f"cannot find the built target below `{folder}`")
    return found[0].parent


def run(program: Path, minutes: float) -> tuple[list[object], bool]:
    """Runs one target: a line of the table, and whether nothing was found."""
    target = program.name
    own, artifacts = DEV / "fuzz" / "corpus" / target, DEV / "fuzz" / "found" / target
    for folder in (own, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    words = [str(program), f"-max_total_time={round(minutes * 60)}", f"-artifact_prefix={artifacts}/", "-print_final_stats=1"]
    dictionary = FUZZ / f"{target}.dict"
    if dictionary.exists():
        words.append(f"-dict={dictionary}")
    kept = FUZZ / "corpus" / target
    words += [str(own), *([str(kept)] if kept.is_dir() else [])]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", said)
    coverage = re.findall(r"cov: (\d+)", said)
    if done.returncode:
        note(said[-6000:])
        note(f"{target}: found something; kept: {artifacts}; repeat: {program} FILE")
    row = [target, f"{minutes:g}", executions[1] if executions else "?", coverage[-1] if coverage else "?"]
    return [*row, "no" if done.returncode == 0 else "YES"], done.returncode == 0


def main() -> int:
    given = arguments()
    targets = given.targets or TARGETS
    folder = build(targets)
    rows, good = [], True
    for target in targets:
        row, held = run(folder / target, given.minutes)
        rows.append(row)
        good = good and held
    for left in Path(os.environ.get("TMPDIR", "/tmp")).glob("objguard-fuzz-driver-*"):
        shutil.rmtree(left, ignore_errors=True)
    note(table(("target", "minutes", "executions", "edges", "found"), rows))
    return 0 if good else WRONG


if __name__ == "__main__":
    run_main("scripts/fuzz", main)
