"""The data directory: what lies where, and what happens when it cannot be written."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from flaskprof.errors import CaptureNotFound, StoreError
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore

NOON = datetime(2025, 11, 22, 12, tzinfo=UTC).timestamp()


def make_record(started=NOON, **fields):
    return CaptureRecord(
        id=new_capture_id(started), started=started, duration_seconds=0.25, **fields
    )


def tree(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


@contextmanager
def largest_file(size):
    """Let no file grow beyond `size` bytes, as a full disk would not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def store(directory):
    return DirectoryStore(directory)


def test_a_capture_lies_under_the_utc_day_of_its_id(store, directory):
    late = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    record = make_record(late)
    store.save(record, {".prof": b"profile"})
    day = f"captures/2025/12/31/{record.id}"
    assert tree(directory) == [".gitignore", f"{day}.json", f"{day}.prof"]
    assert (directory / f"{day}.prof").read_bytes() == b"profile"
    assert json.loads((directory / f"{day}.json").read_text())["id"] == record.id


def test_what_was_saved_is_read_back(store):
    record = make_record(route="/käse/<int:id>", notes=("one", "two"), status=200)
    store.save(record, {".prof": b"profile"})
    assert store.record(record.id) == record
    assert store.read(record.id, ".prof") == b"profile"
    assert CaptureRecord.from_json(store.read(record.id, ".json")) == record


def test_text_that_is_not_valid_unicode_is_kept(store):
    record = make_record(endpoint="name\udcff")
    store.save(record, {".prof": b""})
    assert store.record(record.id) == record


def test_reading_does_not_create_the_directory(store, directory):
    with pytest.raises(CaptureNotFound):
        store.record(new_capture_id())
    assert store.bytes_used() == 0
    assert not directory.exists()


def test_a_new_data_directory_is_private_and_out_of_version_control(store, directory):
    store.save(make_record(), {".prof": b""})
    for path in (directory, directory / "captures"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (directory / ".gitignore").read_text() == "*\n"


def test_a_directory_that_holds_other_things_gets_no_gitignore(store, directory):
    directory.mkdir(mode=0o755)
    (directory / "app.py").touch()
    store.save(make_record(), {".prof": b""})
    assert not (directory / ".gitignore").exists()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_a_deleted_gitignore_stays_deleted(store, directory):
    store.save(make_record(), {".prof": b""})
    (directory / ".gitignore").unlink()
    store.save(make_record(), {".prof": b""})
    assert not (directory / ".gitignore").exists()


def test_a_directory_deleted_while_running_is_created_again(store, directory):
    store.save(make_record(), {".prof": b"12345"})
    subprocess.run(["rm", "-rf", directory], check=True)
    record = make_record()
    store.save(record, {".prof": b"again"})
    assert store.read(record.id, ".prof") == b"again"
    assert (directory / ".gitignore").exists()


def test_a_relative_directory_stays_where_it_was_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("data")
    monkeypatch.chdir("/")
    record = make_record()
    store.save(record, {".prof": b""})
    assert (tmp_path / "data/captures/2025/11/22" / f"{record.id}.json").exists()


@pytest.mark.parametrize("size", [0, 6])
def test_a_save_that_fails_leaves_nothing_behind(store, directory, size):
    store.save(make_record(), {".prof": b"12345"})
    before = tree(directory)
    used = store.bytes_used()
    with (
        largest_file(size),  # 0: the profile fails; 6: the profile fits, the metadata not
        pytest.raises(StoreError, match="cannot be written: File too large"),
    ):
        store.save(make_record(), {".prof": b"12345"})
    assert tree(directory) == before
    assert store.bytes_used() == used


def test_a_file_in_place_of_the_directory_is_told_in_one_sentence(store, directory):
    directory.write_text("a file")
    with pytest.raises(StoreError) as caught:
        store.save(make_record(), {".prof": b""})
    assert str(caught.value) == (
        f"the data directory {directory} cannot be written: File exists; "
        "set FLASKPROF_DIR to a directory"
    )


def test_a_directory_of_another_user_is_told_in_one_sentence(open_to_all):
    path = open_to_all / "data"
    path.mkdir(mode=0o555)
    script = f"""
import sys; sys.path[:] = {sys.path!r}
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.errors import StoreError
from flaskprof.record import CaptureRecord
from flaskprof.ids import new_capture_id
import os
if os.getuid() == 0:
    os.setuid(65534)
try:
    record = CaptureRecord(id=new_capture_id(), started=1, duration_seconds=1)
    DirectoryStore({str(path)!r}).save(record, {{".prof": b""}})
except StoreError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        f"the data directory {path} cannot be written: Permission denied; "
        "give this user access to it, or set FLASKPROF_DIR to another directory\n"
    )


def test_a_profile_without_metadata_is_not_there_yet(store, directory):
    record = make_record()
    store.save(record, {".prof": b"profile"})
    (directory / f"captures/2025/11/22/{record.id}.json").unlink()
    with pytest.raises(CaptureNotFound):
        store.read(record.id, ".prof")
    with pytest.raises(CaptureNotFound):
        store.record(record.id)


def test_metadata_of_another_capture_is_refused(store, directory):
    one, two = make_record(), make_record()
    store.save(one, {".prof": b""})
    store.save(two, {".prof": b""})
    day = directory / "captures/2025/11/22"
    (day / f"{one.id}.json").write_text(two.to_json())
    with pytest.raises(StoreError, match="the metadata of another capture"):
        store.record(one.id)


@pytest.mark.parametrize("suffix", ["", ".txt", "/../x", ".prof.json"])
def test_only_the_files_of_a_capture_can_be_named(store, suffix):
    record = make_record()
    store.save(record, {".prof": b""})
    with pytest.raises(CaptureNotFound):
        store.read(record.id, suffix)
    with pytest.raises(ValueError, match="not a suffix"):
        store.save(make_record(), {suffix: b""})


def test_only_a_capture_id_becomes_a_path(store):
    with pytest.raises(ValueError, match="not a capture ID"):
        store.save(
            CaptureRecord(id="../../etc/passwd", started=1, duration_seconds=1), {".prof": b""}
        )


def test_bytes_used_counts_every_file_of_a_capture(store, directory):
    for size in (10, 1000):
        store.save(make_record(), {".prof": bytes(size)})
    files = (directory / "captures").rglob("*.*")
    assert store.bytes_used() == sum(path.stat().st_size for path in files)


def test_bytes_used_follows_other_processes_within_ten_seconds(directory):
    now = 1000.0
    store = DirectoryStore(directory, monotonic=lambda: now)
    other = DirectoryStore(directory)
    store.save(make_record(), {".prof": bytes(10)})
    alone = store.bytes_used()
    other.save(make_record(), {".prof": bytes(10)})
    assert store.bytes_used() == alone
    now += 11
    assert store.bytes_used() == other.bytes_used() == 2 * alone


def test_bytes_used_counts_what_this_process_saves_at_once(directory):
    now = 1000.0
    store = DirectoryStore(directory, monotonic=lambda: now)
    store.save(make_record(), {".prof": bytes(10)})
    alone = store.bytes_used()
    store.save(make_record(), {".prof": bytes(10)})
    assert store.bytes_used() == 2 * alone


def test_bytes_used_of_a_directory_deleted_while_running_is_zero_at_once(directory):
    store = DirectoryStore(directory, monotonic=lambda: 1000.0)
    store.save(make_record(), {".prof": bytes(10)})
    assert store.bytes_used() > 10
    subprocess.run(["rm", "-rf", directory], check=True)
    assert store.bytes_used() == 0


def test_threads_and_processes_save_side_by_side(directory):
    script = f"""
import sys; sys.path[:] = {sys.path!r}
from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from flaskprof.record import CaptureRecord
from flaskprof.ids import new_capture_id
store = DirectoryStore({str(directory)!r})
sys.stdin.readline()
for _ in range(50):
    record = CaptureRecord(id=new_capture_id({NOON}), started={NOON}, duration_seconds=1)
    store.save(record, {{".prof": b"other"}})
"""
    others = [
        subprocess.Popen([sys.executable, "-I", "-c", script], stdin=subprocess.PIPE)
        for _ in range(2)
    ]
    store = DirectoryStore(directory)

    def save():
        for _ in range(25):
            store.save(make_record(), {".prof": b"mine"})

    threads = [threading.Thread(target=save) for _ in range(2)]
    for other in others:
        other.stdin.write(b"go\n")
        other.stdin.close()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0]
    names = [path.name for path in (directory / "captures/2025/11/22").iterdir()]
    assert sum(name.endswith(".json") for name in names) == 150
    assert sum(name.endswith(".prof") for name in names) == 150
    assert len(names) == 300


def test_bytes_and_files_of_all_captures_are_counted(store):
    assert store.usage() == (0, 0)
    for _ in range(3):
        store.save(make_record(), {".prof": b"x" * 100, ".pb.gz": b"y" * 50})
    fresh = DirectoryStore(store.path)
    total, files = fresh.usage()
    assert (total, files) == (fresh.bytes_used(), 9)
    assert total > 450


def test_what_is_announced_is_known_by_every_process_until_it_is_withdrawn(store, directory):
    record, other = make_record(), make_record()
    assert not store.is_announced(record.id)
    store.announce(record.id)
    elsewhere = DirectoryStore(directory)
    assert elsewhere.is_announced(record.id)
    assert not elsewhere.is_announced(other.id)
    assert elsewhere.list(CaptureQuery()).matching == 0
    store.save(record, {".prof": b"profile"})
    store.withdraw(record.id)
    store.withdraw(other.id)
    assert not elsewhere.is_announced(record.id)
    assert elsewhere.list(CaptureQuery()).matching == 1


def test_an_announcement_of_a_process_that_died_is_not_believed_for_long(store, directory):
    record = make_record()
    store.announce(record.id)
    (announcement,) = directory.rglob("*.announced")
    minutes_ago = time.time() - 120
    os.utime(announcement, (minutes_ago, minutes_ago))
    assert not store.is_announced(record.id)
    hours_ago = time.time() - 7200
    os.utime(announcement, (hours_ago, hours_ago))
    store.list(CaptureQuery())
    assert not announcement.exists()


@pytest.mark.parametrize("capture_id", ["", "../x", "\udcff", "f" * 12 + "7fff8" + "f" * 15])
def test_what_is_no_id_is_not_announced(store, capture_id):
    assert not store.is_announced(capture_id)


def test_where_nothing_can_be_written_nothing_is_announced(tmp_path):
    (tmp_path / "file").touch()
    store = DirectoryStore(tmp_path / "file")
    record = make_record()
    store.announce(record.id)
    assert not store.is_announced(record.id)
