"""Other requests that run beside a capture are counted."""

from __future__ import annotations

from flaskprof.capture.overlaps import Overlaps


def test_each_capture_counts_those_that_run_and_those_that_start():
    overlaps = Overlaps()
    assert not overlaps.is_counting
    first = overlaps.begin(2)
    overlaps.request_started()
    second = overlaps.begin(4)
    overlaps.request_started()
    assert overlaps.is_counting
    assert overlaps.end(first) == 4
    overlaps.request_started()
    assert overlaps.end(second) == 6
    assert not overlaps.is_counting
