"""The queries of a request on the page of its capture."""

from __future__ import annotations

import pytest

from flaskprof.queries.groups import QueryGroup

LAZY = QueryGroup(
    statement="SELECT item.id, item.name, item.order_id FROM item WHERE item.order_id = ?",
    file="/srv/www/shop/shop/views.py",
    line=41,
    function="order",
    runs=120,
    failed=2,
    seconds=0.06,
)
FIRST = QueryGroup(statement="SELECT orders.id FROM orders", seconds=0.04)


@pytest.fixture
def page(store, flask_prof):
    """Return a function that adds a capture with queries and returns its address."""

    def page(*queries, count=121, seconds=0.1):
        fields = {"query_count": count, "query_seconds": seconds, "queries": queries}
        return f"/c/{store.add(flask_prof, **fields).id}"

    return page


def rows(document):
    return [row for row in document.rows if row and row[0].startswith(("SELECT", "<blink>"))]


def test_each_statement_has_runs_time_and_line(page, see):
    document = see(page(LAZY, FIRST))
    assert rows(document) == [
        [LAZY.statement, "120 2 failed", "60.0 ms 60.0 %", "…/shop/shop/views.py:41"],
        [FIRST.statement, "1", "40.0 ms 40.0 %", ""],
    ]
    text = " ".join(document.text.split())
    assert "121 queries took 100 ms, 40.0 % of wall time. Values are left out." in text


def test_a_repeated_statement_is_named_with_its_line(page, see):
    text = " ".join(see(page(LAZY, FIRST)).text.split())
    assert (
        "N+1 SELECT … FROM item WHERE item.order_id = ? ran 120 times from "
        "…/shop/shop/views.py:41" in text
    )
    assert text.count("N+1") == 1


def test_statements_that_are_not_listed_are_counted(page, see):
    text = " ".join(see(page(FIRST, count=900)).text.split())
    assert "899 of them, of other kinds, are not listed." in text


@pytest.mark.parametrize(
    "fields", [{"count": None, "seconds": None}, {"count": 0, "seconds": 0.0}]
)
def test_without_queries_there_is_no_such_part(page, see, fields):
    assert "Queries" not in see(page(**fields)).text


def test_statements_of_a_foreign_record_are_text_only(page, see, hostile_names):
    groups = [
        QueryGroup(statement=f"<blink>{name}", file=name, line=1, function=name, runs=9)
        for name in hostile_names
    ]
    document = see(page(*groups))
    assert "blink" not in document.tags
    assert len(rows(document)) >= len(hostile_names)


def test_the_json_has_the_queries_in_full(page, ask):
    data = ask(page(LAZY))
    assert data["capture"]["queries"] == [
        {
            "statement": LAZY.statement,
            "file": LAZY.file,
            "line": 41,
            "function": "order",
            "runs": 120,
            "failed": 2,
            "seconds": 0.06,
        }
    ]
    assert (data["capture"]["query_count"], data["capture"]["query_seconds"]) == (121, 0.1)
