"""Runs a script in an interpreter of its own, for what cannot be undone in this one."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(source, *options, environ=None, expect=0, timeout=100):
    """Run `source` and return what it printed; it finds this directory's modules."""
    paths = [str(HERE), *(path for path in sys.path if path)]
    done = subprocess.run(
        [sys.executable, *options, "-c", source],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == expect, f"exit code {done.returncode}:\n{done.stdout}"
    return done.stdout
