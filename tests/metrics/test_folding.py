"""What dead processes counted goes into the archive once, wherever folding is broken off."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from counting_workers import counters_in, new_metrics, nursery, requests_in

from flaskprof.metrics import folding, table
from flaskprof.metrics.archive import archive_path, load_archive
from flaskprof.metrics.folding import fold, read
from flaskprof.metrics.layout import OVERFLOW, VERSION, WORD, Header, Layout
from flaskprof.metrics.reader import worker_files

MS = 10**6
A = ("GET", "/a", "200")
B = ("GET", "/b", "200")


class Stopped(BaseException):
    """Stands for the death of whoever folds."""


def stop(*_, **__):
    raise Stopped


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "metrics"


def dead_worker(directory, *routes, **options):
    """Leave the file of a process that has ended."""
    metrics = new_metrics(directory, **options)
    for route in routes:
        metrics.observe("GET", route, "200", MS, profile_id="a" * 32)
    metrics.request_started("GET")
    metrics.close()


def test_dead_files_are_folded_once_and_are_gone(directory):
    dead_worker(directory, "/a", "/a")
    dead_worker(directory, "/a", "/b")
    before = read(directory)
    assert before.dead == 2
    assert fold(directory) == 2
    assert fold(directory) == 0
    assert worker_files(directory) == []
    after = read(directory)
    assert requests_in(after) == requests_in(before) == {A: 3, B: 1}
    assert counters_in(after) == counters_in(before)
    assert after.totals.exemplars == before.totals.exemplars
    assert (after.dead, after.set_aside, after.generation) == (0, 0, 1)


def test_a_living_file_is_not_folded(directory):
    metrics = new_metrics(directory)
    metrics.observe("GET", "/a", "200", MS)
    assert fold(directory) == 0
    assert len(worker_files(directory)) == 1
    metrics.observe("GET", "/a", "200", MS)
    assert requests_in(read(directory)) == {A: 2}
    metrics.close()


def test_what_is_true_of_a_living_process_only_ends_with_it(directory):
    dead_worker(directory, "/a", measure={"workers"})
    for reading in (read(directory), (fold(directory), read(directory))[1]):
        counters = counters_in(reading)
        assert (table.ACTIVE.name, "GET") not in counters
        assert (table.RESIDENT.name,) not in counters
        assert counters[table.STARTED_WORKERS.name,] == 1
        assert counters[table.CPU_OF_WORKERS.name,] > 0


# The calls of the system that folding makes, each of which may be the last one.
STEPS = {
    "before the archive is written": (os, "fdopen"),
    "before it has reached the disk": (os, "fsync"),
    "before it appears": (Path, "replace"),
    "before a file is deleted": (Path, "unlink"),
}


@pytest.mark.parametrize("step", STEPS)
def test_whoever_dies_while_folding_leaves_nothing_lost_or_doubled(
    directory, monkeypatch, step
):
    dead_worker(directory, "/a")
    fold(directory)
    dead_worker(directory, "/a", "/b")
    dead_worker(directory, "/b")
    expected = {A: 2, B: 2}
    with monkeypatch.context() as patched:
        patched.setattr(*STEPS[step], stop)
        with pytest.raises(Stopped):
            fold(directory)
    assert len(worker_files(directory)) == 2
    assert requests_in(read(directory)) == expected
    fold(directory)
    assert requests_in(read(directory)) == expected
    assert worker_files(directory) == []
    fold(directory)
    assert load_archive(directory).done == frozenset()


def test_whoever_dies_between_two_deletions_leaves_nothing_doubled(directory, monkeypatch):
    for _ in range(3):
        dead_worker(directory, "/a")
    unlink = Path.unlink
    deleted = []

    def unlink_once(path, **options):
        if deleted:
            raise Stopped
        deleted.append(path)
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink_once)
        with pytest.raises(Stopped):
            fold(directory)
    assert len(worker_files(directory)) == 2
    assert requests_in(read(directory)) == {A: 3}
    dead_worker(directory, "/a")
    assert requests_in(read(directory)) == {A: 4}
    fold(directory)
    assert requests_in(read(directory)) == {A: 4}


def test_a_file_that_nobody_may_delete_is_never_counted_again(directory, monkeypatch):
    dead_worker(directory, "/a")

    def refuse(*_, **__):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        assert fold(directory) == 1
        dead_worker(directory, "/a")
        assert fold(directory) == 1
        assert requests_in(read(directory)) == {A: 2}
    assert len(worker_files(directory)) == 2
    assert len(load_archive(directory).done) == 2
    fold(directory)
    assert requests_in(read(directory)) == {A: 2}
    assert worker_files(directory) == []


@pytest.mark.parametrize("times", [1, 50])
def test_a_reader_begins_again_when_the_archive_changed_under_it(directory, monkeypatch, times):
    dead_worker(directory, "/a")
    real = folding.survey
    left = [times]

    def survey_amid_folding(*arguments):
        if left[0] and not folding._in_this_process.locked():
            left[0] -= 1
            monkeypatch.setattr(folding, "survey", real)
            fold(directory)
            dead_worker(directory, "/a")
            fold(directory)
            monkeypatch.setattr(folding, "survey", survey_amid_folding)
        return real(*arguments)

    monkeypatch.setattr(folding, "survey", survey_amid_folding)
    counts = requests_in(read(directory))
    assert counts == {A: 1 + times - left[0]}


def test_a_folder_that_cannot_lock_leaves_all_as_it_is(directory):
    dead_worker(directory, "/a")
    with folding._locked(directory, wait=True):
        assert fold(directory) == 0
    assert requests_in(read(directory)) == {A: 1}
    assert fold(directory) == 1


def test_totals_never_fall_while_workers_come_count_and_go(directory):
    seen = {}
    for worker in range(12):
        metrics = new_metrics(directory, max_series=5)
        for number in range(worker):
            metrics.observe("GET", f"/{number}", "200", MS)
            metrics.count_exception("GET", "/", f"Error{number}")
        for step in ("live", "die", "fold" if worker % 3 == 0 else "stay"):
            if step == "die":
                metrics.close()
            elif step == "fold":
                fold(directory)
            reading = read(directory)
            now = requests_in(reading) | {
                labels: value
                for labels, value in counters_in(reading).items()
                if labels[0] == table.EXCEPTIONS.name
            }
            fallen = {labels for labels, value in seen.items() if now.get(labels, 0) < value}
            assert fallen == set()
            seen = now
    assert sum(requests_in(reading).values()) == sum(range(12))


def test_the_bound_on_label_sets_includes_the_archive(directory):
    for number in range(8):
        dead_worker(directory, f"/{number}", max_series=4)
        fold(directory)
    counts = requests_in(read(directory))
    assert len(counts) == 5
    assert counts[OVERFLOW, OVERFLOW, OVERFLOW] == 4


# A change of what is counted


def test_other_buckets_begin_a_generation_at_zero_and_count_what_was_given_up(directory):
    dead_worker(directory, "/a")
    fold(directory)
    dead_worker(directory, "/a")
    other = new_metrics(directory, buckets=(0.5, 2.0))
    other.observe("GET", "/a", "200", 600 * MS)
    expected = {A: 1}
    reading = read(directory)
    assert (requests_in(reading), reading.generation) == (expected, 2)
    assert not reading.is_settled
    assert reading.skipped == 1
    fold(directory)
    reading = read(directory)
    assert (requests_in(reading), reading.generation) == (expected, 2)
    assert reading.is_settled
    assert (reading.skipped, reading.set_aside) == (0, 1)
    other.observe("GET", "/a", "200", 600 * MS)
    assert requests_in(read(directory)) == {A: 2}
    other.close()
    fold(directory)
    assert requests_in(read(directory)) == {A: 2}


def test_a_living_worker_of_the_old_buckets_is_skipped_and_named_as_such(directory):
    old = new_metrics(directory)
    old.observe("GET", "/a", "200", MS)
    fold(directory)
    new = new_metrics(directory, buckets=(0.5,))
    new.observe("GET", "/b", "200", MS)
    value = new.registry.get_sample_value
    assert value("flaskprof_metrics_files_skipped") == 1
    assert value("flaskprof_workers") == 2
    assert requests_in(read(directory)) == {B: 1}
    old.close()
    new.close()


def test_other_buckets_begin_a_generation_where_nothing_was_folded_before(directory):
    old = new_metrics(directory)
    old.observe("GET", "/a", "200", MS)
    assert read(directory).generation == 1
    new = new_metrics(directory, buckets=(0.5,))
    reading = read(directory)
    assert (requests_in(reading), reading.generation, reading.is_settled) == ({}, 2, False)
    fold(directory)
    reading = read(directory)
    assert (requests_in(reading), reading.generation, reading.is_settled) == ({}, 2, True)
    old_again = new_metrics(directory)
    fold(directory)
    reading = read(directory)
    assert {labels: n for labels, n in requests_in(reading).items() if n} == {}
    assert reading.generation == 3
    for metrics in (old, new, old_again):
        metrics.close()


def test_buckets_that_come_back_do_not_bring_back_what_they_counted(directory):
    first = new_metrics(directory)
    first.observe("GET", "/a", "200", MS)
    fold(directory)
    second = new_metrics(directory, buckets=(0.5,))
    fold(directory)
    third = new_metrics(directory)
    third.observe("GET", "/a", "200", MS)
    third.observe("GET", "/b", "200", MS)
    fold(directory)
    reading = read(directory)
    assert reading.is_settled
    assert reading.generation == 3
    assert requests_in(reading)[B] == 1
    assert requests_in(reading)[A] == 1
    first.observe("GET", "/a", "200", MS)
    assert requests_in(read(directory))[A] == 2
    for metrics in (first, second, third):
        metrics.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": "other"}', b"null", b"[" * 100_000],
    ids=["empty", "cut off", "a list", "another format", "null", "deep"],
)
def test_an_archive_that_cannot_be_read_is_kept_and_all_begins_at_zero(directory, content):
    dead_worker(directory, "/a")
    fold(directory)
    living = new_metrics(directory)
    living.observe("GET", "/a", "200", MS)
    archive_path(directory).write_bytes(content)
    reading = read(directory)
    assert not reading.is_settled
    assert requests_in(reading) == {}
    fold(directory)
    living.observe("GET", "/b", "200", MS)
    reading = read(directory)
    assert reading.is_settled
    assert {label: n for label, n in requests_in(reading).items() if n} == {B: 1}
    assert reading.set_aside == 1
    assert (directory / "archive.json.set-aside").read_bytes() == content
    living.close()


def test_an_archive_of_a_later_version_is_kept_aside(directory):
    dead_worker(directory, "/a")
    fold(directory)
    plain = json.loads(archive_path(directory).read_bytes())
    archive_path(directory).write_text(json.dumps(plain | {"version": 2}))
    fold(directory)
    reading = read(directory)
    assert (requests_in(reading), reading.set_aside, reading.generation) == ({}, 1, 2)
    assert json.loads((directory / "archive.json.set-aside").read_bytes())["version"] == 2


def test_a_file_of_a_later_layout_is_skipped_and_left_for_those_who_know_it(directory):
    dead_worker(directory, "/a")
    ((_, path),) = worker_files(directory)
    with path.open("r+b") as file:
        file.seek(Header.VERSION * WORD)
        file.write((VERSION + 1).to_bytes(WORD, sys.byteorder))
    dead_worker(directory, "/b")
    fold(directory)
    reading = read(directory)
    assert (requests_in(reading), reading.skipped, reading.dead) == ({B: 1}, 1, 0)
    assert [left for _, left in worker_files(directory)] == [path]


@dataclass(frozen=True)
class LayoutBefore(Layout):
    """That of the version before."""

    version: int = VERSION - 1


def test_a_worker_of_the_layout_before_is_read_and_folded_as_any_other(directory, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr("flaskprof.metrics.worker_file.Layout", LayoutBefore)
        dead_worker(directory, "/a")
        ((_, path),) = worker_files(directory)
    dead_worker(directory, "/b")
    ((_, first), (_, second)) = sorted(
        worker_files(directory), key=lambda file: file[1] != path
    )
    assert (first, path.stat().st_size < second.stat().st_size) == (path, True)
    expected = {A: 1, B: 1}
    assert (requests_in(read(directory)), read(directory).skipped) == (expected, 0)
    assert fold(directory) == 2
    assert (requests_in(read(directory)), worker_files(directory)) == (expected, [])


def test_a_worker_of_a_later_layout_is_left_alone_alive_and_dead_until_it_can_be_read(
    directory,
):
    with nursery() as workers:
        later = workers.start("hold", directory, 3)
        ((_, path),) = worker_files(directory)

        def be_of(version):
            with path.open("r+b") as file:
                file.seek(Header.VERSION * WORD)
                file.write(version.to_bytes(WORD, sys.byteorder))

        be_of(VERSION + 1)
        workers.start("hold", directory, 1)
        for end in (lambda: None, lambda: workers.kill(later)):
            end()
            assert fold(directory) == 0
            reading = read(directory)
            assert requests_in(reading) == {("GET", "/held", "200"): 1}
            assert (reading.alive, reading.skipped, reading.generation) == (1, 1, 1)
        be_of(VERSION)
        assert requests_in(read(directory)) == {("GET", "/held", "200"): 4}
        assert fold(directory) == 1


def test_a_damaged_dead_file_is_given_up_and_counted_once(directory):
    dead_worker(directory, "/a")
    (directory / f"{'0' * 32}.worker").write_bytes(b"rubbish" * 1000)
    assert read(directory).dead == 2
    fold(directory)
    fold(directory)
    reading = read(directory)
    assert (reading.skipped, reading.set_aside) == (0, 1)
    assert requests_in(reading) == {A: 1}
    assert worker_files(directory) == []


def test_a_file_that_was_never_finished_goes_after_a_minute(directory):
    dead_worker(directory)
    old, new = directory / f".{'0' * 32}.new", directory / f".{'1' * 32}.new"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    fold(directory)
    assert new.exists()
    assert not old.exists()
