"""``python -m flaskprof`` is the command line."""

from __future__ import annotations

from flaskprof.cli import main

if __name__ == "__main__":
    main(prog_name="python -m flaskprof")
