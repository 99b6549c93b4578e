"""How long the front page takes, by how many captures there are.

Fills two data directories, of 100 captures and of 100,000 spread over thirty days, each
beside the metrics of four workers with 100 routes, and asks for the front page of both in
turn, over the whole of the viewer. Prints medians and their ratio; with ``--check`` it fails
where the page over many captures takes more than twice as long.

    python benchmarks/front_page.py
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.ids import new_capture_id
from flaskprof.metrics.collector import DirectoryCollector
from flaskprof.metrics.in_flight import in_flight_directory, read_workers
from flaskprof.metrics.layout import FIXED_CELLS, bounds_in_ns, metrics_directory
from flaskprof.metrics.live import Live
from flaskprof.metrics.ring import note_totals, recent_directory
from flaskprof.metrics.worker_file import WorkerFile
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.layout import capture_path
from flaskprof.web.app import Viewer

ROUTES = [f"/shop/{number}/<int:id>" for number in range(100)]
WORKERS = 4
ROUNDS = 31
DAY_SECONDS = 24 * 3600
MOST = 2.0


def fill(data: Path, count: int) -> list[WorkerFile]:
    """Leave captures and metrics as an application would; returns the workers' files."""
    made = random.Random(1)
    now = time.time()
    for number in range(count):
        started = now - number % 30 * DAY_SECONDS - made.random() * 3600
        record = CaptureRecord(
            id=new_capture_id(started),
            started=started,
            duration_seconds=made.lognormvariate(-2, 1),
            cpu_seconds=0.01,
            method="GET",
            route=ROUTES[number % len(ROUTES)],
            status=200,
            trigger="header",
        )
        path = capture_path(data / "captures", record.id, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())
    metrics = metrics_directory(data)
    metrics.mkdir(parents=True)
    note_totals(recent_directory(data), metrics, now - 300)
    files = []
    for _ in range(WORKERS):
        file = WorkerFile(bounds_in_ns(Settings().buckets), 500)
        for route in ROUTES:
            place = file.request_place(["GET", route, "200"])
            for bucket in range(5):
                file.words[place + FIXED_CELLS + bucket] = made.randrange(1000)
            file.words[place] = 10**11
        file.place(metrics)
        files.append(file)
    return files


def viewer_of(data: Path) -> Client:
    """Return the viewer over `data`, as the sidecar has it."""
    live = Live(
        reading=DirectoryCollector(metrics_directory(data), role="sidecar").reading,
        workers=lambda: read_workers(in_flight_directory(data)),
        recent=recent_directory(data),
    )
    return Client(Viewer(DirectoryStore(data), settings=Settings(), live=live))


def main() -> int:
    """Print the table; the exit code says whether the aim was met."""
    counts = (100, 100_000)
    with tempfile.TemporaryDirectory(prefix="flaskprof-bench-") as path:
        files, viewers = [], {}
        for count in counts:
            data = Path(path) / str(count)
            files += fill(data, count)
            viewers[count] = viewer_of(data)
        time.sleep(2.1)  # a day that changed less than two seconds ago is looked into again
        first = {count: milliseconds(viewer) for count, viewer in viewers.items()}
        for viewer in viewers.values():
            viewer.get("/")
        spent: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(ROUNDS):
            for count, viewer in viewers.items():
                spent[count].append(milliseconds(viewer))
        size = len(viewers[counts[0]].get("/").data)
        for file in files:
            file.leave()
    print(f"Python {sys.version.split()[0]}, {len(ROUTES)} routes, a page of {size:,} bytes")
    print(f"{'captures':>10}{'first, ms':>12}{'then, ms':>12}")
    medians = {count: statistics.median(spent[count]) for count in counts}
    for count in counts:
        print(f"{count:10,}{first[count]:12.1f}{medians[count]:12.1f}")
    ratio = medians[counts[1]] / medians[counts[0]]
    print(f"of 100,000 captures over that of 100: {ratio:.2f} (aim: at most {MOST:g})")
    return int("--check" in sys.argv and ratio > MOST)


def milliseconds(viewer: Client) -> float:
    """Ask for the front page; return how long that took."""
    begin = time.perf_counter()
    response = viewer.get("/")
    assert response.status_code == 200, response.text
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    sys.exit(main())
