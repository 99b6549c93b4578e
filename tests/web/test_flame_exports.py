"""The flame view as a file: a picture, and a page that needs no server."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from array import array

import pytest

from flaskprof.formats.pprof import write_pprof
from flaskprof.profiles.flame import flame_tree
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.web.exports import EXPORTS, export_of
from flaskprof.web.flame_data import flame_data

SVG = "{http://www.w3.org/2000/svg}"
MS = 10**6
NAMES = (
    Function("/srv/shop/views.py", 10, "order"),
    Function("/srv/lib/python3.12/site-packages/sqlalchemy/orm.py", 30, "load"),
    Function("~", 0, "<built-in method execute>"),
)
SHOP = CallTree(
    NAMES,
    *(
        array("q", column)
        for column in (
            (-1, 0, 1, 0),
            (0, 1, 2, 2),
            (1, 3, 9, 2),
            (20 * MS, 30 * MS, 45 * MS, 5 * MS),
        )
    ),
)


@pytest.fixture
def record(store):
    added = store.add(
        write_profile(call_graph(SHOP)), route="/order", status=200, has_stacks=True
    )
    stacks = write_pprof(SHOP, labels={}, started=1.0, duration_seconds=0.1)
    store.files[added.id, ".pb.gz"] = stacks
    return added


def boxes(svg):
    """Of each box its title's lines, its x and width, its class and whether it is hatched."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is None:
            continue  # of the legend
        first, *others = group.findall(f"{SVG}rect")
        is_hatched = [rect.get("fill") for rect in others] == ["url(#hatch)"]
        place = float(first.get("x")), float(first.get("width"))
        found.append((title.text.split("\n"), *place, group.get("class"), is_hatched))
    return found


def test_a_picture_has_a_box_for_each_stack_as_wide_as_its_time(record):
    svg = EXPORTS["svg"].write(SHOP, record)
    found = boxes(svg)
    assert [title for title, *_ in found] == [
        ["all", "total 100 ms, 100.0 %", "self 0 s"],
        ["order", "/srv/shop/views.py:10", "total 100 ms, 100.0 %", "self 20.0 ms", "calls 1"],
        [
            "load",
            "/srv/lib/python3.12/site-packages/sqlalchemy/orm.py:30",
            "total 75.0 ms, 75.0 %",
            "self 30.0 ms",
            "calls 3",
        ],
        ["<built-in method execute>", "total 45.0 ms, 45.0 %", "self 45.0 ms", "calls 9"],
        ["<built-in method execute>", "total 5.00 ms, 5.0 %", "self 5.00 ms", "calls 2"],
    ]
    assert [round((width + 0.6) / 1180, 3) for _, _, width, *_ in found] == [
        *(1, 1, 0.75, 0.45, 0.05)
    ]
    assert [kind for *_, kind, _ in found] == [
        *("tiny", "application", "library", "builtin", "builtin")
    ]
    assert not any(is_hatched for *_, is_hatched in found)
    assert b"prefers-color-scheme:dark" in svg
    assert b"<script" not in svg
    assert re.findall(rb"(?:href|src|url\()[=\"']*([^\"')]*)", svg) == []


def test_what_is_estimated_is_hatched_with_its_bounds(record, flask_prof):
    graph = read_profile(flask_prof)
    tree = flame_tree(graph)
    found = boxes(EXPORTS["svg"].write(graph, record))
    is_sure = {
        node: tree.low_ns[node] == tree.high_ns[node] and not tree.folded[node]
        for node in range(len(tree))
    }
    drawn = [
        node
        for node in range(len(tree))
        if tree.total_ns[node] * 1180 >= 0.4 * tree.total_ns[0]
    ]
    assert [is_hatched for *_, is_hatched in found] == [not is_sure[node] for node in drawn]
    for title, *_, is_hatched in found:
        assert any("≈" in line and " to " in line for line in title) == is_hatched
    is_own_sure = [
        not any("≈" in line for line in title if line.startswith(("self", "calls")))
        for title, *_ in found
    ]
    assert is_own_sure == [tree.undivided[node] == 1 for node in drawn]
    assert {True, False} == {*is_own_sure}


def test_a_sampled_picture_says_so(record, store):
    sampled = store.add(b"", exactness="sampled", title="x")
    svg = EXPORTS["svg"].write(SHOP, sampled)
    assert "sampled: times are estimates" in svg.decode()
    assert all(is_hatched for *_, is_hatched in boxes(svg))


@pytest.mark.parametrize("name", ["svg", "html"])
def test_hostile_names_stay_text(store, hostile_prof, hostile_names, name):
    record = store.add(hostile_prof, route=hostile_names[1])
    text = EXPORTS[name].write(read_profile(hostile_prof), record).decode()
    assert "<script>alert" not in text
    assert "</title></style>" not in text
    assert "\u202e" not in text
    if name == "svg":
        assert any("cod\\u202etxt" in title[0] for title, *_ in boxes(text))


def test_a_page_holds_all_it_needs_and_allows_nothing_else(record):
    text = EXPORTS["html"].write(SHOP, record).decode()
    policy = re.search(r'Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    parts = re.findall(r"<(style|script)([^>]*)>(.*?)</\1>", text, re.DOTALL)
    executed = [(tag, body) for tag, kind, body in parts if "json" not in kind]
    for tag, body in executed:
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in re.search(f"{tag}-src ([^;]*)", policy)[1]
    assert [tag for tag, _ in executed] == ["style", "script"]
    assert policy.startswith("default-src 'none';")
    assert re.findall(r"<[^>]*\b(?:src|href)=[^>]*>", text.split("<script")[0]) == []
    data = {
        re.search('id="(.*)"', kind)[1]: json.loads(body)
        for _, kind, body in parts
        if "json" in kind
    }
    assert data["flame-data"] == json.loads(json.dumps(flame_data(flame_tree(SHOP), Kinds())))
    assert data["flame-data-app"]["nodes"]["self"] == [0, 100 * MS]
    assert "200 of" not in text
    assert "3 of" in text


def test_a_page_says_what_limits_it_and_what_its_keys_are(store):
    record = store.add(b"", title="x", notes=("<b>Its sums</b> do not agree.\u202e",))
    text = EXPORTS["html"].write(SHOP, record).decode()
    assert r"&lt;b&gt;Its sums&lt;/b&gt; do not agree.\u202e" in text
    keys = re.search("<details class=.keys.>(.*?)</details>", text, re.DOTALL)[1]
    assert {"/", "o", "Enter", "n N"} <= set(re.findall("<kbd>(.*?)</kbd>", keys))


@pytest.mark.parametrize("name", ["svg", "html"])
def test_they_are_downloads_that_no_browser_opens(client, record, name):
    for query in ("", "?app=1"):
        response = client.get(f"/c/{record.id}/export/{name}{query}")
        assert response.status_code == 200
        assert response.headers["Content-Security-Policy"] == "sandbox"
        disposition = f"attachment; filename={record.id}.{name}"
        assert response.headers["Content-Disposition"] == disposition
        assert response.mimetype == EXPORTS[name].media_type.partition(";")[0]
    if name == "svg":
        assert [kind for *_, kind, _ in boxes(response.data)] == ["tiny", "application"]


def test_the_page_of_a_capture_offers_them(client, record):
    text = client.get(f"/c/{record.id}").text
    for name in ("svg", "html"):
        assert f"/c/{record.id}/export/{name}" in text


def test_formats_are_told_by_the_end_of_a_name():
    assert [export_of(name).name for name in ("a.SVG", "b.html", "c.pb.gz", "d.prof")] == [
        *("svg", "html", "pprof", "prof")
    ]
    assert export_of("page.pdf") is None
