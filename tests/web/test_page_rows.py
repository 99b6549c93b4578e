"""From records and profiles to what pages print."""

import pytest

from flaskprof.ids import new_capture_id
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.table import Edge, callees, rows
from flaskprof.record import CaptureRecord
from flaskprof.web.links import Links
from flaskprof.web.rows import (
    capture_row,
    edge_data,
    edge_row,
    function_name,
    function_row,
    row_data,
    summary,
)

MAIN = Function("/srv/shop/app.py", 3, "main")
WALK = Function("/srv/shop/tree.py", 9, "walk")
GRAPH = CallGraph(
    {
        MAIN: FunctionStats(Sums(1, 1, 0.2, 1.0)),
        WALK: FunctionStats(Sums(10, 2, 0.8, 0.8), {MAIN: Sums(4, 2, 0.6, 0.8)}),
    }
)


def record(**fields):
    fields = {"started": 100.0, "duration_seconds": 2.0} | fields
    return CaptureRecord(id=new_capture_id(100.0), **fields)


def test_a_functions_row_has_rounded_text_and_exact_values():
    (row, _) = rows(GRAPH)
    shown = function_row(row, url="/f", kinds=Kinds())
    assert (shown.function.name, shown.function.url) == ("walk", "/f")
    assert (shown.calls.text, shown.calls.value) == ("10/2", "10")
    assert (shown.self_time.text, shown.self_time.unit) == ("800", "ms")
    assert (shown.self_share.text, shown.self_bar) == ("80.0", 80.0)
    assert shown.self_per_call.value == "0.08"
    assert shown.cumulative_per_call.value == "0.4"
    assert row_data(row, url="/f", kinds=Kinds()) == {
        "file": "/srv/shop/tree.py",
        "line": 9,
        "name": "walk",
        "kind": "application",
        "link": "/f",
        "calls": 10,
        "primitive_calls": 2,
        "self_seconds": 0.8,
        "cumulative_seconds": 0.8,
        "self_share": 0.8,
        "cumulative_share": 0.8,
        "self_per_call": 0.08,
        "cumulative_per_call": 0.4,
    }


def test_an_edge_has_the_sums_between_the_two_and_their_share_of_the_whole():
    (edge,) = callees(GRAPH, MAIN)
    shown = edge_row(edge, url="/f", kinds=Kinds(), whole_seconds=1.0)
    assert (shown.calls.text, shown.self_time.text, shown.cumulative.text) == (
        "4/2",
        "600",
        "800",
    )
    assert (shown.self_bar, shown.cumulative_bar) == (60.0, 80.0)
    assert (shown.self_per_call.value, shown.cumulative_per_call.value) == ("0.15", "0.4")
    assert edge_data(edge, url="/f", kinds=Kinds())["cumulative_seconds"] == 0.8


@pytest.mark.parametrize(
    ("sums", "whole", "bar"),
    [
        (Sums(0, 0, 0.0, 0.0), 0.0, 0.0),
        (Sums(1, 1, 3.0, 3.0), 1.0, 100.0),
        (Sums(1, 1, -1.0, -1.0), 1.0, 0.0),
    ],
)
def test_a_bar_stays_within_its_frame(sums, whole, bar):
    shown = edge_row(Edge(WALK, sums), url="", kinds=Kinds(), whole_seconds=whole)
    assert (shown.self_bar, shown.cumulative_bar) == (bar, bar)


def test_a_builtin_has_no_place():
    name = function_name(
        Function("~", 0, "<built-in method builtins.len>"), url="", kinds=Kinds()
    )
    assert (name.path, name.line, name.full_place) == ("", "", "")
    assert (name.kind, name.kind_slug) == ("builtin", "builtin")


def test_a_place_is_short_with_the_whole_path_beside_it():
    path = "/venv/lib/python3.12/site-packages/flask/app.py"
    name = function_name(Function(path, 7, "run"), url="", kinds=Kinds())
    assert (name.path, name.line, name.full_place) == ("flask/app.py", ":7", f"{path}:7")
    assert (name.kind, name.kind_slug) == ("framework", "framework")


def test_bars_of_captures_are_shares_of_the_longest():
    shown = capture_row(
        record(cpu_seconds=1.0, route="/a", method="GET"),
        links=Links(""),
        now=100.0,
        longest_seconds=4.0,
    )
    assert (shown.wall_bar, shown.cpu_bar) == (50.0, 25.0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(None, ""), (200, "fine"), (304, "moved"), (404, "refused"), (500, "failed"), (99, "")],
)
def test_a_status_is_coloured_by_its_class(status, kind):
    shown = summary(record(status=status), truth="exact", is_one=True, now=100.0)
    assert shown.status_kind == kind


def test_a_summary_holds_only_what_is_known():
    assert [
        fact.term for fact in summary(record(), truth="exact", is_one=True, now=100.0).facts
    ] == ["Capture"]
    shown = summary(
        record(duration_seconds=0.0, cpu_seconds=0.1), truth="exact", is_one=True, now=100.0
    )
    assert shown.cpu_share is None
    assert (
        summary(record(cpu_seconds=1.5), truth="exact", is_one=True, now=100.0).cpu_share.text
        == "75.0"
    )


def test_a_trigger_is_explained():
    (fact, _) = summary(record(trigger="token"), truth="exact", is_one=True, now=100.0).facts
    assert (fact.text, fact.hint) == ("token", "asked for with a signed token")
