"""Statements without the values in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.queries.sql import shortened, without_values

SECRET = "Zq9secret"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "SELECT a.id,\n  a.name FROM a\tWHERE a.id = ?",
            "SELECT a.id, a.name FROM a WHERE a.id = ?",
        ),
        (
            "SELECT x FROM t1 WHERE n = 'O''Brien' AND y=1.5e3",
            "SELECT x FROM t1 WHERE n = ? AND y=?",
        ),
        (
            "SELECT x FROM t WHERE a = :a_1 AND b = %(b)s AND c = $1",
            "SELECT x FROM t WHERE a = ? AND b = ? AND c = ?",
        ),
        ("SELECT x FROM t WHERE id IN (?, ?, ?)", "SELECT x FROM t WHERE id IN (?)"),
        (
            "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')",
            "INSERT INTO t (a, b) VALUES (?)",
        ),
        ("SELECT 1 -- user=7\n, 2 /* trace=8 */ FROM t", "SELECT ? , ? FROM t"),
        (
            "SELECT a::text, b->>'k' FROM t WHERE c #>> '{a}' = 'x'",
            "SELECT a::text, b->>? FROM t WHERE c #>> ? = ?",
        ),
        (
            'SELECT "user"."order" FROM "user" WHERE "user"."id" = 5',
            'SELECT "user"."order" FROM "user" WHERE "user"."id" = ?',
        ),
        ("SELECT TRUE, NULL, count(*) FROM t2", "SELECT TRUE, NULL, count(*) FROM t2"),
        ("", ""),
    ],
)
def test_what_differs_between_two_runs_of_a_statement_is_left_out(statement, expected):
    assert without_values(statement, "postgresql") == expected


@pytest.mark.parametrize(
    ("dialect", "literal"),
    [
        *((dialect, f"'{SECRET}'") for dialect in ("", "sqlite", "mysql", "postgresql")),
        *((dialect, f"'it''s {SECRET}'") for dialect in ("", "sqlite", "mysql")),
        ("mysql", rf"'a\'b {SECRET}'"),
        ("mysql", f'"{SECRET}"'),
        ("mysql", rf'"a\"b {SECRET}"'),
        ("mysql", f"1 # {SECRET}\n"),
        ("mysql", f"_utf8'{SECRET}'"),
        ("sqlite", f'"{SECRET}"'),
        ("sqlite", f'"{SECRET}, isn\'t it?"'),
        ("postgresql", rf"E'a\'b {SECRET}'"),
        ("postgresql", f"$${SECRET}$$"),
        ("postgresql", f"$tag${SECRET}$tag$"),
        ("postgresql", f"N'{SECRET}'"),
        ("postgresql", f"U&'{SECRET}'"),
        ("postgresql", f"ARRAY['{SECRET}', 'b']"),
        ("postgresql", f"ARRAY[name '{SECRET}']"),
        ("", f"1 -- {SECRET}"),
        ("", f"1 /* {SECRET} */"),
        ("", f"1 =-- {SECRET}"),
        ("", f"'{SECRET}"),
        ("", f"/* {SECRET}"),
        ("", f"$a${SECRET}"),
        ("", f'"{SECRET}'),
    ],
)
def test_no_value_is_recorded_however_it_is_written(dialect, literal):
    for statement in (
        f"SELECT a FROM t WHERE name = {literal}",
        f"SELECT a FROM t WHERE name LIKE {literal}",
        f"UPDATE t SET a = {literal}",
        f"INSERT INTO t VALUES (1, {literal}",
        f"SELECT a FROM t WHERE name IN ({literal}",
    ):
        assert SECRET not in without_values(statement, dialect)


@given(st.text(), st.sampled_from(["", "mysql", "postgresql", "sqlite"]))
def test_any_text_is_read_and_reading_it_again_changes_nothing(text, dialect):
    once = without_values(text, dialect)
    assert len(once) <= 601
    assert without_values(once) == once


@given(st.text("'\"\\;-/*$`[] aZ1", max_size=30), st.sampled_from(["", "postgresql", "sqlite"]))
def test_a_standard_literal_is_left_out_whatever_is_in_it(text, dialect):
    literal = text.replace("'", "''")
    with_it = without_values(f"SELECT a FROM t WHERE b = '{literal}' AND c = 1", dialect)
    assert with_it == "SELECT a FROM t WHERE b = ? AND c = ?"


@given(st.text("'\"\\;-/*$`[] aZ1", max_size=30), st.sampled_from(["'", '"']))
def test_a_literal_of_mysql_is_left_out_whatever_is_in_it(text, mark):
    literal = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    statement = f"SELECT a FROM t WHERE b = {mark}{literal}{mark} AND c = 1"
    assert without_values(statement, "mysql") == "SELECT a FROM t WHERE b = ? AND c = ?"


def test_a_long_statement_ends_with_an_ellipsis():
    text = without_values("SELECT " + ", ".join(f"column_{n}" for n in range(1000)))
    assert len(text) == 601
    assert text.startswith("SELECT column_0, column_1, ")
    assert text.endswith("…")


def test_a_statement_of_megabytes_is_read_in_no_time():
    rows = ", ".join(["(1, 'x')"] * 200_000)
    assert without_values(f"INSERT INTO t VALUES {rows}") == "INSERT INTO t VALUES (?)…"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "SELECT item.id, item.name, item.price FROM item WHERE order_id = ?",
            "SELECT … FROM item WHERE order_id = ?",
        ),
        (
            "SELECT DISTINCT item.id, item.name, item.price FROM item",
            "SELECT DISTINCT … FROM item",
        ),
        ("SELECT (SELECT max(b) FROM c), d, e, f, g FROM item", "SELECT … FROM item"),
        ("SELECT a FROM item", "SELECT a FROM item"),
        (
            "SELECT a, from_date, valid_from, valid_to",
            "SELECT a, from_date, valid_from, valid_to",
        ),
        ("UPDATE item SET a = ? FROM b", "UPDATE item SET a = ? FROM b"),
    ],
)
def test_a_long_list_of_columns_is_cut_for_a_line(statement, expected):
    assert shortened(statement) == expected
