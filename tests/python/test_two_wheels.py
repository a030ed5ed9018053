"""Two `pip wheel .` of one source tree at once: nobody ever sees a torn file, and both wheels are right."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path

import pytest

import modules
from conftest import VALUES, Space, end


class Reader:
    """Reads all objects and modules below a tree, over and over, and keeps what was wrong with them."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.torn: list[str] = []
        self.reads = 0
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._enough.is_set():
                for folder, folders, names in os.walk(self.tree / "build"):
                    # What is below a state folder is scratch that nobody is told of.
                    folders[:] = [name for name in folders if name != ".objguard"]
                    for name in names:
                        if name.endswith((".o", ".so")):
                            self._look(Path(folder, name))
        except Exception as problem:
            self.torn.append(f"the reader died: {problem!r}")

    def _look(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        self.reads += 1
        flaw = modules.elf_flaw(data)
        if flaw:
            self.torn.append(f"{path.relative_to(self.tree)}: {flaw}")


@pytest.mark.parametrize(
    "package, cflags", (("twins", ""), ("twins", "-flto"), ("twins-cxx", ""), ("quartet", "-flto"))
)
def test_two_at_once(space: Space, setuptools_version: str, package: str, cflags: str) -> None:
    """Parallel builds each. The two get folders of their own for what is setuptools' own and not a compiler's output
    (the wheel's staging folder, egg-info): there the two would meet without any compiler."""
    space.fresh(package)
    started = []
    with Reader(space.tree) as reader:
        for name in ("left", "right"):
            (space.folder / name).mkdir()
            own = f"[bdist_wheel]\nbdist_dir = {space.folder / name / 'bdist'}\n"
            own += f"[egg_info]\negg_base = {space.folder / name}\n"
            more = {"CFLAGS": cflags, "CXXFLAGS": cflags} if cflags else {}
            wheels = str(space.folder / name / "wheels")
            started.append(
                space.start(
                    ["-m", "pip", "wheel", "--no-build-isolation", "--no-cache-dir", "--no-deps", "-w", wheels, "."],
                    DIST_EXTRA_CONFIG=space.parallel_config(2, f"{name}.cfg", own),
                    **more,
                )
            )
        printed = [process.communicate()[0] for process in started]
    for process, text in zip(started, printed):
        assert process.returncode == 0, end(text)
    assert reader.torn == []
    assert reader.reads > 0
    for name in ("left", "right"):
        [wheel] = (space.folder / name / "wheels").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(space.folder / name / "site")
        assert space.values(space.folder / name / "site", package) == VALUES[package]
