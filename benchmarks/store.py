"""How long the pages over a store take, by how many captures there are.

Prints, for a directory of 100 captures and one of 100,000 spread over thirty days, the time
until a page is there as the viewer makes it, once the index is up to date: the front page, the
list of captures in several orders and with filters, and the page of a route. Of 100 captures
fewer match a filter than there are rows on a page, so that those pages hold less.
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
from collections.abc import Callable, Sequence
from functools import partial
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
    "filtered": f"/captures?route={ROUTES[0]}&method=GET",
    "part of a route": "/captures?search=ORD",
    "slowest": "/captures?sort=duration",
    "slowest, filtered": f"/captures?sort=duration&route={ROUTES[0]}",
    "by CPU": "/captures?sort=cpu&order=asc",
    "by status": "/captures?sort=status",
    "by route": "/captures?sort=route",
    "one route": f"/r/?route={ROUTES[1]}&method=GET",
}
ROUNDS = 15


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


def fill(store: DirectoryStore, count: int, days: int) -> None:
    """Leave the metadata that saving would, without the wait for the disk of each save."""
    captures, chance = store.path / "captures", random.Random(1)
    for number in range(count):
        record = a_record(number, days, chance)
        path = capture_path(captures, record.id, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())


def milliseconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def load(client: Client, address: str) -> None:
    response = client.get(address)
    if response.status_code != 200:
        raise RuntimeError(f"{address}: {response.status}")


def measure(stores: Sequence[DirectoryStore]) -> dict[str, list[float]]:
    """Return medians in milliseconds; all stores take turns, so that none has it better."""
    clients = [Client(Viewer(store, settings=Settings(dir=store.path))) for store in stores]
    chance = random.Random(2)
    rows = {
        "first list": [milliseconds(partial(store.list, CaptureQuery())) for store in stores]
    }

    def save_and_load(store: DirectoryStore, client: Client) -> float:
        store.save(a_record(0, 1, chance), {".prof": b""})
        return milliseconds(partial(load, client, "/"))

    def in_turns(times: int, action: Callable[[DirectoryStore, Client], float]) -> list[float]:
        rounds = [list(map(action, stores, clients)) for _ in range(times)]
        return [statistics.median(column) for column in zip(*rounds, strict=True)]

    for name, address in PAGES.items():
        for client in clients:
            load(client, address)
        rows[name] = in_turns(
            ROUNDS, lambda _, client, at=address: milliseconds(partial(load, client, at))
        )
    rows["after a save"] = in_turns(5, save_and_load)
    rows["count bytes"] = [milliseconds(store.bytes_used) for store in stores]
    return rows


def main() -> None:
    cases = {
        "100 captures": (100, 30),
        "100,000 captures": (100_000, 30),
        "100,000 on one day": (100_000, 1),
    }
    with tempfile.TemporaryDirectory(prefix="flaskprof-bench-") as path:
        stores = [DirectoryStore(Path(path, str(number))) for number in range(len(cases))]
        for store, (count, days) in zip(stores, cases.values(), strict=True):
            fill(store, count, days)
        time.sleep(2.1)  # a day that changed less than two seconds ago is looked into again
        rows = measure(stores)
    print(f"Python {sys.version.split()[0]}, milliseconds")
    print(f"{'':20}" + "".join(f"{case:>20}" for case in cases) + "   100,000 ÷ 100")
    for name, figures in rows.items():
        columns = "".join(f"{figure:20.2f}" for figure in figures)
        print(f"{name:20}{columns}{figures[1] / figures[0]:16.2f}")


if __name__ == "__main__":
    main()
