"""The plug-in for setuptools: packages that say it in pyproject.toml, by every front end; and those that don't."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import compilers
import setuptools_versions
import venvs
from compilers import Calls
from conftest import ROOT, VALUES, Space
from plugin_lines import add_lines, with_wheel
from test_company import IMPLEMENTATIONS, answers, need, run, unpacked, venv_with

sys.path.append(str(ROOT / "src" / "python"))
from objguard import plugin  # noqa: E402

TWINS = VALUES["twins"]


@pytest.fixture
def site(space: Space, wheel: Path) -> Path:
    """A folder that has objguard installed, for PYTHONPATH: an environment in which the plug-in is just there."""
    folder = space.folder / "site-packages"
    command = [str(venvs.python_of(space.venv)), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*command, "--disable-pip-version-check", "--target", str(folder), str(wheel)], space.folder, dict(os.environ))
    return folder


def isolated(space: Space, wheel: Path, version: str = "newest") -> dict[str, str]:
    """What an isolated build has: one setuptools and objguard's wheel, nothing of the network, and a log of events."""
    events = space.folder / "events"
    events.unlink(missing_ok=True)
    return {**with_wheel(space.isolated(version), wheel), "OBJGUARD_LOG": str(events)}


def events(space: Space) -> list[dict]:
    """What objguard did in the build that ran last."""
    try:
        return [json.loads(line) for line in (space.folder / "events").read_text().splitlines()]
    except FileNotFoundError:
        return []


def builders(space: Space) -> int:
    """How many threads linked extensions."""
    return len({tuple(event["lineage"][0][:3]) for event in events(space) if event["kind"] == "link"})


def pip_wheel(space: Space, **variables: str) -> Path:
    """`pip wheel .` of the tree with the plain compiler; the one wheel."""
    folder = space.folder / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    space.python(
        *("-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", str(folder), "."), way="plain", **variables
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# Every front end


def test_the_lines_alone(space: Space, wheel: Path, setuptools_version: str) -> None:
    """pip wheel in isolation. The compiler that CC names is the one that runs; two threads build. (`scripts/plugin` does it
    many times.)"""
    add_lines(space.fresh("twins"), jobs=2)
    built = pip_wheel(space, **isolated(space, wheel, setuptools_version))
    assert space.values(unpacked(space, built.parent), "twins") == TWINS
    assert space.calls() == Calls(compiles=4, requests=4, links=2)
    assert builders(space) == 2


def test_nothing_set_at_all(space: Space, wheel: Path) -> None:
    """No CC and no other variable: Python's own compiler runs."""
    add_lines(space.fresh("twins"), jobs=2)
    env = {**compilers.clean_environment(), **isolated(space, wheel)}
    words = ["-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", str(space.folder / "wheels"), "."]
    run([str(venvs.python_of(space.venv)), *words], space.tree, env)
    assert space.values(unpacked(space, space.folder / "wheels"), "twins") == TWINS
    assert builders(space) == 2


def test_editable(space: Space, wheel: Path, setuptools_version: str) -> None:
    """pip install -e, in isolation, into an empty environment."""
    add_lines(space.fresh("twins"), jobs=2)
    run([sys.executable, "-m", "venv", "--without-pip", str(space.folder / "venv")], space.folder, dict(os.environ))
    python = str(venvs.python_of(space.folder / "venv"))
    words = ["-m", "pip", "--python", python, "install", "--no-cache-dir", "--no-deps", "--editable", "."]
    space.python(*words, way="plain", **isolated(space, wheel, setuptools_version))
    assert space.values(space.tree, "twins") == TWINS
    assert space.calls() == Calls(compiles=4, requests=4, links=2)
    assert builders(space) == 2
    assert run([python, "-c", "import mod1, mod2; print(mod1.my_function(), mod2.my_function())"], space.folder, {}) == "12 42\n"


def test_build(space: Space, wheel: Path) -> None:
    """python -m build, which makes the sdist and builds from that: both have the lines."""
    venv = venv_with("build", "setuptools", "wheel")
    add_lines(space.fresh("twins"), jobs=2)
    (space.tree / "MANIFEST.in").write_text("include shared.h\n")
    env = space.ways["plain"].environment(space.log, **isolated(space, wheel))
    wheels = space.folder / "wheels"
    run([str(venvs.python_of(venv)), "-m", "build", "--outdir", str(wheels)], space.tree, env)
    assert space.values(unpacked(space, wheels), "twins") == TWINS
    assert space.calls() == Calls(compiles=4, requests=4, links=2)
    assert builders(space) == 2


def test_uv(space: Space, wheel: Path) -> None:
    """uv build."""
    uv = str(venv_with("uv") / "bin" / "uv")
    add_lines(space.fresh("twins"), jobs=2)
    variables = isolated(space, wheel)
    links = [word for folder in variables["PIP_FIND_LINKS"].split() for word in ("--find-links", folder)]
    more = {"UV_CACHE_DIR": str(space.folder / "cache"), "UV_PYTHON": sys.executable, "OBJGUARD_LOG": variables["OBJGUARD_LOG"]}
    env = space.ways["plain"].environment(space.log, **more)
    wheels = space.folder / "wheels"
    run([uv, "build", "--wheel", "--offline", "--no-index", *links, "--out-dir", str(wheels), "."], space.tree, env)
    assert space.values(unpacked(space, wheels), "twins") == TWINS
    assert space.calls() == Calls(compiles=4, requests=4, links=2)
    assert builders(space) == 2


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_other_pythons(space: Space, site: Path, name: str) -> None:
    """Older ones, which have no parser of TOML, take that of their setuptools."""
    need(name, IMPLEMENTATIONS[name])
    add_lines(space.fresh("twins"), jobs=2)
    events_of(space)
    env = space.ways["plain"].environment(space.log, PYTHONPATH=str(site), OBJGUARD_LOG=str(space.folder / "events"))
    run([IMPLEMENTATIONS[name], "-B", "setup.py", "build_ext", "--build-lib", f"out-{name}"], space.tree, env)
    assert answers(space, name) == [12, 42]
    assert space.calls() == Calls(compiles=4, requests=4, links=2)
    assert builders(space) == 2


# Who didn't ask


def test_removing_the_lines_leaves_no_trace(space: Space, wheel: Path) -> None:
    """The guarded wheel is byte for byte that of a plain serial build; without the lines nothing of objguard is left,
    though its wheel is still at hand."""
    add_lines(space.fresh("twins"), jobs=2)
    with_lines = content(pip_wheel(space, **isolated(space, wheel)))
    assert len(events(space)) == 6 and list(space.tree.rglob(".objguard"))
    before = {path.relative_to(space.tree) for path in space.fresh("twins").rglob("*")}
    without = content(pip_wheel(space, **isolated(space, wheel)))
    assert events(space) == []
    assert with_lines == without
    made = {path.relative_to(space.tree) for path in space.tree.rglob("*")} - before
    assert {path.parts[0] for path in made} == {"build", "objguard_twins.egg-info"}
    assert not [path for path in made if ".objguard" in path.parts]


def build(space: Space, site: Path | None, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """`setup.py build_ext` in the tree, never built before, with the plain compiler."""
    for folder in ("out", "temp"):
        shutil.rmtree(space.tree / folder, ignore_errors=True)
    space.log.unlink(missing_ok=True)
    path = {"PYTHONPATH": str(site)} if site else {}
    return subprocess.run(
        [
            *(str(venvs.python_of(space.venv)), "-B", "setup.py", "build_ext"),
            *("--build-lib", "out", "--build-temp", "temp", *words),
        ],
        cwd=space.tree,
        env=space.ways["plain"].environment(space.log, **events_of(space), **path, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def events_of(space: Space) -> dict[str, str]:
    """The variable for a new log of events."""
    (space.folder / "events").unlink(missing_ok=True)
    return {"OBJGUARD_LOG": str(space.folder / "events")}


WHO_ASKS = (
    ("", {}, None),
    ("", {"OBJGUARD": "0"}, None),
    ("", {"OBJGUARD": "1"}, {}),
    ("[tool.other]\nobjguard = 1\n", {}, None),
    ("[other.objguard]\nparallel = true\n", {}, None),
    ("[tool.objguard]\n", {}, {}),
    ("[tool.objguard]\njobs = 2\n", {}, {"jobs": 2}),
    ("[tool.objguard]\njobs = 2\n", {"OBJGUARD": "0"}, None),
    ("[tool.objguard]\njobs = 2\n", {"OBJGUARD_DISABLE": "1"}, None),
    ("[tool.objguard]\njobs = 2\ndisable = true\n", {"OBJGUARD": "1"}, None),
    ("[tool.objguard]\ndisable = false\n", {"OBJGUARD": ""}, None),
    # Not for us to complain about.
    ("[tool.objguard\n", {}, None),
)


@pytest.mark.parametrize("lines, variables, asked", WHO_ASKS)
def test_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lines: str, variables: dict, asked: dict | None) -> None:
    """The package, or the user; and each can say no."""
    (tmp_path / "pyproject.toml").write_text(lines)
    monkeypatch.chdir(tmp_path)
    assert plugin._options(variables) == asked
    (tmp_path / "pyproject.toml").unlink()
    assert plugin._options(variables) == ({} if variables.get("OBJGUARD") == "1" else None)


def test_only_who_asks(space: Space, site: Path) -> None:
    """The plug-in is in the environment all the time: what is built is guarded and parallel as asked for, and only then."""
    space.fresh("twins")
    original = (space.tree / "pyproject.toml").read_text()
    for lines, variables, guarded, threads in (
        ("", {}, False, 0),
        ("", {"OBJGUARD": "1"}, True, 1),
        ("[tool.objguard]\njobs = 2\n", {}, True, 2),
        ("[tool.objguard]\nparallel = false\njobs = 2\n", {}, True, 1),
        ("[tool.objguard]\nparallel = true\n", {"MAKEFLAGS": "-j2"}, True, 2),
        ("[tool.objguard]\njobs = 2\n", {"OBJGUARD_DISABLE": "1"}, False, 0),
    ):
        (space.tree / "pyproject.toml").write_text(f"{original}\n{lines}")
        done = build(space, site, **variables)
        assert done.returncode == 0, done.stderr
        assert "objguard: " not in done.stdout + done.stderr
        assert space.calls().compiles == 4
        assert (len(events(space)), builders(space)) == (6 if guarded else 0, threads), (lines, variables)
        assert bool(list((space.tree / "temp").rglob(".objguard"))) == guarded
        if guarded:
            assert space.built("twins") == TWINS


def test_the_user_s_word_on_parallel_counts(space: Space, site: Path) -> None:
    """Configuration files and the command line overrule the package's table."""
    add_lines(space.fresh("twins"), jobs=2)
    build(space, site, "-j1")
    assert (len(events(space)), builders(space)) == (6, 1)
    build(space, site, DIST_EXTRA_CONFIG=space.parallel_config(1))
    assert (len(events(space)), builders(space)) == (6, 1)
    build(space, site)
    assert (len(events(space)), builders(space)) == (6, 2)


# What goes wrong is said


@pytest.mark.parametrize(
    "lines, said",
    (
        ("[tool.objguard]\nparalel = true\n", "unknown key `paralel` in [tool.objguard] of pyproject.toml: known are ambiguous, disable, jobs, parallel"),
        ("[tool.objguard]\nparallel = 4\n", "cannot use `parallel = 4` in [tool.objguard] of pyproject.toml: it takes true or false"),
        ("[tool.objguard]\njobs = true\n", "cannot use `jobs = True` in [tool.objguard] of pyproject.toml: it takes a number from 1 on"),
        ("[tool.objguard]\njobs = 0\n", "cannot use `jobs = 0`"),
        ("[tool.objguard]\ndisable = 'no'\n", "cannot use `disable = 'no'`"),
        ("[tool.objguard]\nambiguous = 'oldest'\n", '''cannot use `ambiguous = 'oldest'` in [tool.objguard] of pyproject.toml: it takes "error" or "newest"'''),
        ("[tool]\nobjguard = true\n", "write a table, [tool.objguard]"),
    ),
)
def test_mistakes_in_the_table(space: Space, site: Path, lines: str, said: str) -> None:
    """One line and no build."""
    space.fresh("twins")
    with open(space.tree / "pyproject.toml", "a") as file:
        file.write(f"\n{lines}")
    done = build(space, site)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error in objguard-twins setup command: objguard: ")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert space.calls() == Calls(0, 0, 0)


def test_mistake_in_the_variable(space: Space, site: Path) -> None:
    space.fresh("twins")
    done = build(space, site, OBJGUARD="maybe")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot use `OBJGUARD=maybe`: set it to 1 or 0, or unset it" in done.stderr


def test_where_it_can_t_help(space: Space, site: Path) -> None:
    """Links by a compiler that is neither CC nor CXX: one line, and the build goes on as without objguard, serially."""
    add_lines(space.fresh("twins"), jobs=2)
    other = space.folder / "other-gcc"
    other.write_text('#!/bin/sh\nexec cc "$@"\n')
    other.chmod(0o755)
    done = build(space, site, LDSHARED=f"{other} -shared")
    assert done.returncode == 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("objguard")]
    assert said == [
        f"objguard: `LDSHARED={other} -shared` links with another compiler than CC and CXX, unguarded; "
        "extensions are built as without objguard"
    ]
    assert events(space) == [] and not list(space.tree.rglob(".objguard"))
    assert space.calls().compiles == 4


def test_without_its_programs(space: Space, site: Path) -> None:
    """A damaged installation guards nothing, makes nothing parallel, and says so; but only where something is built."""
    (site / "bin" / "objguard-c++").unlink()
    add_lines(space.fresh("twins"), jobs=2)
    done = build(space, site, PATH=os.defpath)
    assert done.returncode == 0
    assert done.stderr.count("objguard: cannot find `objguard-c++` where objguard is installed") == 1
    assert events(space) == []
    env = space.ways["plain"].environment(PYTHONPATH=str(site), PATH=os.defpath)
    assert run([str(venvs.python_of(space.venv)), "setup.py", "--version"], space.tree, env).splitlines()[-1] == "1.0"


def test_not_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(plugin._Unable, match="not for MSVC or Windows"):
        plugin._environment({})


# The variables


def test_never_wrapped_twice(space: Space, site: Path) -> None:
    """A distributor's CC that is objguard already, by name, by path or by a masquerade folder, stays as it is."""
    add_lines(space.fresh("twins"), jobs=2)
    masquerade = space.folder / "masquerade"
    masquerade.mkdir()
    for name in ("gcc", "g++"):
        (masquerade / name).symlink_to(site / "bin" / "objguard-cc")
    path = {"PATH": f"{masquerade}{os.pathsep}{site / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    real = {"OBJGUARD_CC": str(compilers.COUNTING_CC), "OBJGUARD_CXX": str(compilers.COUNTING_CXX)}
    for variables in (
        {"CC": "objguard-cc", "CXX": "objguard-c++", **real},
        {"CC": f"{site / 'bin' / 'objguard-cc'} -pthread", "CXX": str(site / "bin" / "objguard-c++"), **real},
        {"CC": "objguard-cc", "CXX": "objguard-c++", "LDSHARED": f"{compilers.COUNTING_CC} -shared", **real},
        {"CC": f"objguard {compilers.COUNTING_CC}", "CXX": f"objguard {compilers.COUNTING_CXX}"},
    ):
        done = build(space, site, **path, **variables)
        assert done.returncode == 0, done.stderr
        # Each command once: the inner of two would have written none, but called the compiler through one more process.
        assert len(events(space)) == 6 and space.calls() == Calls(compiles=4, requests=4, links=2)
        assert "objguard-cc objguard" not in done.stdout and done.stdout.count("objguard-cc -c") == 0
        assert space.built("twins") == TWINS
    done = build(space, site, **path, CC="gcc", CXX="g++")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^gcc .*-c ", done.stdout, re.MULTILINE), "what the distributor set is what setuptools runs"
    assert len(events(space)) == 6
    assert space.built("twins") == TWINS


PYTHON = {"CC": "gcc -pthread", "CXX": "g++ -pthread", "AR": "ar", "LDSHARED": "gcc -pthread -shared", "LDCXXSHARED": "g++ -pthread -shared"}


@pytest.mark.parametrize(
    "given, python, wanted",
    (
        (
            {},
            {},
            {
                "CC": "/o/objguard-cc -pthread",
                "OBJGUARD_CC": "gcc",
                "CXX": "/o/objguard-c++ -pthread",
                "OBJGUARD_CXX": "g++",
                "AR": "/o/objguard-ar",
                "OBJGUARD_AR": "ar",
                "LDCXXSHARED": "/o/objguard-c++ -pthread -shared",
            },
        ),
        (
            {"CC": "ccache x86_64-linux-gnu-gcc-12 -m32", "CXX": "'/my tools/g++' -m32", "AR": "gcc-ar"},
            {},
            {
                "CC": "/o/objguard-cc -m32",
                "OBJGUARD_CC": "ccache x86_64-linux-gnu-gcc-12",
                "CXX": "/o/objguard-c++ -m32",
                "OBJGUARD_CXX": "'/my tools/g++'",
                "OBJGUARD_AR": "gcc-ar",
            },
        ),
        ({"CC": "nice -n 5 clang"}, {}, {"CC": "/o/objguard-cc", "OBJGUARD_CC": "nice -n 5 clang"}),
        ({"CC": "zig cc -g"}, {}, {"CC": "/o/objguard-cc -g", "OBJGUARD_CC": "zig cc"}),
        ({"CC": "mywrapper"}, {}, {"CC": "/o/objguard-cc", "OBJGUARD_CC": "mywrapper"}),
        # The user named the real compiler in our variable.
        ({"OBJGUARD_CC": "clang"}, {}, {"CC": "/o/objguard-cc", "OBJGUARD_CC": None}),
        ({"OBJGUARD_CC": "clang", "CC": "gcc"}, {}, {"CC": "/o/objguard-cc", "OBJGUARD_CC": "gcc"}),
        # Already ours.
        ({"CC": "objguard-cc"}, {}, {"CC": None, "OBJGUARD_CC": None, "LDSHARED": None, "OBJGUARD_CXX": "g++"}),
        ({"CC": "ccache /x/objguard-cc"}, {}, {"CC": None, "OBJGUARD_CC": None}),
        # Linkers: as Portage sets them; of several words; Python's own that doesn't begin with its CC.
        ({"CC": "gcc", "LDSHARED": "gcc -shared -g"}, {}, {"LDSHARED": "/o/objguard-cc -shared -g"}),
        ({"CC": "ccache gcc", "LDSHARED": "gcc -shared"}, {}, {"LDSHARED": "/o/objguard-cc -shared"}),
        ({"CXX": "g++", "LDSHARED": "g++ -shared"}, {}, {"LDSHARED": "/o/objguard-c++ -shared"}),
        ({"CC": "objguard-cc", "LDSHARED": "objguard-cc -shared"}, {}, {"LDSHARED": None}),
        ({}, {"CC": "gcc -pthread -B /c", "LDSHARED": "gcc -shared -B /c"}, {"LDSHARED": "/o/objguard-cc -shared -B /c"}),
        ({"CXX": "clang++"}, {}, {"LDCXXSHARED": "/o/objguard-c++ -pthread -shared"}),
        ({}, {"LDCXXSHARED": None}, {"LDCXXSHARED": None}),
    ),
)
def test_variables(monkeypatch: pytest.MonkeyPatch, given: dict, python: dict, wanted: dict) -> None:
    """What the environment and Python's own configuration say becomes what guards it; None: left as it was."""
    config = {**PYTHON, **python}
    monkeypatch.setattr(sysconfig, "get_config_var", config.get)
    monkeypatch.setattr(plugin, "program", lambda name: f"/o/{name}")
    changes = plugin._environment(given)
    assert {name: changes.get(name) for name in wanted} == wanted
    # Once more, as for a second distribution in one process: nothing is left to do.
    again = plugin._environment({**given, **changes})
    assert {name: value for name, value in again.items() if {**given, **changes}.get(name) != value} == {}


@pytest.mark.parametrize("given", ({"CC": "gcc", "LDSHARED": "clang -shared"}, {"CC": "clang", "CXX": "clang++", "LDSHARED": "gcc -shared"}, {"LDSHARED": "ld -shared"}))
def test_linkers_of_others(monkeypatch: pytest.MonkeyPatch, given: dict) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", PYTHON.get)
    monkeypatch.setattr(plugin, "program", lambda name: f"/o/{name}")
    with pytest.raises(plugin._Unable, match=re.escape(f"`LDSHARED={given['LDSHARED']}`")):
        plugin._environment(given)


def test_paths_with_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    """setuptools splits the variables as a shell would."""
    monkeypatch.setattr(plugin, "program", lambda name: f"/my tools/{name}")
    assert shlex.split(plugin._environment({"CC": "gcc -g"})["CC"]) == ["/my tools/objguard-cc", "-g"]


@pytest.mark.parametrize(
    "environment, most, cpus, jobs",
    (
        ({}, None, 4, 4),
        ({}, 2, 4, 2),
        ({}, 6, 4, 6),
        ({}, 64, 4, 8),
        ({"MAKEFLAGS": " -j3 --jobserver-auth=3,4"}, None, 4, 3),
        ({"MAKEFLAGS": "-j3"}, 2, 4, 2),
        ({"MAKEFLAGS": "-j1"}, 4, 4, 1),
        ({"MAKEOPTS": "--jobs=5"}, None, 4, 5),
        ({"MAKEOPTS": "-kj 5"}, None, 4, 5),
        ({"MAKEOPTS": "-j50"}, None, 4, 8),
        ({"MAKEFLAGS": "-j", "MAKE": "make -j2"}, None, 4, 2),
        ({"MAKEFLAGS": "-C/tmp/j3"}, None, 4, 4),
    ),
)
def test_jobs(monkeypatch: pytest.MonkeyPatch, environment: dict, most: int | None, cpus: int, jobs: int) -> None:
    """What make was told, and the package's own limit; never more than twice the CPUs."""
    monkeypatch.setattr(plugin, "_cpus", lambda: cpus)
    assert plugin._jobs(environment, most) == jobs
