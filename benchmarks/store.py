"""How long the pages over a store take, by how many captures there are.

Prints, for a directory of 100 captures and one of 100,000 spread over thirty days, the time
until a page is there as the viewer makes it, once the index is up to date: the front page, the
list of captures in several orders and with filters, its last page, and the page of a route.
Beside them: the first list, which builds the index; the front page right after a capture was
saved; and a count of all bytes. The last column is the worst case, all of 100,000 captures on
one day that is being written to.

    python benchmarks/store.py
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.layout import capture_path
from flaskprof.web.app import Viewer

ROUTES = [f"/shop/{name}/<int:id>" for name in ("orders", "users", "items", "carts", "pages")]
METHODS = ["GET", "GET", "GET", "POST"]
TRIGGERS = ["header", "token", "slow", "sampled"]
DAY_SECONDS = 24 * 3600

PAGES = {
    "front page": "/",
    "captures": "/captures",
    "filtered": f"/captures?route={ROUTES[0]}&method=POST&trigger=sampled",
    "part of a route": "/captures?search=ORD",
    "slowest": "/captures?sort=duration",
    "slowest, filtered": f"/captures?sort=duration&route={ROUTES[0]}",
    "by CPU": "/captures?sort=cpu&order=asc",
    "by status": "/captures?sort=status",
    "by route": "/captures?sort=route",
    "one route": f"/r/?route={ROUTES[1]}&method=GET",
}


def a_record(number: int, days: int, chance: random.Random) -> CaptureRecord:
    started = time.time() - number * 0.01 - number % days * DAY_SECONDS
    seconds = chance.lognormvariate(-2, 1)
    return CaptureRecord(
        id=new_capture_id(started),
        started=started,
        duration_seconds=seconds,
        cpu_seconds=seconds * chance.random(),
        method=METHODS[number % 4],
        route=ROUTES[number % 5],
        endpoint="shop.view",
        status=chance.choice([200, 200, 200, 404, 500]),
        trigger=TRIGGERS[number // 4 % 4],
        engine="python",
        host="web-1.example.com",
        pid=4711,
        service="shop",
    )


def fill(store: DirectoryStore, count: int, days: int, chance: random.Random) -> None:
    """Leave what saving would, without the wait for the disk that each save costs."""
    captures = store.path / "captures"
    for number in range(count):
        record = a_record(number, days, chance)
        path = capture_path(captures, record.id, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".prof").write_bytes(b"")
        path.write_text(record.to_json())
    time.sleep(2.1)  # a day that changed less than two seconds ago is looked into again


def median_ms(action: Callable[[], object], times: int = 15) -> float:
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1000


def measure(path: Path, count: int, days: int) -> dict[str, float]:
    chance = random.Random(1)
    store = DirectoryStore(path)
    fill(store, count, days, chance)
    result = {"first list": median_ms(lambda: store.list(CaptureQuery()), 1)}
    client = Client(Viewer(store, settings=Settings(dir=path)))

    def load(address: str) -> None:
        response = client.get(address)
        if response.status_code != 200:
            raise RuntimeError(f"{address}: {response.status}")

    for name, address in (PAGES | {"last page": f"/captures?page={-(-count // 50)}"}).items():
        load(address)
        result[name] = median_ms(lambda address=address: load(address))
    spent = []
    for _ in range(5):
        store.save(a_record(0, 1, chance), {".prof": b""})
        spent.append(median_ms(lambda: load("/"), 1))
    result["after a save"] = statistics.median(spent)
    result["count bytes"] = median_ms(store.bytes_used, 1)
    return result


def main() -> None:
    cases = {
        "100 captures": (100, 30),
        "100,000 captures": (100_000, 30),
        "100,000 on one day": (100_000, 1),
    }
    results = {}
    for name, (count, days) in cases.items():
        with tempfile.TemporaryDirectory(prefix="flaskprof-bench-") as path:
            results[name] = measure(Path(path), count, days)
    small, large, _ = results.values()
    print(f"Python {sys.version.split()[0]}, milliseconds")
    print(f"{'':20}" + "".join(f"{case:>20}" for case in cases) + "   100,000 ÷ 100")
    for row in small:
        figures = "".join(f"{result[row]:20.2f}" for result in results.values())
        print(f"{row:20}{figures}{large[row] / small[row]:16.2f}")


if __name__ == "__main__":
    main()
