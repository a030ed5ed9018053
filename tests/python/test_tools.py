"""The tests' own tools and the scripts' bad input: what they say is what the other tests rely on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import modules
import needs
import run_tests
from compilers import Calls
from conftest import ROOT
from places import TOOLS


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "a.c").write_text("int a(void) { return 1; }\n")
    return tmp_path


def test_elf_flaw_sees_every_cut(source: Path) -> None:
    """A cut anywhere in an object is seen, and a whole one isn't complained about."""
    assert run("cc", "-g", "-c", "a.c", cwd=source).returncode == 0
    whole = (source / "a.o").read_bytes()
    assert modules.elf_flaw(whole) is None
    # Behind the section headers, which come last, there is nothing to miss.
    assert all(modules.elf_flaw(whole[:size]) for size in range(len(whole)))


def test_counting_cc(source: Path) -> None:
    """Compiles, links and probes are told apart, and everything reaches the real compiler."""
    log = source / "log"
    for words in (["-c", "a.c"], ["-c", "a.c", "-o", "b.o"], ["-c", "a.c"], ["-shared", "a.o", "-o", "a.so"], ["-v"]):
        assert run(TOOLS / "counting-cc", *words, cwd=source, COUNTING_LOG=str(log)).returncode == 0
    assert Calls.read(log) == Calls(compiles=3, requests=2, links=1)
    assert len(log.read_text().splitlines()) == 5
    assert run(TOOLS / "counting-cc", "-c", "none.c", cwd=source).returncode == 1


def test_counting_cc_with_long_command_lines(source: Path) -> None:
    """Long lines stay apart in the log and are still told from one another."""
    log = source / "log"
    for last in ("1", "2", "1"):
        words = [f"-DNUMBER{number}={number}" for number in range(1000)]
        assert run(TOOLS / "counting-cc", *words, f"-DL={last}", "-c", "a.c", cwd=source, COUNTING_LOG=str(log)).returncode == 0
    assert Calls.read(log) == Calls(compiles=3, requests=2, links=0)


def test_fake_cc(source: Path) -> None:
    """Scripts are chosen by the output's name and the call's number."""
    folder = source / "fake"
    folder.mkdir()
    (folder / "a.o.1").write_text("say not today\nexit 3\n")
    (folder / "a.o.2").write_text("half\n")
    os.mkfifo(folder / "go")
    os.mkfifo(folder / "there")
    (folder / "a.o.3").write_text("reached there\nwait go\nrun\n")

    def fake() -> subprocess.CompletedProcess:
        return run(TOOLS / "fake-cc", "-c", "a.c", "-o", "a.o", cwd=source, FAKE_CC_DIR=str(folder))

    failed = fake()
    assert (failed.returncode, failed.stderr) == (3, "not today\n")
    assert not (source / "a.o").exists()
    assert fake().returncode == 0
    assert modules.elf_flaw((source / "a.o").read_bytes())
    with subprocess.Popen(
        [TOOLS / "fake-cc", "-c", "a.c", "-o", "a.o"], cwd=source, env={**os.environ, "FAKE_CC_DIR": str(folder)}
    ) as waiting:
        assert (folder / "there").read_text() == "a.o\n"
        assert modules.elf_flaw((source / "a.o").read_bytes()), "it has not begun"
        (folder / "go").write_text("go\n")
    assert waiting.returncode == 0
    assert modules.elf_flaw((source / "a.o").read_bytes()) is None
    assert fake().returncode == 0  # no fourth script: the real compiler
    assert (folder / "log").read_text().split("\n")[:2] == ["compile a.o", "done a.o 3"]


@pytest.mark.parametrize(
    "words, said",
    (
        (["demo", "--rounds", "0"], "--rounds"),
        (["demo", "--jobs", "1"], "--jobs"),
        (["stress"], "NAME==VERSION"),
        (["stress", "systemd-python"], "write NAME==VERSION"),
        (["stress", "x==1", "--wrapper", "fancy"], "--wrapper-cxx"),
        (["test", "--without", "nonsense"], "nonsense"),
    ),
)
def test_bad_input_of_the_scripts(tmp_path: Path, words: list[str], said: str) -> None:
    """One clear message and exit code 2."""
    done = run(ROOT / "scripts" / words[0], *words[1:], cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_python_is_said(tmp_path: Path) -> None:
    """Without a usable Python the scripts say so."""
    done = run(ROOT / "scripts" / "demo", cwd=tmp_path, PYTHON="no-such-python")
    assert done.returncode == 2
    assert "no-such-python" in done.stderr


def test_sums_of_cargo_test() -> None:
    """scripts/test counts what cargo test says, and a test that can't run here isn't counted as passed."""
    suite = run_tests.Suite("x")
    for line in (
        "test a ... ok",
        "not run here: clang_lto: `clang` is not installed",
        "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    ):
        run_tests.count(line, suite)
    assert (suite.passed, suite.failed, len(suite.not_run)) == (6, 1, 2)


def test_what_may_be_left_out(capsys: pytest.CaptureFixture) -> None:
    """A test that didn't run is a failure, unless --without allows what it lacks."""
    suite = run_tests.Suite("x", passed=5, not_run=["clang_lto: `clang` is not installed"])
    assert run_tests.report([suite], [], []) == 1
    assert "5 passed, 1 failed, 0 skipped" in capsys.readouterr().out
    assert run_tests.report([suite], [], ["ccache"]) == 1
    assert run_tests.report([suite], [], ["clang"]) == 0
    assert "5 passed, 0 failed, 1 skipped" in capsys.readouterr().out
    [ccache] = [need for need in needs.FOR_TESTS if need.name == "ccache"]
    assert run_tests.report([suite], [ccache], ["clang"]) == 1
    assert "what needs ccache" in capsys.readouterr().out
