"""How long a list of captures takes, by how many captures there are.

Prints, for a directory of 100 captures and one of 100,000 spread over thirty days: the
first list, which builds the index; the front page, a filtered page and the last page with
the index up to date; and the front page right after a capture was saved. The last row is
the worst case, all of 100,000 captures on one day that is being written to.

    python benchmarks/store.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.layout import capture_path

ROUTES = [f"/shop/{name}/<int:id>" for name in ("orders", "users", "items", "carts", "pages")]
METHODS = ["GET", "GET", "GET", "POST"]
TRIGGERS = ["header", "token", "slow", "sampled"]
DAY_SECONDS = 24 * 3600


def a_record(number: int, days: int) -> CaptureRecord:
    started = time.time() - number * 0.01 - number % days * DAY_SECONDS
    return CaptureRecord(
        id=new_capture_id(started),
        started=started,
        duration_seconds=0.25,
        cpu_seconds=0.125,
        method=METHODS[number % 4],
        route=ROUTES[number % 5],
        endpoint="shop.view",
        status=200,
        trigger=TRIGGERS[number % 4],
        engine="python",
        host="web-1.example.com",
        pid=4711,
        service="shop",
    )


def fill(store: DirectoryStore, count: int, days: int) -> None:
    """Leave what saving would, without the wait for the disk that each save costs."""
    captures = store.path / "captures"
    for number in range(count):
        record = a_record(number, days)
        path = capture_path(captures, record.id, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".prof").write_bytes(b"")
        path.write_text(record.to_json())
    time.sleep(2.1)  # a day that changed less than two seconds ago is looked into again


def median_ms(action, times: int = 15) -> float:
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1000


def measure(path: Path, count: int, days: int) -> dict[str, float]:
    store = DirectoryStore(path)
    fill(store, count, days)
    result = {"first list": median_ms(lambda: store.list(CaptureQuery()), 1)}
    pages = {
        "front page": CaptureQuery(),
        "filtered": CaptureQuery(route=ROUTES[0], method="POST", trigger="sampled"),
        "last page": CaptureQuery(offset=max(0, count - 50)),
    }
    for name, query in pages.items():
        result[name] = median_ms(lambda query=query: store.list(query))

    def save_and_list() -> None:
        begin = time.perf_counter()
        store.list(CaptureQuery(limit=1))
        spent.append(time.perf_counter() - begin)

    spent: list[float] = []
    for _ in range(5):
        store.save(a_record(0, 1), {".prof": b""})
        save_and_list()
    result["after a save"] = statistics.median(spent) * 1000
    begin = time.perf_counter()
    store.bytes_used()
    result["count bytes"] = (time.perf_counter() - begin) * 1000
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
    columns = list(next(iter(results.values())))
    print(f"Python {sys.version.split()[0]}, milliseconds")
    print(f"{'':20}" + "".join(f"{column:>14}" for column in columns))
    for name, result in results.items():
        print(f"{name:20}" + "".join(f"{result[column]:14.2f}" for column in columns))
    small, large = (results[name]["front page"] for name in list(cases)[:2])
    print(f"front page of 100,000 captures over that of 100: {large / small:.2f}")


if __name__ == "__main__":
    main()
