"""The measurement of what flaskprof costs can be repeated by anyone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
QUICKLY = {
    "overhead.py": ["--rounds=2", "--batch=3", "--passes=2"],
    "queries.py": ["--rounds=2"],
    "sampler.py": ["--rounds=2", "--calls=1000"],
}


def run(*arguments, name="overhead.py"):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *QUICKLY[name], *arguments],
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


def test_the_cost_of_being_recorded_is_measured_beside_the_plain_request():
    results = json.loads(run("--json", name="sampler.py"))
    assert list(results) == ["plain", "sampled", "every call"]
    assert results["plain"]["ratio"] == 1
    assert all(row["seconds"] > 0 for row in results.values())
    rows = run(name="sampler.py").splitlines()
    assert rows[3].split()[0] == "plain"


def test_the_cost_of_counted_queries_is_measured_in_pairs():
    results = json.loads(run("--json", name="queries.py"))
    assert list(results) == ["ORM", "Core"]
    assert all(row["without_ms"] > 0 and row["ratio"] > 0 for row in results.values())
    assert run(name="queries.py").splitlines()[3].split()[0] == "ORM"
