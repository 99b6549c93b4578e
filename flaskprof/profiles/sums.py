"""Sums a call tree up into the call graph that cProfile would have recorded.

The definitions are those of ``Modules/_lsprof.c``. A call is primitive where no other call
of its function is under way; an edge's call is primitive where no other call of that edge
is. Self times are summed over all calls, cumulative times over primitive calls only, so
that time spent in a recursion is counted once. All of it follows from the stacks alone:
whether a call is primitive is the same for all calls of a node.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate

from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.model import CallGraph, CallTree, Profile
from flaskprof.profiles.walk import steps

__all__ = ["call_graph"]

_NS_PER_SECOND = 10**9
_NOBODY = -1  # the caller of a root


def call_graph(profile: Profile) -> CallGraph:
    """Return the pstats sums of a call tree; a call graph is returned as it is.

    Takes time linear in the number of nodes, whatever their depth. Functions without a node
    are left out.
    """
    if isinstance(profile, CallGraph):
        return profile
    tally = _Tally(profile)
    names = profile.functions
    used = sorted(set(profile.function))
    number = {function: number for number, function in enumerate(used)}
    # Those to the same function beside each other, in the order of their appearance.
    edges = sorted(
        (number[function], row, number[caller])
        for (caller, function), row in tally.edges.items()
        if caller != _NOBODY
    )
    edge_counts = array("i", bytes(4 * (len(used) + 1)))
    for function, _, _ in edges:
        edge_counts[function + 1] += 1
    columns = Columns(
        tuple(names[function] for function in used),
        tally.sums(used),
        array("i", accumulate(edge_counts)),
        array("i", [caller for _, _, caller in edges]),
        tally.sums([row for _, row, _ in edges]),
    )
    return CallGraph(columns, is_sampled=profile.is_sampled)


class _Tally:
    """A column for each sum, in whole nanoseconds, with a row for each function and edge.

    The row of a function is its index in the tree; `edges` has the rows of the edges, by
    the indices of caller and function.
    """

    def __init__(self, tree: CallTree) -> None:
        rows = len(tree.functions)
        self.edges: dict[tuple[int, int], int] = {}
        self._calls = calls = [0] * rows
        self._primitive = primitive = [0] * rows
        self._self_ns = self_ns = [0] * rows
        self._cumulative_ns = cumulative_ns = [0] * rows
        # How many nodes on the stack, at each point of the walk, count into a row.
        depth = [0] * rows

        edges, columns = self.edges, (calls, primitive, self_ns, cumulative_ns, depth)
        parents, function_of = tree.parent, tree.function
        node_calls, node_self_ns, totals_ns = tree.calls, tree.self_ns, tree.totals_ns()
        edge_row_of = [0] * len(tree)
        for step in steps(parents):
            if step < 0:
                depth[function_of[~step]] -= 1
                depth[edge_row_of[~step]] -= 1
                continue
            function, above = function_of[step], parents[step]
            edge = (_NOBODY if above < 0 else function_of[above], function)
            row = edges.get(edge)
            if row is None:
                row = edges[edge] = len(calls)
                for column in columns:
                    column.append(0)
            edge_row_of[step] = row
            calls[row] += node_calls[step]
            self_ns[row] += node_self_ns[step]
            if not depth[row]:
                primitive[row] += node_calls[step]
                cumulative_ns[row] += totals_ns[step]
                if not depth[function]:
                    primitive[function] += node_calls[step]
                    cumulative_ns[function] += totals_ns[step]
            depth[row] += 1
            depth[function] += 1
        # Each node counts into one edge, if only into that from nobody.
        for (_, function), row in edges.items():
            calls[function] += calls[row]
            self_ns[function] += self_ns[row]

    def sums(self, rows: Sequence[int]) -> SumsColumns:
        """Return rows in seconds: integers divide exactly and are rounded once."""
        return SumsColumns(
            array("q", [self._calls[row] for row in rows]),
            array("q", [self._primitive[row] for row in rows]),
            array("d", [self._self_ns[row] / _NS_PER_SECOND for row in rows]),
            array("d", [self._cumulative_ns[row] / _NS_PER_SECOND for row in rows]),
        )
