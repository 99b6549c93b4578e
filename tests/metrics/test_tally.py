"""Sums of many files are those of adding each of their cells, however large these are."""

from __future__ import annotations

from collections import Counter

import pytest
from counting_workers import BUCKETS
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics import tally
from flaskprof.metrics.layout import bounds_in_ns
from flaskprof.metrics.reader import parse
from flaskprof.metrics.tally import Tally
from flaskprof.metrics.worker_file import WorkerFile

BOUNDS = bounds_in_ns(BUCKETS)
WIDTH = WorkerFile(BOUNDS, 1).layout.requests.width

# Small ones as in every file, those around what is added in one go, the largest of all.
CELLS = st.one_of(
    st.integers(0, 100),
    st.integers((1 << 52) - 2, (1 << 52) + 2),
    st.sampled_from([(1 << 62), (1 << 63) - 1]),
)
ROWS = st.dictionaries(
    st.sampled_from(["/a", "/b", "/c"]), st.lists(CELLS, min_size=WIDTH, max_size=WIDTH)
)


def snapshot(rows, gauge=0):
    file = WorkerFile(BOUNDS, 8)
    for route, cells in rows.items():
        place = file.request_place(["GET", route, "200"])
        for cell, number in enumerate(cells, place):
            file.words[cell] = number
    file.words[file.counter_place(["a gauge"])] = gauge
    return parse(file.snapshot())


def sums(tally):
    """Return the cells of label sets that are not all zero, and the gauge."""
    totals = tally.totals()
    rows = {row.labels[1]: row.cells for row in totals.requests.values() if any(row.cells)}
    return rows, [row.cells[0] for row in totals.counters.values()]


@pytest.mark.parametrize("most_files", [2, 2048])
@given(files=st.lists(ROWS, min_size=1, max_size=8))
def test_every_cell_is_the_sum_of_the_cells_that_were_added(most_files, files):
    wanted = {}
    for rows in files:
        for route, cells in rows.items():
            wanted.setdefault(route, Counter()).update(dict(enumerate(cells)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tally, "_MOST_FILES", most_files)
        added = Tally(BOUNDS)
        for rows in files:
            added.add(snapshot(rows), is_alive=True)
    rows, _ = sums(added)
    assert rows == {
        route: [cells[cell] for cell in range(WIDTH)]
        for route, cells in wanted.items()
        if any(cells.values())
    }


def test_as_many_of_the_largest_cells_as_are_added_in_one_go_fit_beside_each_other():
    most = (1 << tally._MOST_BITS) - 1
    added = Tally(BOUNDS)
    one = snapshot({"/a": [most] * WIDTH})
    for _ in range(tally._MOST_FILES + 1):
        added.add(one, is_alive=True)
    assert sums(added)[0] == {"/a": [most * (tally._MOST_FILES + 1)] * WIDTH}


def test_a_gauge_may_be_below_zero():
    added = Tally(BOUNDS)
    for value in (-3, 2, -4):
        added.add(snapshot({}, value), is_alive=True)
    assert sums(added)[1] == [-5]


def test_a_damaged_label_text_is_refused_before_anything_is_added():
    good = snapshot({"/a": [1] * WIDTH}, 1)
    bad = snapshot({"/a": [1] * WIDTH}, 1)
    bad.requests.texts[-1] = b"no label text"
    added = Tally(BOUNDS)
    added.add(good, is_alive=True)
    with pytest.raises(ValueError, match="Expecting value"):
        added.add(bad, is_alive=True)
    assert sums(added) == ({"/a": [1] * WIDTH}, [1])


def test_of_a_dead_process_gauges_are_not_added():
    added = Tally(BOUNDS)
    file = WorkerFile(BOUNDS, 8)
    file.words[file.counter_place(["flaskprof_failures", "spool"])] = 2
    file.words[file.counter_place(["http_server_active_requests", "GET"])] = 2
    for is_alive in (True, False):
        added.add(parse(file.snapshot()), is_alive=is_alive)
    values = {row.labels[0]: row.cells for row in added.totals().counters.values()}
    assert values == {"flaskprof_failures": [4], "http_server_active_requests": [2]}
