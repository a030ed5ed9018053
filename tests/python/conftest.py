"""Places, venvs and builds for the end-to-end tests; `scripts/test` runs them, or pytest in this folder.

Each test has a folder below .objguard-dev/tests. It goes when the test passes; when it fails it stays, and the report
names it, a script in it that repeats the test's builds, and the command that repeats the test.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import compilers  # noqa: E402
import modules  # noqa: E402
import setuptools_versions  # noqa: E402
import venvs  # noqa: E402
import wheel as wheels  # noqa: E402
from compilers import Calls, Compilers  # noqa: E402
from places import DEV, PACKAGES  # noqa: E402

# The modules of the bundled packages: what to call, and what it must return.
VALUES = {
    "twins": {"mod1.my_function": 12, "mod2.my_function": 42},
    "twins-cxx": {"mod1.my_function": 12, "mod2.my_function": 42},
    "quartet": {
        "one.values": [120, 100, 20, 3],
        "two.values": [100, 100, 20, 3],
        "three.values": [100, 100, 20, 3],
        "four.values": [100, 100, 20, 3],
    },
    "nested": {"space.left.value": [1, 1], "space.right.value": [2, 2], "space.right.deep.value": [3, 3]},
    "pool": {"first.total": 4, "second.total": 40, "third.total": 400},
}

# The real compiler calls that a build of each takes when nothing is compiled twice.
DISTINCT_COMPILES = {"twins": 4, "twins-cxx": 4, "quartet": 7, "nested": 6, "pool": 15}

_ASK = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
answers = {}
for call in sys.argv[2:]:
    module, _, function = call.rpartition(".")
    try:
        answers[call] = getattr(importlib.import_module(module), function)()
    except Exception as problem:
        answers[call] = f"{type(problem).__name__}: {problem}"
print(json.dumps(answers))
"""


def end(text: str, lines: int = 30, width: int = 300) -> str:
    """The end of what a build printed; compiler commands are long."""
    return "\n".join(line[:width] for line in text.splitlines()[-lines:])


@dataclass
class Space:
    """One test's folder and the builds in it."""

    folder: Path
    venv: Path
    ways: dict[str, Compilers]
    commands: list[str] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        """The package's source tree; always the same path, so that debug information is comparable."""
        return self.folder / "tree"

    @property
    def log(self) -> Path:
        """The counting compiler's log of the build that ran last."""
        return self.folder / "calls.log"

    def fresh(self, package: str) -> Path:
        """The bundled `package` in `tree`, never built before."""
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(PACKAGES / package, self.tree)
        self.commands.append(f"rm -rf {shlex.quote(str(self.tree))}")
        self.commands.append(f"cp -r {shlex.quote(str(PACKAGES / package))} {shlex.quote(str(self.tree))}")
        return self.tree

    def start(self, arguments: list[str], way: str = "objguard", log: Path | None = None, **more: str):
        """Start the venv's python with `arguments` in the tree; the result is a Popen with stdout and stderr in one."""
        env = self.ways[way].environment(self.log if log is None else log, **more)
        command = [str(venvs.python_of(self.venv)), *arguments]
        given = [
            f"{name}={shlex.quote(value)}" for name, value in sorted(env.items()) if os.environ.get(name) != value
        ]
        self.commands.append(f"cd {shlex.quote(str(self.tree))} && env {' '.join(given)} {shlex.join(command)}")
        return subprocess.Popen(
            command,
            cwd=self.tree,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def python(self, *arguments: str, way: str = "objguard", **more: str) -> str:
        """Run the venv's python to its end; what it printed. A failure fails the test, with that text."""
        self.log.unlink(missing_ok=True)
        with self.start(list(arguments), way, **more) as process:
            printed = process.communicate()[0]
        assert process.returncode == 0, f"exit code {process.returncode} of {shlex.join(arguments)}:\n{end(printed)}"
        return printed

    def build_ext(self, *arguments: str, jobs: int = 1, way: str = "objguard", **more: str) -> Calls:
        """`setup.py build_ext` into out/ (objects in temp/); the real compiler's calls."""
        parallel = [f"-j{jobs}"] if jobs > 1 else []
        words = ["setup.py", "build_ext", "--build-lib", "out", "--build-temp", "temp", *parallel, *arguments]
        self.python(*words, way=way, **more)
        return self.calls()

    def calls(self) -> Calls:
        """The real compiler's calls in the last build."""
        return Calls.read(self.log)

    def parallel_config(self, jobs: int, name: str = "parallel.cfg", more: str = "") -> str:
        """A file for DIST_EXTRA_CONFIG that turns on parallel extensions."""
        file = self.folder / name
        file.write_text(f"[build_ext]\nparallel = {jobs}\n{more}")
        return str(file)

    def isolated(self, version: str) -> dict[str, str]:
        """Variables that hold pip's isolated build to one setuptools, from the local wheel folder."""
        return setuptools_versions.pip_variables(version, self.folder)

    def values(self, folder: Path, package: str) -> dict[str, object]:
        """What the package's modules in `folder` return, asked by a fresh Python."""
        command = [str(venvs.python_of(self.venv)), "-I", "-c", _ASK, str(folder), *VALUES[package]]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"the modules in {folder} kill Python ({done.returncode}):\n{done.stderr}"
        return json.loads(done.stdout)

    def built(self, package: str) -> dict[str, object]:
        """What the modules that `build_ext` built return."""
        # nested keeps Python files of its own next to its modules; build_ext alone does not copy them.
        if package == "nested":
            shutil.copytree(self.tree / "src", self.tree / "out", dirs_exist_ok=True)
        return self.values(self.tree / "out", package)

    def hashes(self) -> dict[str, str]:
        """The modules that `build_ext` built, by hash."""
        return modules.in_folder(self.tree / "out")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="the newest setuptools only, fewer rounds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "setuptools_version" in metafunc.fixturenames:
        known = setuptools_versions.VERSIONS
        versions = known[-1:] if metafunc.config.getoption("--quick") else known
        metafunc.parametrize("setuptools_version", versions, ids=[f"setuptools-{version}" for version in versions])


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a race is tried."""
    return 3 if request.config.getoption("--quick") else 6


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with objguard's programs: OBJGUARD_TESTS_BIN, else built now."""
    given = os.environ.get("OBJGUARD_TESTS_BIN")
    return Path(given) if given else compilers.build_objguard()


@pytest.fixture(scope="session")
def wheel() -> Path:
    """objguard's wheel, alone in its folder: OBJGUARD_TESTS_WHEEL, else built now."""
    given = os.environ.get("OBJGUARD_TESTS_WHEEL")
    return Path(given) if given else wheels.build_wheel()


@pytest.fixture
def space(request: pytest.FixtureRequest, binaries: Path):
    """A folder for the test, with the venv of its `setuptools_version` (else the newest)."""
    version = request.node.callspec.params.get("setuptools_version") if hasattr(request.node, "callspec") else None
    venv = setuptools_versions.venv(version or setuptools_versions.VERSIONS[-1])
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{request.node.path.stem}-{request.node.name}").strip("-")
    folder = DEV / "tests" / slug
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Space(folder, venv, {"objguard": compilers.guarded(binaries), "plain": compilers.plain()})
    request.node.space = made
    yield made
    if getattr(request.node, "failed_here", False):
        return
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    report = outcome.get_result()
    space = getattr(item, "space", None)
    if report.failed and space is not None:
        item.failed_here = True
        repeat = space.folder / "repeat.sh"
        repeat.write_text("set -eux\n" + "\n".join(space.commands) + "\n")
        report.sections.append(
            ("kept", f"folder: {space.folder}\nits builds (not its edits) again: sh {repeat}\nthis test: {_again(item)}")
        )


def _again(item: pytest.Item) -> str:
    return f"scripts/test --only python -- {shlex.quote(item.nodeid.split('/')[-1])}"
