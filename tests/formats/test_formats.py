"""The table of formats: whatever the profile, each writes it; what has a reader reads it."""

import json

import pytest
from trees import RECORD, SHOP, by_stack

from flaskprof.errors import BadProfile
from flaskprof.formats import FORMATS, format_in, format_of, read_file, stacks
from flaskprof.profiles.estimate import ESTIMATED
from flaskprof.profiles.model import CallTree
from flaskprof.profiles.sums import call_graph

GRAPH = call_graph(SHOP)


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_each_is_known_by_its_name_and_the_end_of_its_files(row):
    assert FORMATS[row.name] is row
    assert format_of(f"a.b/latest{row.suffix.upper()}") is row


@pytest.mark.parametrize("name", ["x", "x.txt", "prof", "x.gz", ""])
def test_other_names_say_nothing(name):
    assert format_of(name) is None


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("profile", [SHOP, GRAPH], ids=["tree", "graph"])
def test_each_writes_any_profile_and_what_is_read_has_the_same_time(row, profile):
    data = row.write(profile, RECORD)
    if row.read is not None:
        read = read_file(f"x{row.suffix}", data)
        assert call_graph(read).total_seconds == pytest.approx(GRAPH.total_seconds, rel=1e-12)
        assert isinstance(read, CallTree) is row.has_stacks


@pytest.mark.parametrize("name", [row.name for row in FORMATS.values() if row.has_stacks])
def test_stacks_that_were_not_recorded_are_called_estimated(name):
    exact, estimated = (FORMATS[name].write(profile, RECORD) for profile in (SHOP, GRAPH))
    if name == "pprof":
        assert ESTIMATED in read_file("x.pb.gz", estimated).functions
        assert ESTIMATED not in read_file("x.pb.gz", exact).functions
    else:
        assert ESTIMATED.name in estimated.decode()
        assert ESTIMATED.name not in exact.decode()


def test_names_and_stacks_of_a_capture_are_kept():
    assert by_stack(read_file("x.pb.gz", FORMATS["pprof"].write(SHOP, RECORD))) == by_stack(
        SHOP
    )
    name = json.loads(FORMATS["speedscope"].write(SHOP, RECORD))["name"]
    assert name == "GET /orders/<int:id>"


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("name", ["noname", "x.prof", "x.pb.gz", "x.collapsed", "x.json"])
def test_the_content_of_a_file_tells_its_format_whatever_its_name(name, row):
    data = row.write(SHOP, RECORD)
    if row.read is None:
        with pytest.raises(BadProfile, match=f"{row.name} is written, not read"):
            read_file(name, data)
    else:
        assert format_in(name, data) is row
        assert read_file(name, data) == row.read(data)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.prof", b"\xe9\x00", "expected a table of functions"),
        ("x.pb.gz", b"nothing", "not gzipped"),
        ("x.collapsed", b"no number", "line 1 is no stack"),
        ("noname", b"no number", "no profile that can be read"),
        ("x.json", b'{"a": 1}', "no profile that can be read"),
        ("noname", b"", "no profile that can be read"),
    ],
)
def test_what_tells_nothing_is_read_as_its_name_says(name, data, message):
    with pytest.raises(BadProfile, match=message):
        read_file(name, data)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.pprof", "pprof"),
        ("a.pb", "pprof"),
        ("a.json", "speedscope"),
        ("a.folded", "collapsed"),
    ],
)
def test_other_ends_of_names_that_people_use_are_known(name, row):
    assert format_of(name) is FORMATS[row]


def test_the_stacks_of_a_tree_are_its_own():
    assert stacks(SHOP) is SHOP
