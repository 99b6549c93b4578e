"""The files of the checkout that the tests run in, as git sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def files_of_checkout() -> list[Path]:
    """Return what is in the repository, and what is new and not ignored."""
    listed = subprocess.run(
        # A checkout that belongs to another user is read all the same.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return sorted({path for path in paths if path.is_file()})
