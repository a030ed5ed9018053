"""What is published: the crate's files, and under which licences it and what it is built from stand."""

from __future__ import annotations

import json
import re
import subprocess

from conftest import ROOT

# Licences that ask for no more than their text; and MPL-2.0, which asks for the sources of its own files, unchanged ones as here.
FREE = {"MPL-2.0", "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "CC0-1.0", "0BSD", "MIT-0", "Unlicense", "BSL-1.0", "Unicode-3.0"}


def cargo(*words: str) -> str:
    done = subprocess.run(
        ["cargo", *words], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_crate_s_files() -> None:
    """Everything that a build from the crate or from the sdist takes, and none of the tests' and scripts' files."""
    names = set(cargo("package", "--list", "--allow-dirty", "--locked").split())
    assert {"Cargo.lock", "Cargo.toml", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"} <= names
    assert {"src/lib.rs", "src/bin/objguard-cc.rs", "src/python/backend.py", "src/python/objguard/plugin.py"} <= names
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"src"}
    assert not [name for name in names if "__pycache__" in name]


def allowed(expression: str) -> bool:
    """Whether an SPDX expression offers a choice of free licences."""
    # Older crates write `MIT/Apache-2.0`.
    text = expression.replace("/", " OR ").replace("Apache-2.0 WITH LLVM-exception", "Apache-2.0")
    words = re.findall(r"[()]|[^\s()]+", text)
    python = [word if word in "()" else {"AND": "and", "OR": "or"}.get(word, str(word in FREE)) for word in words]
    return bool(eval(" ".join(python), {"__builtins__": {}}))  # of True, False, and, or and parentheses only


def test_expressions() -> None:
    for expression, answer in (
        ("MIT OR Apache-2.0", True),
        ("MIT/Apache-2.0", True),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", True),
        ("GPL-3.0-only", False),
        ("MIT AND LGPL-2.1-only", False),
    ):
        assert allowed(expression) is answer, expression


def test_licences_of_all_crates() -> None:
    """Each one that Cargo.lock names."""
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
    assert len(packages) > 20
    bad = {package["name"]: package["license"] for package in packages if not allowed(package["license"] or "none")}
    assert bad == {}
