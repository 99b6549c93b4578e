"""Where the parts of a histogram stand: their areas are the numbers that they stand for."""

import pytest

from flaskprof.metrics.durations import Durations
from flaskprof.record import CaptureRecord
from flaskprof.store.spread import bin_of
from flaskprof.web.histogram import AXIS, WIDTH, histogram


def drawn(spread, requests=None, dots=(), kinds=None):
    return histogram(
        spread,
        requests,
        dots,
        url=lambda capture_id: f"/c/{capture_id}",
        hint=lambda record: f"{record.duration_seconds} s",
        kinds=kinds or {},
    )


def spread_of(*durations):
    spread = {}
    for seconds in durations:
        spread[bin_of(seconds)] = spread.get(bin_of(seconds), 0) + 1
    return spread


def areas(bars):
    whole = sum(bar.width * bar.height for bar in bars)
    return [round(bar.width * bar.height / whole, 3) for bar in bars]


def record(capture_id, seconds):
    return CaptureRecord(id=capture_id, started=1.0, duration_seconds=seconds)


def test_areas_are_shares_of_captures_and_of_requests():
    shown = drawn(
        spread_of(*[0.03] * 3, 0.3), Durations([0.01, 0.1, 1.0], [0, 60, 30, 10], 9.0)
    )
    assert areas(shown.captures) == pytest.approx([0.75, 0.25], abs=0.002)
    assert areas(shown.requests) == pytest.approx([0.6, 0.3, 0.1], abs=0.002)
    assert [bar.hint for bar in shown.requests] == [
        "60 of all requests, 10 ms to 100 ms",
        "30 of all requests, 100 ms to 1 s",
        "10 of all requests, 1 s to 2 s",
    ]
    assert sum(int(bar.hint.split()[0]) for bar in shown.captures) == 4


@pytest.mark.parametrize(
    "durations",
    [[0.0], [1e9], [0.25], [0.0, 1e9], [0.001 * 1.01**n for n in range(1000)], [1e-6] * 3],
    ids=["none", "years", "one", "all", "many", "quick"],
)
def test_everything_stays_within_the_picture(durations):
    dots = [record(f"{number:032x}", seconds) for number, seconds in enumerate(durations)]
    shown = drawn(spread_of(*durations), None, dots)
    assert sum(int(bar.hint.split()[0].replace(",", "")) for bar in shown.captures) == len(dots)
    assert len(shown.captures) <= 50
    for bar in shown.captures:
        assert bar.width > 0
        assert -0.01 <= bar.x <= bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= AXIS
        assert bar.y + bar.height == pytest.approx(AXIS, abs=0.02)
    assert all(0 <= dot.x <= WIDTH and AXIS < dot.y < shown.height for dot in shown.dots)
    # What is written at an end runs into the picture; half of the longest is 20 wide.
    begins = {"start": 0, "middle": 20, "end": 40}
    for mark in shown.marks:
        assert 0 <= mark.x - begins[mark.anchor] <= WIDTH - 40
    places = [mark.x for mark in shown.marks]
    assert places == sorted(places)


def test_dots_hang_below_the_bin_of_their_capture_and_lead_to_it():
    quick, slow = record("a" * 32, 0.01), record("b" * 32, 1.0)
    shown = drawn(spread_of(0.01, 1.0), None, [slow, quick], {slow.id: "slowest"})
    assert [(dot.url, dot.kind) for dot in shown.dots] == [
        (f"/c/{quick.id}", ""),
        (f"/c/{slow.id}", "slowest"),
    ]
    for dot, bar in zip(shown.dots, shown.captures, strict=True):
        assert bar.x < dot.x < bar.x + bar.width


def test_too_many_dots_for_a_column_are_counted_and_those_of_a_kind_kept():
    same = [record(f"{number:032x}", 0.5) for number in range(20)]
    shown = drawn({bin_of(0.5): 20}, None, same, {same[0].id: "median"})
    assert len(shown.dots) == 6
    assert [mark.text for mark in shown.more] == ["+14"]
    assert shown.dots[0].kind == "median"
    newest = [f"/c/{record.id}" for record in same[:-6:-1]]
    assert [dot.url for dot in shown.dots[1:]] == newest
