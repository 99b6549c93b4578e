"""Captures back to back, without budgets: no error, each of them exact, no growth of memory.

``make soak`` runs it at its full length of 1,000 captures an engine; here it is shorter.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flaskprof.errors import CaptureNotFound
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.store.directory import DirectoryStore
from servers import get, serve, until

CAPTURES = int(os.environ.get("SOAK_CAPTURES", "200"))
THREADS = 8
# So many are made back to back before they are looked at; the spool's queue holds more.
ROUND = 40
# Until then caches, pools of memory and threads fill.
WARM = 100
# What a worker may grow by after that, over whatever number of captures: an allocator's
# unrest (measured: 60 kB). A leak of 2 kB a capture would be seen at full length.
GROWTH_BYTES = 2_000_000

BUDGETS_LIFTED = {
    "FLASKPROF_MAX_CAPTURES": "1000",
    "FLASKPROF_CAPTURE_RATE": "1000000",
    "FLASKPROF_CAPTURE_BURST": "1000000",
    "FLASKPROF_MAX_BYTES": "10000000000",
}


def counts(graph):
    return {
        function: (stats.total[:2], {f: edge[:2] for f, edge in stats.callers.items()})
        for function, stats in graph.functions.items()
    }


def resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


class Site:
    def __init__(self, port, directory):
        self.port = port
        self.store = DirectoryStore(directory)

    def capture(self, n):
        """Make a capture of one request and return its ID."""
        answer = get(self.port, f"/work/{n}", X_Profile="1")
        assert answer.status == 200
        assert "X-Profile-Id" in answer.headers, answer.headers["X-Profile-Skipped"]
        return answer.headers["X-Profile-Id"]

    def look(self, capture_id):
        """Return record and counts of a capture."""

        def written():
            try:
                return self.store.record(capture_id)
            except CaptureNotFound:
                return None

        record = until(written, f"the capture {capture_id}")
        return record, counts(read_profile(self.store.read(capture_id, ".prof")))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["calltree", "python"])
def test_captures_back_to_back_are_exact_and_leave_no_memory_behind(engine, tmp_path):
    numbers = [3 + i % 6 for i in range(ROUND)]
    environ = {"FLASKPROF_ENGINE": engine, **BUDGETS_LIFTED}
    with serve("gunicorn-gthread", tmp_path, **environ) as running:
        site = Site(running.port, tmp_path)
        with ThreadPoolExecutor(THREADS) as pool:
            # The first calls in each of the server's threads fill caches.
            for _ in range(2):
                for capture_id in pool.map(site.capture, numbers):
                    site.look(capture_id)
            alone = {n: site.look(site.capture(n))[1] for n in set(numbers)}
            sizes = []
            for made in range(ROUND, CAPTURES + 1, ROUND):
                captures = list(pool.map(site.capture, numbers))
                for n, capture_id in zip(numbers, captures, strict=True):
                    record, found = site.look(capture_id)
                    assert found == alone[n], n
                    assert record.notes == ()
                    assert record.engine == engine
                sizes.append((made, resident_bytes(record.pid)))
        metrics = get(running.port, "/metrics").body.decode()
    assert "flaskprof_failures_total{" not in metrics
    assert set(re.findall(r'flaskprof_captures_total\{outcome="(\w+)', metrics)) == {"stored"}
    warm = next(size for made, size in sizes if made >= WARM)
    print(f"{engine}: {[(made, size // 1000) for made, size in sizes]} kB")
    assert sizes[-1][1] - warm < GROWTH_BYTES
