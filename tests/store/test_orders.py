"""Long lists in every order, with every filter: the index against a plain sort."""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from flaskprof.errors import StoreError
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import SORTS, CaptureQuery, index
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.layout import capture_path
from flaskprof.store.spread import EDGES, bin_of

BEGIN = 1_763_812_800
ROUTES = ["/orders/<int:id>", "/ORDERS", "/items", "", "/größe/<path:x>", "/rare"]


@pytest.fixture(scope="module")
def records() -> list[CaptureRecord]:
    chance = random.Random(7)
    return [
        CaptureRecord(
            id=new_capture_id(started := BEGIN + number),
            started=started,
            duration_seconds=chance.choice([chance.lognormvariate(-3, 1), 0.25, 0.0]),
            cpu_seconds=chance.choice([None, 0.0, chance.random()]),
            status=chance.choice([None, 200, 404, 500]),
            route=ROUTES[5] if number % 100 == 0 else chance.choice(ROUTES[:5]),
            method=chance.choice(["GET", "POST"]),
            trigger=chance.choice(["header", "slow"]),
        )
        for number in range(1500)
    ]


@pytest.fixture(scope="module")
def store(records, tmp_path_factory) -> DirectoryStore:
    store = DirectoryStore(tmp_path_factory.mktemp("orders"))
    for record in records:
        path = capture_path(store.path / "captures", record.id, ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())
    return store


@pytest.fixture(params=[0, 100, 10_000], ids=["walk", "either", "look-up"])
def plan(request, monkeypatch):
    """How many captures are few, and so which of the ways to a page is taken."""
    monkeypatch.setattr(index, "_FEW", request.param)


def wanted(record, filters):
    return (
        all(getattr(record, k) == v for k, v in filters.items() if k != "search")
        and filters.get("search", "").casefold() in record.route.casefold()
    )


FILTERS = [
    {},
    {"route": "/orders/<int:id>"},
    {"route": "/rare", "method": "GET"},
    {"trigger": "slow", "method": "POST"},
    {"search": "orders"},
    {"search": "GRÖSSE"},
    {"search": "/", "trigger": "header"},
    {"search": "nothing"},
]


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("is_descending", [True, False])
def test_pages_in_any_order_make_up_the_sorted_list(
    store, records, filters, sort, is_descending
):
    query = {"sort": sort, "is_descending": is_descending, "limit": 400, **filters}
    pages = [store.list(CaptureQuery(**query, offset=offset)) for offset in range(0, 1600, 400)]
    found = list(itertools.chain.from_iterable(page.records for page in pages))
    expected = [record for record in records if wanted(record, filters)]
    assert {page.matching for page in pages} == {len(expected)}
    assert sorted(record.id for record in found) == [record.id for record in expected]
    values = [SORTS[sort](record) for record in found]
    assert values == sorted(values, reverse=is_descending)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_bins_are_those_of_the_durations(store, records, filters):
    found = [bin_of(r.duration_seconds) for r in records if wanted(r, filters)]
    assert store.spread(CaptureQuery(**filters)) == Counter(found)


def test_the_previous_capture_is_of_the_same_route_and_method(store, records):
    newest = records[-1]
    found = store.previous(newest)
    alike = [r for r in records[:-1] if (r.route, r.method) == (newest.route, newest.method)]
    assert found == alike[-1]
    assert store.previous(alike[0]) is None


def test_bins_follow_what_is_deleted(tmp_path):
    store = DirectoryStore(tmp_path / "data")
    for seconds in (0.1, 0.1, 5.0):
        started = BEGIN + seconds
        record = CaptureRecord(
            id=new_capture_id(started), started=started, duration_seconds=seconds, route="/a"
        )
        store.save(record, {".prof": b""})
    assert store.spread(CaptureQuery(route="/a")) == {bin_of(0.1): 2, bin_of(5.0): 1}
    Path(capture_path(store.path / "captures", record.id, ".json")).unlink()
    assert store.spread(CaptureQuery(route="/a")) == {bin_of(0.1): 2}


def test_a_bin_begins_at_its_edge():
    assert bin_of(0.0) == bin_of(EDGES[0] * 0.99) == 0
    for number, edge in enumerate(EDGES):
        assert bin_of(edge) == number + 1
    assert bin_of(1e9) == len(EDGES)


def test_a_place_of_captures_that_is_no_directory_is_said(tmp_path):
    store = DirectoryStore(tmp_path)
    (tmp_path / "captures").write_text("a file")
    with pytest.raises(StoreError, match="captures is not a directory: move it away"):
        store.list(CaptureQuery())
    whole = DirectoryStore(tmp_path / "captures")
    with pytest.raises(StoreError, match="set FLASKPROF_DIR to a directory"):
        whole.list(CaptureQuery())
