import sys

import pytest

MONITORING = getattr(sys, "monitoring", None)


def tools():
    """Return who holds the tool IDs of sys.monitoring, and the events that are on."""
    if MONITORING is None:
        return []
    names = [MONITORING.get_tool(tool) for tool in range(6)]
    return [
        (tool, name, MONITORING.get_events(tool)) for tool, name in enumerate(names) if name
    ]


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    """No profiler and no tool ID outlives a test."""
    before = tools()
    yield
    assert sys.getprofile() is None
    assert tools() == before
