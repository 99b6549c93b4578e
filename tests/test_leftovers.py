"""The check that runs after every test sees what it is there to see."""

from __future__ import annotations

import sys
import threading

import pytest

from leftovers import running_parts


def test_a_thread_of_flaskprof_is_seen_while_it_runs():
    before = running_parts()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="flaskprof-spool")
    thread.start()
    seen = running_parts() - before
    stop.set()
    thread.join()
    assert seen == {f"thread flaskprof-spool ({thread.ident})"}
    assert running_parts() == before


def test_a_profiler_is_seen_while_it_is_set():
    before = running_parts()
    sys.setprofile(lambda *_: None)
    threading.setprofile(print)
    try:
        seen = running_parts() - before
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert [part.partition(":")[0] for part in sorted(seen)] == [
        "profiler of new threads",
        "profiler of the thread",
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_a_monitoring_slot_is_seen_while_it_is_taken():
    before = running_parts()
    sys.monitoring.use_tool_id(3, "a tool")
    seen = running_parts() - before
    sys.monitoring.free_tool_id(3)
    assert seen == {"monitoring slot 3: a tool"}
