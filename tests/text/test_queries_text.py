"""The queries of a capture, in the lines above its table."""

from __future__ import annotations

from flaskprof.profiles.model import CallGraph
from flaskprof.queries.groups import QueryGroup
from flaskprof.record import CaptureRecord
from flaskprof.text.captures import heading


def lines(**fields):
    record = CaptureRecord(id="x", started=0, duration_seconds=1, **fields)
    return heading(record, CallGraph({}))[3:]


def test_repeated_queries_are_named():
    lazy = QueryGroup(statement="SELECT a", file="/srv/shop.py", line=4, runs=120, seconds=0.1)
    once = QueryGroup(statement="SELECT b\x1b[31m")
    assert lines(query_count=121, query_seconds=0.25, queries=(lazy, once)) == [
        "121 queries in 250 ms",
        "N+1: `SELECT a` ran 120 times from /srv/shop.py:4",
    ]


def test_one_query_is_one():
    assert lines(query_count=1, query_seconds=0.25) == ["1 query in 250 ms"]


def test_nothing_is_said_where_there_were_none_or_nobody_watched():
    assert lines() == lines(query_count=0, query_seconds=0.0) == []
