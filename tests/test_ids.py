"""Capture IDs sort by time, tell their day, and are safe in a path."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.ids import is_capture_id, new_capture_id, time_of

LATEST = datetime(9700, 1, 1, tzinfo=UTC).timestamp()


@given(st.floats(0, LATEST))
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(unix_seconds):
    capture_id = new_capture_id(unix_seconds)
    assert is_capture_id(capture_id)
    as_uuid = uuid.UUID(capture_id)
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)
    assert as_uuid.hex == capture_id
    assert 0 <= unix_seconds - time_of(capture_id).timestamp() < 0.0011


@given(st.integers(0, int(LATEST * 1000)), st.integers(0, int(LATEST * 1000)))
def test_ids_sort_by_time(first, second):
    ids = new_capture_id(first / 1000), new_capture_id(second / 1000 + 0.001)
    times = time_of(ids[0]), time_of(ids[1])
    if times[0] != times[1]:
        assert (ids[0] < ids[1]) == (times[0] < times[1])


def test_an_id_is_of_now_by_default():
    before = time.time()
    moment = time_of(new_capture_id()).timestamp()
    assert before - 0.001 <= moment <= time.time()


def test_ids_of_the_same_moment_differ():
    assert len({new_capture_id(1.0) for _ in range(1000)}) == 1000


@given(
    st.from_regex(
        r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}",
        fullmatch=True,
        alphabet="0123456789abcdef",
    )
)
def test_whatever_has_the_form_of_an_id_has_a_time(text):
    if is_capture_id(text):
        assert time_of(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../etc/passwd",
        "0" * 32,
        "019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d\n",
        "019B2D3C4F5E7A1B8C2D3E4F5A6B7C8D",
        "019b2d3c-4f5e-7a1b-8c2d-3e4f5a6b7c8d",
        "019b2d3c4f5e7a1b8c2d3e4f5a6b7c8",
        "019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d0",
        "019b2d3c4f5e4a1b8c2d3e4f5a6b7c8d",
        "019b2d3c4f5e7a1bcc2d3e4f5a6b7c8d",
        "ffffffffffff7a1b8c2d3e4f5a6b7c8d",
        "\u066019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d",
    ],
)
def test_other_text_is_no_id(text):
    assert not is_capture_id(text)


def test_an_id_is_recognised():
    assert is_capture_id("019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d")
    assert time_of("019b2d3c4f5e7a1b8c2d3e4f5a6b7c8d").year == 2025
