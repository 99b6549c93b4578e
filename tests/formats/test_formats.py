"""The table of formats: whatever the profile, each writes it; what has a reader reads it."""

import json

import pytest
from trees import RECORD, SHOP, by_stack

from flaskprof.errors import BadProfile
from flaskprof.formats import FORMATS, format_of, read_file, stacks
from flaskprof.profiles.estimate import ESTIMATED
from flaskprof.profiles.model import CallTree
from flaskprof.profiles.sums import call_graph

GRAPH = call_graph(SHOP)


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_each_is_known_by_its_name_and_the_end_of_its_files(row):
    assert FORMATS[row.name] is row
    assert format_of(f"a.b/latest{row.suffix.upper()}") is row


@pytest.mark.parametrize("name", ["x", "x.json", "prof", "x.gz", ""])
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


def test_a_file_of_any_other_name_is_read_as_prof():
    assert read_file("noname", FORMATS["prof"].write(SHOP, RECORD)) == GRAPH
    with pytest.raises(BadProfile):
        read_file("noname", b"a;b 1")


def test_the_stacks_of_a_tree_are_its_own():
    assert stacks(SHOP) is SHOP
