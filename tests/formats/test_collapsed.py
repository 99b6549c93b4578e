"""Collapsed stacks: one line for each stack, and its self time."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import HOSTILE, SHOP, VIEW, by_stack, tree, trees

from flaskprof.errors import BadProfile
from flaskprof.formats import collapsed
from flaskprof.formats.collapsed import read_collapsed, write_collapsed
from flaskprof.formats.depth import DEEPER
from flaskprof.profiles.model import Function


def test_each_stack_is_a_line_with_its_self_time():
    view, load, length = (
        "order (/srv/shop/views.py:10)",
        "load (C:\\Program Files (x86)\\shop\\db.py:5)",
        "<built-in method builtins.len>",
    )
    assert write_collapsed(SHOP).decode().splitlines() == [
        f"{view} 1000000",
        f"{view};{load} 20000000",
        f"{view};{load};{length} 500",
        f"{view};{length} 70",
    ]


@settings(max_examples=50)
@given(trees())
def test_what_is_written_is_read_back_to_the_nanosecond(written):
    if not written.total_ns:
        return
    read = read_collapsed(write_collapsed(written))
    assert by_stack(read) == by_stack(written)
    assert (sum(read.calls), read.is_sampled) == (0, True)


def test_a_hostile_name_stays_one_frame_of_one_line():
    text = write_collapsed(tree((-1, 0, 1, 5), (0, 1, 1, 6), functions=(HOSTILE, VIEW)))
    lines = text.decode("utf-8").splitlines()
    assert [line.count(";") for line in lines] == [0, 1]
    assert all(line.isprintable() for line in lines)
    assert read_collapsed(text).total_ns == 11


def test_stacks_of_other_profilers_are_read():
    read = read_collapsed(
        b"# a comment\r\nmain;work (app.py:7) 12\r\nmain 3.5\n\nmain;work 1\n"
    )
    main = Function("~", 0, "main")
    assert by_stack(read) == {
        (main,): 3,
        (main, Function("app.py", 7, "work")): 12,
        (main, Function("~", 0, "work")): 1,
    }


def test_a_deep_recursion_is_cut_where_its_stacks_would_fill_the_disk(monkeypatch):
    monkeypatch.setattr(collapsed, "MAX_STEPS", 8)
    deep = tree(*((node - 1, 1, 1, 10) for node in range(20)))
    read = read_collapsed(write_collapsed(deep))
    assert read.total_ns == 200
    assert DEEPER in read.functions


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "there is no stack in it"),
        (b"a;b\n", "line 1 is no stack with a number after it"),
        (b"a;b 1\nhello world\n", "line 2 is no stack"),
        (b"{}", "line 1 is no stack"),
        (b"a -4\n", "line 1 is no stack"),
        (b"a 1" + b"0" * 19, "line 1 is no stack"),
        (b"a 999999999999999999\n" * 10, "more than 64 bits"),
        (b"x" * 70_000 + b" 1\n", "line 1 has a name of 70000 characters"),
    ],
)
def test_what_are_no_stacks_is_refused(data, message):
    with pytest.raises(BadProfile, match=message):
        read_collapsed(data)


def test_more_stacks_than_allowed_are_refused_before_they_are_built(monkeypatch):
    monkeypatch.setattr(collapsed, "MAX_NODES", 5)
    with pytest.raises(BadProfile, match="more than 5 different stacks"):
        read_collapsed(b";".join([b"a"] * 1000) + b" 1\n")


@settings(max_examples=100)
@given(st.binary(max_size=60) | st.text("a;( :)1\n\\", max_size=60).map(str.encode))
def test_whatever_the_bytes_they_are_read_or_refused(data):
    with contextlib.suppress(BadProfile):
        assert read_collapsed(data).total_ns >= 0
