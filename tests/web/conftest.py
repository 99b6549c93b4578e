"""Real profiles of a real Flask request, a store in memory and the viewer over it."""

import cProfile
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from math import inf

import flask
import pytest
from browsing import ARGUMENTS, AXE, ROOT
from pages import NOW, Document, to_prof
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server
from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.errors import CaptureNotFound
from flaskprof.ids import new_capture_id
from flaskprof.metrics import totals
from flaskprof.metrics.folding import Reading
from flaskprof.metrics.in_flight import Row, Worker
from flaskprof.metrics.layout import FIXED_CELLS, Cell, label_text
from flaskprof.metrics.live import Live
from flaskprof.metrics.ring import note_totals, recent_directory
from flaskprof.metrics.totals import Totals
from flaskprof.record import CaptureRecord
from flaskprof.store import SORTS, CapturePage, CaptureQuery, Look
from flaskprof.store.spread import bin_of
from flaskprof.web.app import Viewer
from needs import needs_program

HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)' x=\"",
    "javascript:alert(1)//",
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "cod\u202etxt.exe\u2066\u2069",
    "lone \udc80 surrogate",
    "line\nbreak\x00\x1b[31m tab\t",
    "שלום פונקציה",
    "long_" + "x" * 10_000,
    "/../../etc/passwd?a=b#c%2f%00",
]


class MemoryStore:
    """A store of records and files that are given to it."""

    holds = "captures"

    def __init__(self):
        self.records: dict[str, CaptureRecord] = {}
        self.announced: set[str] = set()
        self.files: dict[tuple[str, str], bytes] = {}

    def add(self, profile: bytes, *, started: float = NOW - 60, **fields) -> CaptureRecord:
        fields = {"duration_seconds": 0.25, "method": "GET", "trigger": "header"} | fields
        record = CaptureRecord(id=new_capture_id(started), started=started, **fields)
        self.records[record.id] = record
        self.files[record.id, ".prof"] = profile
        return record

    def _matching(self, query: CaptureQuery) -> list[CaptureRecord]:
        asked = {"route": query.route, "method": query.method, "trigger": query.trigger}
        wanted = {k: None if v is None else _sendable(v) for k, v in asked.items()}
        return [
            record
            for record in self.records.values()
            if all(v is None or _sendable(getattr(record, k)) == v for k, v in wanted.items())
            and query.search.casefold() in record.route.casefold()
        ]

    def at_once(self, patience_seconds=inf):
        return nullcontext(Look())

    def list(self, query: CaptureQuery) -> CapturePage:
        everything = list(self.records.values())
        found = sorted(self._matching(query), key=lambda record: record.id, reverse=True)
        found.sort(key=SORTS[query.sort], reverse=query.is_descending)
        return CapturePage(
            records=found[query.offset :][: query.limit],
            matching=len(found),
            routes=_values(everything, "route"),
            methods=_values(everything, "method"),
            triggers=_values(everything, "trigger"),
        )

    def previous(self, record: CaptureRecord) -> CaptureRecord | None:
        alike = self._matching(CaptureQuery(route=record.route, method=record.method))
        older = [other for other in alike if other.id < record.id]
        return max(older, key=lambda other: other.id, default=None)

    def spread(self, query: CaptureQuery) -> dict[int, int]:
        return Counter(bin_of(record.duration_seconds) for record in self._matching(query))

    def marks(self, each: int):
        found: dict[tuple[str, str], Sequence[tuple[str, float]]] = {}
        for record in self.records.values():
            marks = found.setdefault((record.method, record.route), [])
            marks.append((record.id, record.duration_seconds))
        return {
            key: sorted(marks, key=lambda mark: mark[1])[-each:] for key, marks in found.items()
        }

    def record(self, capture_id: str) -> CaptureRecord:
        try:
            return self.records[capture_id]
        except KeyError:
            raise CaptureNotFound(f"no capture {capture_id}") from None

    def is_announced(self, capture_id: str) -> bool:
        return capture_id in self.announced

    def read(self, capture_id: str, suffix: str) -> bytes:
        try:
            return self.files[capture_id, suffix]
        except KeyError:
            raise CaptureNotFound(f"no {suffix} of capture {capture_id}") from None

    def stamp(self, capture_id: str, suffix: str) -> bytes:
        return self.read(capture_id, suffix)


def _sendable(text: str) -> str:
    """A text as an address can hold it, as the data directory finds it too."""
    return text.encode("utf-8", "replace").decode()


def _values(records: Sequence[CaptureRecord], name: str) -> list[str]:
    return sorted({getattr(record, name) for record in records})


@pytest.fixture(scope="session")
def flask_prof() -> bytes:
    """The `.prof` of one real request: templates, JSON, a recursion, the standard library."""
    app = flask.Flask("shop")

    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    def price(item):
        return sum(fibonacci(n % 12) for n in range(item))

    @app.get("/heavy-computation")
    def heavy():
        prices = sorted((price(item) for item in range(40)), key=lambda p: -p)
        text = flask.render_template_string("{% for p in prices %}<p>{{ p }}</p>{% endfor %}",
                                            prices=prices)  # fmt: skip
        return flask.jsonify(text=text, sizes=json.loads(json.dumps(prices)))

    client = app.test_client()
    profile = cProfile.Profile()
    profile.enable()
    response = client.get("/heavy-computation")
    profile.disable()
    assert response.status_code == 200
    profile.create_stats()
    return to_prof(profile.stats)


@pytest.fixture(scope="session")
def hostile_prof() -> bytes:
    """A profile whose files and functions have every hostile name."""
    functions = {}
    above = ("app.py", 1, "main")
    functions[above] = (1, 1, 0.001, 1.0, {})
    for number, name in enumerate(HOSTILE):
        sums = (number + 1, number + 1, 0.01, 0.02)
        functions[name, number, name] = (*sums, {above: sums})
    return to_prof(functions)


@pytest.fixture(scope="session")
def hostile_names() -> list[str]:
    return HOSTILE


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def capture(store, flask_prof):
    """The one capture of a store, of a real request."""
    return store.add(
        flask_prof,
        route="/heavy-computation",
        endpoint="heavy",
        status=200,
        cpu_seconds=0.2,
        engine="cprofile",
        host="web-1",
        pid=4242,
        service="shop",
        service_version="1.4",
    )


@pytest.fixture
def settings():
    return Settings()


class Processes:
    """What processes did and do, and since when that is known, as `Live` reads it."""

    BOUNDS = (0.1, 0.5, 1.0)

    def __init__(self, directory):
        self.rows = []
        self._directory = directory
        self._totals = Totals(tuple(int(bound * 1e9) for bound in self.BOUNDS), 500)
        (directory / "metrics").mkdir()

    def known_since(self, now):
        note_totals(recent_directory(self._directory), self._directory / "metrics", now)

    def answered(self, route, buckets, *, method="GET", status="200", seconds=1.0, cpu=None):
        """Count requests, so many in each bucket, that took `seconds` together."""
        cells = [0] * FIXED_CELLS + list(buckets)
        cells[Cell.DURATION] = int(seconds * 1e9)
        if cpu is not None:
            cells[Cell.CPU], cells[Cell.CPU_COUNT] = int(cpu * 1e9), sum(buckets)
        labels = (method, route, status)
        self._totals.requests[label_text(labels)] = totals.Row(labels, 1, cells)

    def flies(self, route, age_seconds, method="GET", thread="waitress-1"):
        started_ns = time.perf_counter_ns() - int(age_seconds * 1e9)
        self.rows.append(Row(started_ns, method, route, thread))

    def live(self):
        return Live(
            reading=lambda: Reading(self._totals, 2, 0, 0, 0, 1, is_settled=True),
            workers=lambda: [Worker(4711, self.rows)],
            recent=recent_directory(self._directory),
        )


@pytest.fixture
def processes(tmp_path):
    processes = Processes(tmp_path)
    processes.known_since(NOW - 300)
    return processes


@pytest.fixture
def front(store, settings, processes):
    """A viewer with processes that are watched."""
    return Viewer(store, settings=settings, clock=lambda: NOW, live=processes.live())


@pytest.fixture
def viewer(store, settings):
    return Viewer(store, settings=settings, clock=lambda: NOW)


@pytest.fixture
def client(viewer):
    return Client(viewer)


@pytest.fixture
def parse():
    """Return what parses a page."""
    return Document


@pytest.fixture
def see(client):
    """Return a function that loads a page and parses it."""

    def see(path, status=200, **options):
        response = client.get(path, **options)
        assert response.status_code == status, response.text
        assert response.mimetype == "text/html"
        return Document(response.text)

    return see


@pytest.fixture
def ask(client):
    """Return a function that loads a page as JSON."""

    def ask(path, status=200):
        response = client.get(path, headers={"Accept": "application/json"})
        assert response.status_code == status, response.text
        is_problem = status >= 400
        assert response.mimetype == f"application/{'problem+' if is_problem else ''}json"
        return response.json

    return ask


@pytest.fixture(scope="package")
def browser():
    """One browser for all tests of this folder; each opens pages or contexts of its own."""
    path = needs_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def serve():
    """Return a function that serves a viewer on loopback and returns its base URL."""
    servers = []

    def serve(viewer):
        server = make_server("127.0.0.1", 0, viewer, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.port}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="package")
def axe():
    """The script of axe-core, which finds what shuts people out; fetched once by npm."""
    place = ROOT / "artefacts" / "npm"
    script = place / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = needs_program("npm")
        place.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
        done = subprocess.run([*command, place, AXE], capture_output=True, text=True)
        if done.returncode != 0:
            give_up = pytest.fail if os.environ.get("REQUIRE_TEST_PROGRAMS") else pytest.skip
            give_up(f"npm could not fetch {AXE}: {done.stderr.strip()[-300:]}")
    return script.read_text("utf-8")
