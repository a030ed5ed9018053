"""Call an sdist's build backend (PEP 517) in the current folder; runs inside a venv with the build requirements.

    pep517.py backend           print {"backend": …, "requires": […], "own": is it in the sdist's own tree}
    pep517.py requires          print what get_requires_for_build_wheel asks for, as JSON, on the last line
    pep517.py wheel FOLDER      build a wheel into FOLDER

It imports nothing from this folder, because the backend must see the module path that it would see without it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def build_system() -> dict:
    """[build-system] of pyproject.toml with PEP 517's and 518's defaults."""
    default = {"requires": ["setuptools", "wheel"], "build-backend": "setuptools.build_meta:__legacy__"}
    if not os.path.exists("pyproject.toml"):
        return default
    try:
        import tomllib
    except ImportError:  # before Python 3.11; pip carries the same parser
        from pip._vendor import tomli as tomllib
    with open("pyproject.toml", "rb") as file:
        return {**default, **tomllib.load(file).get("build-system", {})}


def backend(system: dict):
    sys.path[:0] = [os.path.abspath(folder) for folder in system.get("backend-path", [])]
    module, _, attribute = system["build-backend"].partition(":")
    found = importlib.import_module(module)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


system = build_system()
if sys.argv[1] == "backend":
    own = bool(system.get("backend-path"))
    print(json.dumps({"backend": system["build-backend"], "requires": system["requires"], "own": own}))
elif sys.argv[1] == "requires":
    hook = getattr(backend(system), "get_requires_for_build_wheel", lambda: [])
    print("\n" + json.dumps(hook()))
else:
    folder = os.path.abspath(sys.argv[2])
    sys.argv = ["setup.py"]  # some setup.py files look at it
    backend(system).build_wheel(folder)
