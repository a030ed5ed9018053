"""The plug-in for setuptools: one table in pyproject.toml, and the package's extensions are built guarded.

setuptools calls `finalize` for every distribution it makes, in every environment that objguard is installed in. It does
nothing unless the package asked, with `[tool.objguard]` in its pyproject.toml, or the user, with OBJGUARD=1.

| key | value | what for |
|---|---|---|
| `parallel` | true, false | build extensions side by side; false unless `jobs` is given |
| `jobs` | a number | how many at most; else the -jN in MAKEFLAGS, MAKE or MAKEOPTS, else the CPUs available |
| `ambiguous` | "error", "newest" | OBJGUARD_AMBIGUOUS, unless that is set |
| `disable` | true, false | true: nothing of all this, even with OBJGUARD=1 |

All that is done is to set variables (CC, CXX, AR, where needed LDSHARED and LDCXXSHARED) and a default for `build`'s option
`parallel`, before build_ext looks at either; configuration files and command lines still overrule the latter. What the
variables said before becomes OBJGUARD_CC, OBJGUARD_CXX and OBJGUARD_AR.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import sysconfig
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import PROGRAMS, program

# With the section in pyproject.toml's own notation, for messages.
_TABLE = "[tool.objguard] of pyproject.toml"

_KEYS: Dict[str, Tuple[str, Any]] = {
    "ambiguous": ('"error" or "newest"', lambda value: value in ("error", "newest")),
    "disable": ("true or false", lambda value: isinstance(value, bool)),
    "jobs": ("a number from 1 on", lambda value: type(value) is int and value >= 1),
    "parallel": ("true or false", lambda value: isinstance(value, bool)),
}

_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")

# Commands that compile, or have others do it: only with these is there anything to say.
_BUILDING = {"build", "build_ext", "build_clib", "bdist", "bdist_egg", "bdist_wheel", "develop", "editable_wheel", "install"}

# A compiler's name, without a target before it and a version behind it.
_COMPILERS = set(
    "cc gcc clang c89 c99 c11 c17 tcc icc icx pcc mpicc nvc pgcc xlc egcc emcc armclang "
    "c++ g++ clang++ CC icpc icpx dpcpp mpicxx mpic++ mpiCC nvc++ pgc++ xlC xlc++ eg++ em++ hipcc nvcc".split()
)

_said = set()


class _Unable(Exception):
    """The build can't be guarded; the text says why."""


def finalize(dist: Any) -> None:
    """The hook: called with every `Distribution`, before its configuration files and command line are read."""
    options = _options(os.environ)
    if options is None:
        return
    try:
        changes = _environment(os.environ)
    except _Unable as reason:
        # Nothing is guarded, so nothing is made parallel either.
        if _BUILDING.intersection(sys.argv):
            _say(f"{reason}; extensions are built as without objguard")
        return
    os.environ.update(changes)
    if options.get("ambiguous") and not os.environ.get("OBJGUARD_AMBIGUOUS"):
        os.environ["OBJGUARD_AMBIGUOUS"] = options["ambiguous"]
    if options.get("parallel", "jobs" in options):
        jobs = str(_jobs(os.environ, options.get("jobs")))
        # `build` hands it to build_ext, unless that was told something else.
        dist.get_option_dict("build").setdefault("parallel", (_TABLE, jobs))


# Who asks for it


def _options(environment: Mapping[str, str]) -> Optional[Dict[str, Any]]:
    """The table's keys; empty if only the user asked, None if nobody did or somebody said no."""
    wanted = _switch(environment, "OBJGUARD")
    table = _table("pyproject.toml")
    if wanted is False or (table is None and not wanted):
        return None
    table = _checked({} if table is None else table)
    if table.get("disable") or environment.get("OBJGUARD_DISABLE") in _YES:
        return None
    return table


def _switch(environment: Mapping[str, str], name: str) -> Optional[bool]:
    value = environment.get(name)
    if value is None:
        return None
    if value not in (*_YES, *_NO):
        raise _setup_error(f"cannot use `{name}={value}`: set it to 1 or 0, or unset it")
    return value in _YES


def _table(path: str) -> Any:
    """What `path` says under [tool.objguard]; None if that isn't there."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return None
    # Nearly every package: it isn't worth a parser.
    if b"objguard" not in text:
        return None
    try:
        parsed = _parse_toml(path)
    except ValueError:
        return None  # setuptools says it better
    tool = parsed.get("tool")
    return tool.get("objguard") if isinstance(tool, dict) else None


def _parse_toml(path: str) -> Dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib

        with open(path, "rb") as file:
            return tomllib.load(file)
    # Whatever parser this setuptools brings along.
    from setuptools.config.pyprojecttoml import load_file

    return load_file(path)


def _checked(table: Any) -> Dict[str, Any]:
    if not isinstance(table, dict):
        raise _setup_error(f"cannot use `objguard = {table!r}` in [tool] of pyproject.toml: write a table, [tool.objguard]")
    for key, value in table.items():
        if key not in _KEYS:
            raise _setup_error(f"unknown key `{key}` in {_TABLE}: known are {', '.join(_KEYS)}")
        takes, fits = _KEYS[key]
        if not fits(value):
            raise _setup_error(f"cannot use `{key} = {value!r}` in {_TABLE}: it takes {takes}")
    return table


def _setup_error(text: str) -> Exception:
    """The error that setuptools shows as one line, without a traceback."""
    from setuptools.errors import SetupError

    return SetupError(f"objguard: {text}")


# The compilers


def _environment(environment: Mapping[str, str]) -> Dict[str, str]:
    """The variables that guard a build, as far as they aren't set so already."""
    if sys.platform == "win32":
        raise _Unable("objguard is not for MSVC or Windows")
    paths = {name: program(name) for name in PROGRAMS}
    lacking = [name for name, path in paths.items() if path is None]
    if lacking:
        raise _Unable(f"cannot find `{lacking[0]}` where objguard is installed, nor on PATH")
    changes: Dict[str, str] = {}
    cc = _compiler(environment, changes, "CC", "OBJGUARD_CC", paths["objguard-cc"], "cc")
    cxx = _compiler(environment, changes, "CXX", "OBJGUARD_CXX", paths["objguard-c++"], "c++")
    _compiler(environment, changes, "AR", "OBJGUARD_AR", paths["objguard-ar"], "ar")

    # Linkers begin with a compiler. distutils puts CC in its place by itself, if Python's own CC stands there.
    config = sysconfig.get_config_var
    linker = environment.get("LDSHARED")
    if not linker and not (config("LDSHARED") or "").startswith(config("CC") or "\0"):
        linker = config("LDSHARED")
    if linker:
        _linker(changes, "LDSHARED", linker, (cc, cxx))
    # Of this one distutils takes the options only, and has CXX link C++. It must be one word that they follow.
    linker = environment.get("LDCXXSHARED") or config("LDCXXSHARED")
    if linker:
        words, options = _split("LDCXXSHARED", linker)
        if not any(map(_is_objguard, words)):
            changes["LDCXXSHARED"] = _join([*cxx.guarded, *options])
    return changes


class _Guarded:
    """A compiler: the words that ran it, and the words that run it guarded."""

    def __init__(self, real: Sequence[str], guarded: Sequence[str]) -> None:
        self.real, self.guarded = list(real), list(guarded)


def _compiler(
    environment: Mapping[str, str], changes: Dict[str, str], name: str, ours: str, path: Optional[str], standard: str
) -> _Guarded:
    """Guards what the variable `name` says; what it says becomes the variable `ours`."""
    assert path is not None
    given, before = environment.get(name), environment.get(ours)
    if given:
        real, options = _split(name, given)
        if any(map(_is_objguard, real)):
            # A distributor did it already, `objguard run` did, or this hook for another distribution.
            return _Guarded(_split(ours, before or standard)[0], real)
    elif before:
        real, options = _split(ours, before)[0], []
    else:
        real, options = _split(name, sysconfig.get_config_var(name) or standard)
    # Options stay where others look for them, and where distutils takes them over from CC into LDSHARED.
    changes[name] = _join([path, *options])
    if given or not before:
        changes[ours] = _join(real)
    return _Guarded(real, [path])


def _linker(changes: Dict[str, str], name: str, command: str, compilers: Sequence[_Guarded]) -> None:
    """Guards a command that begins with one of `compilers`."""
    words, options = _split(name, command)
    if any(map(_is_objguard, words)):
        return
    for compiler in compilers:
        if _same_program(words[-1], compiler.real[-1]):
            changes[name] = _join([*compiler.guarded, *options])
            return
    raise _Unable(f"`{name}={command.strip()}` links with another compiler than CC and CXX, unguarded")


def _split(name: str, command: str) -> Tuple[List[str], List[str]]:
    """The words up to the compiler, with its launchers (`ccache gcc`), and its options (`-pthread`)."""
    try:
        words = shlex.split(command)
    except ValueError:
        raise _setup_error(f"cannot read `{name}={command}`: a quote is not closed") from None
    for at, word in enumerate(words):
        if _is_compiler(word):
            return words[: at + 1], words[at + 1 :]
    # An archiver, or a compiler nobody knows.
    options = next((at for at, word in enumerate(words) if at and word.startswith("-")), len(words))
    return words[:options] or [""], words[options:]


def _is_compiler(word: str) -> bool:
    return any(piece.rstrip("0123456789.") in _COMPILERS or piece in _COMPILERS for piece in _name(word).split("-"))


def _is_objguard(word: str) -> bool:
    """Under its own name, or by a link that leads to it (a masquerade folder)."""
    return _name(word) in PROGRAMS or _name(_real(word)) in PROGRAMS


def _same_program(one: str, other: str) -> bool:
    # By links alone, all that ccache stands for would be the same.
    return one == other or (one.endswith("++") == other.endswith("++") and _real(one) == _real(other) != "")


def _real(word: str) -> str:
    found = shutil.which(word)
    return os.path.realpath(found) if found else ""


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _join(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


# The rest


def _jobs(environment: Mapping[str, str], most: Optional[int]) -> int:
    """How many extensions are built side by side; never more than twice the CPUs: that is a typing error rather than a wish."""
    cpus = _cpus()
    asked = [number for number in (_of_make(environment), most) if number]
    return min(*asked, 2 * cpus) if asked else cpus


def _of_make(environment: Mapping[str, str]) -> Optional[int]:
    for name in ("MAKEFLAGS", "MAKE", "MAKEOPTS"):
        found = re.findall(r"(?:^|\s)(?:-[A-Za-z]*?j\s*|--jobs(?:=|\s+))([1-9][0-9]*)(?=\s|$)", environment.get(name, ""))
        if found:
            return int(found[-1])
    return None


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _say(text: str) -> None:
    if text not in _said:
        _said.add(text)
        print(f"objguard: {text}", file=sys.stderr, flush=True)
