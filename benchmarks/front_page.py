"""How long the front page takes, by how many captures there are, and other lists of them.

Fills two data directories, of 100 captures and of 100,000 spread over thirty days, each
beside the metrics of four workers with 100 routes. Asks for the front page of both until all
captures are read, then for that and other pages in turn, as HTML and as JSON, over the whole
of the viewer. Prints medians and their ratio; with ``--check`` it fails where the front page
over many captures takes more than twice as long. Of 100 captures a route has but one, of
100,000 a thousand: its page then has fifty rows more, and a hundred dots.

    python benchmarks/front_page.py
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

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
ROUNDS = 15
DAY_SECONDS = 24 * 3600
MOST = 2.0
COUNTS = (100, 100_000)
PAGES = {
    "front page": "/",
    "captures": "/captures",
    "captures by time": "/captures?sort=duration",
    "one route": "/r/?" + urlencode({"method": "GET", "route": ROUTES[7]}),
}
JSON = {"Accept": "application/json"}


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
    """Print the tables; the exit code says whether the aim was met."""
    few, many = COUNTS
    with tempfile.TemporaryDirectory(prefix="flaskprof-bench-") as path:
        files, viewers = [], []
        for count in COUNTS:
            data = Path(path) / str(count)
            files += fill(data, count)
            viewers.append(viewer_of(data))
        time.sleep(2.1)  # a day that changed less than two seconds ago is looked into again
        read = [read_all(viewer) for viewer in viewers]
        spent = measure(viewers)
        size = len(viewers[0].get("/").data)
        for file in files:
            file.leave()
    print(f"Python {sys.version.split()[0]}, {len(ROUTES)} routes, a page of {size:,} bytes")
    print(f"{'milliseconds':20}{few:>12,}{many:>12,}{'ratio':>8}")
    for name, (one, other) in spent.items():
        print(f"{name:20}{one:12.1f}{other:12.1f}{other / one:8.2f}")
    print("\nfront pages until all captures are read")
    print(f"{'captures':>10}{'pages':>8}{'slowest, s':>12}{'together, s':>13}")
    for count, seconds in zip(COUNTS, read, strict=True):
        print(f"{count:10,}{len(seconds):8}{max(seconds):12.2f}{sum(seconds):13.2f}")
    one, other = spent["front page"]
    print(f"\nfront page, {many:,} over {few}: {other / one:.2f} (aim: at most {MOST:g})")
    return int("--check" in sys.argv and other / one > MOST)


def read_all(viewer: Client) -> list[float]:
    """Ask for the front page until it knows of all captures; how long each took, in seconds."""
    seconds = []
    while True:
        begin = time.perf_counter()
        response = viewer.get("/")
        seconds.append(time.perf_counter() - begin)
        if "Refresh" not in response.headers:
            return seconds


def measure(viewers: Sequence[Client]) -> dict[str, list[float]]:
    """Return the median milliseconds of each page for each viewer; all take turns."""
    pages = {
        name + suffix: (address, headers)
        for name, address in PAGES.items()
        for suffix, headers in (("", {}), (", JSON", JSON))
    }
    spent: dict[str, list[list[float]]] = {name: [[] for _ in viewers] for name in pages}
    for number in range(ROUNDS + 1):
        for name, (address, headers) in pages.items():
            for viewer, figures in zip(viewers, spent[name], strict=True):
                begin = time.perf_counter()
                response = viewer.get(address, headers=headers)
                figure = (time.perf_counter() - begin) * 1000
                assert response.status_code == 200, response.text
                if number:  # the first round is to warm up
                    figures.append(figure)
    return {name: list(map(statistics.median, figures)) for name, figures in spent.items()}


if __name__ == "__main__":
    sys.exit(main())
