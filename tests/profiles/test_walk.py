"""A tree is walked depth first, whatever its depth and the order of its nodes."""

from flaskprof.profiles.walk import steps


def test_an_empty_tree_has_no_steps():
    assert list(steps([])) == []


def test_nodes_in_preorder_are_entered_in_order():
    assert list(steps([-1, 0, 0, 2, -1])) == [0, 1, ~1, 2, 3, ~3, ~2, ~0, 4, ~4]


def test_nodes_in_another_order_are_walked_by_depth():
    assert list(steps([-1, -1, 0, 1, 0])) == [0, 2, ~2, 4, ~4, ~0, 1, 3, ~3, ~1]


def test_a_deep_tree_takes_no_recursion():
    depth = 200_000
    walked = list(steps(range(-1, depth - 1)))
    assert walked[:depth] == list(range(depth))
    assert walked[depth:] == [~node for node in range(depth - 1, -1, -1)]
