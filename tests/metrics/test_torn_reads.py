"""Readers of a file that is being written never see a value that was not written.

``make kill`` reads 10 million cells; here there are fewer.
"""

from __future__ import annotations

import os

import pytest
from counting_workers import ROUTES, STEP, nursery

from flaskprof.metrics.archive import Archive
from flaskprof.metrics.reader import survey
from needs import needs_module

CELLS = int(os.environ.get("FLASKPROF_TORN_READS", "100000"))


@pytest.mark.parametrize("way", ["python", "c"])
def test_no_cell_and_no_exemplar_is_ever_read_half_written(way, tmp_path):
    if way == "c":
        needs_module("flaskprof.metrics._request")
    read_cells = read_exemplars = changes = 0
    last = {}
    with nursery() as processes:
        processes.start("write", tmp_path / "metrics", way)
        while read_cells < CELLS:
            found = survey(tmp_path / "metrics", Archive())
            assert (found.alive, found.skipped) == (1, 0)
            (group,) = found.groups.values()
            totals = group.living.totals()
            rows = [row for row in totals.requests.values() if row.labels[0] == "GET"]
            assert len(rows) == ROUTES
            for row in rows:
                assert [cell % STEP for cell in row.cells] == [0] * len(row.cells)
                before = last.get(row.labels, 0)
                assert row.cells[0] >= before
                changes += row.cells[0] > before
                last[row.labels] = row.cells[0]
                read_cells += len(row.cells)
            for exemplar in totals.exemplars.values():
                assert int(exemplar.profile_id, 16) == exemplar.value_ns
                assert int(exemplar.trace_id, 16) == exemplar.value_ns
                read_exemplars += 1
    print(f"{read_cells} cells and {read_exemplars} exemplars read, {changes} rows had changed")
    # It was written to all the while.
    assert changes > CELLS / 1000
    assert read_exemplars > 0
