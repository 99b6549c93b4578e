"""What a process counts is in its file, and everybody else reads it there."""

from __future__ import annotations

import os

import pytest
from counting_workers import (
    BUCKETS,
    counters_in,
    new_metrics,
    nursery,
    requests_in,
)

from flaskprof.metrics import table
from flaskprof.metrics.archive import Archive
from flaskprof.metrics.folding import read
from flaskprof.metrics.layout import FIXED_CELLS, OVERFLOW, Cell, bounds_in_ns
from flaskprof.metrics.reader import survey, worker_files
from flaskprof.metrics.totals import Exemplar
from flaskprof.metrics.worker_file import WorkerFile

MS = 10**6
PROFILE = "0123456789abcdef" * 2
TRACE = "fedcba9876543210" * 2


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data" / "metrics"


@pytest.fixture
def metrics(directory):
    metrics = new_metrics(directory, max_series=3)
    yield metrics
    metrics.close()


@pytest.fixture
def workers():
    with nursery() as started:
        yield started


def test_counts_and_sums_are_read_as_they_were_written(metrics, directory):
    metrics.observe("GET", "/a", "200", 50 * MS, cpu_ns=3, queued_ns=5, length=7)
    metrics.observe("GET", "/a", "200", 100 * MS, cpu_ns=4)
    metrics.observe("GET", "/a", "200", 101 * MS, length=8)
    metrics.observe("GET", "/a", "200", 5000 * MS)
    (row,) = [row for row in read(directory).totals.requests.values() if row.labels[1] == "/a"]
    assert row.labels == ("GET", "/a", "200")
    assert row.cells[FIXED_CELLS:] == [2, 1, 1]
    assert row.cells[Cell.DURATION] == 5251 * MS
    assert row.cells[Cell.CPU_COUNT : Cell.LENGTH + 1] == [2, 7, 1, 5, 2, 15]


def test_counters_and_gauges_are_read_as_they_were_written(metrics, directory):
    metrics.count_capture("header", "stored")
    metrics.count_capture("header", "stored")
    metrics.count_exception("GET", "/a", "ValueError")
    metrics.request_started("GET")
    counters = counters_in(read(directory))
    assert counters[table.CAPTURES.name, "header", "stored"] == 2
    assert counters[table.EXCEPTIONS.name, "GET", "/a", "ValueError"] == 1
    assert counters[table.ACTIVE.name, "GET"] == 1
    assert counters[table.STARTED_WORKERS.name,] == 1
    metrics.request_ended("GET")
    assert counters_in(read(directory))[table.ACTIVE.name, "GET"] == 0


def test_what_was_counted_before_there_was_a_file_is_in_it(directory):
    file = WorkerFile(bounds_in_ns(BUCKETS), 3)
    file.words[file.request_place(["GET", "/early", "200"]) + FIXED_CELLS] += 2
    file.place(directory)
    assert requests_in(read(directory)) == {("GET", "/early", "200"): 2}
    file.leave()


def test_an_exemplar_leads_to_the_newest_request_of_its_bucket(metrics, directory):
    metrics.observe("GET", "/a", "200", 10 * MS, profile_id="f" * 32)
    metrics.observe("GET", "/a", "200", 20 * MS, profile_id=PROFILE)
    found = read(directory).totals.exemplars
    ((_, bucket), exemplar) = found.popitem()
    assert not found
    assert bucket == 0
    assert exemplar == Exemplar(20 * MS, exemplar.unix_ns, PROFILE)


def test_of_many_exemplars_the_newest_256_stay(directory):
    file = WorkerFile(bounds_in_ns(BUCKETS), 300)
    for number in range(300):
        place = file.request_place(["GET", f"/{number}", "200"])
        file.add_exemplar(place, number, PROFILE, TRACE)
    file.place(directory)
    exemplars = read(directory).totals.exemplars
    assert sorted(one.value_ns for one in exemplars.values()) == list(range(44, 300))
    assert {one.trace_id for one in exemplars.values()} == {TRACE}
    file.leave()


def test_label_sets_without_room_are_counted_under_overflow(metrics, directory):
    for number in range(10):
        metrics.observe("GET", f"/{number}", "200", MS)
    counts = requests_in(read(directory))
    assert counts == {
        **{("GET", f"/{number}", "200"): 1 for number in range(3)},
        (OVERFLOW, OVERFLOW, OVERFLOW): 7,
    }


def test_labels_too_long_for_their_area_are_counted_under_overflow(metrics, directory):
    metrics.observe("GET", "/" + "long" * 1000, "200", MS)
    metrics.observe("GET", "/short", "200", MS)
    assert requests_in(read(directory)) == {
        ("GET", "/short", "200"): 1,
        (OVERFLOW, OVERFLOW, OVERFLOW): 1,
    }


def test_what_was_refused_is_served_as_a_number(metrics):
    for number in range(100):
        metrics.observe("GET", f"/{number}", "200", MS)
        metrics.count_exception("GET", "/", f"Error{number}")
    refused = metrics.registry.get_sample_value
    name = "flaskprof_label_sets_refused_total"
    assert refused(name, {"metric": table.DURATION.name}) == 97
    assert refused(name, {"metric": table.EXCEPTIONS.name}) > 90
    total = sum(
        sample.value
        for family in metrics.registry.collect()
        if family.name == table.EXCEPTIONS.name
        for sample in family.samples
    )
    assert total == 100


def test_the_bound_on_label_sets_is_that_of_all_workers_together(directory):
    several = [new_metrics(directory, max_series=3) for _ in range(3)]
    for worker, metrics in enumerate(several):
        for number in range(3):
            metrics.observe("GET", f"/{worker}/{number}", "200", MS)
    counts = requests_in(read(directory))
    assert sum(counts.values()) == 9
    assert counts[OVERFLOW, OVERFLOW, OVERFLOW] == 6
    assert len(counts) == 4
    for metrics in several:
        metrics.close()


@pytest.mark.parametrize("label", ['quo"te', "line\nfeed", "back\\slash", "ünï", "\udcff"])
def test_any_label_text_is_kept_apart_from_the_next(metrics, directory, label):
    metrics.observe("GET", label, "200", MS)
    metrics.observe("GET", "/next", "200", MS)
    readable = label.encode("utf-8", "replace").decode()
    assert requests_in(read(directory)) == {
        ("GET", readable, "200"): 1,
        ("GET", "/next", "200"): 1,
    }


def test_another_process_reads_what_a_living_one_counted(workers, directory):
    workers.start("hold", directory, 3)
    workers.start("hold", directory, 4)
    reading = read(directory)
    assert requests_in(reading) == {("GET", "/held", "200"): 7}
    assert (reading.alive, reading.dead, reading.skipped) == (2, 0, 0)


def test_a_killed_process_is_dead_and_its_counts_stay(workers, directory):
    killed = workers.start("hold", directory, 3)
    workers.start("hold", directory, 4)
    workers.kill(killed)
    reading = read(directory)
    assert requests_in(reading) == {("GET", "/held", "200"): 7}
    assert (reading.alive, reading.dead) == (1, 1)
    assert counters_in(reading)[table.STARTED_WORKERS.name,] == 2


def test_after_a_hundred_scrapes_by_itself_a_process_is_still_alive_to_others(
    workers, directory
):
    workers.start("hold", directory, 1)
    workers.start("scrape", directory, 100)
    reading = read(directory)
    assert (reading.alive, reading.dead) == (2, 0)


def test_a_process_never_opens_its_own_file(metrics, directory, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, *rest, **named: (opened.append(str(path)), real(path, *rest))[1],
    )
    list(metrics.registry.collect())
    assert [path for path in opened if path.endswith(".worker")] == []


def test_a_file_is_not_for_others_to_read(metrics, directory):
    ((_, path),) = worker_files(directory)
    assert path.stat().st_mode & 0o007 == 0
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("content", "is_given_up"),
    [
        (b"", True),
        (b"rubbish", True),
        (b"fprofwrk" + bytes(4096), True),
        (b"fprofwrk" + (99).to_bytes(8, "little") + bytes(4096), False),
    ],
    ids=["empty", "short", "no version", "a later version"],
)
def test_a_file_that_cannot_be_read_is_left_out_and_counted(
    metrics, directory, content, is_given_up
):
    (directory / f"{'a' * 32}.worker").write_bytes(content)
    metrics.observe("GET", "/a", "200", MS)
    reading = read(directory)
    assert requests_in(reading) == {("GET", "/a", "200"): 1}
    assert reading.skipped == 1
    assert reading.dead == is_given_up


def test_a_file_with_any_damaged_word_of_its_header_does_not_break_the_reader(directory):
    file = WorkerFile(bounds_in_ns(BUCKETS), 3)
    file.place(directory)
    ((_, path),) = worker_files(directory)
    file.leave()
    good = path.read_bytes()
    for word in range(18):
        for value in (-1, 0, 1 << 62, (1 << 31) - 1):
            at = word * 8
            bad = good[:at] + value.to_bytes(8, "little", signed=True) + good[at + 8 :]
            path.write_bytes(bad)
            found = survey(directory, Archive())
            assert found.skipped + len(found.groups) >= 1
