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
    "metrics.py": ["--rounds=1", "--files=1,3"],
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


def test_scrapes_and_observations_are_measured_beside_prometheus_client():
    # Both sides have counted the same requests in the same series, or it fails.
    results = json.loads(run("--json", name="metrics.py"))
    assert list(results["scrapes"]) == ["1", "3"]
    for of_number in (*results["scrapes"].values(), results["observations"]):
        assert list(of_number) == ["flaskprof", "prometheus_client"]
        assert all(figure > 0 for side in of_number.values() for figure in side.values())
    for number, sides in results["scrapes"].items():
        assert {side["requests"] for side in sides.values()} == {int(number) * 3000}
