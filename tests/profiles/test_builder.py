"""Calls collected in any order give one node a stack, in preorder."""

from array import array

from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import CallTree, Function

F, G = Function("a.py", 1, "f"), Function("a.py", 2, "g")


def test_calls_of_one_stack_are_counted_in_one_node_and_nodes_are_in_preorder():
    builder = TreeBuilder()
    root = builder.node(-1, 0)
    other_root = builder.node(-1, 1)
    below = builder.node(root, 1)
    builder.add(below, 1, 10)
    builder.add(other_root, 2, 20)
    builder.add(builder.node(root, 1), 3, 30)
    assert len(builder) == 3
    assert builder.find(root, 1) == below
    assert builder.find(below, 1) is None
    assert builder.tree((F, G), is_sampled=True) == CallTree(
        (F, G),
        array("q", [-1, 0, -1]),
        array("q", [0, 1, 1]),
        array("q", [0, 4, 2]),
        array("q", [0, 40, 20]),
        is_sampled=True,
    )


def test_no_calls_give_an_empty_tree():
    assert len(TreeBuilder().tree(())) == 0
