"""Names, paths and routes of foreign files are shown and never obeyed."""

import html
import json
import pstats
import re
from array import array
from xml.etree import ElementTree as ET

import pytest
from captured import add_tree

from flaskprof.formats import FORMATS
from flaskprof.profiles.model import CallTree, Function
from flaskprof.web.exports import EXPORTS
from flaskprof.web.figures import visible

VIEWS = ("flame", "table", "sandwich", "tree", "source")
DRAWN = {"svg", "defs", "g", "path", "pattern", "rect", "style", "text", "title"}
EXECUTABLE = {"script", "iframe", "object", "embed", "base", "img", "style", "meta", "link"}


def record_of(store, profile, names):
    return store.add(
        profile,
        route=names[0],
        method=names[2],
        endpoint=names[1],
        trigger=names[3],
        engine=names[4],
        host=names[5],
        service=names[6],
        service_version=names[7],
        notes=tuple(names),
        exactness=names[1],
    )


@pytest.fixture
def hostile(store, hostile_prof, hostile_names):
    """A capture in which every text is hostile, beside one for each hostile route."""
    for name in hostile_names:
        store.add(b"", route=name, method=name, trigger=name, title=name, host=name)
    return record_of(store, hostile_prof, hostile_names)


def paths(capture, ask):
    rows = ask(f"/c/{capture.id}?rows=all")["table"]["rows"]
    of_capture = [f"/c/{capture.id}?view={view}" for view in VIEWS]
    of_functions = [row["link"].replace("sandwich", view) for row in rows for view in VIEWS]
    return ["/", "/captures", *of_capture, *of_functions]


def held(page):
    """How many elements hold data for a script, which nothing executes."""
    return list(page.values("type")).count("application/json")


def test_nothing_foreign_becomes_markup(see, ask, hostile, hostile_names):
    for path in paths(hostile, ask):
        page = see(path)
        assert page.tags.count("script") == len(page.values("src")) + held(page)
        assert page.tags.count("meta") == 4
        assert not EXECUTABLE - {"script", "link", "meta"} & set(page.tags)
        names = {name for _, name, _ in page.attributes}
        assert not {name for name in names if name.startswith("on") or name == "style"}
        elsewhere = [value for value in page.values("href") if not value.startswith("/")]
        assert len(elsewhere) == 2
        assert "#content" in elsewhere
        assert any(
            value.startswith("data:image/png;base64,") for value in elsewhere
        )  # the icon
        assert all(value.startswith("/static/") for value in page.values("src"))


def test_every_name_is_shown_for_what_it_is(see, hostile, hostile_names):
    page = see(f"/c/{hostile.id}?view=table")
    shown = page.column("Function")
    for name in hostile_names:
        assert " ".join(visible(name).split()) in shown
    assert set(see("/captures").column("Request")) >= {
        " ".join(visible(name).split()) for name in hostile_names
    }


def test_names_stand_in_isolation_from_the_text_around_them(client, ask, hostile):
    around = {}
    for path in paths(hostile, ask):
        text = client.get(path).text
        around[path] = set(re.findall(r"<(\w+)[^>]*>\s*שלום", text))
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f]", text)
    assert around["/captures"] == {"bdi", "option"}
    assert around[f"/c/{hostile.id}?view=table"] == {"bdi"}
    assert set().union(*around.values()) == {"bdi", "option", "title"}


def test_foreign_text_comes_back_from_json_as_it_is(ask, client, hostile, hostile_names):
    data = ask(f"/c/{hostile.id}?rows=all")
    assert {row["name"] for row in data["table"]["rows"]} == {*hostile_names, "main"}
    assert data["capture"]["notes"] == hostile_names
    assert ask(f"/c/{hostile.id}.json") is not None
    downloaded = client.get(f"/c/{hostile.id}.json").json
    assert downloaded["notes"] == hostile_names


@pytest.mark.parametrize("place", ["/{}", "/c/{}", "/?route={}", "/c/{}.prof", "/static/{}"])
def test_hostile_requests_are_answered_in_peace(client, hostile_names, place):
    for name in hostile_names:
        quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
        response = client.get(place.format(quoted))
        assert response.status_code in (200, 404)
        text = html.unescape(re.sub(r"<[^>]*>", "", response.text))
        assert "<script>" not in response.text.replace('<script src="', "")
        assert text


def test_a_hostile_search_is_shown_in_its_field_only(see, hostile, hostile_names):
    for name in hostile_names[:6]:
        page = see(f"/c/{hostile.id}", query_string={"search": name})
        assert ("input", "value", visible(name).strip()) in page.attributes
        assert page.tags.count("script") == len(page.values("src")) + held(page)


def test_files_are_called_by_what_is_fit_of_their_names(
    client, store, hostile_prof, hostile_names
):
    names = [
        *hostile_names,
        "before.prof",
        "old/before.pb.gz",
        "...",
        "\r\nX-Bad: 1",
        "a" * 300,
    ]
    called = {}
    for name in names:
        record = store.add(hostile_prof, title=name)
        for path in (f"/c/{record.id}/export", f"/merge/export?c={record.id}"):
            base, _, query = path.partition("?")
            for export, row in EXPORTS.items():
                response = client.get(f"{base}/{export}?{query}")
                assert response.status_code == 200
                assert response.headers["Content-Security-Policy"] == "sandbox"
                (file,) = re.fullmatch(
                    r"attachment; filename=([A-Za-z0-9_][A-Za-z0-9._-]{0,100})",
                    response.headers["Content-Disposition"],
                ).groups()
                assert file.endswith(row.suffix)
                called[name] = file.removesuffix(row.suffix)
    assert (called["before.prof"], called["old/before.pb.gz"]) == ("before", "old-before")


def test_what_is_exported_is_read_back_whole(client, store, hostile_names, tmp_path):
    """By the standard library, by our own readers, and by the rules of each format."""
    names = hostile_names
    functions = tuple(Function(name, number, name) for number, name in enumerate(names))
    columns = [
        (number - 1, number, 2, 1_000_000 * (number + 1)) for number in range(len(names))
    ]
    tree = CallTree(functions, *(array("q", column) for column in zip(*columns, strict=True)))
    record = add_tree(store, tree, route=names[0], method=names[6], service=names[7])
    sent = {name: client.get(f"/c/{record.id}/export/{name}").data for name in EXPORTS}
    (tmp_path / "it.prof").write_bytes(sent["prof"])
    stats = pstats.Stats(str(tmp_path / "it.prof")).stats
    assert {name for _, _, name in stats} == set(names)
    # pprof, from which the viewer has the stacks, holds UTF-8 alone.
    escaped = names[6].encode("utf-8", "backslashreplace").decode()
    for name in ("pprof", "collapsed"):
        read = FORMATS[name].read(sent[name])
        assert (len(read.functions), read.total_ns) == (len(names), tree.total_ns)
    frames = json.loads(sent["speedscope"])["shared"]["frames"]
    assert {frame["name"] for frame in frames} == {*names[:6], escaped, *names[7:]}
    lines = sent["callgrind"].decode().splitlines()
    assert len([line for line in lines if line.startswith("fn=")]) == len(names)
    assert all(line.isprintable() for line in lines)
    svg = ET.fromstring(sent["svg"])
    assert {element.tag.partition("}")[2] for element in svg.iter()} <= DRAWN
