"""The tree of a flame view as JSON, in columns: what ``static/flame.js`` draws.

A page holds the widest boxes itself, all that are wide enough to be read, so that they are
drawn at once; the script asks for the whole where that is more.

::

    {"unit": "ns", "total": T, "truth": "exact" | "estimated" | "sampled",
     "is_whole": true | false, "depths": D,
     "functions": {"name": […], "file": […], "line": […], "kind": […], "key": […]},
     "nodes": {"parent": […], "function": […], "self": […], "total": […], "calls": […],
               "recursive": […]?, "folded": […]?, "low": […]?, "high": […]?, "undivided": […]?,
               "before": […]?, "after": […]?, "self_before": […]?, "self_after": […]?}}

All numbers are integers, and those of times nanoseconds. What they mean says `FlameTree`; a
column that would say nothing is left out.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from flaskprof.profiles.flame import FlameTree
from flaskprof.profiles.kinds import Kinds
from flaskprof.web.links import function_key

__all__ = ["WIDEST", "flame_data", "flame_json", "packed"]

WIDEST = 500
"""How many nodes a page holds itself at most."""

_COLUMNS = {
    "parent": "parent",
    "function": "function",
    "self": "self_ns",
    "total": "total_ns",
    "calls": "calls",
    "low": "low_ns",
    "high": "high_ns",
    "before": "before_ns",
    "after": "after_ns",
    "self_before": "self_before_ns",
    "self_after": "self_after_ns",
}
_RARE_COLUMNS = ("recursive", "folded", "undivided")


def flame_data(tree: FlameTree, kinds: Kinds) -> dict[str, Any]:
    """Return a tree as the JSON object described above; `kinds` says whose code it is."""
    functions = tree.functions
    columns = {name: getattr(tree, column) for name, column in _COLUMNS.items()}
    columns |= {
        name: found for name in _RARE_COLUMNS if any(found := getattr(tree, name) or ())
    }
    return {
        "unit": "ns",
        "total": tree.total_ns[0],
        "truth": tree.truth,
        "is_whole": tree.is_whole,
        "depths": tree.depths,
        "functions": {
            "name": [function.name for function in functions],
            "file": [function.file for function in functions],
            "line": [function.line for function in functions],
            "kind": [kinds.of(function).value for function in functions],
            "key": [function_key(function) for function in functions],
        },
        "nodes": {name: found.tolist() for name, found in columns.items() if found is not None},
    }


def flame_json(tree: FlameTree, kinds: Kinds) -> bytes:
    """Return `flame_data` as text, in ASCII with escapes for all else.

    No element of a page ends within it.
    """
    text = json.dumps(flame_data(tree, kinds), separators=(",", ":"))
    return text.replace("<", r"\u003c").encode("ascii")


def packed(tree: FlameTree, kinds: Kinds) -> bytes:
    """Return `flame_json` compressed by gzip.

    Level 1 takes a fifth of the time of the default and makes it little larger.
    """
    return gzip.compress(flame_json(tree, kinds), 1, mtime=0)
