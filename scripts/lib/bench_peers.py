"""What objguard is measured against: programs that do nothing, the bare stats of a skip, the plain compiler, other wrappers."""

from __future__ import annotations

import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Sequence

from bench_clock import Command
from say import Cannot

_EMPTY = "int main(void) { return 0; }\n"

# What nobody who trusts no daemon can do without: one stat for each file that the compile read.
_STATS = r"""
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv) {
    static char list[1 << 20];
    struct stat stat_;
    int file = open(argv[1], O_RDONLY);
    list[read(file, list, sizeof list - 1)] = 0;
    for (char *path = strtok(list, "\n"); path; path = strtok(0, "\n")) stat(path, &stat_);
    return argc != 2;
}
"""

# Starts its command N times at once; a line for each: exit status and KiB resident. It is small, unlike Python, whose
# memory would count as that of every child until its exec.
_AT_ONCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int gate[2], count = atoi(argv[1]);
    char byte;
    if (pipe(gate)) return 1;
    for (int i = 0; i < count; i++)
        if (!fork()) {
            close(gate[1]);
            read(gate[0], &byte, 1);
            execvp(argv[2], argv + 2);
            _exit(127);
        }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < count; i++) {
        struct rusage used;
        int status;
        if (wait4(-1, &status, 0, &used) < 0) return 1;
        printf("%d %ld\n", status, used.ru_maxrss);
    }
    return argc < 3;
}
"""


def _static_c(folder: Path, name: str, text: str) -> Path:
    source = folder / f"{name}.c"
    source.write_text(text)
    made = folder / name
    done = subprocess.run(["gcc", "-O2", "-w", "-static", "-o", str(made), str(source)], check=False)
    if done.returncode:
        raise Cannot("cannot link a static program: the C library's archive is missing (Debian: libc6-dev)")
    return made


@dataclass
class Peers:
    """All that is there of them; what isn't is in `absent`, by name."""

    empty: Path
    stats: Path
    at_once: Path
    rust: Path | None
    wrappers: dict[str, list[str]]
    versions: dict[str, str]
    absent: list[str]
    environment: dict[str, str]
    _servers: list[str] = field(default_factory=list)

    @staticmethod
    def find(folder: Path, environment: Mapping[str, str]) -> "Peers":
        """Makes the small programs in `folder`, and gives the caches folders of their own there."""
        environment = dict(environment)
        absent: list[str] = []
        rust = None
        if shutil.which("rustc"):
            (folder / "nothing.rs").write_text("fn main() {}\n")
            rust = folder / "rust-nothing"
            words = ["rustc", "-O", "-Cpanic=abort", "-Cstrip=symbols", "-o", str(rust), str(folder / "nothing.rs")]
            subprocess.run(words, check=True, env=environment)
        else:
            absent.append("rustc")
        wrappers: dict[str, list[str]] = {}
        for name, words in (("ccache", []), ("sccache", []), ("flock", [str(folder / "flock.lock")])):
            program = shutil.which(name, path=environment.get("PATH"))
            if program:
                wrappers[name] = [program, *words]
            else:
                absent.append(name)
        peers = Peers(
            empty=_static_c(folder, "empty", _EMPTY),
            stats=_static_c(folder, "stats", _STATS),
            at_once=_static_c(folder, "at-once", _AT_ONCE),
            rust=rust,
            wrappers=wrappers,
            versions={name: _version(words[0]) for name, words in wrappers.items() if name != "flock"},
            absent=absent,
            environment=environment,
        )
        peers.versions["gcc"] = _version("gcc")
        environment["CCACHE_DIR"] = str(folder / "ccache")
        environment["SCCACHE_DIR"] = str(folder / "sccache")
        environment["SCCACHE_IDLE_TIMEOUT"] = "600"
        if "sccache" in wrappers:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                environment["SCCACHE_SERVER_PORT"] = str(free.getsockname()[1])
            peers._servers.append(wrappers["sccache"][0])
        return peers

    def command(self, name: str, label: str, words: Sequence[str], **more: str) -> Command | None:
        """`words` behind the wrapper `name`; None where it isn't there."""
        if name not in self.wrappers:
            return None
        return Command(label, [*self.wrappers[name], *words], {**self.environment, **more})

    def close(self) -> None:
        """Ends the server that was started for these measurements."""
        for server in self._servers:
            subprocess.run(
                [server, "--stop-server"],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return said.splitlines()[0] if said else "?"
