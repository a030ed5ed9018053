"""How objguard's programs are linked: static, where the C library has an archive.

The wrapper stands in front of every compile, and looking up two shared libraries takes a third of its time when there is
nothing to do. It looks up no names (users, hosts), which is what a static glibc can't. Debian's libc6-dev has the archive;
elsewhere it is a package of its own (glibc-static), and without it the programs are linked as usual.
"""

from __future__ import annotations

import os
import subprocess
import sys


def rustflags() -> dict[str, str]:
    """RUSTFLAGS for cargo, as variables of its environment; none where the user has set them."""
    given = {"RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"}
    if not sys.platform.startswith("linux") or given & set(os.environ) or not _has_archive():
        return {}
    return {"RUSTFLAGS": "-Ctarget-feature=+crt-static"}


def _has_archive() -> bool:
    # The compiler driver that rustc links with.
    command = ["cc", "-print-file-name=libc.a"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and os.path.isabs(done.stdout.strip())
