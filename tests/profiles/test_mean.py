"""What added-up profiles are on average."""

from array import array

import pytest

from flaskprof.profiles.diff import compare
from flaskprof.profiles.mean import mean
from flaskprof.profiles.merge import merge
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums

F, G = Function("/srv/app.py", 1, "f"), Function("/srv/app.py", 2, "g")

TREE = CallTree(
    (F, G), array("q", [-1, 0]), array("q", [0, 1]), array("q", [1, 3]), array("q", [200, 1000])
)
GRAPH = CallGraph(
    {
        F: FunctionStats(Sums(1, 1, 0.2, 1.2)),
        G: FunctionStats(Sums(3, 3, 1.0, 1.0), {F: Sums(3, 3, 1.0, 1.0)}),
    }
)


@pytest.mark.parametrize("profile", [TREE, GRAPH], ids=["tree", "graph"])
@pytest.mark.parametrize("captures", [1, 2, 7])
def test_the_mean_of_equal_profiles_is_each_of_them(profile, captures):
    assert mean(merge([profile] * captures), captures) == profile


def test_what_was_called_now_and_then_is_still_called():
    once = mean(TREE, 10)
    assert list(once.calls) == [1, 1]
    assert list(once.self_ns) == [20, 100]


def test_a_capture_does_not_differ_from_the_mean_of_several_like_it():
    found = compare(merge([GRAPH] * 5), GRAPH, captures=(5, 1))
    assert (found.changes, found.unchanged) == ((), 2)
    assert found.seconds_before == pytest.approx(found.seconds_after)


@pytest.mark.parametrize("captures", range(2, 40))
def test_what_a_sum_of_floats_rounds_is_no_change(captures):
    once = CallGraph({F: FunctionStats(Sums(3, 3, 0.0680572291, 0.1 + 0.2))})
    found = compare(merge([once] * captures), once, captures=(captures, 1))
    assert (found.changes, found.unchanged) == ((), 1)
    assert abs(found.seconds) < 1e-12


def test_means_are_compared_where_sides_are_of_many_captures():
    found = compare(merge([GRAPH] * 4), merge([GRAPH, GRAPH]), captures=(2, 4))
    change = found.changes[0]
    assert change.function == G
    assert change.sums_before == (6.0, 6.0, 2.0, 2.0)
    assert change.sums_after == (1.5, 1.5, 0.5, 0.5)
    assert (change.calls, change.self_seconds) == (-4.5, -1.5)
    assert (found.seconds_before, found.seconds_after) == (2.4, 0.6)
