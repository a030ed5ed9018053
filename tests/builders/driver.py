#!/usr/bin/env python3
"""Builders that share objects, as setuptools' `build_ext -j` and others do.

Every builder compiles the same sources to the same objects (and, unless --nothing-own is given, one
source of its own with main), links them and runs the program, over and over. A program prints one
number for each of its objects: the VALUE it was compiled with. All must be the builder's own.

One line a program is printed, its fields separated by tabs:

    right    BUILDER  ROUND  VALUE
    wrong    BUILDER  ROUND  VALUE  what it printed instead
    refused  BUILDER  ROUND  VALUE  the message   (objguard could not know, and said so)
    failed   BUILDER  ROUND  VALUE  the command and its output
    noisy    BUILDER  ROUND  VALUE  the output    (a command succeeded but said something)

The exit status is 0 whatever the programs print: the caller judges.
"""

import argparse
import multiprocessing
import multiprocessing.pool
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading

SHARED = ["shared1", "shared2"]
COMMON_VALUE = 7


class Stop(Exception):
    """A command failed; ends this round of this builder."""

    def __init__(self, verdict, detail):
        super().__init__(detail)
        self.verdict = verdict
        self.detail = detail


def run(command, **options):
    """Runs a command and returns its standard output; any other end of it is a Stop."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    shown = command if isinstance(command, str) else shlex.join(command)
    if done.returncode != 0:
        refused = "OBJGUARD_AMBIGUOUS" in done.stderr
        raise Stop("refused" if refused else "failed", f"{shown}: exit {done.returncode}: {done.stdout}{done.stderr}")
    if done.stderr:
        raise Stop("noisy", f"{shown}: {done.stderr}")
    return done.stdout


def run_silent(command, **options):
    """Runs a command that must print nothing at all."""
    printed = run(command, **options)
    if printed:
        raise Stop("noisy", f"{command}: {printed}")


def in_its_own_shell(command):
    """The command below a shell that stays its parent (a lone command would be exec'ed)."""
    return ["sh", "-c", shlex.join(command) + "; exit $?"]


def run_until_it_survives(command, dice):
    """Runs a command that is killed at any instant, alone or with all it started, and run again until it isn't."""
    while True:
        # To files: who runs on after the wrapper's death would hold a pipe open.
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
            if dice.random() < 0.4:
                try:
                    process.wait(dice.uniform(0, 0.08))
                except subprocess.TimeoutExpired:
                    dice.choice([os.kill, os.killpg])(process.pid, signal.SIGKILL)
            status = process.wait()
            said.seek(0)
            output = said.read()
        if status == 0 and not output:
            return
        if status != -signal.SIGKILL:
            raise Stop("failed" if status else "noisy", f"{shlex.join(command)}: exit {status}: {output}")


class Builder:
    """One extension's worth of commands."""

    def __init__(self, number, options):
        self.number = number
        self.options = options
        self.pool = None
        self.dice = random.Random(number)

    def value(self, turn):
        """What this builder compiles with: a value of its own, the common one, or one never used before."""
        own = 100 + self.number
        if self.options.values == "own":
            return own
        if self.options.values == "common":
            return COMMON_VALUE
        return [own, COMMON_VALUE, own, COMMON_VALUE, 1000 * (turn + 1) + self.number][turn % 5]

    def value_flag(self, turn):
        value = self.value(turn)
        if not self.options.by_header:
            return f"-DVALUE={value}"
        folder = f"value_{value}"
        os.makedirs(folder, exist_ok=True)
        if contents(f"{folder}/value.h") is None:
            # Builders with the common value may both come here; each leaves the same header, whole.
            with open(f"{folder}/{self.number}", "w") as header:
                header.write(f"#define VALUE {value}\n")
            os.replace(header.name, f"{folder}/value.h")
        return f"-I{folder}"

    def objects(self):
        names = SHARED + (["main"] if self.options.nothing_own else [f"own_{self.number}"])
        return [f"{name}.o" for name in names]

    def program(self):
        return f"prog_{self.number}"

    def compiles(self, turn):
        """The compile commands, beginning with another object in each builder and round."""
        commands = []
        for output in self.objects():
            source = output[:-2] + ".c"
            flags = self.options.flags + [self.value_flag(turn)]
            commands.append([self.options.cc, *flags, "-c", source, "-o", output])
        first = (self.number + turn) % len(commands)
        return commands[first:] + commands[:first]

    def links(self):
        """The commands that make the program of the objects, and the one that runs it."""
        cc, flags, program = self.options.cc, self.options.flags + self.options.link_flags, self.program()
        if self.options.kind == "shared":
            module = f"./{program}.so"
            return [[cc, *flags, "-shared", *self.objects(), "-o", module]], [os.path.abspath("loader"), module]
        if self.options.kind == "archive":
            archive = [self.options.ar, "rcs", f"lib{program}.a", *self.objects()]
            return [archive, [cc, *flags, "-L.", f"-l{program}", "-o", program]], [f"./{program}"]
        if self.options.kind == "shared-archive":
            *members, main = self.objects()
            archive = [self.options.ar, "rcs", "libshared.a", *members]
            return [archive, [cc, *flags, main, "-L.", "-lshared", "-o", program]], [f"./{program}"]
        if self.options.kind == "relocatable":
            whole = f"whole_{self.number}.o"
            partial = [cc, *flags, "-r", *self.objects(), "-o", whole]
            return [partial, [cc, *flags, whole, "-o", program]], [f"./{program}"]
        return [[cc, *flags, *self.objects(), "-o", program]], [f"./{program}"]

    def build(self, turn):
        """One round in the way that --mode asks for; returns what the program prints."""
        compiles = self.compiles(turn)
        links, program = self.links()
        mode = self.options.mode
        if mode in ("shell-all", "shell-background"):
            if mode == "shell-all":
                lines = [shlex.join(command) for command in compiles]
            else:
                # `wait` alone is 0 whatever its children return, so each is waited for by its number.
                lines = [f"{shlex.join(command)} & p{n}=$!" for n, command in enumerate(compiles)]
                lines += [f"wait $p{n}" for n in range(len(compiles))]
            lines += [shlex.join(command) for command in links] + [shlex.join(program)]
            return run(["sh", "-c", "set -e\n" + "\n".join(lines) + "\nexit 0"])
        if mode in ("pool", "half-pool"):
            if mode == "half-pool":
                run_silent(compiles.pop(0))
            # Made for each round by the builder's thread, as pybind11's ParallelCompile makes one for each extension.
            with multiprocessing.pool.ThreadPool(2) as pool:
                pool.map(run_silent, compiles)
        elif mode == "shared-pool":
            self.pool.map(run_silent, compiles)
        elif mode in ("process-pool", "shared-process-pool"):
            for stop in self.pool.map(stop_of, compiles):
                if stop is not None:
                    raise Stop(*stop)
        elif mode == "shell-each":
            for command in compiles:
                run_silent(in_its_own_shell(command))
            links = [in_its_own_shell(command) for command in links]
        elif mode == "at-once":
            self.all_at_once(compiles)
        elif mode == "killed":
            for command in compiles + links:
                run_until_it_survives(command, self.dice)
            links = []
        else:
            for command in compiles:
                run_silent(command)
        for command in links:
            run_silent(command)
        return run(program)

    def all_at_once(self, commands):
        """One thread starts every compile before it waits for the first, as ninja and make do."""
        pipes = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        running = [subprocess.Popen(command, **pipes) for command in commands]
        for process in running:
            output = process.communicate()[0]
            if process.returncode != 0:
                raise Stop("failed", f"{shlex.join(process.args)}: exit {process.returncode}: {output}")
            if output:
                raise Stop("noisy", f"{shlex.join(process.args)}: {output}")

    def judge(self, printed, turn):
        expected = " ".join([str(self.value(turn))] * len(self.objects()))
        if printed.strip() == expected:
            self.say("right", turn, "")
        else:
            self.say("wrong", turn, printed)

    def say(self, verdict, turn, detail):
        fields = [verdict, str(self.number), str(turn), str(self.value(turn))]
        if detail:
            fields.append(detail.strip().replace("\n", "\\n").replace("\t", " "))
        # One write, so that lines of several processes never mix.
        os.write(1, ("\t".join(fields) + "\n").encode())

    def rounds(self):
        for turn in range(self.options.rounds):
            try:
                self.judge(self.build(turn), turn)
            except Stop as stop:
                self.say(stop.verdict, turn, stop.detail)

    def with_pool(self):
        """The rounds with a process pool that this thread starts. Not forked: other threads are running."""
        if self.options.mode == "process-pool":
            with multiprocessing.get_context("spawn").Pool(2) as self.pool:
                self.rounds()
        else:
            self.rounds()


def stop_of(command):
    """`run_silent` in a worker process: what went wrong, as the pair a Stop is made of, or None."""
    try:
        run_silent(command)
    except Stop as stop:
        return stop.verdict, stop.detail
    return None


def in_threads(builders):
    start = threading.Barrier(len(builders))

    def body(builder):
        start.wait()
        builder.with_pool()

    threads = [threading.Thread(target=body, args=(builder,)) for builder in builders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_processes(builders):
    """Each builder is a Python of its own, as with several `pip` at work in one tree."""
    own = [sys.executable, os.path.abspath(__file__), *sys.argv[1:]]
    running = [subprocess.Popen([*own, "--only", str(builder.number)]) for builder in builders]
    for process in running:
        if process.wait() != 0:
            raise SystemExit(f"a builder's process ended with {process.returncode}")


def by_make(builders, options):
    """One make -j a round. The makefile's recipes are the builders."""
    for turn in range(options.rounds):
        makefile = f"round_{turn}.mk"
        with open(makefile, "w") as out:
            out.write("\n".join(make_rules(builders, turn, options)) + "\n")
        jobs = str(len(builders))
        done = subprocess.run(
            ["make", "--no-print-directory", "-Otarget", "-s", "-k", "-j", jobs, "-f", makefile, "all"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        # -Otarget keeps what a builder's recipe printed together, below the line it begins with.
        said, lines = {}, []
        for line in done.stdout.splitlines():
            if line.startswith("== "):
                lines = said.setdefault(line, [])
            elif not line.startswith("make"):
                lines.append(line)
        for builder in builders:
            log = "\n".join(said.get(f"== {builder.number}", []))
            printed = contents(f"result_{builder.number}_{turn}")
            if printed is None:
                builder.say("refused" if "OBJGUARD_AMBIGUOUS" in log else "failed", turn, log)
            elif log:
                builder.say("noisy", turn, log)
            else:
                builder.judge(printed, turn)


def contents(path):
    """A file's text, or None if there is no such file."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def make_rules(builders, turn, options):
    yield "all: " + " ".join(f"build_{builder.number}" for builder in builders)
    for builder in builders:
        number, links = builder.number, builder.links()
        steps = [shlex.join(step) for step in [*builder.compiles(turn), *links[0]]]
        result = f"result_{number}_{turn}"
        steps.append(f"{shlex.join(links[1])} > {result}.part && mv {result}.part {result}")
        yield f".PHONY: build_{number}"
        yield f"build_{number}:"
        if options.mode == "make-below-make":
            yield f"\t+$(MAKE) -f round_{turn}.mk only_{number}"
            yield f"only_{number}:"
        yield f"\techo '== {number}'"
        if options.mode == "make-recipes":
            # One shell runs the builder's commands; otherwise make itself starts every one of them, and in the
            # mode make-flat those of all builders come from the only thread of one make.
            steps = [" && ".join(steps)]
        for step in steps:
            yield "\t" + step


def main():
    parser = argparse.ArgumentParser(description="builders that share objects")
    parser.add_argument("--mode", required=True)
    parser.add_argument("--cc", required=True, help="the compiler under test")
    parser.add_argument("--ar", default="ar", help="the archiver under test")
    parser.add_argument("--flags", default="", help="for compiles and links, separated by blanks")
    parser.add_argument("--link-flags", default="", help="for links only")
    kinds = ["exe", "shared", "relocatable", "archive", "shared-archive"]
    parser.add_argument("--kind", choices=kinds, default="exe")
    parser.add_argument("--by-header", action="store_true", help="VALUE comes from a header that -I finds, not from -D")
    parser.add_argument("--values", choices=["own", "common", "mixed"], default="mixed")
    parser.add_argument("--nothing-own", action="store_true", help="main is a shared object too")
    parser.add_argument("--builders", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", type=int, help="internal: be this builder")
    options = parser.parse_args()
    options.flags = options.flags.split()
    options.link_flags = options.link_flags.split()

    builders = [Builder(number, options) for number in range(1, options.builders + 1)]
    if options.only is not None:
        builders[options.only - 1].with_pool()
    elif options.mode == "processes":
        in_processes(builders)
    elif options.mode.startswith("make-"):
        by_make(builders, options)
    elif options.mode == "shared-pool":
        # The compiles of all builders come from the same threads.
        with multiprocessing.pool.ThreadPool(4) as pool:
            for builder in builders:
                builder.pool = pool
            in_threads(builders)
    elif options.mode == "shared-process-pool":
        # Forked while there is one thread only; all builders' compiles then come from the same workers.
        with multiprocessing.get_context("fork").Pool(4) as pool:
            for builder in builders:
                builder.pool = pool
            in_threads(builders)
    else:
        in_threads(builders)


if __name__ == "__main__":
    main()
