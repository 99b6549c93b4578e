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


@settings(max_examples=60)
@given(trees())
def test_no_time_is_lost_and_only_roots_are_left_of_what_goes(tree):
    less = folded(tree, goes)
    assert less.total_ns == tree.total_ns
    for above, function in zip(less.parent, less.function, strict=True):
        assert above < 0 or not goes(less.functions[function])


@settings(max_examples=60)
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


@st.composite
def graphs_without_circles(draw):
    """Graphs in which a function calls none that comes before it."""
    functions = {}
    for number, function in enumerate(FUNCTIONS):
        callers = {
            FUNCTIONS[caller]: Sums(calls, calls, draw(seconds), draw(seconds))
            for caller in range(number)
            if (calls := draw(st.integers(0, 3)))
        }
        calls = sum(sums.calls for sums in callers.values()) or 1
        total = Sums(calls, calls, draw(seconds), draw(seconds))
        functions[function] = FunctionStats(total, callers)
    return CallGraph(functions)


seconds = st.integers(0, 10**9).map(lambda ns: ns / 10**9)


def shares_of(graph, function):
    """What part of a function's time is whose, straight from the definition."""
    callers = graph.functions[function].callers
    if not goes(function) or not callers:
        return {function: 1.0}
    by = {caller: sums.cumulative_seconds for caller, sums in callers.items()}
    if not sum(by.values()):
        by = {caller: sums.calls for caller, sums in callers.items()}
    found = {}
    for caller, part in by.items():
        for heir, share in shares_of(graph, caller).items():
            found[heir] = found.get(heir, 0.0) + share * part / sum(by.values())
    return found


@settings(max_examples=60)
@given(graphs_without_circles())
def test_times_of_a_graph_are_shared_out_among_callers_by_the_times_of_edges(graph):
    own, edges = {}, {}
    for function, stats in graph.functions.items():
        shares = shares_of(graph, function)
        for heir, share in shares.items():
            own[heir] = own.get(heir, 0.0) + share * stats.total.self_seconds
        for caller, sums in stats.callers.items() if function in shares else ():
            for heir, share in shares_of(graph, caller).items():
                calls = max(round(sums.calls * share), 1)
                known = edges.setdefault(function, {}).get(heir, (0, 0, 0.0, 0.0))
                part = (calls, calls, *(share * time for time in sums[2:]))
                edges[function][heir] = tuple(map(sum, zip(known, part, strict=True)))
    less = folded(graph, goes)
    assert less.functions.keys() == own.keys()
    for function, stats in less.functions.items():
        whole = graph.functions[function].total
        assert stats.total == whole._replace(self_seconds=stats.total.self_seconds)
        assert stats.total.self_seconds == pytest.approx(own[function], abs=1e-12)
        assert stats.callers.keys() == edges.get(function, {}).keys()
        for caller, sums in stats.callers.items():
            assert sums[:2] == edges[function][caller][:2]
            assert sums[2:] == pytest.approx(edges[function][caller][2:], abs=1e-12)


def test_of_many_callers_those_with_the_most_time_share_what_is_folded():
    heirs = [Function("/many.py", line, "heir") for line in range(1, 21)]
    of_helper = {heir: Sums(1, 1, 0.0, float(heir.line)) for heir in heirs}
    helper = Function("/many.py", 99, "HELPER")
    total = Sums(20, 20, 100.0, 210.0)
    graph = CallGraph(
        {heir: FunctionStats(Sums(1, 1, 0.0, 30.0)) for heir in heirs}
        | {helper: FunctionStats(total, of_helper)}
    )
    less = folded(graph, goes)
    own = {heir.line: stats.total.self_seconds for heir, stats in less.functions.items()}
    assert own == {
        line: pytest.approx(100.0 * line / sum(range(13, 21))) if line > 12 else 0.0
        for line in range(1, 21)
    }


def test_what_goes_round_in_a_circle_comes_to_those_who_called_it_from_outside():
    a, b, c, _, e, f, *_ = FUNCTIONS
    graph = CallGraph(
        {
            a: FunctionStats(Sums(1, 1, 0.0, 3.0)),
            b: FunctionStats(Sums(1, 1, 0.0, 1.0)),
            e: FunctionStats(
                Sums(4, 2, 8.0, 3.0), {a: Sums(1, 1, 0.0, 3.0), f: Sums(3, 3, 0.0, 1.0)}
            ),
            f: FunctionStats(
                Sums(4, 2, 0.0, 2.0), {b: Sums(1, 1, 0.0, 1.0), e: Sums(3, 3, 0.0, 1.0)}
            ),
            c: FunctionStats(Sums(1, 1, 1.0, 1.0), {f: Sums(1, 1, 1.0, 1.0)}),
        }
    )
    less = folded(graph, goes)
    # Of e three in four are a's and one f's, of which half is b's and half e's.
    assert less.functions[a].total.self_seconds == pytest.approx(8 * 6 / 7, rel=1e-3)
    assert less.functions[b].total.self_seconds == pytest.approx(8 * 1 / 7, rel=1e-3)
    assert less.functions[c].callers[b].self_seconds == pytest.approx(4 / 7, rel=1e-3)


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


@settings(max_examples=100)
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
