"""What goes and what stays, whatever the captures and the bounds."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.config import Settings
from flaskprof.errors import StoreError
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery, layout
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.retention import Bounds, Candidate, surplus

NOW = 1_763_812_345.0
HOUR = 3600.0

captures = st.lists(
    st.builds(
        Candidate,
        id=st.integers(0, 10**6).map(lambda number: f"{number:032x}"),
        route=st.sampled_from(["/", "/a", "/b", "", None]),
        started=st.floats(NOW - 50 * HOUR, NOW + HOUR),
        duration_seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 7.0]),
        bytes=st.integers(0, 50),
    ),
    max_size=30,
    unique_by=lambda capture: capture.id,
)
bounds = st.builds(
    Bounds,
    bytes=st.integers(0, 400),
    count=st.none() | st.integers(1, 20),
    age_seconds=st.none() | st.floats(HOUR, 60 * HOUR),
)
policy = settings(deadline=None, max_examples=150)


def kept(given, within):
    goes = set(surplus(given, within, now=NOW))
    return [capture for capture in given if capture.id not in goes]


def are_within(given, within):
    return within.hold(
        bytes=sum(capture.bytes for capture in given),
        count=len(given),
        oldest=min((capture.started for capture in given), default=NOW),
        now=NOW,
    )


def worst_of_each_route(given):
    slowest = {}
    for capture in sorted(given, key=lambda capture: capture.id):
        if capture.route is None:
            continue
        if capture.duration_seconds > slowest.get(capture.route, (-1,))[0]:
            slowest[capture.route] = capture.duration_seconds, capture
    return [capture for _, capture in slowest.values()]


@given(captures, bounds)
@policy
def test_no_bound_is_left_broken(given, within):
    assert are_within(kept(given, within), within)


@given(captures, bounds)
@policy
def test_nothing_goes_that_could_stay(given, within):
    stays = kept(given, within)
    for capture in given:
        if capture not in stays:
            assert not are_within([*stays, capture], within)


@given(captures, bounds)
@policy
def test_the_worst_of_a_route_goes_only_for_the_worst_of_others(given, within):
    young = [c for c in given if not within.is_beyond_age(c.started, NOW)]
    worst = worst_of_each_route(young)
    of_all = {c.id for c in kept(given, within)} & {c.id for c in worst}
    of_worst_alone = {c.id for c in kept(worst, within)}
    assert of_all == of_worst_alone


@given(captures, bounds, st.randoms(use_true_random=False))
@policy
def test_the_order_in_which_captures_are_given_does_not_matter(given, within, random):
    shuffled = list(given)
    random.shuffle(shuffled)
    assert surplus(shuffled, within, now=NOW) == surplus(given, within, now=NOW)


@given(captures, bounds)
@policy
def test_what_was_kept_is_kept_again(given, within):
    assert surplus(kept(given, within), within, now=NOW) == []


def candidate(name, route="/", hours_ago=5.0, seconds=0.1, bytes=1):
    return Candidate(name, route, NOW - hours_ago * HOUR, seconds, bytes)


def test_captures_go_in_the_order_in_which_they_are_missed_least():
    given = [
        candidate("worst", hours_ago=40, seconds=9),
        candidate("recent", hours_ago=0.5, seconds=0.1),
        candidate("second", hours_ago=30, seconds=8),
        candidate("third", hours_ago=20, seconds=7),
        candidate("newer", hours_ago=2),
        candidate("older", hours_ago=3),
        candidate("unknown", hours_ago=1, route=None),
    ]
    order = ["unknown", "older", "newer", "third", "second", "recent", "worst"]
    assert surplus(given, Bounds(bytes=0), now=NOW) == order
    for count in range(1, 8):
        goes = surplus(given, Bounds(bytes=100, count=count), now=NOW)
        assert goes == order[: len(order) - count]


def test_what_is_too_old_goes_whatever_it_tells():
    given = [candidate("worst", hours_ago=40, seconds=9), candidate("other")]
    assert surplus(given, Bounds(bytes=9, age_seconds=10 * HOUR), now=NOW) == ["worst"]


def test_one_that_is_larger_than_the_bound_does_not_take_the_others_with_it():
    given = [candidate("giant", seconds=9, bytes=1000), candidate("a"), candidate("b")]
    assert surplus(given, Bounds(bytes=100), now=NOW) == ["giant"]


def test_the_bounds_are_those_of_the_settings():
    loaded = Settings.load(environ={}, max_bytes=1000, keep_captures=7, keep_days=2)
    assert Bounds.of(loaded) == Bounds(bytes=800, count=7, age_seconds=48 * HOUR)
    assert Bounds.of(Settings()) == Bounds(bytes=204_800_000, count=10_000)


# In a directory


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "data")


def save(store, started, seconds=0.25, size=1000, route="/"):
    record = CaptureRecord(
        id=new_capture_id(started), started=started, duration_seconds=seconds, route=route
    )
    store.save(record, {".prof": b"x" * size, ".pb.gz": b"y" * size})
    return record


def listed(store):
    return [record.id for record in store.list(CaptureQuery(limit=1000)).records]


def test_pruning_deletes_what_the_policy_says_with_all_files(store):
    now = time.time()
    slow = save(store, now - 90_000, seconds=3.0)
    for hours in range(5, 10):
        save(store, now - hours * HOUR)
    new = save(store, now - 60)
    assert store.prune(Bounds(bytes=10**6, count=2), now=now) == 5
    assert listed(store) == [new.id, slow.id]
    files = [path.name for path in (store.path / "captures").rglob("*.*") if path.is_file()]
    kept_files = [
        record.id + suffix for record in (slow, new) for suffix in (".json", ".pb.gz", ".prof")
    ]
    assert sorted(files) == sorted([*kept_files, "index-v4.sqlite"])


def test_pruning_by_bytes_counts_every_file_and_is_seen_by_the_next_count(store):
    now = time.time()
    for hours in range(10):
        save(store, now - (2 + hours) * HOUR)
    used = store.bytes_used()
    assert used > 20_000
    gone = store.prune(Bounds(bytes=used // 2), now=now)
    assert gone == 5
    assert store.bytes_used() == used - gone * used // 10
    assert store.bytes_used() == DirectoryStore(store.path).bytes_used()


def test_within_its_bounds_a_directory_is_left_alone_and_no_index_is_made(store):
    save(store, time.time())
    assert store.prune(Bounds(bytes=10**6, count=1, age_seconds=60), now=time.time()) == 0
    assert not list((store.path / "captures").glob("index*"))
    assert DirectoryStore(store.path / "nowhere").prune(Bounds(bytes=0), now=NOW) == 0


def test_captures_that_cannot_be_read_are_pruned_too(store):
    now = time.time()
    damaged = save(store, now - 5 * HOUR)
    good = save(store, now - 6 * HOUR)
    path = layout.capture_path(store.path / "captures", damaged.id, ".json")
    path.write_text("{}")
    assert store.prune(Bounds(bytes=10**6, count=1), now=now) == 1
    assert listed(store) == [good.id]
    assert not path.exists()


def test_what_a_dead_writer_left_is_swept_without_a_reader(store):
    now = time.time()
    stray = layout.capture_path(store.path / "captures", save(store, now).id, ".json")
    stray.unlink()
    left = [stray.with_suffix(".prof"), stray.with_suffix(".pb.gz")]
    os.utime(left[0], (now - 4000, now - 4000))
    store.prune(Bounds(bytes=10**6), now=now)
    assert [path.exists() for path in left] == [False, True]


def test_days_that_became_empty_go_but_not_those_that_somebody_may_save_into(store):
    now = time.time()
    old, today = save(store, now - 90 * 24 * HOUR), save(store, now)
    paths = [
        layout.capture_path(store.path / "captures", record.id, ".json").parent
        for record in (old, today)
    ]
    assert store.prune(Bounds(bytes=0), now=now) == 2
    assert [path.exists() for path in paths] == [False, True]
    assert listed(store) == []


def test_a_capture_that_is_read_while_it_is_deleted_is_there_or_not_there(store):
    now = time.time()
    record = save(store, now - 5 * HOUR)
    path = layout.capture_path(store.path / "captures", record.id, ".prof")
    path.unlink()
    path.mkdir()  # cannot be unlinked
    with pytest.raises(StoreError, match="cannot be written"):
        store.prune(Bounds(bytes=0), now=now)
    assert listed(store) == []
