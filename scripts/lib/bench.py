"""scripts/bench: what objguard costs, beside what else could stand there."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

import needs
from bench_builds import PACKAGES, Builds
from bench_peers import Peers
from bench_scenes import FULL, QUICK, Scenes
from compilers import build_objguard, clean_environment
from places import DEV
from say import Cannot, note, run_main, table

SCENES = ("skip", "first_compile", "link", "at_once", "crowd", "instructions")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure objguard beside an empty program, the plain compiler and what is there of ccache, sccache and "
        "flock: runs interleaved, medians, half the distance between the quartiles (±). Times are printed, never judged by "
        "the exit code: 0 measured, 2 something is missing.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer runs and smaller numbers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--only", action="append", choices=[*SCENES, "none"], help="just this scene; may be repeated")
    parser.add_argument("--builds", action="store_true", help="build real packages as well (they are downloaded)")
    parser.add_argument(
        "--package", action="append", metavar="NAME==VERSION", help=f"for --builds (default: {', '.join(PACKAGES)})"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="builds of each kind (default 3)")
    parser.add_argument("--binaries", type=Path, metavar="DIR", help="measure the objguard there instead of building it")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds takes numbers from 1 on")
    return given


def machine() -> dict[str, str]:
    """What the figures hold for."""
    cpu = "?"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        pass
    return {
        "date": datetime.date.today().isoformat(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
    }


def main() -> int:
    given = arguments()
    needs.require((needs.CC, needs.LIBC_HEADERS, needs.PYTHON_HEADERS))
    if given.binaries is None:
        needs.require((needs.CARGO,))
    binaries = (given.binaries or build_objguard()).resolve()
    json_file = given.json.resolve() if given.json else None
    DEV.mkdir(exist_ok=True)
    described = machine()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DEV) as name:
        folder = Path(name)
        for part in ("cache", "peers"):
            (folder / part).mkdir()
        environment = {**clean_environment(), "XDG_CACHE_HOME": str(folder / "cache"), "LC_ALL": "C"}
        peers = Peers.find(folder / "peers", environment)
        for what, version in {**described, **peers.versions}.items():
            note(f"{what}: {version}")
        scenes = Scenes(folder, binaries, peers, QUICK if given.quick else FULL)
        builds = Builds(binaries, folder / "cache", given.rounds)
        try:
            for scene in SCENES:
                if not given.only or scene in given.only:
                    getattr(scenes, scene)()
            for package in (given.package or PACKAGES) if given.builds else ():
                try:
                    builds.package(package)
                except Cannot as problem:
                    note(f"\n{package}: not measured: {problem}")
        finally:
            os.chdir(folder.parent)
            peers.close()
    goals = [*scenes.goals, *builds.goals]
    note("")
    rows = [(goal.what, goal.goal, goal.seen, "yes" if goal.met else "no") for goal in goals]
    note(table(("what", "goal", "seen", "met"), rows))
    note(f"load at the end: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    if json_file:
        answer = {
            "machine": described,
            "versions": peers.versions,
            "absent": peers.absent,
            "quick": given.quick,
            "measured": {**scenes.measured, **builds.measured},
            "goals": [asdict(goal) for goal in goals],
        }
        json_file.write_text(json.dumps(answer, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run_main("scripts/bench", main)
