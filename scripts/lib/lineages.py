"""Builders as objguard sees them: threads of one process, each starting its commands one after the other.

A command's lineage names the thread that forked it, so whatever is to be told apart needs a thread of its own that
lives as long as the test.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

# A command that takes longer (s) is stuck.
PATIENCE = 60.0


@dataclass(frozen=True)
class Ended:
    """How a command ended; `code` is negative for a signal, None for one that had to be killed."""

    code: int | None
    out: str
    err: str
    group: int

    @property
    def stuck(self) -> bool:
        return self.code is None

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def quiet(self) -> bool:
        return self.code == 0 and not self.out and not self.err

    def __str__(self) -> str:
        code = "stuck" if self.code is None else f"exit {self.code}"
        return " / ".join(part for part in (code, self.out.strip(), self.err.strip()) if part)


class Builder:
    """A thread that runs commands in `folder`."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.folder, self.environment = name, folder, dict(environment)
        self._tasks: queue.Queue[list[str] | None] = queue.Queue()
        self._results: queue.Queue[Ended | BaseException] = queue.Queue()
        self._output = folder.parent / f"{folder.name}.{name}"
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def run(self, words: Sequence[str | Path]) -> Ended:
        """Runs a command from this builder's thread and waits for it, but not for what it leaves running."""
        self._tasks.put([str(word) for word in words])
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        self._tasks.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (words := self._tasks.get()) is not None:
            try:
                self._results.put(self._run(words))
            except BaseException as problem:  # noqa: BLE001 — it is raised where the command was asked for
                self._results.put(problem)

    def _run(self, words: list[str]) -> Ended:
        # Files, not pipes: a compiler whose wrapper was killed would keep a pipe open.
        out, err = Path(f"{self._output}.out"), Path(f"{self._output}.err")
        with out.open("wb") as to_out, err.open("wb") as to_err:
            child = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                start_new_session=True,
            )
            try:
                code: int | None = child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                code = None
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        text = [path.read_text(errors="replace") for path in (out, err)]
        return Ended(code, text[0], text[1], child.pid)


def wait_for_group(group: int, patience: float = PATIENCE) -> bool:
    """Waits until no process of a command's session is left: a killed wrapper's compiler works on for a moment."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.002)
    return False
