"""What every store promises to the viewer and the command line."""

import cProfile
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from flaskprof.errors import CaptureNotFound
from flaskprof.ids import is_capture_id, new_capture_id, time_of
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.record import CaptureRecord
from flaskprof.store import SORTS, CaptureQuery, Store
from flaskprof.store.directory import DirectoryStore
from flaskprof.store.files import FileStore
from flaskprof.store.spread import bin_of

BEGIN = 1_763_812_800
COUNT = 5


@dataclass
class Filled:
    """A store of captures that began a minute after one another; `profiles` in that order."""

    store: Store
    profiles: list[bytes]
    trigger: str
    delete: Callable[[int], None]


def make_profiles(path) -> list[bytes]:
    profiles = []
    for number in range(COUNT):
        profile = cProfile.Profile()
        profile.runcall(lambda number=number: [abs(item) for item in range(number)])
        profile.dump_stats(path)
        profiles.append(path.read_bytes())
    return profiles


def directory_store(path, profiles) -> Filled:
    store = DirectoryStore(path)
    ids = []
    for number, profile in enumerate(profiles):
        started = BEGIN + number * 60
        record = CaptureRecord(
            id=new_capture_id(started),
            started=started,
            duration_seconds=read_profile(profile).total_seconds,
            trigger="header",
            title=f"{number}.prof",
        )
        store.save(record, {".prof": profile})
        ids.append(record.id)

    def delete(number):
        for file in path.rglob(f"{ids[number]}.*"):
            file.unlink()

    return Filled(store, profiles, "header", delete)


def file_store(path, profiles) -> Filled:
    path.mkdir()
    for number, profile in enumerate(profiles):
        file = path / f"{number}.prof"
        file.write_bytes(profile)
        os.utime(file, (BEGIN + number * 60,) * 2)
    return Filled(
        FileStore([path]), profiles, "file", lambda number: (path / f"{number}.prof").unlink()
    )


@pytest.fixture(params=[directory_store, file_store], ids=["directory", "files"])
def filled(request, tmp_path) -> Filled:
    return request.param(tmp_path / "store", make_profiles(tmp_path / "one.prof"))


def ids(page):
    return [record.id for record in page.records]


def test_captures_are_listed_newest_first(filled):
    page = filled.store.list(CaptureQuery())
    assert [record.title for record in page.records] == [
        f"{number}.prof" for number in reversed(range(COUNT))
    ]
    assert [record.started for record in page.records] == [
        BEGIN + number * 60 for number in reversed(range(COUNT))
    ]
    assert page.matching == COUNT


def test_an_id_is_a_capture_id_of_the_moment_it_began(filled):
    for record in filled.store.list(CaptureQuery()).records:
        assert is_capture_id(record.id)
        assert time_of(record.id).timestamp() == record.started


def test_a_list_is_the_same_when_it_is_asked_for_again(filled):
    assert filled.store.list(CaptureQuery()) == filled.store.list(CaptureQuery())


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [
        (2, 0, [4, 3]),
        (2, 2, [2, 1]),
        (2, 4, [0]),
        (2, 5, []),
        (2, 10**30, []),
        (10**30, 3, [1, 0]),
        (0, 0, []),
    ],
)
def test_a_page_is_a_window_on_the_list(filled, limit, offset, expected):
    page = filled.store.list(CaptureQuery(limit=limit, offset=offset))
    assert [record.title for record in page.records] == [
        f"{number}.prof" for number in expected
    ]
    assert page.matching == COUNT


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("is_descending", [True, False])
def test_the_list_is_in_the_order_that_is_asked_for(filled, sort, is_descending):
    query = CaptureQuery(sort=sort, is_descending=is_descending)
    found = filled.store.list(query).records
    values = [SORTS[sort](record) for record in found]
    assert values == sorted(values, reverse=is_descending)
    one_by_one = [
        filled.store.list(replace(query, limit=1, offset=number)).records[0]
        for number in range(COUNT)
    ]
    assert one_by_one == list(found)


def test_the_previous_capture_is_the_one_before(filled):
    newest_first = filled.store.list(CaptureQuery()).records
    before = [filled.store.previous(record) for record in newest_first]
    assert before == [*newest_first[1:], None]


def test_each_capture_is_in_the_bin_of_its_duration(filled):
    durations = [r.duration_seconds for r in filled.store.list(CaptureQuery()).records]
    assert filled.store.spread(CaptureQuery()) == Counter(map(bin_of, durations))
    assert filled.store.spread(CaptureQuery(route="/nowhere")) == {}


@pytest.mark.parametrize("name", ["route", "method", "trigger"])
def test_filters_are_exact(filled, name):
    for value, matching in (
        (filled.trigger if name == "trigger" else "", COUNT),
        ("x", 0),
        ("%", 0),
    ):
        page = filled.store.list(CaptureQuery(**{name: value}))
        assert (len(page.records), page.matching) == (matching, matching)


def test_all_values_to_filter_by_are_offered_whatever_is_filtered(filled):
    page = filled.store.list(CaptureQuery(route="/nowhere"))
    assert (list(page.routes), list(page.methods), list(page.triggers)) == (
        [""],
        [""],
        [filled.trigger],
    )


def test_the_record_of_a_capture_is_the_one_of_the_list(filled):
    for record in filled.store.list(CaptureQuery()).records:
        assert filled.store.record(record.id) == record


def test_the_duration_is_that_of_the_profile(filled):
    for record in filled.store.list(CaptureQuery()).records:
        profile = filled.store.read(record.id, ".prof")
        assert record.duration_seconds == read_profile(profile).total_seconds


def test_the_bytes_of_a_profile_are_returned_unchanged(filled):
    page = filled.store.list(CaptureQuery())
    assert [filled.store.read(capture_id, ".prof") for capture_id in ids(page)] == (
        filled.profiles[::-1]
    )


def test_a_stamp_tells_one_content_from_another_and_stays_the_same(filled):
    found = ids(filled.store.list(CaptureQuery()))
    stamps = [filled.store.stamp(capture_id, ".prof") for capture_id in found]
    assert len(set(stamps)) == COUNT
    assert [filled.store.stamp(capture_id, ".prof") for capture_id in found] == stamps


def test_the_metadata_is_a_file_of_a_capture_too(filled):
    for record in filled.store.list(CaptureQuery()).records:
        assert CaptureRecord.from_json(filled.store.read(record.id, ".json")) == record


@pytest.mark.parametrize(
    "capture_id", [new_capture_id(BEGIN), "f" * 12 + "7fff8" + "f" * 15, "", "../x", "\udcff"]
)
def test_what_is_not_there_is_not_found(filled, capture_id):
    with pytest.raises(CaptureNotFound):
        filled.store.record(capture_id)
    for look in filled.store.read, filled.store.stamp:
        with pytest.raises(CaptureNotFound):
            look(capture_id, ".prof")


@pytest.mark.parametrize("suffix", ["", "prof", ".py", "/../../x"])
def test_a_file_that_a_capture_does_not_have_is_not_found(filled, suffix):
    capture_id = ids(filled.store.list(CaptureQuery()))[0]
    with pytest.raises(CaptureNotFound):
        filled.store.read(capture_id, suffix)


def test_a_capture_deleted_from_the_disk_vanishes(filled):
    before = ids(filled.store.list(CaptureQuery()))
    filled.delete(4)
    page = filled.store.list(CaptureQuery())
    assert (ids(page), page.matching) == (before[1:], COUNT - 1)
    with pytest.raises(CaptureNotFound):
        filled.store.record(before[0])
    for look in filled.store.read, filled.store.stamp:
        with pytest.raises(CaptureNotFound):
            look(before[0], ".prof")
        with pytest.raises(CaptureNotFound):
            look(before[1], ".pb.gz")


def test_without_captures_there_is_nothing_to_filter_by(filled):
    for number in range(COUNT):
        filled.delete(number)
    page = filled.store.list(CaptureQuery())
    assert (list(page.records), page.matching) == ([], 0)
    assert (list(page.routes), list(page.methods), list(page.triggers)) == ([], [], [])
