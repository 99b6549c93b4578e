"""The metadata of a capture survives its JSON, and other JSON is refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.errors import StoreError
from flaskprof.queries.groups import QueryGroup
from flaskprof.record import RECORD_VERSION, CaptureRecord

QUERY = QueryGroup(
    statement="SELECT ?", file="/app/shop.py", line=41, function="order", runs=3, seconds=0.25
)
FULL = CaptureRecord(
    id="019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d",
    started=1_767_600_000.25,
    duration_seconds=0.125,
    cpu_seconds=0.0625,
    method="GET",
    route="/orders/<int:order_id>",
    endpoint="order",
    status=200,
    trigger="header",
    engine="python",
    exactness="sampled",
    host="web-1",
    pid=4711,
    service="shop",
    service_version="1.0",
    title="",
    app_packages=("acme.shop", "shop"),
    notes=("one sentence.", "another one."),
    query_count=3,
    query_seconds=0.25,
    queries=(QUERY,),
)
SMALL = CaptureRecord(id="x", started=0, duration_seconds=0)

texts = st.text(st.characters(codec="utf-8"))
seconds = st.floats(0, 1e9)
records = st.builds(
    CaptureRecord,
    id=texts,
    started=seconds,
    duration_seconds=seconds,
    cpu_seconds=st.none() | seconds,
    status=st.none() | st.integers(100, 599),
    route=texts,
    title=texts,
    app_packages=st.lists(texts).map(tuple),
    notes=st.lists(texts).map(tuple),
)


@given(records)
def test_a_record_is_read_as_it_was_written(record):
    assert CaptureRecord.from_json(record.to_json()) == record
    assert CaptureRecord.from_json(record.to_json().encode()) == record


def test_a_full_record_names_each_field_and_its_version():
    assert json.loads(FULL.to_json()) == {
        "version": RECORD_VERSION,
        **{field.name: getattr(FULL, field.name) for field in fields(FULL)},
        "app_packages": ["acme.shop", "shop"],
        "notes": ["one sentence.", "another one."],
        "queries": [asdict(QUERY)],
    }
    assert CaptureRecord.from_json(FULL.to_json()) == FULL


def test_what_a_later_minor_version_adds_is_ignored_and_what_is_left_out_has_its_default():
    text = '{"version": 1, "id": "x", "started": 0, "duration_seconds": 0, "new": [1]}'
    assert CaptureRecord.from_json(text) == SMALL


def test_a_record_of_another_version_says_what_to_do():
    with pytest.raises(StoreError, match="version 2: this flaskprof reads version 1; read it"):
        CaptureRecord.from_json(FULL.to_json().replace('"version": 1', '"version": 2'))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        b"\xff",
        '{"version": 1}',
        "[" * 100_000,
        '{"a": ' * 100_000,
    ],
    ids=lambda text: repr(text[:14]),
)
def test_what_is_not_a_record_is_refused(text):
    with pytest.raises(StoreError, match="^capture metadata cannot be read"):
        CaptureRecord.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 7),
        ("id", None),
        ("started", "now"),
        ("started", None),
        ("started", -1),
        ("started", 1e300),
        ("duration_seconds", float("nan")),
        ("duration_seconds", float("inf")),
        ("duration_seconds", True),
        ("cpu_seconds", "0.1"),
        ("status", "200"),
        ("status", 200.5),
        ("pid", False),
        ("route", ["/"]),
        ("notes", "one sentence"),
        ("notes", [1]),
        ("notes", None),
    ],
)
def test_a_field_of_another_type_is_refused(name, value):
    with pytest.raises(StoreError, match="^capture metadata cannot be read"):
        CaptureRecord.from_json(json.dumps({**json.loads(FULL.to_json()), name: value}))


def test_a_record_is_called_by_its_title_else_by_method_and_route():
    assert FULL.name == "GET /orders/<int:order_id>"
    assert SMALL.name == "(no route)"
    titled = CaptureRecord(id="x", started=0, duration_seconds=0, title="import", method="GET")
    assert titled.name == "import"


def test_a_record_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        FULL.route = "/other"
