"""What the estimated tree says of a call graph holds for the tree that the graph is made of."""

from array import array
from collections import defaultdict

import pytest
from call_programs import programs, ticks, traced_as_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.errors import BadProfile
from flaskprof.profiles.estimate import ROOT, Mark, estimate
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.sums import call_graph

NAMES = tuple(Function("/srv/app.py", line, name) for line, name in enumerate("abcdefgh", 1))
A, B, C, D, E, *_ = NAMES
S = 10**9


def tree(*nodes):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree(NAMES, *(array("q", column) for column in columns))


# Clocks show no time at all for many a call.
own_times = st.just(0) | st.integers(0, 10**6)


@st.composite
def trees(draw, *, recursive=True):
    """Trees of up to 25 nodes; without recursion a function calls none that is before it."""
    nodes = []
    for node in range(draw(st.integers(1, 25))):
        above = draw(st.integers(-1, node - 1))
        least = 0 if recursive or above < 0 else nodes[above][1] + 1
        if least == len(NAMES):
            above, least = -1, 0
        function = draw(st.integers(least, len(NAMES) - 1))
        nodes.append((above, function, draw(st.integers(1, 3)), draw(own_times)))
    return tree(*nodes)


def stack(found, node):
    functions = []
    while node >= 0:
        if found.functions[found.function[node]] != ROOT:
            functions.append(found.functions[found.function[node]])
        node = found.parent[node]
    return tuple(reversed(functions))


def times_by_stack(exact):
    times = defaultdict(int)
    for node, total in enumerate(exact.totals_ns()):
        times[stack(exact, node)] += total
    return times


def own_by_stack(exact):
    """The calls and the self time of each stack."""
    own = defaultdict(lambda: (0, 0))
    for node, sums in enumerate(zip(exact.calls, exact.self_ns, strict=True)):
        place = stack(exact, node)
        own[place] = tuple(map(sum, zip(own[place], sums, strict=True)))
    return own


def by_stack(found):
    return {stack(found, node): node for node in range(len(found))}


def check_against(exact, found):
    """Assert that the bounds hold, and that what is called exact is."""
    truth = times_by_stack(exact)
    truth[()] = exact.total_ns
    own = own_by_stack(exact)
    for node in range(1, len(found)):
        time = truth[stack(found, node)]
        assert found.low_ns[node] <= found.total_ns[node] <= found.high_ns[node]
        assert found.low_ns[node] <= time <= found.high_ns[node]
        if found.marks[node] & Mark.EXACT:
            assert found.total_ns[node] == time
        if found.marks[node] & Mark.UNDIVIDED:
            assert found.marks[node] & Mark.EXACT
            assert (found.calls[node], found.self_ns[node]) == own[stack(found, node)]


def check_sums(found):
    assert (found.functions[found.function[0]], found.parent[0]) == (ROOT, -1)
    assert all(0 <= above < node for node, above in enumerate(found.parent) if node)
    assert min(found.self_ns) >= 0
    assert min(found.left_out_ns()) >= 0
    assert len(by_stack(found)) == len(found)


@settings(max_examples=100)
@given(trees(recursive=False))
def test_bounds_hold_and_solid_is_true_where_nothing_is_recursive(exact):
    found = estimate(call_graph(exact), least_share=0)
    check_against(exact, found)
    check_sums(found)
    assert found.total_ns[0] == exact.total_ns
    assert not any(mark & Mark.RECURSIVE for mark in found.marks)


@settings(max_examples=100)
@given(trees())
def test_bounds_hold_and_solid_is_true_whatever_is_recursive(exact):
    found = estimate(call_graph(exact), least_share=0)
    check_sums(found)
    check_against(exact, found)
    for mark in found.marks:
        assert not (mark & Mark.RECURSIVE and mark & Mark.EXACT)


@settings(max_examples=50)
@given(programs, ticks)
def test_they_hold_for_programs_that_ran(program, steps):
    exact = traced_as_tree(program, steps)
    found = estimate(call_graph(exact), least_share=0)
    check_sums(found)
    check_against(exact, found)


@settings(max_examples=50)
@given(trees(recursive=False))
def test_what_has_one_caller_each_is_exact(exact):
    nodes, seen = [], {}
    for node in range(len(exact)):
        seen.setdefault(exact.function[node], node)
    for function, node in seen.items():
        above = exact.parent[node]
        parent = -1 if above < 0 else list(seen).index(exact.function[above])
        nodes.append((parent, function, 1, exact.self_ns[node]))
    straight = tree(*nodes)
    found = estimate(call_graph(straight), least_share=0)
    check_against(straight, found)
    assert all(mark & Mark.EXACT for mark in found.marks)
    assert all(mark & Mark.UNDIVIDED for mark in found.marks)
    assert sum(found.left_out_ns()) == 0


def shared():
    """Of two callers of `d`, `b` makes it call `e` for 3 s, `c` not at all."""
    return tree(
        (-1, 0, 1, 0),
        (0, 1, 1, 1 * S),
        (0, 2, 1, 2 * S),
        (1, 3, 1, 1 * S),
        (3, 4, 1, 3 * S),
        (2, 3, 1, 1 * S),
    )


def test_calls_are_not_known_where_a_caller_has_several_stacks_however_exact_times_are():
    exact = tree(
        (-1, 0, 1, 0),
        (0, 1, 1, 1 * S),
        (0, 2, 1, 1 * S),
        (1, 3, 1, 0),
        (2, 3, 1, 0),
        (3, 4, 1, 1 * S),
        (4, 4, 9, 0),
    )
    found = estimate(call_graph(exact))
    check_against(exact, found)
    node = by_stack(found)
    assert (A, C, D) not in node
    assert found.marks[node[A, B, D, E]] == Mark.EXACT
    assert found.calls[node[A, B, D, E]] == 10


def test_a_shared_callee_is_estimated_in_proportion_within_its_bounds():
    found = estimate(call_graph(shared()))
    node = by_stack(found)
    below_b, below_c = node[A, B, D], node[A, C, D]
    assert found.marks[below_b] & Mark.EXACT
    assert (found.total_ns[below_b], found.self_ns[below_b]) == (4 * S, 1 * S)
    assert (found.total_ns[below_c], found.self_ns[below_c]) == (1 * S, 1 * S)
    # Whom b and c called is known to be so, whoever called d to call e is not.
    undivided = [at for at in node if found.marks[node[at]] & Mark.UNDIVIDED]
    assert undivided == [(), (A,), (A, B), (A, B, D), (A, C), (A, C, D)]
    # The self time of an edge is known, and so is what its callees took.
    assert found.total_ns[node[A, B, D, E]] == 3 * S
    assert found.calls[node[A, B, D, E]] == 1
    assert (A, C, D, E) not in node


def test_where_callees_could_be_either_callers_the_bounds_say_so():
    exact = tree(
        (-1, 0, 1, 0),
        (0, 1, 1, 0),
        (0, 2, 1, 0),
        (1, 3, 1, 0),
        (2, 3, 1, 0),
        (3, 4, 1, 4 * S),
        (3, 5, 1, 1 * S),
        (4, 4, 1, 2 * S),
    )
    found = estimate(call_graph(exact))
    node = by_stack(found)[A, B, D, E]
    assert found.total_ns[node] == 5 * S * 6 // 7
    assert (found.low_ns[node], found.high_ns[node]) == (4 * S, 5 * S)
    assert not found.marks[node] & Mark.EXACT
    other = by_stack(found)[A, C, D, E]
    assert (found.low_ns[other], found.high_ns[other]) == (1 * S, 2 * S)


def test_a_recursion_ends_in_its_first_call_once_more():
    direct = estimate(call_graph(tree((-1, 0, 1, 5), (0, 0, 1, 6), (1, 0, 1, 7), (2, 1, 1, 8))))
    node = by_stack(direct)
    assert set(node) == {(), (A,), (A, A), (A, B)}
    assert direct.total_ns[node[(A,)]] == 26
    assert direct.marks[node[(A,)]] == Mark.RECURSIVE
    assert direct.low_ns[node[(A,)]] == 0
    assert direct.marks[node[A, A]] == Mark.RECURSIVE | Mark.FOLDED
    assert direct.self_ns[node[A, A]] == 0
    assert direct.left_out_ns()[node[A, A]] == direct.total_ns[node[A, A]]
    around = estimate(call_graph(tree((-1, 0, 1, 5), (0, 1, 1, 6), (1, 0, 1, 7))))
    assert set(by_stack(around)) == {(), (A,), (A, B), (A, B, A)}
    assert around.marks[by_stack(around)[A, B, A]] == Mark.RECURSIVE | Mark.FOLDED


def test_all_that_nobody_called_stands_under_one_root():
    found = estimate(call_graph(tree((-1, 0, 1, 5), (-1, 1, 1, 6), (0, 1, 1, 7))))
    assert by_stack(found).keys() == {(), (A,), (A, B), (B,)}
    assert found.total_ns[by_stack(found)[(B,)]] == 6
    assert found.total_ns[0] == 18
    assert all(mark & Mark.EXACT for mark in found.marks)


def test_short_calls_are_left_out_by_their_share_of_the_whole_and_counted():
    exact = tree((-1, 0, 1, 980), (0, 1, 1, 11), (1, 2, 1, 9))
    found = estimate(call_graph(exact), least_share=0.01)
    assert by_stack(found).keys() == {(), (A,), (A, B)}
    assert list(found.left_out_ns()) == [0, 0, 9]
    assert [bool(mark & Mark.FOLDED) for mark in found.marks] == [False, False, True]


def test_of_too_many_nodes_the_longest_are_kept():
    exact = tree((-1, 0, 1, 0), *((0, number, 1, 100 * number) for number in range(1, 8)))
    found = estimate(call_graph(exact), max_nodes=4)
    assert [name.name for path in by_stack(found) for name in path[1:]] == ["h", "g"]
    assert found.left_out_ns()[1] == 100 + 200 + 300 + 400 + 500
    assert found.marks[1] & Mark.FOLDED


def test_deep_stacks_end_at_a_depth():
    functions = [Function("/srv/app.py", line, "f") for line in range(50_000)]
    graph = CallGraph(
        {
            function: FunctionStats(
                Sums(1, 1, 1.0, 50_000.0 - line),
                {functions[line - 1]: Sums(1, 1, 1.0, 50_000.0 - line)} if line else {},
            )
            for line, function in enumerate(functions)
        }
    )
    found = estimate(graph, least_share=0)
    assert len(found) == 1_001
    assert found.marks[1_000] & Mark.FOLDED
    assert found.left_out_ns()[1_000] == 49_000 * S


def test_a_program_that_doubles_its_stacks_at_each_step_stays_bounded():
    rows = 40
    functions = [[Function(side, row, "f") for side in "ab"] for row in range(rows)]
    stats = {}
    for row, pair in enumerate(functions):
        time = float(rows - row)
        for function in pair:
            callers = {}
            if row:
                callers = dict.fromkeys(functions[row - 1], Sums(1, 1, 0.5, time / 2))
            stats[function] = FunctionStats(Sums(2 if row else 1, 1, 1.0, time), callers)
    found = estimate(CallGraph(stats), least_share=0, max_nodes=500)
    assert len(found) == 500


def test_edges_without_times_share_by_calls_and_nothing_of_them_is_exact():
    graph = CallGraph(
        {
            A: FunctionStats(Sums(1, 1, 1.0, 4.0)),
            B: FunctionStats(Sums(1, 1, 1.0, 4.0)),
            C: FunctionStats(
                Sums(3, 3, 6.0, 6.0), {A: Sums(1, 1, 0.0, 0.0), B: Sums(2, 2, 0.0, 0.0)}
            ),
        }
    )
    found = estimate(graph)
    node = by_stack(found)
    assert found.total_ns[node[A, C]] == 2 * S
    assert found.total_ns[node[B, C]] == 3 * S  # the rest of its caller's time
    assert not found.marks[node[A, C]] & Mark.EXACT


@pytest.mark.parametrize("is_sampled", [False, True])
def test_nothing_of_a_sampled_profile_is_exact(is_sampled):
    graph = call_graph(shared())
    found = estimate(CallGraph(graph.functions, is_sampled))
    assert any(mark & Mark.EXACT for mark in found.marks) is not is_sampled
    assert found.is_sampled is is_sampled


def test_sums_that_contradict_each_other_are_not_called_exact():
    graph = CallGraph(
        {
            A: FunctionStats(Sums(1, 1, 1.0, 2.0)),
            B: FunctionStats(Sums(1, 1, 9.0, 9.0), {A: Sums(1, 1, 9.0, 9.0)}),
        }
    )
    found = estimate(graph)
    check_sums(found)
    assert not found.marks[by_stack(found)[A, B]] & Mark.EXACT


def test_time_that_no_callee_accounts_for_widens_the_bounds_of_all():
    half = Sums(1, 1, 4.0, 4.0)
    graph = CallGraph(
        {
            A: FunctionStats(Sums(1, 1, 1.0, 10.0)),  # 5 s are nobody's
            B: FunctionStats(half, {A: half}),
        }
    )
    found = estimate(graph)
    assert (found.total_ns[2], found.left_out_ns()[1]) == (4 * S, 5 * S)
    graph.functions[A].callers[C] = Sums(1, 1, 0.5, 5.0)  # and half of it is another's
    found = estimate(CallGraph(graph.functions | {C: FunctionStats(Sums(1, 1, 0.0, 5.0))}))
    node = by_stack(found)[C, A, B]
    assert (found.low_ns[node], found.high_ns[node]) == (0, 4 * S)


def test_a_circle_that_nobody_enters_is_entered_at_its_longest_function():
    graph = CallGraph(
        {
            A: FunctionStats(Sums(1, 1, 1.0, 3.0), {B: Sums(1, 1, 1.0, 3.0)}),
            B: FunctionStats(Sums(1, 1, 1.0, 2.0), {A: Sums(1, 1, 1.0, 2.0)}),
        }
    )
    assert list(by_stack(estimate(graph)))[1] == (A,)


def test_nothing_gives_the_root_alone():
    found = estimate(CallGraph({}))
    assert (len(found), found.total_ns[0]) == (1, 0)


def test_times_beyond_what_can_be_drawn_are_refused_with_the_reason():
    long = CallGraph({A: FunctionStats(Sums(1, 1, 1e11, 1e11))})
    with pytest.raises(BadProfile, match="292 years"):
        estimate(long)
    together = CallGraph({name: FunctionStats(Sums(1, 1, 5e9, 5e9)) for name in NAMES})
    with pytest.raises(BadProfile, match="292 years"):
        estimate(together)
