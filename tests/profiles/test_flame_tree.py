"""The tree of a flame view holds the whole profile, whatever is folded in it."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.formats import stacks
from flaskprof.profiles.estimate import LEFT_OUT, ROOT, estimate
from flaskprof.profiles.flame import UNKNOWN, flame_tree
from flaskprof.profiles.flame.difference import difference
from flaskprof.profiles.fold import folded
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.model import CallGraph, CallTree, Function
from flaskprof.profiles.sums import call_graph

PLACES = ("/srv/app.py", "/srv/lib/python3.12/site-packages/flask/app.py", "~")
NAMES = tuple(
    Function(PLACES[number % 3], number % 3 != 2 and number + 1, name)
    for number, name in enumerate("abcdefgh")
)


def tree(*nodes, functions=NAMES, is_sampled=False):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree(functions, *(array("q", column) for column in columns), is_sampled)


@st.composite
def trees(draw, *, most=25):
    nodes, taken = [], set()
    for node in range(draw(st.integers(0, most))):
        above = draw(st.integers(-1, node - 1))
        function = draw(st.integers(0, len(NAMES) - 1))
        if (above, function) in taken:
            break
        taken.add((above, function))
        nodes.append((above, function, draw(st.integers(1, 3)), draw(st.integers(0, 10**6))))
    return tree(*nodes)


def stack_of(found, node):
    functions = []
    while node >= 0:
        if found.functions[found.function[node]] != ROOT:
            functions.append(found.functions[found.function[node]])
        node = found.parent[node]
    return tuple(reversed(functions))


def starts(found):
    """Where each node begins, in nanoseconds from the left."""
    start, free = {}, []
    for node, above in enumerate(found.parent):
        free.append(free[above] if above >= 0 else 0)
        start[stack_of(found, node)] = free[node]
        if above >= 0:
            free[above] += found.total_ns[node]
    return start


def by_stack(found, *columns):
    """The items of each node in these columns; no two nodes may be of the same stack."""
    rows = {
        stack_of(found, node): tuple(getattr(found, column)[node] for column in columns)
        for node in range(len(found))
    }
    assert len(rows) == len(found)
    return rows


def true_times(exact):
    """Of each stack of an exact tree calls, self time and total time."""
    times = {(): (0, 0, exact.total_ns)}
    for node, total in enumerate(exact.totals_ns()):
        times[stack_of(exact, node)] = (exact.calls[node], exact.self_ns[node], total)
    return times


is_foreign = Kinds().is_foreign


def check_whole(found):
    """Assert that totals are the sums of what they consist of, and the order of siblings."""
    totals = array("q", found.self_ns)
    for node in range(len(found) - 1, 0, -1):
        totals[found.parent[node]] += totals[node]
    assert totals == found.total_ns
    assert (found.parent[0], found.functions[found.function[0]]) == (-1, ROOT)
    assert all(0 <= above < node for node, above in enumerate(found.parent) if node)
    ended, siblings = set(), {}
    for node, above in enumerate(found.parent[1:], 1):
        assert above not in ended, "a parent's nodes stand together"
        while (last := node - 1) not in (above, *ended):
            while last != above:
                ended.add(last)
                last = found.parent[last]
        is_rest = found.functions[found.function[node]] == LEFT_OUT
        assert is_rest == bool(found.folded[node])
        size = -1 if is_rest else found.total_ns[node]
        assert size <= siblings.get(above, size)
        siblings[above] = size


@settings(max_examples=100)
@given(trees())
def test_an_exact_tree_is_drawn_to_the_nanosecond(exact):
    found = flame_tree(exact)
    check_whole(found)
    assert found.truth == "exact"
    assert by_stack(found, "calls", "self_ns", "total_ns") == true_times(exact)
    assert found.low_ns is found.high_ns is found.before_ns is None


@settings(max_examples=100)
@given(trees(), st.booleans())
def test_bounds_of_an_estimate_hold_and_what_they_meet_on_is_exact(exact, is_folded):
    drawn = estimate(call_graph(exact))
    if is_folded:
        drawn, exact = folded(drawn, is_foreign), folded(exact, is_foreign)
    found = flame_tree(drawn)
    check_whole(found)
    assert found.truth == "estimated"
    true = true_times(exact)
    for node in range(len(found)):
        low, high, total = (
            column[node] for column in (found.low_ns, found.high_ns, found.total_ns)
        )
        assert low <= total <= high
        if not found.folded[node]:
            calls, own, time = true.get(stack_of(found, node), (0, 0, 0))
            assert low <= time <= high
            if found.undivided[node]:
                assert (found.calls[node], found.self_ns[node], total) == (calls, own, time)
                assert low == high
        else:
            assert not found.undivided[node]
    if is_folded:
        assert not any(found.undivided)


@settings(max_examples=100)
@given(trees(), st.integers(1, 12), st.booleans())
def test_of_too_many_nodes_the_shortest_are_folded_and_counted(exact, most, is_graph):
    profile = call_graph(exact) if is_graph else exact
    whole, found = flame_tree(profile), flame_tree(profile, max_nodes=most)
    check_whole(found)
    assert len(found) <= max(most, 2)
    assert found.is_whole == (len(whole) <= most)
    assert found.depths == whole.depths == 1 + max(map(len, by_stack(whole)))
    assert found.total_ns[0] == whole.total_ns[0]
    assert sum(found.calls) == sum(whole.calls)
    in_whole = by_stack(whole, "total_ns", "calls")
    undivided = by_stack(whole, "undivided") if is_graph else {}
    for node in range(len(found)):
        if not found.folded[node]:
            stack = stack_of(found, node)
            assert in_whole[stack] == (found.total_ns[node], found.calls[node])
            if is_graph:
                assert undivided[stack] == (found.undivided[node],)
        elif is_graph:
            assert not found.undivided[node]
        if is_graph:
            assert found.low_ns[node] <= found.total_ns[node] <= found.high_ns[node]
    if not is_graph:
        shown = sum(not folded for folded in found.folded)
        assert shown + sum(found.folded) == len(whole)


@settings(max_examples=100)
@given(trees(), st.integers(1, 25), st.booleans())
def test_what_is_not_folded_lies_where_it_does_in_the_whole(exact, most, is_graph):
    profile = call_graph(exact) if is_graph else exact
    in_whole = starts(flame_tree(profile))
    found = flame_tree(profile, max_nodes=most)
    for node, (stack, start) in enumerate(starts(found).items()):
        if not found.folded[node]:
            assert in_whole[stack] == start


@pytest.mark.parametrize("most", [2, 3, 10, 50, 98])
def test_as_many_are_shown_as_there_is_room_for(most):
    # A function with 49 callees, each of which calls one other.
    functions = tuple(Function("/srv/app.py", line, f"f{line}") for line in range(51))
    callees = [(0, 1 + number, 1, 2 + number) for number in range(49)]
    below = [(1 + number, 50, 1, 1) for number in range(49)]
    wide = tree((-1, 0, 1, 1), *callees, *below, functions=functions)
    assert most - 1 <= len(flame_tree(wide, max_nodes=most)) <= most


def test_what_an_estimate_leaves_out_is_a_node_of_its_own():
    # `a` calls itself, under which an estimate unfolds nothing.
    exact = tree((-1, 0, 1, 5), (0, 0, 1, 7), (1, 1, 1, 11))
    found = flame_tree(call_graph(exact))
    rests = [node for node in range(len(found)) if found.folded[node]]
    assert [found.folded[node] for node in rests] == [UNKNOWN] * len(rests)
    assert rests
    assert found.total_ns[0] == 23
    # All calls of `a` are marked, since none of them has a lower bound.
    names = [found.functions[function].name for function in found.function]
    assert {name for name, mark in zip(names, found.recursive, strict=True) if mark} == {"a"}


def test_a_function_that_is_under_way_already_is_marked():
    exact = tree((-1, 0, 1, 5), (0, 1, 1, 7), (1, 0, 1, 11), (2, 2, 1, 1), (-1, 1, 1, 1))
    assert by_stack(flame_tree(exact), "recursive") == {
        (): (0,),
        (NAMES[0],): (0,),
        (NAMES[0], NAMES[1]): (0,),
        (NAMES[0], NAMES[1], NAMES[0]): (1,),
        (NAMES[0], NAMES[1], NAMES[0], NAMES[2]): (0,),
        (NAMES[1],): (0,),
    }


def test_a_deep_tree_is_no_matter():
    deep = tree(*((node - 1, node % 8, 1, 1) for node in range(20_000)))
    found = flame_tree(deep, max_nodes=10_000)
    assert (len(found), found.total_ns[0], max(found.folded)) == (10_000, 20_000, 10_002)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_what_was_sampled_or_estimated_before_is_not_called_exact(is_sampled):
    sampled = tree((-1, 0, 1, 5), is_sampled=is_sampled)
    assert flame_tree(sampled).truth == ("sampled" if is_sampled else "exact")
    assert flame_tree(sampled, is_sampled=True).truth == "sampled"
    graph = call_graph(sampled)
    assert flame_tree(graph).truth == ("sampled" if is_sampled else "estimated")
    if not is_sampled:
        assert flame_tree(stacks(graph)).truth == "estimated"


def test_of_nothing_there_is_a_root():
    for empty in (tree(), CallGraph({})):
        found = flame_tree(empty)
        assert (len(found), found.total_ns[0]) == (1, 0)


@settings(max_examples=100)
@given(trees(most=15), trees(most=15))
def test_a_difference_holds_both_sides_whole(before, after):
    found = difference(before, after)
    check_whole(found)
    sides = [true_times(side) for side in (before, after)]
    rows = by_stack(
        found, "self_before_ns", "before_ns", "self_after_ns", "after_ns", "calls", "self_ns"
    )
    assert set(rows) == {stack for side in sides for stack in side}
    for stack, (self_before, was, self_after, became, calls, self_ns) in rows.items():
        assert sides[0].get(stack, (0, 0, 0))[1:] == (self_before, was)
        assert sides[1].get(stack, (0, 0, 0)) == (calls, self_after, became)
        assert self_ns == max(self_before, self_after)


def test_a_difference_follows_functions_whose_lines_moved_and_is_as_true_as_its_worse_side():
    moved = (Function("/srv/app.py", 90, "a"), *NAMES[1:])
    before, after = tree((-1, 0, 1, 5)), tree((-1, 0, 2, 7), functions=moved)
    found = difference(before, after)
    assert by_stack(found, "before_ns", "after_ns", "calls") == {
        (): (5, 7, 0),
        (moved[0],): (5, 7, 2),
    }
    assert found.truth == "exact"
    assert difference(call_graph(before), after).truth == "estimated"
    assert difference(call_graph(before), after, is_sampled=True).truth == "sampled"
