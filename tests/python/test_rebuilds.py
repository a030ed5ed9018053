"""Second builds: nothing is done twice, and nothing stale is left."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from conftest import DISTINCT_COMPILES, VALUES, Space
from places import TOOLS

HEADER = "include/beta.h"  # read by lib/beta.c and src/one.c


def replace(path: Path, old: str, new: str) -> None:
    """Change a file's text; its mtime is now."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def quartet_with_beta(value: int) -> dict[str, object]:
    """The quartet's values when beta.h says `value`."""
    return {
        "one.values": [100 + value, 100, value, 3],
        **{f"{name}.values": [100, 100, value, 3] for name in ("two", "three", "four")},
    }


def settle(space: Space) -> None:
    """Let the file system's clock come to the next second: setuptools compares mtimes with `>`, in whole seconds up to
    version 65."""
    probe = space.folder / "clock"
    probe.write_text("")
    first = int(probe.stat().st_mtime)
    while int(probe.stat().st_mtime) == first:
        time.sleep(0.02)
        probe.write_text("")


@pytest.mark.parametrize("package", VALUES)
def test_unchanged(space: Space, setuptools_version: str, package: str) -> None:
    """A second build of an unchanged tree runs nothing at all."""
    space.fresh(package)
    space.build_ext(jobs=4)
    calls = space.build_ext(jobs=4)
    assert (calls.compiles, calls.links) == (0, 0)
    assert space.built(package) == VALUES[package]


@pytest.mark.parametrize("package", ("quartet", "nested"))
def test_unchanged_but_asked_for(space: Space, setuptools_version: str, package: str) -> None:
    """setuptools asks for every compile when something in `depends` doesn't exist: the compiler runs for none of
    them, and since no object got newer, setuptools doesn't link where the objects have one variant."""
    space.fresh(package)
    setup = space.tree / "setup.py"
    if package == "quartet":
        replace(setup, 'sorted(glob("include/*.h"))', '["missing.h"]')
    else:
        replace(setup, 'include_dirs=["lib"]', 'include_dirs=["lib"], depends=["missing.h"]')
    first = space.build_ext(jobs=4)
    assert first.compiles == DISTINCT_COMPILES[package]
    before = space.hashes()
    calls = space.build_ext(jobs=4)
    assert calls.compiles == 0
    if package == "quartet":
        assert calls.links == 0
    assert space.hashes() == before
    assert space.built(package) == VALUES[package]


@pytest.mark.parametrize("package", ("twins", "twins-cxx", "quartet"))
def test_touched_sources(space: Space, setuptools_version: str, package: str) -> None:
    """Touching sources recompiles nothing, and the build comes to rest."""
    space.fresh(package)
    space.build_ext(jobs=4)
    before = space.hashes()
    settle(space)
    touched = [path for path in space.tree.rglob("*") if path.suffix in (".c", ".cpp", ".h", ".hpp")]
    for path in touched:
        path.touch()
    assert len(touched) >= 4
    calls = space.build_ext(jobs=4)
    assert calls.compiles == 0
    assert space.hashes() == before
    assert space.built(package) == VALUES[package]
    calls = space.build_ext(jobs=4)
    assert (calls.compiles, calls.links) == (0, 0), "setuptools' mtime checks did not come to rest"


def test_forced_again(space: Space, setuptools_version: str, rounds: int) -> None:
    """build_ext --force with two variants of an object: both are kept, so nothing is ever compiled again."""
    space.fresh("twins")
    space.build_ext(jobs=2)
    for _ in range(rounds):
        calls = space.build_ext("--force", jobs=2)
        assert calls.compiles == 0
        assert space.built("twins") == VALUES["twins"]


def test_changed_header(space: Space, setuptools_version: str) -> None:
    """A changed header recompiles what reads it and nothing else; going back to the old text leaves nothing stale."""
    space.fresh("quartet")
    space.build_ext(jobs=4)
    settle(space)
    header = space.tree / HEADER
    replace(header, "20", "21")
    calls = space.build_ext(jobs=4)
    assert calls.compiles == 2
    assert space.built("quartet") == quartet_with_beta(21)

    settle(space)
    replace(header, "21", "20")
    calls = space.build_ext(jobs=4)
    assert calls.compiles <= 2
    assert space.built("quartet") == quartet_with_beta(20)


def test_reverted_with_its_old_time(space: Space, setuptools_version: str) -> None:
    """The header comes back with the mtime it had (cp -p, a version control that restores times, a backup)."""
    space.fresh("quartet")
    space.build_ext(jobs=4)
    header = space.tree / HEADER
    old_text, old_times = header.read_text(), header.stat()
    settle(space)
    replace(header, "20", "21")
    space.build_ext(jobs=4)
    assert space.built("quartet") == quartet_with_beta(21)

    header.write_text(old_text)
    os.utime(header, ns=(old_times.st_atime_ns, old_times.st_mtime_ns))
    # By mtime alone nothing has changed, so setuptools has to be told.
    space.build_ext("--force", jobs=4)
    assert space.built("quartet") == quartet_with_beta(20)


@pytest.mark.parametrize("name, old, new", ((HEADER, "20", "27"), ("lib/gamma.c", "GAMMA *", "GAMMA+5-2*")))
def test_changed_behind_an_equal_time(space: Space, name: str, old: str, new: str) -> None:
    """Another text of the same size with the very same mtime: still seen."""
    space.fresh("quartet")
    path = space.tree / name
    if len(new) != len(old):
        replace(path, old, old + " " * (len(new) - len(old)))
        old = old + " " * (len(new) - len(old))
    space.build_ext(jobs=4)
    times = path.stat()
    replace(path, old, new)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (times.st_mtime_ns, times.st_size)
    space.build_ext("--force", jobs=4)
    truth = quartet_with_beta(27) if name == HEADER else quartet_with_beta(20)
    if name != HEADER:
        # GAMMA+5-2*COMMON_UNIT = 3+5-2
        truth = {call: [*values[:3], 6] for call, values in truth.items()}
    assert space.built("quartet") == truth


def test_edited_between_builds_of_one_variant(space: Space, setuptools_version: str) -> None:
    """One value of the twins changes: its object is made anew, the other's kept one is still the right one."""
    space.fresh("twins")
    space.build_ext(jobs=2)
    settle(space)
    replace(space.tree / "setup.py", 'twin("mod1", 12)', 'twin("mod1", 13)')
    calls = space.build_ext("--force", jobs=2)
    assert calls.compiles == 2  # mod1.c and shared.c with VALUE=13
    assert space.built("twins") == {"mod1.my_function": 13, "mod2.my_function": 42}
    replace(space.tree / "shared.h", "OFFSET 0", "OFFSET 7")
    calls = space.build_ext("--force", jobs=2)
    assert calls.compiles == 4
    assert space.built("twins") == {"mod1.my_function": 20, "mod2.my_function": 49}


@pytest.mark.parametrize("name, header", (("a.c", "sys/stat.h"), ("a.cpp", "cstddef")))
def test_folders_made_meanwhile(space: Space, binaries: Path, name: str, header: str) -> None:
    """setuptools makes build folders in the source tree, which `-I.` names, while other builders compile. The C
    library's headers ask `__has_include` for names that could appear there; a new folder is none of them."""
    fake = space.folder / "fake"
    fake.mkdir()
    (fake / "a.o.1").write_text("reached there\nwait go\nrun\n")
    os.mkfifo(fake / "there")
    os.mkfifo(fake / "go")
    (space.tree / "temp").mkdir(parents=True)
    (space.tree / name).write_text(f"#define _GNU_SOURCE 1\n#include <{header}>\nint a;\n")
    settle(space)
    env = space.ways["objguard"].environment(OBJGUARD_CC=str(TOOLS / "fake-cc"), FAKE_CC_DIR=str(fake))
    command = [binaries / "objguard-cc", "-I.", "-c", name, "-o", "temp/a.o"]
    with subprocess.Popen(command, cwd=space.tree, env=env) as compiling:
        assert (fake / "there").read_text() == "a.o\n"
        (space.tree / "build").mkdir()
        (fake / "go").write_text("go\n")
    assert compiling.returncode == 0
    (space.tree / "dist").mkdir()
    assert subprocess.run(command, cwd=space.tree, env=env, check=False).returncode == 0
    compiles = [line for line in (fake / "log").read_text().splitlines() if line.startswith("compile")]
    assert compiles == ["compile a.o"]


@pytest.mark.parametrize("damage", ("removed", "truncated", "emptied", "foreign"))
def test_damaged_objects(space: Space, damage: str) -> None:
    """Something else removes or damages the objects: the next build is right again."""
    space.fresh("quartet")
    space.build_ext(jobs=4)
    before = space.hashes()
    objects = [path for path in (space.tree / "temp").rglob("*.o") if ".objguard" not in path.parts and path.is_file()]
    assert len(objects) == DISTINCT_COMPILES["quartet"]
    for path in objects:
        data = path.read_bytes()
        # Written anew, as a tool that doesn't know of hard links would.
        path.unlink()
        if damage == "truncated":
            path.write_bytes(data[: len(data) // 2])
        elif damage == "emptied":
            path.write_bytes(b"")
        elif damage == "foreign":
            path.write_bytes(b"not an object")
    space.build_ext("--force", jobs=4)
    assert space.hashes() == before
    assert space.built("quartet") == VALUES["quartet"]
