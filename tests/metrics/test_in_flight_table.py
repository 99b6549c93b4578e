"""Rows of requests in flight: whole or not at all, and of living processes alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskprof.metrics import in_flight
from flaskprof.metrics.in_flight import (
    Row,
    RowsFile,
    Worker,
    decode,
    encode,
    flying,
    read_workers,
    sweep,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")

PUBLISH = """
import sys, time
from pathlib import Path
from flaskprof.metrics.in_flight import Row, RowsFile
file = RowsFile(Path(sys.argv[1]))
file.publish([Row(5, "GET", "/orders/<int:id>", "waitress-1")], 2)
print("published", flush=True)
sys.stdin.read()
"""

CHANGE = """
import sys
from pathlib import Path
from flaskprof.metrics.in_flight import Row, RowsFile
file = RowsFile(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    text = str(number)
    file.publish([Row(number, "GET", text * (1 + number % 20), text)] * (1 + number % 50))
    if number == 1:
        print("published", flush=True)
"""


@contextmanager
def other_process(script, directory):
    """Run a script that publishes; yields it once it has."""
    with subprocess.Popen(
        [sys.executable, "-c", script, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            assert process.stdout.readline() == b"published\n"
            yield process
        finally:
            process.kill()
            process.wait(20)


@pytest.fixture
def mine(tmp_path):
    file = RowsFile(tmp_path / "inflight")
    yield file
    file.close()


ROW = Row(1, "GET", "/", "MainThread")


@given(
    st.lists(st.builds(Row, st.integers(0, 2**63), *[st.text(max_size=9)] * 3), max_size=9),
    st.integers(0, 99),
)
def test_what_is_encoded_is_decoded_oldest_first(rows, more):
    assert decode(encode(Worker(7, rows, more))) == Worker(7, sorted(rows), more)


def test_what_is_not_whole_is_no_rows():
    data = encode(Worker(7, [ROW, Row(2, "POST", "/é\udc80", "t")]))
    assert decode(data) is not None
    for cut in range(len(data)):
        assert decode(data[:cut]) is None
    for at in range(len(data)):
        assert decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
    assert decode(data + b"what a longer one left") is not None


def test_a_file_is_bounded_and_says_how_much_it_leaves_out():
    rows = [Row(number, "GET", "/" + "é" * 10_000, "t" * 10_000) for number in range(5000)]
    data = encode(Worker(7, rows, 3))
    worker = decode(data)
    assert len(data) <= 1 << 16
    assert len(worker.rows) + worker.more == 5003
    assert [row.started_ns for row in worker.rows] == list(range(len(worker.rows)))
    assert {len(row.route) for row in worker.rows} == {200}


def test_rows_of_another_version_are_refused():
    body = b'{"version":2,"pid":1,"more":0,"rows":[]}'
    head = in_flight._HEAD.pack(b"fprofrow", len(body), in_flight.zlib.crc32(body))
    with pytest.raises(ValueError, match="another version"):
        decode(head + body)


def test_rows_of_a_living_process_are_read_and_vanish_when_it_is_killed(tmp_path):
    with other_process(PUBLISH, tmp_path) as process:
        for _ in range(3):  # looking does not end the lock that says it lives
            (worker,) = read_workers(tmp_path)
            sweep(tmp_path, time.time())
        row = Row(5, "GET", "/orders/<int:id>", "waitress-1")
        assert worker == Worker(process.pid, [row], 2)
        process.kill()
        process.wait(20)
        assert len(list(tmp_path.iterdir())) == 1
        assert read_workers(tmp_path) == []
    sweep(tmp_path, time.time())
    assert list(tmp_path.iterdir()) == []


def test_rows_are_never_torn(tmp_path):
    seen = set()
    with other_process(CHANGE, tmp_path):
        while len(seen) < 300:
            for worker in read_workers(tmp_path):  # none where it was put off while it wrote
                number = worker.rows[0].started_ns
                text = str(number)
                row = Row(number, "GET", (text * (1 + number % 20))[:200], text)
                assert worker.rows == [row] * (1 + number % 50)
                seen.add(number)


def test_whenever_a_process_is_killed_its_rows_are_gone(tmp_path):
    made = random.Random(6)
    for _ in range(10):
        with other_process(CHANGE, tmp_path) as process:
            for _ in range(made.randrange(50)):
                assert {worker.pid for worker in read_workers(tmp_path)} <= {process.pid}
            process.kill()
            process.wait(20)
            assert read_workers(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 10
    sweep(tmp_path, time.time())
    assert list(tmp_path.iterdir()) == []


def test_a_process_never_opens_its_own_file(mine, tmp_path, monkeypatch):
    mine.publish([ROW])
    (path,) = (tmp_path / "inflight").iterdir()
    opened = []
    monkeypatch.setattr(in_flight, "_open", opened.append)
    assert read_workers(path.parent) == []
    sweep(path.parent, time.time())
    assert opened == []
    assert path.exists()


def test_nothing_is_written_for_no_rows_or_for_the_same_rows_again(mine, tmp_path, monkeypatch):
    mine.publish([])
    assert list(tmp_path.iterdir()) == []
    mine.publish([ROW])
    written = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *given: written.append(real(*given)))
    mine.publish([ROW])
    assert written == []
    mine.publish([])
    mine.publish([])
    assert len(written) == 1


def test_closing_takes_the_file_away(mine, tmp_path):
    mine.publish([ROW])
    mine.close()
    assert list((tmp_path / "inflight").iterdir()) == []
    assert mine.worker.rows == ()


def test_where_nothing_can_be_written_the_rows_are_in_memory_and_it_is_tried_again(tmp_path):
    (tmp_path / "file").touch()
    now = [0.0]
    file = RowsFile(tmp_path / "file" / "inflight", lambda: now[0])
    file.publish([ROW])
    assert file.worker == Worker(os.getpid(), [ROW])
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    file.publish([ROW])
    assert list((tmp_path / "file").iterdir()) == []
    now[0] = 31.0
    file.publish([ROW])
    assert len(list((tmp_path / "file" / "inflight").iterdir())) == 1
    file.close()


def test_a_file_that_was_deleted_is_made_again(mine, tmp_path):
    mine.publish([ROW])
    (first,) = (tmp_path / "inflight").iterdir()
    first.unlink()
    mine.publish([ROW])
    (second,) = (tmp_path / "inflight").iterdir()
    assert second != first


def test_a_child_leaves_the_rows_of_its_parent_alone(mine, tmp_path):
    mine.publish([ROW])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # To the child the parent is another process, and one that lives.
            seen = [worker.pid for worker in read_workers(tmp_path / "inflight")]
            sweep(tmp_path / "inflight", time.time())
            mine.publish([Row(2, "POST", "/child", "t")])
            names = len(list((tmp_path / "inflight").iterdir()))
            os.write(write, f"{seen == [os.getppid()]} {names}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100) == b"True 2"
    os.close(read)
    os.close(write)
    # What the child left is dead, the parent's rows are not.
    with other_process(PUBLISH, tmp_path / "inflight"):
        assert len(read_workers(tmp_path / "inflight")) == 1
    sweep(tmp_path / "inflight", time.time())
    assert len(list((tmp_path / "inflight").iterdir())) == 1


def test_what_a_process_left_half_made_is_swept_when_it_is_old(tmp_path):
    hidden = tmp_path / f".{'0' * 32}.new"
    hidden.touch()
    sweep(tmp_path, time.time() + 30)
    assert hidden.exists()
    sweep(tmp_path, time.time() + 90)
    assert not hidden.exists()


def test_requests_of_all_workers_are_told_oldest_first():
    found = flying(
        [
            Worker(1, [Row(10**9, "GET", "/a", "t"), Row(3 * 10**9, "GET", "/b", "t")], 4),
            Worker(2, [Row(2 * 10**9, "POST", "", "u")], 1),
            Worker(3),
        ],
        5 * 10**9,
    )
    assert [(r.age_seconds, r.route, r.pid) for r in found.requests] == [
        (4.0, "/a", 1),
        (3.0, "", 2),
        (2.0, "/b", 1),
    ]
    assert (found.more, found.workers) == (5, 2)
