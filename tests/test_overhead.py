"""The measurement of what flaskprof costs can be repeated by anyone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OVERHEAD = Path(__file__).parent.parent / "benchmarks" / "overhead.py"
QUICKLY = ["--rounds=2", "--batch=3", "--passes=2"]


def run(*arguments):
    done = subprocess.run(
        [sys.executable, str(OVERHEAD), *QUICKLY, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_cost_is_measured_beside_a_bare_application():
    results = json.loads(run("--only=bare Flask", "--only=flaskprof", "--json"))
    assert list(results) == ["bare Flask", "flaskprof"]
    for row in results.values():
        assert row["bare_us"] > 0
        assert row["added_low_us"] <= row["added_us"] <= row["added_high_us"]


def test_the_table_has_a_row_for_each_subject():
    rows = run("--only=flaskprof").splitlines()
    assert rows[0].startswith("Python ")
    assert [row.split()[0] for row in rows[3:]] == ["flaskprof"]
    assert rows[-1].endswith(" 1.0x")
