"""The data of the flame view: the tree of a capture, in columns, over HTTP."""

import gzip
import json
import re

import pytest
from captured import add_tree, fan

from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.formats.pprof import write_pprof
from flaskprof.profiles.flame import flame_tree
from flaskprof.profiles.flame.difference import difference
from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.web.flame_data import WIDEST, flame_data
from flaskprof.web.links import function_key


def work():
    """Calls of a few depths, of builtins, the standard library and this file."""
    json.loads(json.dumps([{"id": number} for number in range(20)]))
    return sorted(fibonacci(number) for number in range(8))


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


@pytest.fixture(scope="module")
def recorded():
    recording = CallTreeEngine().start()
    recording.on()
    try:
        work()
    finally:
        recording.off()
        recording.stop()
    return recording.finish()


@pytest.fixture
def with_stacks(store, recorded):
    record = store.add(write_profile(call_graph(recorded)), route="/", has_stacks=True)
    labels = {"route": "/"}
    stacks = write_pprof(recorded, labels=labels, started=1.0, duration_seconds=0.1)
    store.files[record.id, ".pb.gz"] = stacks
    return record


def nodes_of(data):
    """Each node as its stack of functions, with calls, self and total nanoseconds."""
    functions = list(
        zip(*(data["functions"][name] for name in ("file", "line", "name")), strict=True)
    )
    columns = (data["nodes"][name] for name in ("parent", "function", "calls", "self", "total"))
    paths, rows = [], {}
    for above, function, *sums in zip(*columns, strict=True):
        paths.append((*paths[above], functions[function]) if above >= 0 else ())
        rows[paths[-1]] = tuple(sums)
    return rows


def test_an_exact_capture_is_shown_to_the_nanosecond(client, with_stacks, recorded):
    data = client.get(f"/c/{with_stacks.id}/tree.json").json
    assert (data["truth"], data["unit"]) == ("exact", "ns")
    assert data["total"] == sum(data["nodes"]["self"]) == sum(recorded.self_ns)
    true, paths = {(): (0, 0, recorded.total_ns)}, []
    for node, total in enumerate(recorded.totals_ns()):
        above, function = recorded.parent[node], recorded.functions[recorded.function[node]]
        paths.append((*(paths[above] if above >= 0 else ()), tuple(function)))
        true[paths[-1]] = (recorded.calls[node], recorded.self_ns[node], total)
    assert nodes_of(data) == true
    assert {"low", "high", "before", "after", "folded"}.isdisjoint(data["nodes"])
    assert 1 in data["nodes"]["recursive"]


def test_functions_have_their_kind_and_the_key_of_their_page(client, with_stacks, recorded):
    functions = client.get(f"/c/{with_stacks.id}/tree.json").json["functions"]
    keys = {function_key(function): function for function in recorded.functions}
    for key, kind, name in list(
        zip(*(functions[c] for c in ("key", "kind", "name")), strict=True)
    )[1:]:
        assert (Kinds().of(keys[key]).value, keys[key].name) == (kind, name)
    assert len(set(functions["key"])) == len(functions["key"])


def test_of_the_application_alone_the_total_is_the_same(client, with_stacks):
    whole, own = (
        client.get(f"/c/{with_stacks.id}/tree.json{query}").json for query in ("", "?app=1")
    )
    assert whole["total"] == own["total"] == sum(own["nodes"]["self"])
    assert set(own["functions"]["kind"][1:]) == {Kind.APPLICATION.value}
    assert {"work", "fibonacci"} <= set(own["functions"]["name"])


def test_a_prof_without_stacks_is_estimated_with_bounds(client, capture, flask_prof):
    data = client.get(f"/c/{capture.id}/tree.json").json
    assert data["truth"] == "estimated"
    nodes = data["nodes"]
    for low, total, high in zip(nodes["low"], nodes["total"], nodes["high"], strict=True):
        assert low <= total <= high
    assert data == json.loads(
        json.dumps(flame_data(flame_tree(read_profile(flask_prof)), Kinds()))
    )


def held(client, url):
    """What a page holds of its drawing."""
    text = client.get(url, headers={"Accept": "text/html"}).get_data(as_text=True)
    ((data,),) = [re.findall(r'<script type="application/json" id="[^"]*">(.*)</script>', text)]
    return json.loads(data) if data else None


def test_a_page_holds_the_widest_boxes_itself(client, store):
    record = add_tree(store, fan(2_000))
    whole = client.get(f"/c/{record.id}/tree.json").json
    widest = held(client, f"/c/{record.id}")
    assert (whole["is_whole"], widest["is_whole"]) == (True, False)
    assert (len(whole["nodes"]["self"]), len(widest["nodes"]["self"])) == (2_002, WIDEST)
    assert whole["total"] == widest["total"] == sum(widest["nodes"]["self"])
    assert whole["depths"] == widest["depths"] == 3
    assert set(widest["nodes"]["total"][: WIDEST - 1]) <= set(whole["nodes"]["total"])


@pytest.mark.parametrize("query", ["", "?app=1"])
def test_a_page_holds_all_where_they_are_few(client, with_stacks, query):
    whole = client.get(f"/c/{with_stacks.id}/tree.json{query}").json
    assert whole["is_whole"]
    assert held(client, f"/c/{with_stacks.id}{query}") == whole


def test_a_page_is_shown_without_stacks_that_cannot_be_read(client, store, with_stacks):
    store.files[with_stacks.id, ".pb.gz"] = b"no stacks"
    assert held(client, f"/c/{with_stacks.id}") is None
    assert client.get(f"/c/{with_stacks.id}/tree.json").status_code == 422


def test_what_the_record_calls_sampled_is(client, store, flask_prof):
    record = store.add(flask_prof, exactness="sampled")
    assert client.get(f"/c/{record.id}/tree.json").json["truth"] == "sampled"


def test_stacks_that_were_removed_are_estimated_again(client, store, with_stacks):
    del store.files[with_stacks.id, ".pb.gz"]
    assert client.get(f"/c/{with_stacks.id}/tree.json").json["truth"] == "estimated"


def test_it_is_compressed_for_whoever_takes_that(client, capture):
    url = f"/c/{capture.id}/tree.json"
    plain = client.get(url)
    small = client.get(url, headers={"Accept-Encoding": "gzip, br"})
    assert plain.headers.get("Content-Encoding") is None
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < len(plain.data) / 2
    for response in (plain, small):
        assert response.mimetype == "application/json"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    refused = client.get(url, headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.data == plain.data


def test_hostile_names_come_as_they_are(client, store, hostile_prof, hostile_names):
    record = store.add(hostile_prof)
    response = client.get(f"/c/{record.id}/tree.json")
    assert response.data.isascii()
    assert set(hostile_names) <= set(response.json["functions"]["name"])


def test_what_cannot_be_read_is_explained_to_the_script(ask, store):
    record = store.add(b"no profile")
    problem = ask(f"/c/{record.id}/tree.json", 422)
    assert problem["detail"].startswith("This profile cannot be read.")
    assert ask("/c/0197a2b3c4d57e6f8a9b0c1d2e3f4a5b/tree.json", 404)["status"] == 404


def test_a_difference_has_the_times_of_both_sides(recorded):
    nodes = flame_data(difference(recorded, recorded), Kinds())["nodes"]
    assert nodes["before"] == nodes["after"] == nodes["total"]
    assert nodes["self_before"] == nodes["self_after"] == nodes["self"]
