"""`flaskprof doctor`: what works here and what to do about the rest."""

from __future__ import annotations

import json
import os
import sys

import pytest

from flaskprof.cli import doctor
from flaskprof.metrics.instruments import Metrics
from needs import needs_module


def findings(done):
    return {row["what"]: (row["level"], row["finding"]) for row in json.loads(done.output)}


def test_a_healthy_place_is_said_to_be_one(command, tmp_path):
    done = command("doctor", "--json", FLASKPROF_ENGINE="python")
    assert (done.code, done.errors) == (0, "")
    found = findings(done)
    assert found["engine"] == ("good", "python")
    assert found["data directory"] == (
        "good",
        f"{tmp_path / '.flaskprof'}, 0 B of 256 MB used",
    )
    assert found["metrics"] == ("good", "workers alive: 0; label sets taken: 0 of 500")
    assert found["reader"][0] in {"good", "note"}
    assert found["access"][0] == "note"
    assert not (tmp_path / ".flaskprof").exists(), "looking changes nothing"


def test_the_engine_in_c_says_what_it_measures_time_with(command):
    found = findings(command("doctor", "--json", "--engine", "calltree"))
    assert found["engine"] == ("good", "calltree")
    assert "clock" in found


def test_what_reads_profiles_is_said(command, monkeypatch):
    needs_module("flaskprof.profiles._marshal")
    assert findings(command("doctor", "--json"))["reader"] == ("good", "profiles are read in C")
    monkeypatch.setitem(sys.modules, "flaskprof.profiles._marshal", None)
    assert doctor._reader() == doctor.Finding(
        "note",
        "reader",
        "profiles are read in Python, more slowly (its extension was not built)",
    )


def test_it_reads_well_in_a_terminal(command):
    done = command("doctor", COLUMNS="60")
    marks = {line.split()[0] for line in done.output.splitlines()}
    assert marks <= {"ok", "note"}
    assert "engine" in done.output


@pytest.mark.parametrize("kind", ["a file", "full", "stopped"])
def test_what_is_wrong_is_said_with_what_to_do(command, save, tmp_path, kind):
    directory = tmp_path / ".flaskprof"
    environ = {}
    if kind == "a file":
        directory.write_text("not a directory")
        code, what, text = 1, "data directory", "FLASKPROF_DIR"
    elif kind == "full":
        save()
        environ["FLASKPROF_MAX_BYTES"] = "10"
        code, what, text = 1, "data directory", "FLASKPROF_MAX_BYTES"
    else:
        directory.mkdir()
        (directory / "stop").touch()
        code, what, text = 0, "captures", os.fspath(directory / "stop")
    done = command("doctor", "--json", **environ)
    assert done.code == code
    assert text in findings(done)[what][1]


def test_it_says_what_the_metrics_directory_holds_and_what_is_not_counted(command, tmp_path):
    directory = tmp_path / ".flaskprof" / "metrics"
    metrics = Metrics((0.1,), directory=directory, max_series=2)
    metrics.start()
    for route in ("/a", "/b", "/c"):
        metrics.observe("GET", route, "200", 1)
    (directory / f"{0:032x}.worker").write_bytes(b"damaged")
    done = command("doctor", "--json", FLASKPROF_MAX_SERIES="2")
    assert done.code == 0
    rows = [row for row in json.loads(done.output) if row["what"] == "metrics"]
    assert [row["level"] for row in rows] == ["good", "note", "note"]
    assert rows[0]["finding"] == "workers alive: 1; label sets taken: 2 of 2"
    assert "that are not counted: 1;" in rows[1]["finding"]
    assert "raise FLASKPROF_MAX_SERIES" in rows[2]["finding"]
    metrics.close()


def test_metrics_that_cannot_be_read_are_a_finding(command, tmp_path):
    (tmp_path / ".flaskprof").mkdir()
    (tmp_path / ".flaskprof" / "metrics").write_text("no directory")
    done = command("doctor", "--json")
    assert done.code == 1
    level, text = findings(done)["metrics"]
    assert (level, "cannot be read: Not a directory" in text) == ("bad", True)
