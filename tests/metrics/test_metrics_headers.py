"""What headers tell of the queue and of the body, and what they only claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics.headers import content_length, queued_ns

S = 10**9
NOW = 1_700_000_000 * S


@pytest.mark.parametrize(
    "text",
    [
        "1699999999.5",
        "t=1699999999.500",
        "1699999999500",
        "t=1699999999500",
        "1699999999500.0",
        "1699999999500000",
        " t=1699999999500000 ",
    ],
)
@pytest.mark.parametrize("name", ["HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START"])
def test_a_start_is_understood_in_all_three_units(name, text):
    assert queued_ns({name: text}, NOW) == S // 2


def test_the_header_of_the_first_proxy_counts():
    environ = {"HTTP_X_REQUEST_START": "1699999998", "HTTP_X_QUEUE_START": "1699999999"}
    assert queued_ns(environ, NOW) == 2 * S


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t=",
        "soon",
        "-1",
        "1e9",
        "0",
        "1700000001",  # in the future
        "1699999000",  # longer ago than any proxy waits
        "1699999999.5.5",
        "١٦٩٩٩٩٩٩٩٩",
        "9" * 5000,
        "1699999999." + "9" * 5000,
    ],
)
def test_what_cannot_be_true_is_left_out(text):
    assert queued_ns({"HTTP_X_REQUEST_START": text}, NOW) is None


@given(st.text())
def test_no_text_breaks_it(text):
    waited_ns = queued_ns({"HTTP_X_QUEUE_START": text}, NOW)
    assert waited_ns is None or 0 <= waited_ns <= 600 * S
    length = content_length([("Content-Length", text)])
    assert length is None or length >= 0


def test_the_length_is_that_of_the_header():
    headers = [("Content-Type", "text/plain"), ("content-LENGTH", "70")]
    assert content_length(headers) == 70
    assert content_length([]) is None


@pytest.mark.parametrize("text", ["", "-1", "1.5", "7 0", "\u0667", "9" * 16])
def test_a_length_that_is_no_number_is_left_out(text):
    assert content_length([("Content-Length", text)]) is None
