"""From the columns that the engine in C recorded to the call tree of the model.

Pure. Functions get the names that cProfile gives them, code objects that have the same name
become one function, and frames of flaskprof itself are taken out.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from types import CodeType

from flaskprof.capture.own import is_own
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.hide import without
from flaskprof.profiles.model import CallTree, Function

__all__ = ["assemble"]


def assemble(
    recorded: Sequence[object],
    columns: tuple[bytes, bytes, bytes, bytes],
    is_hidden: Callable[[Function], bool] = is_own,
) -> CallTree:
    """Return the tree of `columns` (parent, function, calls, self_ns; see the engine).

    `recorded` are the functions that the second column counts: code objects, or names of
    builtins. Functions for which `is_hidden` holds are taken out as `without` does.
    """
    labels = [_label(item) for item in recorded]
    index = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    tree = CallTree(
        tuple(index),
        parent=array("i", columns[0]),
        function=array("i", columns[1]),
        calls=array("q", columns[2]),
        self_ns=array("q", columns[3]),
    )
    if len(index) < len(labels):
        tree = _joined(tree, [index[label] for label in labels])
    return without(tree, is_hidden)


def _label(item: object) -> Function:
    if isinstance(item, CodeType):
        return Function(item.co_filename, item.co_firstlineno, item.co_name)
    return Function("~", 0, str(item))


def _joined(tree: CallTree, index: Sequence[int]) -> CallTree:
    """Return the tree with its functions numbered by `index`, equal stacks as one node."""
    builder = TreeBuilder()
    nodes: list[int] = []
    for above, function, calls, self_ns in zip(
        tree.parent, tree.function, tree.calls, tree.self_ns, strict=True
    ):
        node = builder.node(nodes[above] if above >= 0 else -1, index[function])
        builder.add(node, calls, self_ns)
        nodes.append(node)
    return builder.tree(tree.functions)
