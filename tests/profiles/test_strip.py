"""Without folders the functions are those of `pstats.Stats.strip_dirs`."""

import pstats

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.strip import stripped

functions = st.builds(
    Function,
    st.sampled_from(["/a/x.py", "/b/x.py", "/b/y.py", "~"]),
    st.integers(0, 1),
    st.sampled_from("fg"),
)
sums = st.builds(Sums, st.integers(1, 9), st.integers(1, 9), st.floats(0, 9), st.floats(0, 9))


@settings(max_examples=30)
@given(st.dictionaries(functions, sums, min_size=1), st.data())
def test_functions_that_become_the_same_are_added_up(tmp_path_factory, totals, data):
    edges = st.dictionaries(st.sampled_from(sorted(totals)), sums, max_size=2)
    graph = CallGraph(
        {function: FunctionStats(total, data.draw(edges)) for function, total in totals.items()}
    )
    path = tmp_path_factory.mktemp("strip") / "x.prof"
    path.write_bytes(write_profile(graph))
    expected = pstats.Stats(str(path)).strip_dirs().stats
    found = stripped(graph).functions
    assert {tuple(function) for function in found} == set(expected)
    for function, stats in found.items():
        primitive, calls, self_seconds, cumulative, callers = expected[tuple(function)]
        assert stats.total[:2] == (calls, primitive)
        assert stats.total[2:] == pytest.approx((self_seconds, cumulative))
        assert {tuple(caller) for caller in stats.callers} == set(callers)


def test_callers_that_become_the_same_are_added_up():
    old, new = Function("/a/x.py", 1, "f"), Function("C:\\b\\x.py", 1, "f")
    edge = Sums(2, 1, 0.5, 1.0)
    graph = CallGraph(
        {
            old: FunctionStats(edge),
            new: FunctionStats(edge),
            Function("~", 0, "<g>"): FunctionStats(edge, {old: edge, new: edge}),
        }
    )
    short = Function("x.py", 1, "f")
    assert stripped(graph).functions == {
        short: FunctionStats(Sums(4, 2, 1.0, 2.0)),
        Function("~", 0, "<g>"): FunctionStats(edge, {short: Sums(4, 2, 1.0, 2.0)}),
    }
