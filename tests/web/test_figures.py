"""Numbers and foreign text as a page shows them."""

import pytest

from flaskprof.web.figures import calls, count, moment, seconds, share, size, visible


@pytest.mark.parametrize(
    ("value", "text", "unit"),
    [
        (0.0, "0", "s"),
        (1234.5, "1,230", "s"),
        (61.04, "61.0", "s"),
        (1.0, "1.00", "s"),
        (0.9996, "1.00", "s"),
        (0.0123456, "12.3", "ms"),
        (0.001, "1.00", "ms"),
        (0.0009999, "1.00", "ms"),
        (0.000_456, "456", "µs"),
        (1e-6, "1.00", "µs"),
        (1.2e-7, "120", "ns"),
        (1e-9, "1.00", "ns"),
        (3e-10, "0.30", "ns"),
        (-0.002, "\N{MINUS SIGN}2.00", "ms"),
    ],
)
def test_a_duration_has_three_digits_and_the_unit_that_suits_it(value, text, unit):
    figure = seconds(value)
    assert (figure.text, figure.unit) == (text, unit)
    assert float(figure.value) == value


def test_the_exact_duration_stands_beside_the_rounded_one():
    assert seconds(0.123456789).exact == "0.123456789 s"
    assert seconds(2.5).exact == "2.5 s"


@pytest.mark.parametrize(
    ("value", "text", "unit"),
    [
        (0, "0", "B"),
        (999, "999", "B"),
        (1_000, "1", "kB"),
        (123_456, "123", "kB"),
        (999_999, "1", "MB"),
        (256 * 10**6, "256", "MB"),
        (1_234_000_000, "1.23", "GB"),
    ],
)
def test_a_size_has_three_digits_and_the_unit_that_suits_it(value, text, unit):
    figure = size(value)
    assert (figure.text, figure.unit, figure.value) == (text, unit, str(value))


def test_a_duration_that_is_not_known_is_a_dash():
    assert seconds(None).text == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (0.0001, "<0.1"), (0.0004999, "<0.1"), (0.123, "12.3"), (1.0, "100.0")],
)
def test_a_share_is_a_percentage_that_never_rounds_something_to_nothing(value, text):
    assert (share(value).text, share(value).unit) == (text, "%")


def test_calls_are_written_as_pstats_writes_them():
    assert calls(1200, 1200).text == "1,200"
    assert calls(1200, 8).text == "1,200/8"
    assert "8 of them primitive" in calls(1200, 8).exact
    assert count(None).text == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("age", "ago"),
    [
        (-3, "just now"),
        (0.4, "just now"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (86_400 * 1500, "1,500 d ago"),
    ],
)
def test_a_moment_says_how_long_ago_it_was(age, ago):
    assert moment(1_000_000_000 - age, 1_000_000_000).ago == ago


def test_a_moment_is_shown_in_utc():
    shown = moment(1_700_000_000.25, 1_700_000_001)
    assert (shown.iso, shown.text) == ("2023-11-14T22:13:20.250Z", "2023-11-14 22:13:20")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain <b>&\"'", "plain <b>&\"'"),
        ("größe 函数 פונקציה", "größe 函数 פונקציה"),
        ("a\nb\x00c\x1b[31m", "a\\nb\\x00c\\x1b[31m"),
        ("cod\u202eexe", "cod\\u202eexe"),
        ("a\u2066b\u2069c\u200bd", "a\\u2066b\\u2069c\\u200bd"),
        ("lone \udc80", "lone \\udc80"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_escape(text, shown):
    assert visible(text) == shown
    visible(text).encode("utf-8")
