"""`flaskprof diff`: a sentence, and a table of what changed."""

import json

import pytest

from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile


@pytest.fixture
def make(tmp_path):
    """Write a profile of functions: name to line, calls and seconds."""

    def make(path, **functions):
        graph = CallGraph(
            {
                Function("/srv/shop/cart.py", line, name): FunctionStats(
                    Sums(calls, calls, time, time)
                )
                for name, (line, calls, time) in functions.items()
            }
        )
        (tmp_path / path).write_bytes(write_profile(graph))

    return make


def test_it_says_what_changed_most_and_shows_before_after_and_difference(command, make):
    make("before.prof", price=(10, 3, 0.25), total=(20, 1, 0.75))
    make("after.prof", price=(14, 12, 0.5), total=(24, 1, 0.75))
    run = command("diff", "before.prof", "after.prof")
    assert (run.code, run.errors) == (0, "")
    before, after, _, *lines = run.output.splitlines()
    assert before.startswith("Before:  before.prof, changed ")
    assert after.startswith("After:   after.prof, changed ")
    assert lines[0] == (
        "1.00 s became 1.25 s (+25.0 %); most changed in /srv/shop/cart.py:14(price): "
        "250 ms more of its own in 12 calls instead of 3."
    )
    assert lines[2].split() == [
        *("Calls", "after", "+/-", "Self", "after", "+/-"),
        *("Cumulative", "after", "+/-", "Function"),
    ]
    times = ["250", "ms", "500", "ms", "+250", "ms"]
    assert lines[3].split() == ["3", "12", "+9", *times, *times, "/srv/shop/cart.py:14(price)"]
    assert len(lines) == 4  # what only moved has not changed


def test_a_profile_does_not_differ_from_itself(command, save):
    save()
    run = command("diff", "latest", "latest")
    assert (run.code, run.output.splitlines()[-1]) == (
        0,
        "Nothing changed: the same functions with the same calls and times.",
    )


def test_calls_and_samples_are_not_subtracted_from_each_other(command, make, tmp_path):
    make("a.prof", price=(10, 3, 0.25))
    (tmp_path / "b.collapsed").write_text("price (/srv/shop/cart.py:10) 500000000\n")
    line = command("diff", "a.prof", "b.collapsed").output.splitlines()[-1]
    assert line.split()[:3] == ["3", "0", "\N{EN DASH}"]


def test_a_narrow_terminal_has_the_columns_that_matter_most(command, make):
    make("a.prof", price=(10, 3, 0.25))
    make("b.prof", price=(10, 3, 0.5))
    heads = {
        width: command("diff", "a.prof", "b.prof", COLUMNS=str(width)).output.splitlines()[-2]
        for width in (60, 80, 120)
    }
    assert heads[60].split() == ["Self", "after", "+/-", "Function"]
    assert heads[80].split() == ["Calls", "after", "+/-", "Self", "after", "+/-", "Function"]
    assert heads[120].split()[6] == "Cumulative"


def test_so_many_rows_are_shown_and_json_has_all(command, make):
    make("a.prof", **{f"f{n}": (n, 1, n / 8) for n in range(1, 6)})
    make("b.prof", **{f"f{n}": (n, 1, n / 4) for n in range(1, 6)})
    run = command("diff", "a.prof", "b.prof", "--rows", "2")
    lines = run.output.splitlines()
    assert [line.rsplit("(")[1] for line in lines[6:8]] == ["f5)", "f4)"]
    assert lines[8] == "2 of 5 functions that changed: see --rows."
    data = json.loads(command("diff", "a.prof", "b.prof", "--json").output)
    assert [row["self_seconds_difference"] for row in data["functions"]] == [
        n / 8 for n in (5, 4, 3, 2, 1)
    ]
    assert data["summary"] == lines[3]
    assert data["total_seconds_difference"] == 15 / 8
    assert data["functions"][0]["before"] == {
        "file": "/srv/shop/cart.py",
        "line": 5,
        "name": "f5",
        "calls": 1,
        "primitive_calls": 1,
        "self_seconds": 5 / 8,
        "cumulative_seconds": 5 / 8,
    }


def test_what_is_on_one_side_only_is_there_with_nothing_on_the_other(command, make):
    make("a.prof", old=(1, 1, 1.0))
    make("b.prof", new=(1, 2, 2.0))
    data = json.loads(command("diff", "a.prof", "b.prof", "--json").output)
    assert [(row["before"] is None, row["after"] is None) for row in data["functions"]] == [
        (True, False),
        (False, True),
    ]


def test_a_profile_that_is_not_there_is_one_line(command, make):
    make("a.prof", f=(1, 1, 1.0))
    run = command("diff", "a.prof", "b.prof")
    assert (run.code, run.output, run.errors.count("\n")) == (4, "", 1)
