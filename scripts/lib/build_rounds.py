"""Build a setuptools package over and over, each time in a fresh folder; runs inside a venv that has setuptools.

Each round is one whole `setup.py build_ext` with the compilers of the environment. To take no half second for
starting Python and importing setuptools, this process imports it once and forks for every round: the child is a
process of its own in which setup.py runs as always. A second child imports the modules and calls them.

Prints one JSON object a line and round: {"exit": code of setup.py, "values": {"mod1": 12, …}, "seconds": 0.31,
"log": "what was printed"}; a value is a number or a string that says why the module can't be used.

It imports nothing from this folder, because setup.py must see the module path that it would see without it.
"""

from __future__ import annotations

import argparse
import glob
import importlib.machinery
import importlib.util
import json
import os
import runpy
import shutil
import sys
import time

import setuptools  # noqa: F401  (first: it brings its own distutils)
import setuptools.command.build_ext  # noqa: F401
import concurrent.futures.thread  # noqa: F401
import distutils.ccompiler  # noqa: F401
import distutils.command.build  # noqa: F401
import distutils.unixccompiler  # noqa: F401


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--package", required=True)
    options.add_argument("--work", required=True, help="folder for the rounds; each is removed afterwards")
    options.add_argument("--rounds", type=int, required=True)
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--call", action="append", metavar="MODULE.FUNCTION", required=True)
    given = options.parse_args()
    for number in range(1, given.rounds + 1):
        print(json.dumps(one_round(given, number)), flush=True)


def one_round(given: argparse.Namespace, number: int) -> dict[str, object]:
    tree = os.path.join(given.work, f"round{number}")
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(given.package, tree)
    log = tree + ".log"
    started = time.monotonic()
    code = exit_code(fork(lambda: build(tree, given.jobs), log))
    seconds = time.monotonic() - started
    values = import_and_call(tree, given.call) if code == 0 else {}
    with open(log, errors="replace") as lines:
        printed = lines.read()
    shutil.rmtree(tree)
    os.remove(log)
    return {"exit": code, "values": values, "seconds": seconds, "log": printed}


def build(tree: str, jobs: int) -> None:
    os.chdir(tree)
    sys.argv = ["setup.py", "build_ext", "--build-lib", "lib", "--build-temp", "temp"]
    if jobs > 1:
        sys.argv.append(f"-j{jobs}")
    sys.path.insert(0, tree)
    runpy.run_path("setup.py", run_name="__main__")


def import_and_call(tree: str, calls: list[str]) -> dict[str, object]:
    answers = tree + ".json"

    def ask() -> None:
        values: dict[str, object] = {}
        for call in calls:
            module, function = call.split(".")
            try:
                [path] = glob.glob(os.path.join(tree, "lib", module + ".*"))
                loader = importlib.machinery.ExtensionFileLoader(module, path)
                loaded = importlib.util.module_from_spec(importlib.util.spec_from_loader(module, loader))
                loader.exec_module(loaded)
                values[module] = getattr(loaded, function)()
            except Exception as problem:  # whatever a broken module does, it is an answer
                values[module] = f"{type(problem).__name__}: {problem}"
        with open(answers, "w") as file:
            json.dump(values, file)

    status = fork(ask, os.devnull)
    try:
        with open(answers) as file:
            values = json.load(file)
        os.remove(answers)
    except (OSError, ValueError):
        values = {call.split(".")[0]: f"the process died with exit code {exit_code(status)}" for call in calls}
    return values


def fork(work, log: str) -> int:
    """Run `work` in a child that prints to the file `log`; return its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            work()
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 0 if leave.code is None else 1
            if isinstance(leave.code, str):
                print(leave.code)
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def exit_code(status: int) -> int:
    return os.waitstatus_to_exitcode(status)


main()
