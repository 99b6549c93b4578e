"""What an estimate leaves out has a place again in what other tools read."""

import cProfile
import json
import re
import sys

import pytest
from hypothesis import given, settings
from trees import LEN, LOAD, VIEW, by_stack, tree, trees

from flaskprof.formats.spread import spread
from flaskprof.profiles.estimate import ESTIMATED, LEFT_OUT, estimate
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.sums import call_graph


def own_ns(graph):
    return {
        function: round(stats.total.self_seconds * 10**9)
        for function, stats in graph.functions.items()
        if function not in (ESTIMATED, LEFT_OUT) and stats.total.self_seconds > 0
    }


@pytest.fixture
def recursive(tmp_path):
    """The graph of a real profile in which much is within recursions."""

    def run():
        nested = [[[[{"a": 1}] * 3] * 3] * 3] * 3
        json.dumps(nested, indent=1)
        re.purge()
        re.compile("((a|b)*(c|d(e|f(g|h))))+" * 3)

    profile = cProfile.Profile()
    profile.runcall(run)
    profile.dump_stats(tmp_path / "my.prof")
    return read_profile((tmp_path / "my.prof").read_bytes())


def test_the_only_root_says_what_it_is_and_what_is_left_out_is_below_its_caller():
    exact = tree((-1, 0, 7, 980), (0, 1, 1, 11), (1, 2, 4, 9))
    graph = call_graph(exact)
    found = spread(graph, estimate(graph, least_share=0.01))
    assert by_stack(found) == {
        (ESTIMATED, VIEW): 980,
        (ESTIMATED, VIEW, LOAD): 11,
        (ESTIMATED, VIEW, LOAD, LEFT_OUT, LEN): 9,
    }
    assert list(found.calls) == [0, 7, 1, 0, 4]


def test_functions_have_the_own_time_that_pstats_says(recursive):
    drawn = estimate(recursive)
    found = spread(recursive, drawn)
    assert found.total_ns == drawn.total_ns[0]
    assert sum(drawn.left_out_ns()) > found.total_ns / 25, "there is nothing to be placed"
    expected, own = own_ns(recursive), own_ns(call_graph(found))
    assert own.keys() <= expected.keys()
    missing = sum(abs(expected[function] - own.get(function, 0)) for function in expected)
    assert missing <= found.total_ns / 100
    assert sum(found.calls) <= recursive.total_calls * 1.05


def test_callees_that_are_left_out_stand_below_those_that_may_have_called_them(recursive):
    may_call = {}
    for function, stats in recursive.functions.items():
        for caller in stats.callers:
            may_call.setdefault(caller, set()).add(function)

    def reached(function):
        found, waiting = set(), [function]
        while waiting:
            new = may_call.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    stacks = [
        stack
        for stack in by_stack(spread(recursive, estimate(recursive)))
        if LEFT_OUT in stack[:-1]
    ]
    assert stacks
    for *_, above, left_out, function in stacks:
        assert left_out == LEFT_OUT
        assert function in reached(above)


@settings(max_examples=50)
@given(trees())
def test_time_is_neither_made_nor_lost(exact):
    graph = call_graph(exact)
    drawn = estimate(graph, least_share=0.2)
    found = spread(graph, drawn)
    assert found.total_ns == drawn.total_ns[0]
    assert min(found.self_ns, default=0) >= 0


def test_sums_that_do_not_agree_stay_left_out():
    outer, inner = Function("a.py", 1, "outer"), Function("a.py", 5, "inner")
    graph = CallGraph(
        {
            outer: FunctionStats(Sums(1, 1, 1.0, 9.0)),
            inner: FunctionStats(Sums(2, 2, 2.0, 2.0), {outer: Sums(2, 2, 2.0, 2.0)}),
        }
    )
    drawn = estimate(graph)
    found = spread(graph, drawn)
    assert found.total_ns == drawn.total_ns[0]
    assert own_ns(call_graph(found)) == {outer: 10**9, inner: 2 * 10**9}
    assert by_stack(found)[ESTIMATED, outer, LEFT_OUT] == 6 * 10**9


def test_nothing_gives_the_root_alone():
    graph = CallGraph({})
    assert len(spread(graph, estimate(graph))) == 1


def test_a_recursion_deeper_than_the_interpreter_allows_is_no_problem():
    deep = sys.getrecursionlimit() * 2
    chain = [Function("a.py", line, "f") for line in range(1, deep)]
    nodes = [(line - 1, line, 1, 5) for line in range(len(chain))]
    graph = call_graph(tree(*nodes, functions=tuple(chain)))
    drawn = estimate(graph, max_depth=50)
    assert spread(graph, drawn).total_ns == drawn.total_ns[0]
