"""Profiles that the tests of several formats write."""

from array import array

from hypothesis import strategies as st

from flaskprof.ids import new_capture_id
from flaskprof.profiles.model import CallTree, Function
from flaskprof.record import CaptureRecord

VIEW = Function("/srv/shop/views.py", 10, "order")
LOAD = Function("C:\\Program Files (x86)\\shop\\db.py", 5, "load")
LEN = Function("~", 0, "<built-in method builtins.len>")
HOSTILE = Function("/srv/a;b\n.py", 3, "<script>\u202e;\udc80 (x")


def tree(*nodes, functions=(VIEW, LOAD, LEN)):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree(functions, *(array("q", column) for column in columns))


SHOP = tree((-1, 0, 1, 1_000_000), (0, 1, 3, 20_000_000), (1, 2, 9, 500), (0, 2, 2, 70))

RECORD = CaptureRecord(
    id=new_capture_id(1_700_000_000.25),
    started=1_700_000_000.25,
    duration_seconds=0.5,
    method="GET",
    route="/orders/<int:id>",
    status=200,
)


@st.composite
def trees(draw):
    """Trees in preorder, in which no two siblings are of the same function."""
    nodes, taken = [], set()
    for node in range(draw(st.integers(0, 15))):
        above = draw(st.integers(-1, node - 1))
        function = draw(st.integers(0, 2))
        if (above, function) not in taken:
            taken.add((above, function))
            nodes.append(
                (above, function, draw(st.integers(1, 9)), draw(st.integers(0, 10**9)))
            )
        else:
            break
    return tree(*nodes)


def by_stack(found):
    """The self time of each stack on which some was spent."""
    times, paths = {}, []
    for node, above in enumerate(found.parent):
        function = found.functions[found.function[node]]
        paths.append((*(paths[above] if above >= 0 else ()), function))
        if found.self_ns[node]:
            times[paths[-1]] = times.get(paths[-1], 0) + found.self_ns[node]
    return times
