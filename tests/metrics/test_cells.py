"""What is counted in cells is exact, whoever counts and whatever interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics.cells import Cells, PythonCells
from flaskprof.metrics.headers import content_length, python_content_length
from flaskprof.metrics.visit import PythonVisit, Visit
from needs import needs_module

BOUNDS = (10, 20, 40)
BUCKETS = 7  # a sum, and counts and sums of three more
WIDTH = BUCKETS + len(BOUNDS) + 1

WAYS = {"python": (PythonCells, PythonVisit), "c": (Cells, Visit)}


@pytest.fixture(params=WAYS)
def way(request):
    if request.param == "c":
        needs_module("flaskprof.metrics._request")
    return WAYS[request.param]


@pytest.fixture
def words():
    return array("q", [0] * (3 * WIDTH))


@pytest.fixture
def cells(way, words):
    return way[0](words, BOUNDS, BUCKETS)


def test_each_number_is_added_to_its_word(cells, words):
    cells.add(0, 5, 3, -2, 0, 1)
    cells.add()
    assert words.tolist() == [6, 0, 0, -2] + [0] * (3 * WIDTH - 4)


def test_a_value_is_counted_in_its_bucket_beside_what_else_was_measured(cells, words):
    for value in (0, 10, 11, 40, 41):
        cells.observe(WIDTH, value, None, 7)
    cells.observe(WIDTH, 20, 3)
    cells.observe(WIDTH, 20, None, 0, 9)
    expected = [142, 1, 3, 6, 35, 1, 9, 2, 3, 1, 1]
    assert words.tolist() == [0] * WIDTH + expected + [0] * WIDTH


@given(st.lists(st.integers(-5, 60), min_size=1, max_size=20))
def test_buckets_are_those_of_the_other_way(values):
    found = []
    for kind in (PythonCells, Cells):
        words = array("q", [0] * WIDTH)
        for value in values:
            kind(words, BOUNDS, BUCKETS).observe(0, value, value)
        found.append(words)
    assert found[0] == found[1]


def test_words_go_on_in_other_memory(cells, words):
    cells.add(0, 1, 4, 2, 8, 3)
    whole, part, none = (array("q", [0] * len(words)) for _ in range(3))
    cells.move_to(whole)
    cells.add(4, 10)
    cells.move_to(part, (8, 4))
    cells.add(4, 100)
    cells.move_to(none, ())
    cells.add(5, 1)
    assert (words[0], words[4], words[8]) == (1, 2, 3)
    assert (whole[0], whole[4], whole[8]) == (1, 12, 3)
    assert (part[0], part[4], part[8]) == (0, 112, 3)
    assert none.tolist() == [0] * 5 + [1] + [0] * (len(words) - 6)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add", (3 * WIDTH, 1)),
        ("observe", (3 * WIDTH, 1)),
        ("move_to", (bytearray(8),)),
        ("move_to", (bytes(8 * 3 * WIDTH),)),
        ("add", (1,)),
        ("add", (0, "1")),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_counted(name, arguments, cells, words):
    with pytest.raises((IndexError, ValueError, TypeError, BufferError)):
        getattr(cells, name)(*arguments)
    assert not any(words)


def test_no_count_is_lost_among_threads(cells, words, way):
    kind, rounds, number = way[1], 100_000, 8

    def work():
        for _ in range(rounds):
            cells.add(0, 1, 1, -1)

    def visit():
        for _ in range(rounds // 10):
            one = kind()
            one.start(cells, 2, 0, False)
            cells.observe(WIDTH, 15, 1)
            one.stop()

    threads = [threading.Thread(target=work) for _ in range(number)]
    threads += [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words[:3].tolist() == [rounds * number, -rounds * number, 0]
    assert words[WIDTH : WIDTH + 3].tolist() == [rounds * 3, rounds // 5, rounds // 5]


def test_no_count_is_lost_while_the_words_move(cells, words):
    threads = [
        threading.Thread(target=lambda: [cells.add(0, 1) for _ in range(50_000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    kept = words
    while any(thread.is_alive() for thread in threads):
        kept = array("q", [0] * len(words))
        cells.move_to(kept, (0,))
    for thread in threads:
        thread.join()
    assert kept[0] == 200_000


def test_what_signal_handlers_count_is_neither_lost_nor_waited_for(cells, words):
    handled = 0

    def handle(*_):
        nonlocal handled
        handled += 1
        cells.observe(0, 15, 1)
        cells.add(1, 1)

    before = signal.signal(signal.SIGALRM, handle)
    own = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while handled < 300:
            cells.observe(0, 15, 1)
            cells.add(1, 1)
            own += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert words[BUCKETS + 1] == own + handled
    assert words[1] == 2 * (own + handled)


def test_a_child_counts_where_a_thread_of_its_parent_did(cells, words):
    """A thread that the child does not have may have held a lock at the fork."""
    is_over = threading.Event()

    def count():
        while not is_over.is_set():
            cells.add(0, 1)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if not child:
                cells.forget_lock()
                words[1] = 0
                cells.add(1, 1)
                os._exit(words[1])
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    finally:
        is_over.set()
        thread.join()


def test_a_visit_is_counted_until_its_first_stop(cells, words, way):
    visit = way[1]()
    assert visit.is_over
    assert visit.stop() is None
    visit.start(cells, 4, 1000, False)
    assert words[4] == 1
    assert not visit.is_over
    assert visit.entered_ns == 1000
    ended, duration_ns, cpu_ns = visit.stop()
    assert ended - duration_ns == visit.started_ns
    assert duration_ns >= 0
    assert cpu_ns is None
    assert visit.is_over
    assert visit.stop() is None
    assert words[4] == 0


def test_a_visit_is_timed_by_the_clocks_of_the_standard_library(cells, way):
    before = time.perf_counter_ns(), time.thread_time_ns()
    visit = way[1]()
    visit.start(cells, 4, 0, True)
    middle = time.perf_counter_ns()
    while time.thread_time_ns() - before[1] < 10_000_000:
        pass
    spent = time.thread_time_ns() - before[1]
    ended, _, cpu_ns = visit.stop()
    after = time.perf_counter_ns(), time.thread_time_ns()
    assert before[0] <= visit.started_ns <= middle < ended <= after[0]
    assert spent // 2 < cpu_ns <= after[1] - before[1]


def test_processor_time_is_not_that_of_two_threads(cells, way):
    visit = way[1]()
    visit.start(cells, 4, 0, True)
    found = []
    thread = threading.Thread(target=lambda: found.append(visit.stop()))
    thread.start()
    thread.join()
    assert found[0][2] is None


@pytest.mark.parametrize("arguments", [(), (None, 0, 0, False), ("cells", 10**6, 0, False)])
def test_a_visit_that_cannot_be_started_is_none(arguments, cells, words, way):
    visit = way[1]()
    arguments = tuple(cells if argument == "cells" else argument for argument in arguments)
    with pytest.raises((TypeError, AttributeError, IndexError)):
        visit.start(*arguments)
    assert visit.is_over
    assert not any(words)


def test_a_visit_is_started_once(cells, words, way):
    visit = way[1]()
    visit.start(cells, 4, 0, False)
    with pytest.raises(RuntimeError, match="before"):
        visit.start(cells, 4, 0, False)
    assert words[4] == 1
    visit.stop()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Content-Length", "content-lengtH", "Content-Type", "X"]),
            st.sampled_from(["0", "17", "9" * 15, "9" * 16, "", "-1", "+1", "1.0", "١٢", "x"]),
        )
    )
)
def test_a_length_is_read_alike_both_ways(headers):
    assert content_length(headers) == python_content_length(headers)
