"""The data directory is kept in order, by one process at a time and by no request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from flaskprof.access import Token
from flaskprof.capture.triggers import TokenUses
from flaskprof.capture.upkeep import Upkeep, chores_for
from flaskprof.config import Settings
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore


class Rounds:
    """A chore that notes when it was done."""

    def __init__(self, error=None):
        self.done = []
        self.error = error
        self.changed = threading.Condition()

    def __call__(self, now):
        with self.changed:
            self.done.append((now, threading.current_thread().name))
            self.changed.notify_all()
        if self.error is not None:
            raise self.error

    def until(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.done) >= count, 20)


@pytest.fixture
def make(tmp_path):
    made = []

    def make(*chores, failures=None, **keywords):
        named = {f"chore {number}": chore for number, chore in enumerate(chores)}
        report = (failures if failures is not None else []).append
        made.append(Upkeep(tmp_path, named, report, **keywords))
        return made[-1]

    yield make
    for upkeep in made:
        upkeep.close(20)


def test_rounds_are_done_again_and_again_on_a_thread_of_its_own(make):
    chore = Rounds()
    upkeep = make(chore, rest_seconds=0.001)
    upkeep.start()
    upkeep.start()
    chore.until(5)
    upkeep.close(20)
    assert {name for _, name in chore.done} == {"flaskprof-upkeep"}


def test_the_first_round_is_done_at_once_and_closing_does_not_wait_for_the_next(make):
    chore = Rounds()
    upkeep = make(chore, rest_seconds=3600)
    upkeep.start()
    chore.until(1)
    upkeep.close(20)
    assert len(chore.done) == 1


def test_a_chore_that_fails_hinders_no_other_and_is_tried_again(make, caplog):
    failures, good, bad = [], Rounds(), Rounds(OSError(28, "No space left on device"))
    upkeep = make(bad, good, failures=failures, rest_seconds=0)
    for _ in range(3):
        assert upkeep.do_round()
    assert (len(good.done), len(bad.done)) == (3, 3)
    assert failures == ["chore 0"] * 3
    said = "chore 0 of the data directory failed: [Errno 28] No space left on device"
    assert [record.getMessage() for record in caplog.records] == [said]
    # Where it fails again after it did not, that is said again.
    error, bad.error = bad.error, None
    upkeep.do_round()
    bad.error = error
    upkeep.do_round()
    assert [record.getMessage() for record in caplog.records] == [said, said]


def test_a_round_that_another_process_has_just_done_is_not_done_again(make, tmp_path):
    one, other = Rounds(), Rounds()
    assert make(one).do_round()
    assert not make(other).do_round()
    # Nor does a clock that was set back stop upkeep.
    (tmp_path / "upkeep.lock").write_text(f"{time.time() + 1e6}\n")
    assert make(other).do_round()
    (tmp_path / "upkeep.lock").write_text("what is this")
    assert make(other).do_round()


def test_a_round_is_not_done_beside_that_of_another_process_and_done_when_it_died(
    make, tmp_path
):
    script = (
        "import sys, pathlib\n"
        "from flaskprof.capture.upkeep import Upkeep\n"
        "def hold(now):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
        "Upkeep(pathlib.Path(sys.argv[1]), {'hold': hold}, print).do_round()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    chore = Rounds()
    with other:
        assert other.stdout.readline() == b"held\n"
        assert not make(chore).do_round()
        other.kill()
        other.wait(20)
    assert make(chore).do_round()
    assert len(chore.done) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")  # noqa: PTH110
def test_on_a_full_volume_rounds_go_on_for_they_may_make_room(make, tmp_path):
    (tmp_path / "upkeep.lock").symlink_to("/dev/full")
    chore = Rounds()
    upkeep = make(chore, rest_seconds=0.001)
    upkeep.start()
    chore.until(3)
    assert upkeep.trouble() == ""


def test_a_directory_that_is_not_there_is_not_made(make, tmp_path):
    chore = Rounds()
    upkeep = Upkeep(tmp_path / "data", {"chore": chore}, print)
    assert not upkeep.do_round()
    assert chore.done == []
    assert list(tmp_path.iterdir()) == []


def test_where_it_does_not_run_or_hangs_it_says_so(make):
    now = [0.0]
    entered, gate = threading.Event(), threading.Event()

    def hang(_now):
        entered.set()
        assert gate.wait(20)

    upkeep = make(hang, monotonic=lambda: now[0], rest_seconds=3600)
    assert upkeep.trouble() == "upkeep does not run"
    upkeep.start()
    assert entered.wait(20)
    assert upkeep.trouble() == ""
    now[0] = 500.0
    assert upkeep.trouble() == "upkeep has not come to an end for 500 s"
    gate.set()
    upkeep.close(20)
    assert upkeep.trouble() == "upkeep does not run"


def test_captures_beyond_the_bounds_and_uses_of_old_tokens_are_swept(tmp_path):
    settings = Settings.load(environ={}, dir=tmp_path / "data", keep_captures=2)
    store = DirectoryStore(settings.dir)
    started = time.time() - 90_000
    for number in range(5):
        store.save(
            CaptureRecord(
                id=new_capture_id(started + number), started=started, duration_seconds=number
            ),
            {".prof": b"profile"},
        )
    TokenUses(store.path).use(Token("a" * 16, 1000, count=1))
    failures = []
    assert Upkeep(store.path, chores_for(settings, store), failures.append).do_round()
    assert failures == []
    kept = store.list(CaptureQuery()).records
    assert [record.duration_seconds for record in kept] == [4.0, 3.0]
    assert list((store.path / "tokens").iterdir()) == []
