"""The index beside the captures: a cache that follows the files and may be lost."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery, layout
from flaskprof.store.directory import DirectoryStore

HOUR = 3600
LONG_AGO = 1_700_000_000


def save(store, started=None, **fields):
    started = time.time() if started is None else started
    record = CaptureRecord(
        id=new_capture_id(started), started=started, duration_seconds=0.25, **fields
    )
    store.save(record, {".prof": b"profile"})
    return record


def listed(store, **query):
    return [record.id for record in store.list(CaptureQuery(**query)).records]


def day_of(store, record):
    return layout.capture_path(store.path / "captures", record.id, ".json").parent


def let_settle(directory):
    """Make the last change of a day's directory lie so far back that it counts as settled."""
    os.utime(directory, (LONG_AGO, LONG_AGO))


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "data")


@pytest.fixture
def index_file(store):
    return store.path / "captures" / "index-v4.sqlite"


def test_saving_does_not_touch_the_index(store, index_file):
    save(store)
    assert not index_file.exists()
    assert len(listed(store)) == 1
    assert index_file.exists()


def test_a_capture_shows_at_once(store):
    for count in range(1, 4):
        save(store)
        assert len(listed(store)) == count


def test_a_capture_deleted_from_the_disk_vanishes_with_what_it_was_filtered_by(store):
    kept, gone = save(store, route="/kept"), save(store, route="/gone")
    assert store.list(CaptureQuery()).routes == ["/gone", "/kept"]
    (day_of(store, gone) / f"{gone.id}.json").unlink()
    page = store.list(CaptureQuery())
    assert [record.id for record in page.records] == [kept.id]
    assert (page.matching, page.routes) == (1, ["/kept"])


def test_a_deleted_day_vanishes(store):
    now = time.time()
    old, new = save(store, now - 100 * 24 * HOUR), save(store, now)
    assert listed(store) == [new.id, old.id]
    subprocess.run(["rm", "-r", day_of(store, old)], check=True)
    assert listed(store) == [new.id]


def test_a_settled_day_is_looked_into_again_only_when_its_directory_changes(store):
    one = save(store)
    day = day_of(store, one)
    let_settle(day)
    assert listed(store) == [one.id]
    two = save(store)
    let_settle(day)  # as if nothing had happened
    assert listed(store) == [one.id]
    os.utime(day)
    assert listed(store) == [two.id, one.id]


def test_a_deleted_index_is_built_again(store, index_file):
    record = save(store)
    assert listed(store) == [record.id]
    index_file.unlink()
    assert listed(store) == [record.id]
    assert index_file.exists()


@pytest.mark.parametrize("damage", ["other file", "torn", "foreign record"])
def test_a_damaged_index_is_built_again(store, index_file, damage):
    records = [save(store, route=f"/{number}") for number in range(200)]
    listed(store)
    if damage == "other file":
        index_file.write_bytes(b"this is no database" * 1000)
    elif damage == "torn":
        content = index_file.read_bytes()
        index_file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        connection = sqlite3.connect(index_file)
        connection.execute("UPDATE records SET record = '{}'")
        connection.commit()
        connection.close()
    assert sorted(listed(store, limit=1000)) == sorted(record.id for record in records)
    connection = sqlite3.connect(index_file)
    assert connection.execute("SELECT count(*) FROM captures").fetchone() == (200,)
    connection.close()


def test_where_the_index_cannot_be_a_file_it_is_kept_in_memory(store, index_file):
    one = save(store)
    index_file.mkdir()
    assert listed(store) == [one.id]
    two = save(store)
    assert listed(store) == [two.id, one.id]
    assert store.list(CaptureQuery()).matching == 2


def test_a_read_only_directory_is_listed(open_to_all):
    store = DirectoryStore(open_to_all / "data")
    record = save(store)
    for path in (store.path, *store.path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    script = f"""
import sys; sys.path[:] = {sys.path!r}
import os
from flaskprof.store.directory import DirectoryStore
from flaskprof.store import CaptureQuery
if os.getuid() == 0:
    os.setuid(65534)
print(DirectoryStore({str(store.path)!r}).list(CaptureQuery()).records[0].id)
"""
    try:
        run = subprocess.run(
            [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
        )
    finally:
        for path in (store.path, *store.path.rglob("*")):
            path.chmod(0o755)
    assert run.stdout == record.id + "\n"
    assert "it is kept in memory instead" in run.stderr


def test_an_index_that_another_program_holds_is_not_waited_for_for_ever(
    store, index_file, monkeypatch
):
    monkeypatch.setattr("flaskprof.store.index._BUSY_SECONDS", 0.05)
    one = save(store)
    assert listed(store) == [one.id]
    holder = sqlite3.connect(index_file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    two = save(store)
    assert listed(store) == [two.id, one.id]
    holder.close()
    three = save(store)
    assert listed(store) == [three.id, two.id, one.id]
    assert store._index._memory is not None
    # A minute later it is the file again.
    monkeypatch.setattr(store._index, "_file_again", 0.0)
    assert listed(store) == [three.id, two.id, one.id]
    assert store._index._memory is None


def test_while_another_reader_builds_the_index_what_is_there_is_shown(store, index_file):
    one = save(store)
    assert listed(store) == [one.id]
    two = save(store)
    holder = sqlite3.connect(index_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with store.at_once(patience_seconds=0) as look:
        assert listed(store) == [one.id]
    assert look.unread == 1
    holder.close()
    with store.at_once(patience_seconds=0) as look:
        assert listed(store) == [two.id, one.id]
    assert look.unread == 0


def test_what_is_not_a_capture_is_passed_over(store):
    record = save(store)
    day = day_of(store, record)
    other = new_capture_id()
    (day / f"{other}.json").write_text("{")
    (day / f"{new_capture_id()}.json").write_text(json.dumps({"version": 99}))
    (day / f"{new_capture_id()}.json").write_text(record.to_json())
    (day / f"{new_capture_id()}.json").write_bytes(b"\xff" * 10)
    (day / f"{new_capture_id()}.json").write_bytes(b"[" * 500_000)
    (day / f"{new_capture_id()}.json").write_bytes(b" " * 2_000_000)
    (day / f"{new_capture_id()}.json").mkdir()
    (day / f"{new_capture_id()}.json").symlink_to(day / f"{record.id}.json")
    os.mkfifo(day / f"{new_capture_id()}.json")
    (day / "notes.json").write_text("{}")
    (day / f"{new_capture_id(1)}.json").write_text("the day of another ID")
    (store.path / "captures/2025/13/45").mkdir(parents=True)
    (store.path / "captures/2025/11").mkdir(exist_ok=True)
    (store.path / "captures/2025/11/22").write_text("a file")
    (store.path / "captures/lost+found").mkdir()
    assert listed(store) == [record.id]
    assert store.list(CaptureQuery()).matching == 1


def test_what_a_process_left_that_died_while_saving_is_swept_after_an_hour(store):
    record = save(store)
    day = day_of(store, record)
    names = (f".{new_capture_id()}.prof.0123456789abcdef.tmp", f"{new_capture_id()}.prof")
    for name in names:
        (day / name).write_bytes(b"half")
    (day / "mine.tmp").touch()
    assert listed(store) == [record.id]
    assert all((day / name).exists() for name in names)
    two_hours_ago = time.time() - 2 * HOUR
    for path in day.iterdir():
        os.utime(path, (two_hours_ago, two_hours_ago))
    assert listed(store) == [record.id]
    assert sorted(path.name for path in day.iterdir()) == sorted(
        [f"{record.id}.json", f"{record.id}.prof", "mine.tmp"]
    )


def test_text_that_sqlite_cannot_store_is_listed_and_filtered(store):
    record = save(store, route="/\udcff", endpoint="nul\0", title="\ud800")
    page = store.list(CaptureQuery(route="/\udcff"))
    assert list(page.records) == [record]
    assert store.list(CaptureQuery(route=page.routes[0])).matching == 1


def test_numbers_beyond_those_of_sqlite_are_an_empty_page(store):
    save(store)
    page = store.list(CaptureQuery(limit=10**30, offset=10**30))
    assert (list(page.records), page.matching) == ([], 1)


def test_readers_in_several_processes_build_and_follow_one_index(store):
    for _ in range(1200):
        save(store)
    script = f"""
import sys; sys.path[:] = {sys.path!r}
from flaskprof.store.directory import DirectoryStore
from flaskprof.store import CaptureQuery, index
index._STEP, index._BATCH = 10, 50
store = DirectoryStore({str(store.path)!r})
for line in sys.stdin:
    with store.at_once():
        page = store.list(CaptureQuery(limit=10_000))
        spread = store.spread(CaptureQuery())
    print(len(page.records), page.matching, sum(spread.values()), flush=True)
"""
    readers = [
        subprocess.Popen(
            [sys.executable, "-I", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    expected = 1200
    for step in range(6):
        for reader in readers:
            reader.stdin.write("list\n")
            reader.stdin.flush()
        assert [reader.stdout.readline() for reader in readers] == (
            [f"{expected} {expected} {expected}\n"] * 3
        )
        if step % 2:
            doomed = save(store)
            (day_of(store, doomed) / f"{doomed.id}.json").unlink()
        else:
            save(store)
            expected += 1
    for reader in readers:
        _, errors = reader.communicate()
        assert (reader.returncode, errors) == (0, "")


def test_a_fork_does_not_inherit_a_held_lock(store, index_file):
    record = save(store)
    index_file.mkdir()
    assert listed(store) == [record.id]  # kept in memory from here on
    memory = store._index._memory
    read_end, write_end = os.pipe()
    with memory.lock:
        child = os.fork()
        if child == 0:
            os.write(write_end, "".join(listed(store)).encode())
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    answer = os.read(read_end, 1000).decode()
    os.close(read_end)
    assert answer == record.id


def test_what_is_asked_at_once_is_answered_as_of_the_first_question(store):
    first = save(store)
    with store.at_once():
        assert listed(store) == [first.id]
        second = save(store)
        assert listed(store) == [first.id]
        assert store.marks(4) == {("", ""): [(first.id, 0.25)]}
        with store.at_once():  # within is the same
            assert listed(store) == [first.id]
        assert listed(store) == [first.id]
        with ThreadPoolExecutor(1) as other:
            assert other.submit(listed, store).result() == [second.id, first.id]
    assert listed(store) == [second.id, first.id]


def test_who_has_no_patience_is_told_how_many_of_the_oldest_are_not_read(store, monkeypatch):
    monkeypatch.setattr("flaskprof.store.index._STEP", 3)
    now = time.time()
    days = [now - 24 * HOUR] * 4 + [now - 48 * HOUR] + [now - 72 * HOUR] * 3
    saved = [save(store, started - number, route="/r") for number, started in enumerate(days)]
    expected = sorted((record.id for record in saved), reverse=True)
    for read, unread in ((3, 5), (4, 4), (5, 3), (8, 0), (8, 0)):
        with store.at_once(patience_seconds=0) as look:
            assert listed(store) == expected[:read]
            assert sum(store.spread(CaptureQuery()).values()) == read
        assert look.unread == unread


def test_what_is_deleted_before_it_was_read_is_never_listed(store, monkeypatch):
    monkeypatch.setattr("flaskprof.store.index._STEP", 2)
    saved = [save(store, time.time() - 10 * number) for number in range(6)]
    with store.at_once(patience_seconds=0) as look:
        assert listed(store) == [record.id for record in saved[:2]]
    assert look.unread == 4
    for record in saved[1:4]:
        (day_of(store, record) / f"{record.id}.json").unlink()
    with store.at_once(patience_seconds=0) as look:
        assert listed(store) == [saved[number].id for number in (0, 4, 5)]
    assert look.unread == 0


def test_who_waits_gets_all_however_many_batches_they_are(store, monkeypatch):
    monkeypatch.setattr("flaskprof.store.index._STEP", 2)
    saved = [save(store) for _ in range(7)]
    with store.at_once() as look:
        assert len(listed(store)) == len(saved)
    assert look.unread == 0


def test_a_question_that_failed_is_not_the_last_word(store, index_file):
    record = save(store)
    with store.at_once():
        index_file.write_bytes(b"no database" * 100)
        assert listed(store) == [record.id]
        index_file.write_bytes(b"no database" * 100)
        assert listed(store) == [record.id]
    assert listed(store) == [record.id]
