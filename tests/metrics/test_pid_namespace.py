"""The sidecar sees who lives and who died without seeing any process of the application."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from flaskprof.metrics.reader import worker_files
from servers import get, serve, sidecar, until

APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def apart():
    """Return what runs a program in a namespace of processes of its own."""
    try:
        done = subprocess.run([*APART, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode:
        pytest.skip(f"no namespace can be made here: {done.stderr.strip()}")
    return APART


def end(beside):
    """End a sidecar, the first process of its namespace, in order; returns what it logged."""
    inside = Path(f"/proc/{beside.process.pid}/task/{beside.process.pid}/children")
    os.kill(int(inside.read_text("ascii")), signal.SIGTERM)
    assert beside.process.wait(20) == 0
    return beside.process.stderr.read()


def test_a_sidecar_in_another_pid_namespace_tells_living_workers_from_dead_ones(
    tmp_path, apart
):
    counted = 'http_response_status_code="204",http_route="/empty"} 3.0'
    with serve("waitress", tmp_path) as app, sidecar(tmp_path, *apart) as beside:
        for _ in range(3):
            assert get(app.port, "/empty").status == 204

        def page():
            return get(beside.port, "/metrics").body.decode()

        until(lambda: counted in page(), "the last request to be counted")
        assert "flaskprof_workers 1.0" in page()
        ((_, file),) = worker_files(tmp_path / "metrics")
        app.process.kill()
        app.process.wait(20)
        assert "flaskprof_workers 0.0" in page()
        assert counted in page()
        assert '"event": "stop"' in end(beside)
    # The next one does not wait for the rest of ten seconds between two rounds.
    (tmp_path / "upkeep.lock").unlink()
    with sidecar(tmp_path, *apart) as beside:
        until(lambda: not file.exists(), "the file of the worker to be folded")
        assert counted in page()
        assert '"event": "stop"' in end(beside)
