"""The sum of profiles is what one profile of all of it would have been."""

import io
import pstats
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.errors import ConfigError
from flaskprof.profiles.merge import merge
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph

NAMES = tuple(Function("/srv/app.py", line, name) for line, name in enumerate("fgh", 1))


@st.composite
def trees(draw, least=0):
    names = draw(st.permutations(NAMES))
    count = draw(st.integers(least, 12))
    return CallTree(
        tuple(names),
        array("q", [draw(st.integers(-1, node - 1)) for node in range(count)]),
        array("q", [draw(st.integers(0, 2)) for _ in range(count)]),
        array("q", [draw(st.integers(1, 5)) for _ in range(count)]),
        array("q", [draw(st.integers(0, 10**6)) for _ in range(count)]),
    )


def close(sums):
    return pytest.approx(tuple(sums), rel=1e-12, abs=1e-15)


def by_stack(tree):
    paths, found = [], {}
    for node, above in enumerate(tree.parent):
        path = (*(paths[above] if above >= 0 else ()), tree.functions[tree.function[node]])
        paths.append(path)
        calls, self_ns = found.get(path, (0, 0))
        found[path] = calls + tree.calls[node], self_ns + tree.self_ns[node]
    return found


def added(one, other):
    return {
        path: tuple(map(sum, zip(one.get(path, (0, 0)), other.get(path, (0, 0)), strict=True)))
        for path in {**one, **other}
    }


@settings(max_examples=50)
@given(trees(), trees())
def test_the_sum_of_trees_has_the_calls_and_times_of_each_stack(one, other):
    assert by_stack(merge([one, other])) == added(by_stack(one), by_stack(other))


@settings(max_examples=50)
@given(trees(), trees(), trees())
def test_neither_order_nor_grouping_changes_the_sum_of_trees(one, two, three):
    expected = by_stack(merge([one, two, three]))
    assert by_stack(merge([three, one, two])) == expected
    assert by_stack(merge([merge([one, two]), three])) == expected
    assert by_stack(merge([one, merge([two, three])])) == expected


@settings(max_examples=50)
@given(trees(), trees(), trees())
def test_neither_order_nor_grouping_changes_the_sum_of_graphs(one, two, three):
    one, two, three = map(call_graph, (one, two, three))
    expected = merge([one, two, three])
    assert merge([three, two, one]) == expected
    for grouped in (merge([merge([one, two]), three]), merge([one, merge([two, three])])):
        assert grouped.functions.keys() == expected.functions.keys()
        for function, stats in expected.functions.items():
            assert tuple(grouped.functions[function].total) == close(stats.total)
            assert grouped.functions[function].callers.keys() == stats.callers.keys()


@settings(max_examples=30)
@given(st.lists(trees(least=1), min_size=2, max_size=3))
def test_the_sum_of_graphs_is_that_of_pstats(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("profiles")
    paths = []
    for number, part in enumerate(parts):
        paths.append(str(folder / f"{number}.prof"))
        (folder / f"{number}.prof").write_bytes(write_profile(call_graph(part)))
    expected = pstats.Stats(*paths, stream=io.StringIO()).stats
    found = merge(map(call_graph, parts)).functions
    assert {tuple(function) for function in found} == set(expected)
    for function, stats in found.items():
        primitive, calls, self_seconds, cumulative, callers = expected[tuple(function)]
        assert stats.total[:2] == (calls, primitive)
        assert stats.total[2:] == close((self_seconds, cumulative))
        assert {tuple(caller) for caller in stats.callers} == set(callers)
        for caller, edge in stats.callers.items():
            assert tuple(edge) == close(callers[tuple(caller)])


@settings(max_examples=20)
@given(trees())
def test_one_profile_is_its_own_sum_and_not_the_same_object(tree):
    graph = call_graph(tree)
    assert by_stack(merge([tree])) == by_stack(tree)
    assert merge([graph]) == graph
    assert merge([graph]) is not graph


def test_a_tree_and_a_graph_give_a_graph():
    tree = CallTree(NAMES, *(array("q", [value]) for value in (-1, 0, 2, 5)))
    graph = CallGraph({NAMES[0]: FunctionStats(Sums(1, 1, 1.0, 1.0))})
    total = merge([tree, graph]).functions[NAMES[0]].total
    assert total == Sums(3, 3, 1.000000005, 1.000000005)


def test_calls_and_samples_are_not_added_up():
    with pytest.raises(ConfigError, match="cannot be added up"):
        merge([CallGraph({}), CallGraph({}, is_sampled=True)])
    assert merge([CallGraph({}, is_sampled=True)] * 2).is_sampled


def test_the_sum_of_more_calls_than_are_counted_is_the_most_that_are():
    most = Sums(2**63 - 1, 2**63 - 1, 0.5, 0.5)
    graph = CallGraph({NAMES[0]: FunctionStats(most, {NAMES[0]: most})})
    expected = Sums(2**63 - 1, 2**63 - 1, 1.0, 1.0)
    assert merge([graph, graph]).functions == {
        NAMES[0]: FunctionStats(expected, {NAMES[0]: expected})
    }
    assert merge([graph]) == graph


def test_functions_and_callers_of_a_sum_come_in_the_order_in_which_they_appear():
    edge = Sums(1, 1, 0.5, 0.5)
    first = CallGraph({NAMES[2]: FunctionStats(edge, {NAMES[2]: edge})})
    second = CallGraph(
        {
            NAMES[1]: FunctionStats(edge),
            NAMES[2]: FunctionStats(edge, {NAMES[1]: edge, NAMES[2]: edge}),
        }
    )
    total = merge([first, second]).functions
    assert list(total) == [NAMES[2], NAMES[1]]
    assert list(total[NAMES[2]].callers.items()) == [
        (NAMES[2], Sums(2, 2, 1.0, 1.0)),
        (NAMES[1], edge),
    ]


def test_nothing_is_an_empty_graph():
    assert merge([]) == CallGraph({})
