"""Captures as objects: what they hold, and that they read well."""

from __future__ import annotations

import cProfile
import time

import pytest

import flaskprof
from flaskprof.errors import BadProfile, CaptureNotFound, StoreError
from flaskprof.explore import Capture, Captures
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore


@pytest.fixture
def content(tmp_path):
    """The bytes of a profile in which `work<b>` called `abs` ten times."""
    profile = cProfile.Profile()
    source = "def work():\n    for number in range(10):\n        abs(number)\n"
    names = {}
    exec(compile(source, "<b>/shop.py", "exec"), names)
    profile.runcall(names["work"])
    path = tmp_path / "made.prof"
    profile.dump_stats(path)
    return path.read_bytes()


@pytest.fixture
def data(tmp_path, content):
    """A data directory with captures of two routes, the one of /new made last."""
    store = DirectoryStore(tmp_path / "data")
    for age, route in ((60, "/old/<int:id>"), (0, "/new")):
        started = time.time() - age
        record = CaptureRecord(
            id=new_capture_id(started),
            started=started,
            duration_seconds=0.25,
            method="GET",
            route=route,
            status=200,
            trigger="header",
        )
        store.save(record, {".prof": content})
    return tmp_path / "data"


def test_the_captures_of_a_data_directory_newest_first(data):
    prof = flaskprof.load(data)
    assert isinstance(prof, Captures)
    assert [capture.record.route for capture in prof.captures()] == ["/new", "/old/<int:id>"]
    assert prof.latest().record.route == "/new"
    assert prof.latest(route="/old/<int:id>").record.route == "/old/<int:id>"
    assert prof.get(prof.latest().id).record == prof.latest().record
    assert repr(prof).startswith(f"2 captures in {data}: ")


def test_what_is_not_there_is_said(data, tmp_path):
    prof = flaskprof.load(data)
    with pytest.raises(CaptureNotFound, match="there is no capture of /other in "):
        prof.latest(route="/other")
    assert repr(prof.captures(route="/other")) == "(nothing)"
    with pytest.raises(CaptureNotFound):
        prof.get("0" * 32)
    with pytest.raises((CaptureNotFound, StoreError)):
        flaskprof.load(tmp_path / "nothing.prof")


def test_a_file_is_one_capture(tmp_path, content):
    capture = flaskprof.load(tmp_path / "made.prof")
    assert isinstance(capture, Capture)
    assert [row.calls for row in capture.top(1, sort="calls")] == [10]
    (tmp_path / "broken.prof").write_bytes(b"no profile")
    with pytest.raises(BadProfile):
        flaskprof.load(tmp_path / "broken.prof")


def test_a_folder_stands_for_the_profiles_in_it(tmp_path, content):
    assert flaskprof.load(tmp_path).latest().record.title == "made.prof"


def test_functions_with_their_callers_and_callees(data):
    capture = flaskprof.load(data).latest()
    (builtin,) = capture.top(search="builtins.abs")
    assert (builtin.calls, builtin.function.file) == (10, "~")
    (caller,) = capture.callers("<built-in method builtins.abs>")
    assert (caller.function.name, caller.sums.calls) == ("work", 10)
    # Part of a label is enough where it is nobody's whole name.
    assert list(capture.callers("builtins.abs")) == [caller]
    (callee,) = capture.callees("work")
    assert (callee.function, callee.sums.calls) == (builtin.function, 10)
    assert list(capture.callers("nobody")) == []


def test_it_reads_well_as_text(data):
    capture = flaskprof.load(data).latest()
    lines = repr(capture.top(2, sort="calls")).splitlines()
    assert lines[0] == f"GET /new  {capture.id}"
    assert lines[1].endswith("status 200, 250 ms, trigger header, exact")
    assert lines[2].startswith("12 calls of 3 functions in ")
    heads = ["Calls", "Self", "%", "per", "call", "Cumulative", "%", "per", "call", "Function"]
    assert lines[3].split() == heads
    assert lines[4].endswith("{built-in method builtins.abs}")
    assert repr(capture).splitlines() == lines[:3]
    listed = repr(flaskprof.load(data).captures()).splitlines()
    assert [line.split()[3] for line in listed] == ["Route", "/new", "/old/<int:id>"]


def test_it_reads_well_in_a_notebook_and_foreign_names_are_no_markup(data):
    capture = flaskprof.load(data).latest(route="/old/<int:id>")
    page = capture._repr_html_()
    assert "<th>Cumulative</th>" in page
    assert "&lt;b&gt;/shop.py:1(work)" in page
    assert "<b>" not in page
    assert "/old/&lt;int:id&gt;" in flaskprof.load(data).captures()._repr_html_()


def test_a_listing_is_a_sequence(data):
    found = flaskprof.load(data).captures()
    assert len(found) == 2
    assert [capture.id for capture in found[:1]] == [found[0].id]
    assert [capture.id for capture in reversed(found)] == [found[1].id, found[0].id]
