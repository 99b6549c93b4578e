"""What the recording itself did leaves a profile; what the application did stays."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.hide import without
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.sums import call_graph

VIEW = Function("/srv/app.py", 1, "view")
LOAD = Function("/srv/app.py", 2, "load")
WRAPPER = Function("/own/decorators.py", 1, "wrapper")
OFF = Function("/own/engine.py", 2, "off")
LEN = Function("~", 0, "<built-in method builtins.len>")
SET = Function("~", 0, "<built-in method sys.setprofile>")
FUNCTIONS = (VIEW, LOAD, WRAPPER, OFF, LEN, SET)


def is_own(function):
    return function.file.startswith("/own/")


def tree(*nodes):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    parent, function, calls, self_ns = zip(*nodes, strict=True)
    numbers = [FUNCTIONS.index(item) for item in function]
    return CallTree(
        FUNCTIONS, *(array("q", items) for items in (parent, numbers, calls, self_ns))
    )


RECORDED = tree(
    (-1, VIEW, 1, 10),
    (0, WRAPPER, 2, 20),
    (1, LEN, 2, 1),
    (1, LOAD, 2, 40),
    (3, LEN, 6, 6),
    (0, LOAD, 1, 5),
    (-1, OFF, 1, 7),
    (6, SET, 1, 9),
)
CLEAN = tree((-1, VIEW, 1, 10), (0, LOAD, 3, 45), (1, LEN, 6, 6))

UNTOUCHED = CallTree((VIEW,), *(array("q", [value]) for value in (-1, 0, 1, 5)))


def test_a_tree_loses_hidden_functions_and_the_builtins_they_called():
    assert without(RECORDED, is_own) == CLEAN


def test_a_graph_loses_hidden_functions_and_the_builtins_they_called():
    graph = without(call_graph(RECORDED), is_own)
    assert set(graph.functions) == {VIEW, LOAD, LEN}
    assert graph.total_calls == 10
    assert graph.total_seconds == pytest.approx(61e-9)
    assert graph.functions[LEN].total.calls == 6
    assert graph.functions[LEN].callers == {LOAD: Sums(6, 6, 6e-9, 6e-9)}
    assert graph.functions[LOAD].callers == {
        VIEW: Sums(3, 3, pytest.approx(45e-9), pytest.approx(51e-9))
    }


def test_the_cumulative_times_of_others_stay_in_a_graph():
    graph = without(call_graph(RECORDED), is_own)
    assert graph.functions[VIEW].total == call_graph(RECORDED).functions[VIEW].total


def test_a_chain_of_hidden_functions_is_bridged_from_either_end():
    chain = tree((-1, VIEW, 1, 1), (0, WRAPPER, 1, 1), (1, OFF, 1, 1), (2, LOAD, 1, 1))
    clean = call_graph(tree((-1, VIEW, 1, 1), (0, LOAD, 1, 1))).functions[LOAD]
    graph = call_graph(chain)
    backwards = CallGraph(dict(reversed(list(graph.functions.items()))))
    assert without(graph, is_own).functions[LOAD] == clean
    assert without(backwards, is_own).functions[LOAD] == clean
    assert call_graph(without(chain, is_own)).functions[LOAD] == clean


def test_a_call_that_several_may_have_caused_has_no_caller_in_a_graph():
    shared = tree(
        (-1, VIEW, 1, 1),
        (0, WRAPPER, 1, 1),
        (1, LOAD, 1, 1),
        (2, WRAPPER, 1, 1),
        (3, LOAD, 1, 1),
    )
    graph = without(call_graph(shared), is_own)
    assert graph.functions[LOAD].total.calls == 2
    assert graph.functions[LOAD].callers == {}
    assert call_graph(without(shared, is_own)).functions[LOAD].callers.keys() == {VIEW, LOAD}


def test_what_a_hidden_root_called_becomes_a_root():
    nested = tree((-1, WRAPPER, 1, 1), (0, VIEW, 1, 2), (1, LOAD, 1, 3))
    clean = tree((-1, VIEW, 1, 2), (0, LOAD, 1, 3))
    assert without(nested, is_own) == clean
    assert without(call_graph(nested), is_own) == call_graph(clean)


@pytest.mark.parametrize("profile", [UNTOUCHED, call_graph(CLEAN), CallGraph({})])
def test_a_profile_without_hidden_functions_is_returned_as_it_is(profile):
    assert without(profile, is_own) is profile


def test_nothing_is_left_of_a_profile_of_hidden_functions():
    only = tree((-1, OFF, 1, 1), (0, SET, 1, 1))
    assert without(call_graph(only), is_own) == CallGraph({})
    assert len(without(only, is_own)) == 0


def test_sampling_is_kept():
    graph = CallGraph({OFF: FunctionStats(Sums(1, 1, 0.5, 0.5))}, is_sampled=True)
    assert without(graph, is_own) == CallGraph({}, is_sampled=True)


@st.composite
def trees(draw):
    """Trees in which builtins call nothing."""
    nodes, inner = [], [-1]
    for node in range(draw(st.integers(1, 25))):
        function = draw(st.sampled_from(FUNCTIONS))
        counted = st.integers(1, 9)
        nodes.append((draw(st.sampled_from(inner)), function, draw(counted), draw(counted)))
        if function.file != "~":
            inner.append(node)
    return tree(*nodes)


@settings(max_examples=200)
@given(trees())
def test_tree_and_graph_agree_on_calls_and_self_times(tree):
    of_tree = call_graph(without(tree, is_own)).functions
    of_graph = without(call_graph(tree), is_own).functions
    assert of_tree.keys() == of_graph.keys()
    for function, stats in of_graph.items():
        expected = of_tree[function].total
        assert stats.total.calls == expected.calls
        assert stats.total.self_seconds == pytest.approx(expected.self_seconds)
        assert stats.callers.keys() <= of_tree[function].callers.keys()
        assert all(caller in of_graph for caller in stats.callers)
