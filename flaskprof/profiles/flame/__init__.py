"""The tree that a flame view draws: of any profile, complete, ready to be laid out.

Whatever a profile is, here it becomes one tree under one root in which every node is its own
time and that of its callees, to the nanosecond::

    flame_tree(read_profile(data))
    difference(before, after)       # of flaskprof.profiles.flame.difference

What would be too much to draw is not dropped: the smallest callees of a function are summed
up in one node beside the others that says how many they are.
"""

from __future__ import annotations

from flaskprof.profiles.flame.tree import MAX_NODES, UNKNOWN, FlameTree, Truth, flame_tree

__all__ = ["MAX_NODES", "UNKNOWN", "FlameTree", "Truth", "flame_tree"]
