"""Runs a script in an interpreter of its own, for what cannot be undone in this one."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def environ():
    """Return an environment in which this directory's modules and the package are found."""
    paths = [str(HERE), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(source, *options, expect=0, timeout=100):
    """Run `source` and return what it printed."""
    done = subprocess.run(
        [sys.executable, *options, "-c", source],
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == expect, f"exit code {done.returncode}:\n{done.stdout}"
    return done.stdout
