"""The sums of a call tree are those that cProfile records for the same calls."""

from array import array
from collections import defaultdict

from call_programs import programs, ticks, traced_as_tree, traced_by_cprofile
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.sums import call_graph

F, G, H = (Function("/srv/app.py", line, name) for line, name in enumerate("fgh", 1))


def tree(*nodes):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree((F, G, H), *(array("q", column) for column in columns))


def in_ns(graph):
    """A graph in the shape of cProfile's stats, with nanoseconds for seconds."""

    def ns(seconds):
        return round(seconds * 10**9)

    return {
        tuple(function): (
            stats.total.primitive_calls,
            stats.total.calls,
            ns(stats.total.self_seconds),
            ns(stats.total.cumulative_seconds),
            {
                tuple(caller): (edge[0], edge[1], ns(edge[2]), ns(edge[3]))
                for caller, edge in stats.callers.items()
            },
        )
        for function, stats in graph.functions.items()
    }


@settings(max_examples=200)
@given(programs, ticks)
def test_the_sums_are_those_of_cprofile_to_the_nanosecond(program, steps):
    recorded = traced_by_cprofile(program, steps)
    assert in_ns(call_graph(traced_as_tree(program, steps))) == recorded


@st.composite
def trees(draw):
    numbers = st.integers
    return tree(
        *(
            (
                draw(numbers(-1, node - 1)),
                draw(numbers(0, 2)),
                draw(numbers(0, 5)),
                draw(numbers(0, 10**6)),
            )
            for node in range(draw(numbers(0, 30)))
        )
    )


def stack_of(tree, node):
    stack = []
    while node >= 0:
        stack.append(node)
        node = tree.parent[node]
    return stack


def by_definition(tree):
    """The sums from the whole stack of each node, one after the other."""
    total = defaultdict(lambda: [0, 0, 0, 0])
    for node in range(len(tree)):
        stack = stack_of(tree, node)
        functions = [tree.functions[tree.function[at]] for at in stack]
        edges = list(zip(functions[1:], functions, strict=False))
        counted = [(functions[0], functions[1:])]
        if edges:
            counted.append((edges[0], edges[1:]))
        for key, above in counted:
            sums = total[key]
            sums[0] += tree.calls[node]
            sums[2] += tree.self_ns[node]
            if key not in above:
                sums[1] += tree.calls[node]
                sums[3] += tree.totals_ns()[node]
    return {
        key: (calls, primitive, self_ns / 10**9, cumulative_ns / 10**9)
        for key, (calls, primitive, self_ns, cumulative_ns) in total.items()
    }


@settings(max_examples=200)
@given(trees())
def test_the_sums_follow_their_definition_in_whatever_order_the_nodes_are(tree):
    graph = call_graph(tree)
    sums = {function: stats.total for function, stats in graph.functions.items()}
    for function, stats in graph.functions.items():
        sums |= {(caller, function): edge for caller, edge in stats.callers.items()}
    assert sums == by_definition(tree)


def test_a_recursion_is_counted_once_in_cumulative_time():
    # f -> g -> f -> g, one call each
    graph = call_graph(tree((-1, 0, 1, 1), (0, 1, 1, 10), (1, 0, 1, 100), (2, 1, 1, 1000)))
    assert graph.functions[F].total == Sums(2, 1, 101e-9, 1111e-9)
    assert graph.functions[G].total == Sums(2, 1, 1010e-9, 1110e-9)
    assert graph.functions[G].callers == {F: Sums(2, 1, 1010e-9, 1110e-9)}
    assert graph.functions[F].callers == {G: Sums(1, 1, 100e-9, 1100e-9)}


def test_functions_without_a_node_are_left_out_and_sampling_is_kept():
    sampled = CallTree((F, G), *(array("q", [value]) for value in (-1, 1, 4, 5)), True)
    assert call_graph(sampled) == CallGraph(
        {G: FunctionStats(Sums(4, 4, 5e-9, 5e-9))}, is_sampled=True
    )


def test_an_empty_tree_has_no_sums():
    assert call_graph(tree()) == CallGraph({})


def test_a_call_graph_is_returned_as_it_is():
    graph = CallGraph({})
    assert call_graph(graph) is graph


def test_a_hundred_thousand_nested_calls_are_summed():
    depth = 100_000
    deep = tree(*((node - 1, node % 2, 1, 3) for node in range(depth)))
    graph = call_graph(deep)
    assert graph.functions[F].total == Sums(50_000, 1, 150_000e-9, 300_000e-9)
    assert graph.functions[G].callers == {F: Sums(50_000, 1, 150_000e-9, 299_997e-9)}


def test_self_times_sum_to_the_tree_exactly():
    nodes = [
        (node - 1 if node % 7 else -1, node % 3, 1, 10**9 // 7 + node) for node in range(99)
    ]
    graph = call_graph(tree(*nodes))
    summed = sum(round(s.total.self_seconds * 10**9) for s in graph.functions.values())
    assert summed == tree(*nodes).total_ns
