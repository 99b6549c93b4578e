"""What happened lately is the difference of totals, and never negative."""

from __future__ import annotations

import json
import math
import random
import time

import pytest
from counting_workers import new_metrics, nursery
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.recent import (
    HOUR,
    MINUTES,
    Point,
    Sums,
    base_of,
    difference,
    point_of,
    quantile,
    sum_of,
    to_keep,
)
from flaskprof.metrics.ring import note_totals, recent_directory, window

SECOND = 10**9
BOUNDS = (SECOND // 10, SECOND)
ROUTE = ("GET", "/orders/<int:id>")


def sums(*buckets, duration=0, errors=0, cpu=0, cpu_count=0):
    return Sums(buckets, duration, errors, cpu, cpu_count)


def point(unix, generation=1, bounds=BOUNDS, **routes):
    return Point(unix, generation, bounds, {("GET", name): s for name, s in routes.items()})


def test_a_window_holds_what_happened_in_it_and_only_that():
    base = point(
        100.0, a=sums(1, 2, 3, duration=50, errors=1, cpu=7, cpu_count=6), b=sums(9, 0, 0)
    )
    now = point(
        400.0,
        a=sums(2, 4, 3, duration=80, errors=3, cpu=9, cpu_count=7),
        b=sums(9, 0, 0),
        c=sums(0, 1, 0),
    )
    found = difference(now, base)
    assert found.seconds == 300.0
    assert found.routes == {
        ("GET", "a"): sums(1, 2, 0, duration=30, errors=2, cpu=2, cpu_count=1),
        ("GET", "c"): sums(0, 1, 0),
    }


def test_what_began_anew_counts_from_zero():
    base = point(100.0, a=sums(10, 0, 0, duration=99))
    assert difference(point(400.0, a=sums(11, 0, 0, duration=9)), base).routes == {
        ("GET", "a"): sums(11, 0, 0, duration=9)
    }
    now = point(400.0, generation=2, a=sums(12, 0, 0, duration=100))
    assert difference(now, base).routes == now.routes
    other = point(400.0, bounds=(1,), a=sums(12, 0, duration=100))
    assert difference(other, base).routes == other.routes


@given(st.lists(st.lists(st.integers(0, 9), min_size=7, max_size=7), min_size=2, max_size=5))
def test_nothing_is_ever_negative(rows):
    points = [point(n, a=Sums(tuple(row[:3]), *row[3:])) for n, row in enumerate(rows)]
    for base in points:
        for now in points:
            for found in difference(now, base).routes.values():
                assert min(*found.buckets, *found[1:]) >= 0


def test_processor_time_of_all_is_told_from_that_of_some():
    assert sums(6, 2, 2, cpu=30, cpu_count=5).whole_cpu_ns == 60
    assert sums(6, 2, 2).whole_cpu_ns is None
    assert sum_of([sums(1, 0, 0, errors=1), sums(0, 2, 0, errors=1)]) == sums(1, 2, 0, errors=2)
    assert sum_of([]) is None


# Prometheus' own answers, of histogram_quantile over these buckets (see its test data for
# the rules: linear within a bucket, the highest bound for what is above it).
@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ((4, 0, 0), 0.5, 0.05),
        ((4, 0, 0), 1.0, 0.1),
        ((0, 4, 0), 0.5, 0.55),
        ((2, 2, 0), 0.75, 0.55),
        ((0, 0, 4), 0.5, 1.0),
        ((2, 0, 2), 0.99, 1.0),
        ((10, 0, 0), 0.0, 0.0),
        ((0, 0, 0), 0.5, None),
    ],
)
def test_quantiles_are_those_of_histogram_quantile(buckets, share, expected):
    assert quantile(BOUNDS, buckets, share) == (expected and pytest.approx(expected))


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow_with_their_share(buckets, one, other):
    low, high = sorted([one, other])
    if sum(buckets):
        assert quantile(BOUNDS, buckets, low) <= quantile(BOUNDS, buckets, high) <= 1.0


def test_a_quantile_lies_in_the_bucket_of_the_true_one():
    made = random.Random(4)
    values = sorted(made.expovariate(3) for _ in range(1000))
    bounds = tuple(int(SECOND * b) for b in (0.01, 0.1, 0.25, 0.5, 1, 2.5, 10))
    buckets = [0] * (len(bounds) + 1)
    for value in values:
        buckets[sum(value * SECOND > bound for bound in bounds)] += 1
    for share in (0.5, 0.95, 0.99):
        true = values[math.ceil(share * 1000) - 1]
        found = quantile(bounds, buckets, share)
        assert sum(true * SECOND > b for b in bounds) == sum(found * SECOND > b for b in bounds)


def test_the_base_is_the_youngest_old_enough_or_the_oldest():
    assert base_of([100, 130, 160], 460, 300) == 160
    assert base_of([100, 130, 160], 459, 300) == 130
    assert base_of([100, 130, 160], 200, 300) == 100
    assert base_of([], 200, 300) is None
    assert base_of([300], 200, 300) is None


@pytest.mark.parametrize("step", [10, 30, 47, 130])
def test_points_are_few_and_both_windows_always_have_theirs(step):
    kept = set()
    for now in range(1_000_000, 1_000_000 + 3 * 3600, step):
        kept = to_keep(kept | {now}, now)
        assert len(kept) <= 16 + (MINUTES + 60) / step
        elapsed = now - 1_000_000
        for seconds, slack in ((MINUTES, step), (HOUR, 300 + step)):
            span = now - base_of(kept, now, seconds)
            assert min(seconds, elapsed) <= span <= seconds + slack


def test_points_of_the_future_are_dropped_when_the_clock_is_set_back():
    assert to_keep({100.0, 5000.0}, 200.0) == {100.0}


# The files


@pytest.fixture
def data(tmp_path):
    return tmp_path


def test_rates_are_those_of_all_processes_and_outlive_them(data):
    metrics, recent = data / "metrics", recent_directory(data)
    now = time.time()
    with nursery() as workers:
        workers.start("hold", metrics, 5)
        note_totals(recent, metrics, now - 400)
        first = workers.start("hold", metrics, 3)
        note_totals(recent, metrics, now - 200)
        workers.start("hold", metrics, 2)
        workers.kill(first)
        fold(metrics)
        found = window(recent, point_of(read(metrics), now), MINUTES)
        assert found.seconds == 400
        assert [(route, one.requests) for route, one in found.routes.items()] == [
            (("GET", "/held"), 5)
        ]
        found = window(recent, point_of(read(metrics), now), 100)
        assert (found.seconds, sum_of(found.routes.values()).requests) == (200, 2)


def test_a_point_is_noted_when_it_is_due_and_not_before(data):
    metrics, recent = data / "metrics", recent_directory(data)
    note_totals(recent, metrics, 1000.0)
    assert not recent.exists()  # there are no metrics yet
    counted = new_metrics(metrics)
    for now in range(1000, 1100, 10):
        note_totals(recent, metrics, float(now))
    assert sorted(path.name for path in recent.iterdir()) == [
        "1000.1.json",
        "1030.1.json",
        "1060.1.json",
        "1090.1.json",
    ]
    for now in range(1100, 20_000, 30):
        note_totals(recent, metrics, float(now))
    assert len(list(recent.iterdir())) <= 30
    counted.close()


def test_without_points_or_with_damaged_ones_nothing_is_said(data):
    metrics, recent = data / "metrics", recent_directory(data)
    now = Point(1000.0, 1, BOUNDS, {})
    assert window(recent, now, MINUTES) is None
    counted = new_metrics(metrics)
    note_totals(recent, metrics, 990.0)
    counted.close()
    assert window(recent, now, MINUTES).seconds == 10.0
    assert window(recent, Point(1000.0, 2, BOUNDS, {}), MINUTES) is None
    (path,) = recent.iterdir()
    good = json.loads(path.read_text())
    good["routes"] = [["GET", "/", [1, 2], 0, 0, 0, 0]]
    for text in ("", "[]", "{", '{"version": 2}', json.dumps(good)):
        path.write_text(text)
        assert window(recent, now, MINUTES) is None
