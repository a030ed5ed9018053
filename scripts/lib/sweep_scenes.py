"""What is swept: commands of the wrapper in every situation that makes it do something else.

A scene is played in a folder by three builders: `theirs` and `others` have compiled what they want before, and still
want it; `ours` runs the command that is struck. Then `theirs` links at once, and `others` after the next run. Objects and
programs say what they hold (tests/fake/quick_cc.c), so each check is about contents and not only about exit codes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping

from lineages import Builder, Ended
from say import Cannot

# What the builders compile with.
THEIRS, OURS, NEVER_SEEN = 1, 2, 77


@dataclass
class Stage:
    """A folder with its builders."""

    folder: Path
    wrapper: Path
    theirs: Builder
    others: Builder
    ours: Builder
    environment: Mapping[str, str]

    @staticmethod
    def make(folder: Path, wrapper: Path, environment: Mapping[str, str]) -> "Stage":
        folder.mkdir(parents=True)
        own = {**environment, "XDG_CACHE_HOME": str(folder.parent / f"{folder.name}.cache")}
        builders = [Builder(name, folder, own) for name in ("theirs", "others", "ours")]
        return Stage(folder, wrapper, *builders, own)

    def close(self) -> None:
        self.theirs.close()
        self.others.close()
        self.ours.close()

    def clear(self) -> None:
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.cache.mkdir(exist_ok=True)
        self.write("x.c", "the source\n")
        self.header(0)

    @property
    def cache(self) -> Path:
        return Path(self.environment["XDG_CACHE_HOME"])

    @property
    def state(self) -> Path:
        return self.folder / ".objguard"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def header(self, number: int) -> None:
        self.write("v.h", f"header {number}\n")

    def content(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def command(self, *words: str, program: str = "objguard-cc") -> list[str]:
        return [str(self.wrapper.with_name(program)), *words]

    def compiling(self, value: int, *more: str, output: str = "x.o") -> list[str]:
        return self.command(f"-DVALUE={value}", *more, "-c", "x.c", "-o", output)

    def must(self, builder: Builder, words: list[str]) -> None:
        """Runs a command that is no part of the test."""
        ended = builder.run(words)
        if not ended.quiet:
            raise Cannot(f"cannot prepare a scene: {' '.join(words)}: {ended}")

    def strays(self) -> list[str]:
        """Scratch that nobody swept."""
        found = list((self.state / "tmp").glob("*")) + list(self.folder.glob(".objguard-*"))
        return sorted(str(path.relative_to(self.folder)) for path in found)


@dataclass(frozen=True)
class Scene:
    """A situation, the command that is struck in it, and what must hold then."""

    name: str
    about: str
    prepare: Callable[[Stage], None]
    command: Callable[[Stage], list[str]]
    outputs: tuple[str, ...] = ("x.o",)
    # What a program of x.o must hold that the others, and we, link; None: they, or we, don't link.
    theirs: str | None = None
    ours: str | None = f"x.c {OURS} header 0"
    # The command links: these programs are its own output.
    links: bool = False
    # While the struck command's compiler works on in its place, the outputs may be anything.
    in_place: bool = False


def nothing(stage: Stage) -> None:
    stage.clear()


def compiled_by_them(stage: Stage) -> None:
    stage.clear()
    stage.must(stage.theirs, stage.compiling(THEIRS))
    stage.must(stage.others, stage.compiling(THEIRS))


def compiled_by_both(stage: Stage) -> None:
    """Ours is kept, theirs is at the path."""
    stage.clear()
    stage.must(stage.ours, stage.compiling(OURS))
    stage.must(stage.theirs, stage.compiling(THEIRS))
    stage.must(stage.others, stage.compiling(THEIRS))


def compiled_by_us(stage: Stage) -> None:
    stage.clear()
    stage.must(stage.ours, stage.compiling(OURS))


def long_log(stage: Stage) -> None:
    """The claims are due to be rewritten: the last one stands there many times."""
    compiled_by_them(stage)
    claims = stage.state / "x.o" / "claims"
    last = claims.read_bytes().splitlines(keepends=True)[-1]
    with claims.open("ab") as log:
        log.write(last * (80 * 1024 // len(last)))


def with_old_program(prepare: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def prepared(stage: Stage) -> None:
        prepare(stage)
        stage.write("prog", "an older program\n")

    return prepared


def dirty(stage: Stage) -> None:
    compiled_by_us(stage)
    stage.header(5)


def dirty_among_others(stage: Stage) -> None:
    compiled_by_both(stage)
    stage.header(5)


def cold_cache(stage: Stage) -> None:
    nothing(stage)
    shutil.rmtree(stage.cache)
    stage.cache.mkdir()


def untrusted(stage: Stage) -> None:
    """A state folder that can't be used."""
    nothing(stage)
    stage.write(".objguard", "not a folder\n")


def full_of_words(stage: Stage) -> None:
    compiled_by_them(stage)
    stage.write("words", f"-DVALUE={OURS} -c x.c -o x.o")


def two_objects(stage: Stage) -> None:
    compiled_by_both(stage)
    stage.must(stage.theirs, stage.compiling(THEIRS, output="y.o"))
    stage.must(stage.ours, stage.compiling(OURS, output="y.o"))


def archived(stage: Stage) -> None:
    """An archive of ours, older than the object of ours that is kept."""
    compiled_by_us(stage)
    stage.must(stage.ours, archive_ours(stage))
    stage.header(5)
    stage.must(stage.ours, stage.compiling(OURS))
    stage.must(stage.theirs, stage.compiling(THEIRS))
    stage.must(stage.others, stage.compiling(THEIRS))


def generated_before(stage: Stage) -> None:
    stage.clear()
    stage.write("made", "an older one\n")


def compile_ours(stage: Stage) -> list[str]:
    return stage.compiling(OURS)


def link_ours(stage: Stage) -> list[str]:
    return stage.command("x.o", "-o", "prog")


def archive_ours(stage: Stage) -> list[str]:
    return stage.command("rcs", "lib.a", "x.o", program="objguard-ar")


def generate(stage: Stage, *command: str) -> list[str]:
    return stage.command("exec", "-o", "made", "-i", "v.h", "--", *command, program="objguard")


THEIR_PROGRAM = f"x.c {THEIRS} header 0"

SCENES = [
    Scene("cold", "nothing is there", nothing, compile_ours),
    Scene("probing", "nothing is there, and the compiler isn't known", cold_cache, compile_ours),
    Scene("dirty", "a header changed", dirty, compile_ours, ours=f"x.c {OURS} header 5"),
    Scene("other", "another builder's variant is at the path", compiled_by_them, compile_ours, theirs=THEIR_PROGRAM),
    Scene(
        "dirty-other",
        "a header changed, and another builder's variant is at the path",
        dirty_among_others,
        compile_ours,
        theirs=THEIR_PROGRAM,
        ours=f"x.c {OURS} header 5",
    ),
    Scene("skip", "ours is at the path", compiled_by_us, compile_ours),
    Scene("republish", "ours is kept, another builder's at the path", compiled_by_both, compile_ours, theirs=THEIR_PROGRAM),
    Scene("rewrite", "the log of claims is long", long_log, compile_ours, theirs=THEIR_PROGRAM),
    Scene(
        "depfile",
        "with a depfile of the user's",
        compiled_by_them,
        lambda stage: stage.compiling(OURS, "-MD", "-MF", "x.d"),
        outputs=("x.o", "x.d"),
        theirs=THEIR_PROGRAM,
    ),
    Scene("response", "the words in a file", full_of_words, lambda stage: stage.command("@words"), theirs=THEIR_PROGRAM),
    Scene("untrusted", "the state folder is a file", untrusted, compile_ours, ours=None),
    Scene(
        "in-place",
        "a command that runs in place",
        compiled_by_them,
        lambda stage: stage.compiling(OURS, "-time"),
        theirs=THEIR_PROGRAM,
        in_place=True,
    ),
    Scene(
        "named",
        "a command that writes files beside the object",
        compiled_by_them,
        lambda stage: stage.compiling(OURS, "--coverage"),
        theirs=THEIR_PROGRAM,
    ),
    Scene("link", "one variant", with_old_program(compiled_by_us), link_ours, ("prog",), links=True),
    Scene(
        "re-point",
        "another builder's variant is at the path",
        with_old_program(compiled_by_both),
        link_ours,
        ("prog",),
        theirs=THEIR_PROGRAM,
        links=True,
    ),
    Scene(
        "two-objects",
        "one at the path and one kept",
        with_old_program(two_objects),
        lambda stage: stage.command("x.o", "y.o", "-o", "prog"),
        ("prog",),
        theirs=THEIR_PROGRAM,
        ours=f"x.c {OURS} header 0\nx.c {OURS} header 0",
        links=True,
    ),
    Scene(
        "partial-link",
        "an object of objects",
        compiled_by_both,
        lambda stage: stage.command("-r", "x.o", "-o", "all.o"),
        ("all.o",),
        theirs=THEIR_PROGRAM,
        ours=None,
    ),
    Scene("archive", "another builder's variant is at the path", compiled_by_both, archive_ours, ("lib.a",), THEIR_PROGRAM, None),
    Scene(
        "archive-again",
        "an archive with an older member, another builder's variant at the path",
        archived,
        archive_ours,
        ("lib.a",),
        f"x.c {THEIRS} header 5",
        None,
    ),
    Scene(
        "exec",
        "a generator that writes aside",
        generated_before,
        lambda stage: generate(stage, "cp", "v.h", "{out}"),
        ("made",),
        ours=None,
    ),
    Scene(
        "exec-in-place",
        "a generator that writes to the output itself",
        generated_before,
        lambda stage: generate(stage, "cp", "v.h", "made"),
        ("made",),
        ours=None,
        in_place=True,
    ),
]


def linked(stage: Stage, builder: Builder, expected: str) -> str | None:
    """Links x.o from `builder`; what is wrong with the program."""
    program = f"prog-{builder.name}"
    ended: Ended = builder.run(stage.command("x.o", "-o", program))
    if not ended.quiet:
        return f"{builder.name} can't link: {ended}"
    held = (stage.content(program) or b"").decode(errors="replace").strip()
    if held != expected:
        return f"WRONG: {builder.name} linked `{held}`, not `{expected}`"
    return None
