"""Builders for scripts/load: processes with threads that compile the same objects, each in its own variant, and link them."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# A command that takes longer (s) is stuck.
PATIENCE = 180.0


@dataclass(frozen=True)
class Job:
    """What one process of builders does."""

    folder: Path
    wrapper: Path
    compiler: Path
    # For what isn't built: captured output, the cache of what is known of compilers.
    aside: Path
    threads: int
    rounds: int
    seed: int
    # Names of the shared objects.
    objects: tuple[str, ...] = ("a.o", "b.o", "c.o")
    # How many of a thousand commands are killed, and stopped for a moment.
    killed: int = 0
    stopped: int = 0
    # Words of every compile.
    more: tuple[str, ...] = ()
    # The compile's words in a response file.
    respond: bool = False
    # How many descriptors a command may have; 0: as many as we.
    descriptors: int = 0
    # The disk may be full: commands may fail, with a message.
    may_fail: bool = False


@dataclass
class Count:
    """What became of it."""

    commands: int = 0
    programs: int = 0
    killed: int = 0
    stopped: int = 0
    failed: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        for name in ("commands", "programs", "killed", "stopped", "failed", "refused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong
        self.stuck += other.stuck


def prepare(folder: Path) -> None:
    """The source that all compile, older than any compile."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("x.c", "the source\n"), ("v.h", "header 0\n")):
        # Other builders may be reading it.
        if not (folder / name).exists():
            (folder / name).write_text(text)


def work(job: Job) -> Count:
    """Runs a job's threads in this process, to their end."""
    total, lock = Count(), threading.Lock()

    def one(number: int) -> None:
        builder = Builder(job, number)
        try:
            builder.build()
        except Exception as problem:  # noqa: BLE001 — a thread that dies must not look like one that is right
            builder.count.wrong.append(f"the bench: {problem!r}")
        with lock:
            total.add(builder.count)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(job.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total


class Builder:
    """One thread: in each round it compiles all objects in a variant of its own and links them."""

    def __init__(self, job: Job, number: int) -> None:
        self.job, self.count = job, Count()
        self.dice = random.Random(job.seed * 1000 + number)
        self.name = f"{job.seed}-{number}"
        self.output = job.aside / f"{self.name}.out"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "XDG_CACHE_HOME": str(job.aside / "cache"),
            "LC_ALL": "C",
            "OBJGUARD_CC": str(job.compiler),
        }

    def build(self) -> None:
        for _ in range(self.job.rounds):
            # Few, so that some are another builder's too, and some come back.
            value = self.dice.randrange(1, 9)
            for attempt in range(20):
                if self.build_once(value):
                    break
            else:
                self.count.wrong.append(f"{self.name}: twenty builds in a row come to nothing")
        self.output.unlink(missing_ok=True)

    def build_once(self, value: int) -> bool:
        """Compiles and links; whether there is a program, which then must be right."""
        job = self.job
        objects = list(job.objects)
        self.dice.shuffle(objects)
        for name in objects:
            words = [f"-DVALUE={value}", *job.more, "-c", "x.c", "-o", name]
            if job.respond:
                file = job.folder / f"words-{self.name}"
                file.write_text("\n".join(words))
                words = [f"@{file.name}"]
            while (ended := self.run(words)) is None:
                pass
            if ended != 0:
                return job.may_fail
        program = f"program-{self.name}"
        linked = self.run([*job.objects, "-o", program])
        if linked is None:
            # Whether a killed link took its objects isn't known: they are asked for again.
            return False
        if linked != 0:
            return job.may_fail
        self.count.programs += 1
        held = (job.folder / program).read_text(errors="replace")
        expected = f"x.c {value} header 0\n" * len(job.objects)
        if held != expected:
            self.count.wrong.append(f"{self.name}: the program holds {held!r}, not {expected!r}")
        return True

    def run(self, words: list[str]) -> int | None:
        """Runs the wrapper; its exit code, None if it was killed."""
        job, self.count.commands = self.job, self.count.commands + 1
        limits = None
        if job.descriptors:

            def limits() -> None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (job.descriptors, job.descriptors))

        with self.output.open("wb") as to:
            child = subprocess.Popen(
                [str(job.wrapper), *words],
                cwd=job.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=to,
                preexec_fn=limits,
            )
        fate = self.dice.randrange(1000)
        if fate < job.killed + job.stopped:
            time.sleep(self.dice.random() * 0.03)
            self.strike(child, kill=fate < job.killed)
        try:
            code = child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            self.count.stuck.append(f"{self.name}: {' '.join(words)[:200]}")
            return None
        if code == -signal.SIGKILL:
            self.count.killed += 1
            return None
        said = self.output.read_text(errors="replace")
        if code == 0 and said:
            self.count.wrong.append(f"{self.name}: it talks: {said[:300]}")
        if code != 0:
            if "it can't be known which variant" in said:
                self.count.refused += 1
                self.count.wrong.append(f"{self.name}: refused: {said[:600]}")
            elif job.may_fail and said:
                self.count.failed += 1
            else:
                self.count.wrong.append(f"{self.name}: exit {code}: {said[:600]}")
        return code

    def strike(self, child: subprocess.Popen[bytes], kill: bool) -> None:
        if child.poll() is not None:
            return
        if kill:
            child.kill()
            return
        child.send_signal(signal.SIGSTOP)
        self.count.stopped += 1
        time.sleep(0.1 + self.dice.random() * 0.4)
        child.send_signal(signal.SIGCONT)
