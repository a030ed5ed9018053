"""The lines that a package author writes, and what isolated builds of such a package need of the outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Mapping

LINES = """
[tool.objguard]
parallel = true
jobs = {jobs}
"""


def add_lines(tree: Path, jobs: int) -> None:
    """Change the package in `tree` as its author would: objguard among the requirements, and the table."""
    file = tree / "pyproject.toml"
    if not file.exists():
        # What pip takes for granted where there is none.
        file.write_text('[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta:__legacy__"\n')
    text = file.read_text()
    changed, count = re.subn(r"(?m)^requires\s*=\s*\[", 'requires = ["objguard", ', text)
    assert count == 1, f"`{file}` has no line `requires = […]`"
    file.write_text(changed + LINES.format(jobs=jobs))


def with_wheel(pip: Mapping[str, str], wheel: Path) -> dict[str, str]:
    """The variables `pip` of an isolated build that downloads nothing, with objguard's wheel at hand too."""
    return {**pip, "PIP_FIND_LINKS": f"{pip['PIP_FIND_LINKS']} {wheel.parent}"}
