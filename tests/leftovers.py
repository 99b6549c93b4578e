"""What of flaskprof profiles or runs in this process."""

from __future__ import annotations

import sys
import threading

TOOL_IDS = range(6)  # sys.monitoring has six slots


def running_parts() -> set[str]:
    """Name every thread of flaskprof, every profiler and every taken monitoring slot."""
    parts = {
        f"thread {thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if thread.name.startswith("flaskprof-")
    }
    if sys.getprofile() is not None:
        parts.add(f"profiler of the thread: {sys.getprofile()!r}")
    if threading.getprofile() is not None:
        parts.add(f"profiler of new threads: {threading.getprofile()!r}")
    if sys.version_info >= (3, 12):
        tools = {tool_id: sys.monitoring.get_tool(tool_id) for tool_id in TOOL_IDS}
        parts |= {f"monitoring slot {i}: {tool}" for i, tool in tools.items() if tool}
    return parts
