"""scripts/install: what it puts where, that it works from there, and that nothing stays when it is removed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import compilers
from conftest import ROOT


def install(*words: object, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(ROOT / "scripts" / "install"), *map(str, words)],
        env={**compilers.clean_environment(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@pytest.fixture
def prefix(tmp_path: Path, binaries: Path) -> Path:
    """An installation in which somebody else has a file too."""
    folder = tmp_path / "with blank" / "usr"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "other").write_text("")
    done = install(f"PREFIX={folder}", "--from", binaries)
    assert done.returncode == 0, done.stderr
    return folder


def test_install_and_remove(prefix: Path, binaries: Path) -> None:
    """Programs, pages, completions and links; once more changes nothing; --remove leaves what was there before."""
    there = files(prefix)
    assert {"bin/objguard", "bin/objguard-cc", "bin/objguard-c++", "bin/objguard-ar", "bin/other"} <= there
    assert {"lib/objguard/cc", "lib/objguard/gcc", "lib/objguard/g++", "lib/objguard/ar"} <= there
    assert {"share/man/man1/objguard.1", "share/man/man1/objguard-run.1", "share/man/man1/objguard-c++.1"} <= there
    assert ".TH OBJGUARD-RUN 1" in (prefix / "share/man/man1/objguard-run.1").read_text().upper()
    for name in ("bash-completion/completions/objguard", "zsh/site-functions/_objguard", "fish/vendor_completions.d/objguard.fish"):
        assert "explain" in (prefix / "share" / name).read_text()
    assert not any(os.path.isabs(os.readlink(path)) for path in prefix.rglob("*") if path.is_symlink())

    assert install("--from", binaries, PREFIX=str(prefix)).returncode == 0
    assert files(prefix) == there
    assert install("--remove", f"PREFIX={prefix}").returncode == 0
    assert {str(path.relative_to(prefix)) for path in prefix.rglob("*")} == {"bin", "bin/other"}
    done = install("--remove", f"PREFIX={prefix}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no installation" in done.stderr


def test_the_installed_programs_work(prefix: Path, tmp_path: Path) -> None:
    """By name, and by the links: a build that calls gcc and ar is guarded, and the real ones are found behind them."""
    (tmp_path / "a.c").write_text("int a(void) { return 1; }\n")
    (tmp_path / "b.cpp").write_text("#include <string>\nstd::string b(int n) { return std::to_string(n); }\n")
    (tmp_path / "build").write_text(
        "gcc -c a.c -o gcc.o\ncc -c a.c -o cc.o\ng++ -shared -fPIC b.cpp -o b.so\nar rcs a.a gcc.o\n"
        "objguard-cc -c a.c -o own.o\nobjguard-c++ -shared -fPIC b.cpp -o own.so\n"
    )
    path = f"{prefix / 'lib' / 'objguard'}{os.pathsep}{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**compilers.clean_environment(), "PATH": path, "OBJGUARD_LOG": str(tmp_path / "log")}
    done = subprocess.run(["sh", "-e", "build"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    guarded = {json.loads(line)["output"] for line in (tmp_path / "log").read_text().splitlines()}
    assert guarded == {"gcc.o", "cc.o", "b.so", "a.a", "own.o", "own.so"}
    for name in ("b.so", "own.so"):
        assert b"libstdc++" in (tmp_path / name).read_bytes()


def test_destdir_and_names(tmp_path: Path, binaries: Path) -> None:
    """As a package is built: below DESTDIR, with links that the packager chooses; those of an earlier one go."""
    words = ("PREFIX=/usr", f"DESTDIR={tmp_path}", "--from", binaries)
    assert install(*words, "--masquerade", "gcc g++ ar").returncode == 0
    assert {path.name for path in (tmp_path / "usr/lib/objguard").iterdir()} == {"gcc", "g++", "ar"}
    assert os.readlink(tmp_path / "usr/lib/objguard/ar") == "../../bin/objguard-ar"
    assert install(*words, "--masquerade", "clang").returncode == 0
    assert {path.name for path in (tmp_path / "usr/lib/objguard").iterdir()} == {"clang"}
    assert install(*words, "--masquerade", "").returncode == 0
    assert not (tmp_path / "usr/lib").exists()
    assert install("PREFIX=/usr", f"DESTDIR={tmp_path}", "--remove").returncode == 0
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "words, said",
    (
        (["PREFIX=usr"], "PREFIX must be an absolute path"),
        (["--prefix"], "unknown argument `--prefix`"),
        (["--from"], "--from takes a value"),
        (["--from", "/nowhere"], "there is no program `/nowhere/objguard`"),
        (["--masquerade", "/bin/gcc"], "takes names, not paths"),
    ),
)
def test_refusals(tmp_path: Path, binaries: Path, words: list[str], said: str) -> None:
    """One line, and exit code 2."""
    done = install(f"DESTDIR={tmp_path}", *(["--from", binaries] if "--from" not in words else []), *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_a_damaged_list_removes_nothing_else(prefix: Path) -> None:
    """A path that leads out of the prefix is refused."""
    victim = prefix.parent / "victim"
    victim.write_text("")
    with open(prefix / "share/objguard/installed", "a") as listed:
        listed.write("../victim\n")
    done = install("--remove", f"PREFIX={prefix}")
    assert done.returncode == 2
    assert "is damaged" in done.stderr and victim.exists()
