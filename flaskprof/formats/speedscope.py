"""Call trees in speedscope's own format, JSON, for https://www.speedscope.app.

The format is https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources. Of
its two kinds of profile the evented one is written: each node of the tree opens and closes
once, so that a file grows with the tree and not with the length of its stacks. A tree has no
order in time: nodes come in the tree's order, each with its own time after that of its
callees, which is what the left-heavy view is made for.
"""

from __future__ import annotations

import json

from flaskprof.profiles.model import CallTree
from flaskprof.profiles.walk import steps

__all__ = ["write_speedscope"]

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def write_speedscope(tree: CallTree, *, name: str) -> bytes:
    """Return `tree` as a JSON file of one profile, in nanoseconds. Calls are not kept."""
    now = 0
    events: list[dict[str, object]] = []
    for step in steps(tree.parent):
        if step >= 0:
            events.append({"type": "O", "frame": tree.function[step], "at": now})
        else:
            now += tree.self_ns[~step]
            events.append({"type": "C", "frame": tree.function[~step], "at": now})
    frames = [
        {"name": function, "file": file, "line": line} if line > 0 else {"name": function}
        for file, line, function in tree.functions
    ]
    profile = {
        "type": "evented",
        "name": name,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": now,
        "events": events,
    }
    content = {
        "$schema": _SCHEMA,
        "name": name,
        "exporter": "flaskprof",
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [profile],
    }
    # With escapes for all that is not ASCII, so that lone surrogates are no obstacle.
    return json.dumps(content, separators=(",", ":")).encode("ascii")
