"""Workers of a real server and the real sidecar are killed at random moments under load.

``make kill`` runs 200 rounds; here there are fewer.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flaskprof.metrics import table
from flaskprof.metrics.reader import worker_files
from servers import get, serve, sidecar, until

ROUNDS = int(os.environ.get("FLASKPROF_KILL_ROUNDS", "2"))
CLIENTS = 3
WORKERS = 3
LONGEST_LIFE_SECONDS = 0.5
# The names of what may only rise.
LASTING = {
    name
    for metric in table.METRICS
    if metric.kind not in {table.Kind.gauge, table.Kind.info}
    for name in metric.samples
}
COUNT = f"{table.DURATION.name}_count"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the workers of a server in /proc"
)


class Client(threading.Thread):
    """Sends requests one after the other and awaits each answer."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.began = self.answered = self.failed = 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            self.began += 1
            try:
                assert get(self.port, "/empty").status == 204
            except (OSError, http.client.HTTPException):
                self.failed += 1
            else:
                self.answered += 1


class Totals:
    """What was served at the last scrape, by series: nothing may ever be less."""

    def __init__(self):
        self.last = {}
        self.scrapes = 0

    def scrape(self, port):
        """Read the page, whose counters did not fall; returns the requests counted."""
        lines = get(port, "/metrics").body.decode().splitlines()
        series = (line.rpartition(" ") for line in lines if line.partition("{")[0] in LASTING)
        now = {series: float(value) for series, _, value in series}
        assert {key: was for key, was in self.last.items() if now.get(key, 0) < was} == {}
        self.last = now
        self.scrapes += 1
        return self.sum_of(COUNT)

    def sum_of(self, name):
        return sum(value for key, value in self.last.items() if key.startswith(name + "{"))


def children(process):
    """Return the processes that a process has started, the oldest first."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii")
    return sorted(map(int, listed.split()))


def kill_one(process, chance):
    """Kill a worker, if there is one; returns how many were killed."""
    workers = children(process)
    if workers:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
            return 1
    return 0


@pytest.mark.timeout(max(120, ROUNDS * 10))
def test_no_total_falls_or_leaves_what_was_in_flight_whoever_is_killed(tmp_path):
    chance = random.Random(os.environ.get("FLASKPROF_KILL_SEED", "7"))
    data = tmp_path / "data"
    totals = Totals()
    kills = 0
    options = ("--preload", "-w", str(WORKERS), "--threads", "2")
    with serve("gunicorn-gthread", data, *options) as app:
        clients = [Client(app.port) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(ROUNDS):
                # Each sidecar folds as soon as it starts, as if none had just done so.
                (data / "upkeep.lock").unlink(missing_ok=True)
                with sidecar(data) as beside:
                    for _ in range(3):
                        kills += kill_one(app.process, chance)
                        look(totals, beside.port, clients, kills)
                        # A worker that is scraped folds too; it may be killed meanwhile.
                        with suppress(OSError, http.client.HTTPException):
                            look(totals, app.port, clients, kills)
                        time.sleep(chance.random() * LONGEST_LIFE_SECONDS)  # a moment
                    beside.process.kill()
        finally:
            for client in clients:
                client.ending.set()
            for client in clients:
                client.join(60)
        began, answered, failed = summed(clients)
        assert began == answered + failed
        assert failed <= kills * CLIENTS
    (data / "upkeep.lock").unlink(missing_ok=True)
    with sidecar(data) as beside:
        until(lambda: worker_files(data / "metrics") == [], "all workers to be folded")
        counted = look(totals, beside.port, clients, kills)
    print(
        f"{kills} workers and {ROUNDS} sidecars killed, {totals.scrapes} scrapes; requests: "
        f"{began} begun, {answered} answered, {counted:.0f} counted"
    )
    assert totals.sum_of(f"{table.FAILURES.name}_total") == 0
    assert not (data / "metrics" / "archive.json.set-aside").exists()


def look(totals, port, clients, kills):
    """Scrape, and compare with what was answered; returns the requests counted.

    An answer counts once it is closed, so that a killed worker may have sent, and not
    counted, what its clients were waiting for.
    """
    _, answered, _ = summed(clients)
    counted = totals.scrape(port)
    began, _, _ = summed(clients)
    assert answered - (kills + 1) * CLIENTS <= counted <= began
    return counted


def summed(clients):
    return tuple(
        sum(getattr(client, name) for client in clients)
        for name in ("began", "answered", "failed")
    )
