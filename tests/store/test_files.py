"""Profiles that were there already: names, folders, and what is no profile."""

import cProfile
import os
from array import array
from pathlib import Path

import pytest

from flaskprof.errors import BadProfile, CaptureNotFound, StoreError
from flaskprof.formats import FORMATS, stacks
from flaskprof.formats.pprof import read_pprof, write_pprof
from flaskprof.ids import new_capture_id
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, CallTree, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.store.files import FileStore


@pytest.fixture
def make(tmp_path):
    def make(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = cProfile.Profile()
        profile.runcall(sum, [1, 2])
        profile.dump_stats(path)
        return path

    return make


def titles(store):
    return sorted(record.title for record in store.list(CaptureQuery()).records)


def test_a_named_file_may_have_any_name(make):
    assert titles(FileStore([make("stats.out")])) == ["stats.out"]


def test_a_folder_stands_for_the_profiles_below_it(make, tmp_path):
    make("one.prof")
    make("deep/er/two.prof")
    make("other.txt")
    assert titles(FileStore([tmp_path])) == ["one.prof", "two.prof"]


def test_of_a_capture_in_a_folder_the_file_with_whole_stacks_is_taken(make, tmp_path):
    path = make("one.prof")
    graph = read_profile(path.read_bytes())
    tree = stacks(graph)
    path.with_suffix(".pb.gz").write_bytes(
        write_pprof(tree, labels={}, started=0, duration_seconds=0)
    )
    make("two.prof")
    (tmp_path / "three.collapsed").write_text("a;b 7\n")
    store = FileStore([tmp_path])
    assert titles(store) == ["one.pb.gz", "three.collapsed", "two.prof"]
    found = {record.title: record.has_stacks for record in store.list(CaptureQuery()).records}
    assert found == {"one.pb.gz": True, "three.collapsed": True, "two.prof": False}


def test_a_file_that_is_named_twice_is_there_once(make, tmp_path, monkeypatch):
    path = make("one.prof")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.prof").symlink_to(path)
    store = FileStore([path, "one.prof", tmp_path / "link.prof", tmp_path])
    assert titles(store) == ["one.prof"]


def test_files_of_one_name_are_told_apart_by_their_folders(make):
    paths = [make("a/x/same.prof"), make("a/y/same.prof"), make("other.prof")]
    assert titles(FileStore(paths)) == ["other.prof", "x/same.prof", "y/same.prof"]


def test_a_name_that_is_no_valid_text_is_shown_with_marks(make):
    path = os.fsdecode(b"caf\xe9.prof")
    assert titles(FileStore([make(path)])) == ["caf\N{REPLACEMENT CHARACTER}.prof"]


def test_files_are_found_by_their_name_and_sorted_by_it(make, tmp_path):
    for name in ("GET.cart.prof", "get.orders.prof", "POST.cart.prof"):
        make(name)
    store = FileStore([tmp_path])

    def found(**query):
        page = store.list(CaptureQuery(**query))
        return [record.title for record in page.records], page.matching

    assert found(search="CART", sort="route", is_descending=False) == (
        ["GET.cart.prof", "POST.cart.prof"],
        2,
    )
    assert found(sort="route", limit=2) == (["POST.cart.prof", "get.orders.prof"], 3)
    assert found(search="nothing") == ([], 0)


def test_the_ids_of_named_files_are_in_the_order_in_which_they_were_named(make, tmp_path):
    old, new = make("old.prof"), make("new.prof")
    os.utime(old, (1, 1))
    make("folder/other.prof")

    def named(*paths):
        store = FileStore(paths)
        return [store.record(capture_id).title for capture_id in store.named]

    assert named(new, old) == ["new.prof", "old.prof"]
    assert named(old, tmp_path / "folder", new) == ["old.prof", "new.prof"]
    assert named(tmp_path / "folder") == []


def test_the_id_of_an_unchanged_file_stays(make):
    path = make("one.prof")
    ids = {FileStore([path]).list(CaptureQuery()).records[0].id for _ in range(3)}
    assert len(ids) == 1


def test_files_that_changed_at_the_same_moment_have_ids_of_their_own(make, tmp_path):
    for number in range(10):
        os.utime(make(f"{number}.prof"), (1_700_000_000, 1_700_000_000))
    records = FileStore([tmp_path]).list(CaptureQuery()).records
    assert len({record.id for record in records}) == 10


def test_a_file_from_before_the_epoch_is_shown(make):
    path = make("old.prof")
    os.utime(path, (-1, -1))
    assert FileStore([path]).list(CaptureQuery()).records[0].started == 0


def test_a_sampled_file_says_so(make, tmp_path):
    function = FunctionStats(Sums(3, 3, 0.5, 0.5))
    graph = CallGraph({Function("a.py", 1, "f"): function}, is_sampled=True)
    (tmp_path / "sampled.prof").write_bytes(write_profile(graph))
    make("counted.prof")
    records = FileStore([tmp_path]).list(CaptureQuery()).records
    assert {record.title: record.exactness for record in records} == {
        "sampled.prof": "sampled",
        "counted.prof": "exact",
    }


def test_a_file_that_was_written_again_is_read_again(make):
    path = make("one.prof")
    store = FileStore([path])
    (before,) = store.list(CaptureQuery()).records
    profile = cProfile.Profile()
    profile.runcall(lambda: [sum(range(number)) for number in range(1000)])
    profile.dump_stats(path)
    (after,) = store.list(CaptureQuery()).records
    assert after.id == before.id
    assert after.duration_seconds > before.duration_seconds
    assert store.read(after.id, ".prof") == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", BadProfile), (b"no profile", BadProfile), (None, StoreError)],
)
def test_what_cannot_be_shown_is_refused_with_its_name(tmp_path, content, error):
    path = tmp_path / "bad.prof"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error) as caught:
        FileStore([path])
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "data/hostile").glob("*.prof")), ids=str
)
def test_hostile_files_are_refused_or_shown_and_nothing_else(path):
    try:
        store = FileStore([path])
    except BadProfile as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017  either outcome is right
    else:
        assert titles(store) == [path.name]


def test_a_folder_without_profiles_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"there is no \*\.prof, .* file in this folder"):
        FileStore([tmp_path])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.prof")
    with pytest.raises(StoreError, match="is not a regular file"):
        FileStore([tmp_path / "pipe.prof"])


def test_a_file_in_a_folder_that_is_no_profile_says_so_and_harms_no_other(make, tmp_path):
    make("good.prof")
    (tmp_path / "bad.prof").write_bytes(b"no profile")
    records = {
        record.title: record for record in FileStore([tmp_path]).list(CaptureQuery()).records
    }
    assert records["good.prof"].notes == ()
    (note,) = records["bad.prof"].notes
    assert note.startswith("This file cannot be shown: ")


def test_a_file_too_large_to_be_a_profile_is_refused_unread(tmp_path):
    path = tmp_path / "large.prof"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole: takes no space
    with pytest.raises(BadProfile, match="too large to be read"):
        FileStore([path])


def test_a_file_deleted_later_is_not_found(make):
    path = make("one.prof")
    store = FileStore([path])
    (record,) = store.list(CaptureQuery()).records
    path.unlink()
    with pytest.raises(CaptureNotFound):
        store.read(record.id, ".prof")
    assert list(store.list(CaptureQuery()).records) == []


TREE = CallTree(
    (Function("/srv/shop/views.py", 10, "order"), Function("/srv/shop/db.py", 5, "load")),
    *(array("q", column) for column in ([-1, 0], [0, 1], [1, 3], [10**6, 2 * 10**6])),
)


@pytest.mark.parametrize(("name", "exactness"), [("pprof", "exact"), ("collapsed", "sampled")])
def test_files_with_stacks_are_shown_as_captures_with_stacks(tmp_path, name, exactness):
    row = FORMATS[name]
    path = tmp_path / f"x{row.suffix}"
    record = CaptureRecord(id=new_capture_id(1.0), started=1.0, duration_seconds=0.003)
    path.write_bytes(row.write(TREE, record))
    store = FileStore([path])
    (record,) = store.list(CaptureQuery()).records
    assert (record.title, record.exactness, record.has_stacks) == (path.name, exactness, True)
    assert record.duration_seconds == 0.003
    graph = read_profile(store.read(record.id, ".prof"))
    assert {f.name: s.total.self_seconds for f, s in graph.functions.items() if f.line} == {
        "order": 0.001,
        "load": 0.002,
    }
    read = read_pprof(store.read(record.id, ".pb.gz"))
    assert (read.functions, read.self_ns) == (TREE.functions, TREE.self_ns)
    with pytest.raises(CaptureNotFound):
        store.read(record.id, ".collapsed")


def test_a_prof_file_has_no_stacks_to_give(tmp_path):
    (tmp_path / "x.prof").write_bytes(write_profile(call_graph(TREE)))
    store = FileStore([tmp_path])
    (record,) = store.list(CaptureQuery()).records
    assert not record.has_stacks
    with pytest.raises(CaptureNotFound):
        store.read(record.id, ".pb.gz")


def test_a_damaged_file_of_another_format_is_refused_by_its_name(tmp_path):
    (tmp_path / "x.pb.gz").write_bytes(b"no gzip")
    with pytest.raises(BadProfile, match=r"x\.pb\.gz: the file is not gzipped"):
        FileStore([tmp_path / "x.pb.gz"])


@pytest.mark.parametrize("name", ["pprof", "collapsed"])
def test_stacks_that_were_estimated_are_noted(tmp_path, name):
    row = FORMATS[name]
    record = CaptureRecord(id=new_capture_id(1.0), started=1.0, duration_seconds=0.003)
    for number, profile in enumerate((TREE, call_graph(TREE))):
        (tmp_path / f"{number}{row.suffix}").write_bytes(row.write(profile, record))
    store = FileStore(tmp_path.iterdir())
    notes = {found.title: found.notes for found in store.list(CaptureQuery()).records}
    assert notes[f"0{row.suffix}"] == ()
    assert "estimated from sums" in notes[f"1{row.suffix}"][0]


def test_a_file_that_is_named_is_read_once_until_it_changes(make):
    path = make("once.prof")
    read, stamps = [], set()

    def reader(name, stamp, load):
        read.append(name)
        stamps.add(stamp)
        return read_profile(load())

    store = FileStore([path], reader=reader)
    (record,) = store.list(CaptureQuery()).records
    assert store.record(record.id) == record
    assert read == ["once.prof"]
    assert stamps == {store.stamp(record.id, ".prof")}
    os.utime(path, ns=(1, 1))
    store.record(record.id)
    assert read == ["once.prof"] * 2
    assert store.stamp(record.id, ".prof") in stamps
    assert len(stamps) == 2


def test_sums_that_do_not_agree_are_called_so(tmp_path, make):
    waits = Function("/lib/threading.py", 973, "Thread.start")
    work = Function("/srv/app.py", 3, "work")
    graph = CallGraph(
        {
            waits: FunctionStats(Sums(1, 1, 0.5, 9.0)),
            work: FunctionStats(Sums(1, 1, 1.0, 1.0), {waits: Sums(1, 1, 1.0, 1.0)}),
        }
    )
    (tmp_path / "threads.prof").write_bytes(write_profile(graph))
    store = FileStore([tmp_path / "threads.prof", make("agrees.prof")])
    notes = {record.title: record.notes for record in store.list(CaptureQuery()).records}
    assert notes["agrees.prof"] == ()
    (note,) = notes["threads.prof"]
    assert "functions took 1,500 ms of their own, those that nobody called 9,000 ms" in note
