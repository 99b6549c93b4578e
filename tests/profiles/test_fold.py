"""Folding functions into their callers: nothing of the time is lost."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.estimate import Mark, estimate
from flaskprof.profiles.fold import folded
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.sums import call_graph

NAMES = "abcdEFGH"  # those of capital letters are folded
FUNCTIONS = tuple(Function(f"/{name}.py", 1, name) for name in NAMES)


def goes(function):
    return function.name.isupper()


def tree_of(*nodes):
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree(FUNCTIONS, *(array("q", column) for column in columns))


@st.composite
def trees(draw):
    nodes, taken, path = [], set(), []
    for _ in range(draw(st.integers(1, 20))):
        path = path[: draw(st.integers(0, len(path)))]
        above = path[-1] if path else -1
        function = draw(st.integers(0, len(NAMES) - 1))
        if (above, function) in taken:
            continue
        taken.add((above, function))
        path.append(len(nodes))
        nodes.append((above, function, draw(st.integers(1, 5)), draw(st.integers(1, 10**9))))
    return tree_of(*nodes)


def by_stack(tree, totals):
    stacks, found = [], {}
    for node, above in enumerate(tree.parent):
        name = tree.functions[tree.function[node]].name
        stacks.append((*stacks[above], name) if above >= 0 else (name,))
        found[stacks[-1]] = found.get(stacks[-1], 0) + totals[node]
    return found


def test_a_folded_function_gives_its_time_to_its_caller_and_its_callees_too():
    tree = tree_of((-1, 0, 1, 10), (0, 4, 3, 100), (1, 1, 7, 1000), (0, 1, 2, 5), (3, 5, 1, 1))
    assert folded(tree, goes) == tree_of((-1, 0, 1, 110), (0, 1, 9, 1006))


def test_a_root_stays_whatever_it_is():
    tree = tree_of((-1, 4, 1, 10), (0, 5, 3, 100), (1, 1, 7, 1000))
    assert folded(tree, goes) == tree_of((-1, 4, 1, 110), (0, 1, 7, 1000))


@settings(max_examples=60, deadline=None)
@given(trees())
def test_no_time_is_lost_and_only_roots_are_left_of_what_goes(tree):
    less = folded(tree, goes)
    assert less.total_ns == tree.total_ns
    for above, function in zip(less.parent, less.function, strict=True):
        assert above < 0 or not goes(less.functions[function])


@settings(max_examples=60, deadline=None)
@given(trees())
def test_the_sums_of_a_graph_stay_the_whole(tree):
    graph = call_graph(tree)
    less = folded(graph, goes)
    assert less.total_seconds == pytest.approx(graph.total_seconds)
    for function, stats in less.functions.items():
        whole = graph.functions[function].total
        assert stats.total.cumulative_seconds == whole.cumulative_seconds
        assert set(stats.callers) <= set(less.functions)


def test_where_each_has_one_caller_a_graph_is_folded_exactly():
    tree = tree_of((-1, 0, 1, 10), (0, 4, 3, 100), (1, 5, 7, 1000), (2, 1, 2, 5))
    assert folded(call_graph(tree), goes) == call_graph(folded(tree, goes))


def test_functions_that_only_call_each_other_in_a_circle_keep_their_time():
    a, _, _, _, e, f, *_ = FUNCTIONS
    of_e = {a: Sums(1, 1, 0.5, 3.0), f: Sums(3, 3, 0.5, 1.0)}
    graph = CallGraph(
        {
            a: FunctionStats(Sums(1, 1, 1.0, 4.0)),
            e: FunctionStats(Sums(4, 1, 1.0, 3.0), of_e),
            f: FunctionStats(Sums(3, 1, 2.0, 2.5), {e: Sums(3, 3, 2.0, 2.5)}),
        }
    )
    less = folded(graph, goes)
    assert set(less.functions) == {a}
    assert less.functions[a].total == Sums(1, 1, 4.0, 4.0)


@settings(max_examples=100, deadline=None)
@given(trees(), st.sampled_from([0.0001, 0.05]))
def test_bounds_of_a_folded_estimate_hold_for_the_tree_that_was(tree, least_share):
    whole = estimate(call_graph(tree), least_share=least_share)
    guess = folded(whole, goes)
    assert sum(guess.self_ns) + sum(guess.left_out_ns()) == whole.total_ns[0]
    truth = folded(tree, goes)
    real = by_stack(truth, truth.totals_ns())
    stacks = [()]
    for node in range(1, len(guess)):
        above = guess.parent[node]
        assert above < node
        name = guess.functions[guess.function[node]].name
        stacks.append((*stacks[above], name))
        time = real.get(stacks[-1], 0)
        slack = 2 * len(tree)  # nanoseconds that were rounded
        if not guess.marks[node] & Mark.RECURSIVE:
            assert guess.low_ns[node] - slack <= time <= guess.high_ns[node] + slack
        if guess.marks[node] & Mark.EXACT:
            assert abs(guess.total_ns[node] - time) <= slack
