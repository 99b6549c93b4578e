"""What is counted in cells is exact, whoever counts and whatever interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from array import array
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics import layout
from flaskprof.metrics.cells import Cells, PythonCells
from flaskprof.metrics.headers import content_length, python_content_length
from needs import needs_module

BOUNDS = (10, 20, 40)
BUCKETS = 7  # a sum, and counts and sums of three more
WIDTH = BUCKETS + len(BOUNDS) + 1

WAYS = {"python": PythonCells, "c": Cells}


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
    return way(words, BOUNDS, BUCKETS)


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


# A word that counts exemplars, the ring and two histograms.
NOTED, RING = 0, 1
ROWS = RING + layout.Layout.RING_ENTRIES * layout.Layout.RING_WORDS
EXEMPLARS = NOTED, RING, ROWS
PROFILE = "0123456789abcdef" * 2
TRACE = "FEDCBA9876543210" * 2


@pytest.fixture
def noted(way):
    """Cells with a ring, their words, and what reads its entries."""
    words = array("q", [0] * (ROWS + 2 * WIDTH))

    def entries():
        ring = memoryview(words).cast("B")[RING * layout.WORD : ROWS * layout.WORD]
        return list(layout.Layout.RING_ENTRY.iter_unpack(ring))

    return SimpleNamespace(
        cells=way(words, BOUNDS, BUCKETS, EXEMPLARS), words=words, entries=entries
    )


def test_an_exemplar_is_an_entry_of_the_ring_as_the_layout_has_it(noted):
    before = time.time_ns()
    noted.cells.add_exemplar(ROWS, 10, PROFILE, TRACE)
    noted.cells.add_exemplar(ROWS + WIDTH, 41, "", TRACE)
    noted.cells.add_exemplar(ROWS + WIDTH, 11, PROFILE, "")
    after = time.time_ns()
    profile, trace, none = bytes.fromhex(PROFILE), bytes.fromhex(TRACE), bytes(16)
    entries = noted.entries()
    times = [entry[3] for entry in entries[:3]]
    assert [before, *times, after] == sorted([before, *times, after])
    assert entries[:4] == [
        (1, 0, 10, times[0], profile, trace),
        (2, 1 << 16 | 3, 41, times[1], none, trace),
        (3, 1 << 16 | 1, 11, times[2], profile, none),
        (0, 0, 0, 0, none, none),
    ]
    assert noted.words[NOTED] == 3
    assert not any(noted.words[ROWS:])


def test_the_oldest_exemplar_gives_way(noted):
    for number in range(layout.Layout.RING_ENTRIES + 2):
        noted.cells.add_exemplar(ROWS, number, PROFILE, TRACE)
    assert [value for _, _, value, *_ in noted.entries()] == [256, 257, *range(2, 256)]
    assert [number for number, *_ in noted.entries()] == [257, 258, *range(3, 257)]


@pytest.mark.parametrize(
    "arguments",
    [
        (ROWS - 1, 1, PROFILE, TRACE),
        (ROWS + WIDTH + 1, 1, PROFILE, TRACE),
        (ROWS, 1, PROFILE[:-1], TRACE),
        (ROWS, 1, PROFILE + "0", TRACE),
        (ROWS, 1, PROFILE, "g" + TRACE[1:]),
        (ROWS, 1, PROFILE, "é" + TRACE[1:]),
        (ROWS, 1, PROFILE, " " * 32),
        (ROWS, 1, PROFILE, None),
        (ROWS, 1, PROFILE),
    ],
)
def test_an_exemplar_that_cannot_be_is_refused_and_not_noted(noted, arguments):
    with pytest.raises((IndexError, ValueError, TypeError)):
        noted.cells.add_exemplar(*arguments)
    assert not any(noted.words)


def test_without_a_ring_there_are_no_exemplars(cells, words):
    with pytest.raises(TypeError):
        cells.add_exemplar(0, 1, PROFILE, TRACE)
    assert not any(words)


def test_no_exemplar_of_many_threads_is_lost_or_mixed(noted):
    number, rounds = 4, 5_000

    def note(own):
        for value in range(own, rounds * number, number):
            noted.cells.add_exemplar(ROWS, value, f"{value:032x}", f"{value:032x}")

    threads = [threading.Thread(target=note, args=[own]) for own in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert noted.words[NOTED] == rounds * number
    for _, _, value, _, profile_id, trace_id in noted.entries():
        assert profile_id == trace_id == value.to_bytes(16, "big")


def test_the_ring_in_c_is_that_of_the_layout():
    needs_module("flaskprof.metrics._request")
    from flaskprof.metrics import _request

    assert _request.RING_ENTRIES == layout.Layout.RING_ENTRIES
    assert _request.RING_WORDS == layout.Layout.RING_WORDS
    assert layout.Layout.RING_ENTRY.size == layout.WORD * _request.RING_WORDS


@pytest.mark.parametrize(
    "exemplars", [(ROWS + 2 * WIDTH, RING, ROWS), (0, ROWS, 0), (-1, 1, 1)]
)
def test_a_ring_beyond_the_memory_is_refused(exemplars):
    needs_module("flaskprof.metrics._request")
    with pytest.raises(IndexError):
        Cells(array("q", [0] * (ROWS + 2 * WIDTH)), BOUNDS, BUCKETS, exemplars)


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


def test_no_count_is_lost_among_threads(cells, words):
    rounds, number = 100_000, 8

    def add():
        for _ in range(rounds):
            cells.add(0, 1, 1, -1)

    def observe():
        for _ in range(rounds // 10):
            cells.observe(WIDTH, 15, 1)

    threads = [threading.Thread(target=add) for _ in range(number)]
    threads += [threading.Thread(target=observe) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words[:2].tolist() == [rounds * number, -rounds * number]
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
