"""Tables fit the terminal, stay aligned and are harmless."""

import pytest

from flaskprof.text.layout import Column, layout

COLUMNS = (
    Column("Count", is_number=True),
    Column("Name", gives_way=True),
    Column("Kind"),
)


def test_columns_are_aligned_numbers_to_the_right():
    assert layout(COLUMNS, [("7", "one", "a"), ("1,234", "three", "bb")], None) == [
        "Count  Name   Kind",
        "    7  one    a",
        "1,234  three  bb",
    ]


def test_a_column_gives_way_to_the_width_of_the_terminal():
    lines = layout(COLUMNS, [("1", "x" * 100, "kind")], 40)
    assert lines[1] == "    1  " + "x" * 26 + "…  kind"
    assert len(lines[1]) == 40


def test_a_path_loses_its_beginning():
    columns = (Column("Function", gives_way=True, keeps_end=True),)
    assert layout(columns, [("/very/long/way/shop.py:12(work)",)], 16) == [
        "Function",
        "…hop.py:12(work)",
    ]


@pytest.mark.parametrize("width", [None, 30])
def test_what_cannot_be_seen_is_written_out(width):
    text = "\x1b]0;x\x07\n\r\t\x9b31m\u202e\u2028\ud800\x7f"
    for line in layout(COLUMNS, [("1", text, text)], width):
        assert line.isprintable()


def test_wide_characters_count_for_two_cells():
    assert layout(COLUMNS, [("1", "日本", "a"), ("1", "abcde", "b")], None)[1:] == [
        "    1  日本   a",
        "    1  abcde  b",
    ]
    (_, line) = layout(COLUMNS, [("1", "日" * 40, "kind")], 40)
    assert line == "    1  " + "日" * 13 + "…  kind"


def test_a_very_narrow_terminal_still_shows_something_of_each_column():
    assert layout(COLUMNS, [("1", "x" * 100, "kind")], 1)[1] == "    1  " + "x" * 11 + "…  kind"
