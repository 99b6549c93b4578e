"""A failure of ours is said once; who may ask and look is said at the start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading

import pytest

from flaskprof import log


@pytest.fixture(autouse=True)
def nothing_said_before(monkeypatch):
    monkeypatch.setattr(log, "_said", set())


def said(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_the_first_failure_of_a_kind_is_logged_and_no_other(caplog):
    assert log.once("disk", "the disk is full: %s", "first")
    assert not log.once("disk", "the disk is full: %s", "second")
    assert log.once("network", "the network is away")
    assert said(caplog) == [
        ("WARNING", "the disk is full: first"),
        ("WARNING", "the network is away"),
    ]


def test_the_traceback_is_logged_where_it_is_asked_for(caplog):
    try:
        {}["nothing there"]
    except LookupError:
        log.once("lookup", "not found", exc_info=True)
    assert caplog.records[0].exc_info[0] is KeyError


def test_of_many_threads_that_fail_together_one_is_heard(caplog):
    together = threading.Barrier(8)
    heard = []

    def fail():
        together.wait()
        heard.append(log.once("together", "failed"))

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == [False] * 7 + [True]
    assert said(caplog) == [("WARNING", "failed")]


def run(script):
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stderr


def test_the_start_is_said_on_standard_error_where_no_logging_is_set_up():
    script = "from flaskprof import log; log.start_line('%s may look', 'nobody')"
    assert run(script) == "flaskprof: nobody may look\n"


def test_the_start_is_logged_where_logging_is_set_up():
    script = (
        "import logging\n"
        "logging.basicConfig(level='INFO', format='%(levelname)s %(message)s')\n"
        "from flaskprof import log; log.start_line('%s may look', 'nobody')"
    )
    assert run(script) == "INFO nobody may look\n"


def test_an_application_that_wants_warnings_only_is_not_told_of_the_start():
    script = (
        "import logging; logging.basicConfig(level='WARNING')\n"
        "from flaskprof import log; log.start_line('somebody may look')"
    )
    assert run(script) == ""


def test_a_fork_in_the_midst_of_a_message_does_not_lock_the_child(capfd):
    with log._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if log.once("child", "said in the child") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_logger_is_the_one_of_the_package():
    assert log.logger is logging.getLogger("flaskprof")
