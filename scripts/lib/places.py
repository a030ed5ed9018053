"""Where things are: the checkout and the one folder that the scripts write to."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "tests" / "packages"
TOOLS = ROOT / "tests" / "tools"

# Git-ignored; may be removed at any time when no script runs.
DEV = ROOT / ".objguard-dev"
