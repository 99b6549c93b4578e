"""From the columns that the engine in C recorded to the call tree of the model.

Pure. Functions get the names that cProfile gives them, code objects that have the same name
become one function, and frames of flaskprof itself are taken out.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType

import flaskprof
from flaskprof.profiles.model import CallTree, Function

__all__ = ["assemble", "is_own_file"]

# With a slash at the end: a neighbour may have a name that begins with ours.
_PACKAGE = str(Path(flaskprof.__file__).parent / "_")[:-1]
# The demo shop is an application like any other, though it lives in the package.
_DEMO = str(Path(_PACKAGE, "demo", "_"))[:-1]


def is_own_file(file: str) -> bool:
    """Whether code of `file` is flaskprof at work rather than the application."""
    return file.startswith(_PACKAGE) and not file.startswith(_DEMO)


def assemble(
    recorded: Sequence[object],
    columns: tuple[bytes, bytes, bytes, bytes],
    is_own: Callable[[str], bool] = is_own_file,
) -> CallTree:
    """Return the tree of `columns` (parent, function, calls, self_ns; see the engine).

    `recorded` are the functions that the second column counts: code objects, or names of
    builtins. A frame for whose file `is_own` holds is taken out with the builtins that it
    calls; what else it calls is then called by its caller, as it would be without us.
    """
    labels = [_label(item) for item in recorded]
    functions = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    parent, function = array("i", columns[0]), array("i", columns[1])
    calls, self_ns = array("q", columns[2]), array("q", columns[3])
    own = [is_own(label.file) for label in functions]
    if len(functions) < len(labels):
        index_of = [functions[label] for label in labels]
        function = array("i", [index_of[index] for index in function])
    elif not any(own):
        return CallTree(tuple(functions), parent, function, calls, self_ns)
    tree = CallTree(tuple(functions), parent, function, calls, self_ns)
    return _in_preorder(*_merged(tree, own))


def _label(item: object) -> Function:
    if isinstance(item, CodeType):
        return Function(item.co_filename, item.co_firstlineno, item.co_name)
    return Function("~", 0, str(item))


def _merged(tree: CallTree, own: Sequence[bool]) -> tuple[CallTree, bool]:
    """Return the tree with one node a function and parent, without own functions.

    Also whether nodes may have left the preorder.
    """
    builtin = [function.file == "~" for function in tree.functions]
    merged = CallTree(tree.functions, array("i"), array("i"), array("q"), array("q"))
    places: dict[tuple[int, int], int] = {}
    # For each node of `tree`, the node of `merged` that its callees are called by, and
    # whether it was taken out.
    stand_in = array("i")
    is_out = bytearray()
    has_joined = False
    for above, function, calls, self_ns in zip(
        tree.parent, tree.function, tree.calls, tree.self_ns, strict=True
    ):
        parent = -1 if above < 0 else stand_in[above]
        under_own = above >= 0 and is_out[above]
        if own[function] or (under_own and builtin[function]):
            stand_in.append(parent)
            is_out.append(1)
            continue
        place = places.setdefault((parent, function), len(merged.parent))
        if place == len(merged.parent):
            merged.parent.append(parent)
            merged.function.append(function)
            merged.calls.append(calls)
            merged.self_ns.append(self_ns)
        else:
            has_joined = True
            merged.calls[place] += calls
            merged.self_ns[place] += self_ns
        stand_in.append(place)
        is_out.append(0)
    return merged, has_joined


def _in_preorder(tree: CallTree, has_joined: bool) -> CallTree:  # noqa: FBT001  private
    """Return the tree with callees behind their caller again, in the order of first call."""
    if not has_joined:
        return tree
    count = len(tree)
    # Chains of children; the last place stands for the root.
    first = array("i", [-1]) * (count + 1)
    following = array("i", [-1]) * count
    for node in range(count - 1, -1, -1):
        parent = tree.parent[node]
        following[node] = first[parent]
        first[parent] = node
    ordered = CallTree(tree.functions, array("i"), array("i"), array("q"), array("q"))
    place = array("i", [-1]) * count
    waiting = [first[-1]] if count else []
    while waiting:
        node = waiting.pop()
        if following[node] >= 0:
            waiting.append(following[node])
        if first[node] >= 0:
            waiting.append(first[node])
        place[node] = len(ordered.parent)
        parent = tree.parent[node]
        ordered.parent.append(-1 if parent < 0 else place[parent])
        ordered.function.append(tree.function[node])
        ordered.calls.append(tree.calls[node])
        ordered.self_ns.append(tree.self_ns[node])
    return ordered
