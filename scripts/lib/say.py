"""What the scripts print: messages, a progress line and tables."""

from __future__ import annotations

import sys
from typing import Callable, NoReturn, Sequence

# Exit codes of the scripts: 1 says that the guarded build was wrong, 2 that something couldn't be done at all.
WRONG = 1
CANNOT = 2


# The name that the user called; each main sets its own.
program = "objguard"


class Cannot(Exception):
    """Something can't be done; the text says what, why and what to do, and goes to the user as it is."""


def die(message: str) -> NoReturn:
    """Print `message` and leave with exit code 2."""
    print(f"{program}: {message}", file=sys.stderr, flush=True)
    raise SystemExit(CANNOT)


def note(message: str) -> None:
    """Print `message` at once, so that it stands in order with what child processes print."""
    print(message, flush=True)


def run_main(name: str, main: Callable[[], int]) -> NoReturn:
    """Run `main` as the script `name`: what can't be done becomes one message and exit code 2."""
    global program
    program = name
    try:
        raise SystemExit(main())
    except Cannot as problem:
        die(str(problem))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise SystemExit(130) from None


class Progress:
    """One line that counts up on a terminal; nothing elsewhere."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.live = sys.stderr.isatty()

    def step(self, done: int, more: str = "") -> None:
        if self.live:
            print(f"\r\033[K{self.label}: {done}/{self.total} {more}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as needed: the first one left-aligned, numbers right-aligned, texts left-aligned."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    right = [
        any(row[column][:1].isdigit() for row in cells[1:])
        and all(row[column].strip("0123456789.-") == "" for row in cells[1:])
        for column in range(len(head))
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(cells[0]), line(["-" * width for width in widths]), *map(line, cells[1:])])
