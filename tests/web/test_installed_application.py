"""An application that is installed among libraries counts as one in all that is shown."""

import json
import re
import xml.etree.ElementTree as ET
from array import array
from dataclasses import replace

import pytest
from captured import add_tree
from click.testing import CliRunner
from pages import Document
from werkzeug.test import Client

from flaskprof.cli import main
from flaskprof.config import Settings
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.web.app import Viewer

SVG = "{http://www.w3.org/2000/svg}"
PLACE = "/venv/lib/python3.12/site-packages/"
TREE = CallTree(
    (
        Function(PLACE + "flask/app.py", 9, "wsgi_app"),
        Function(PLACE + "shop/views.py", 10, "order"),
        Function(PLACE + "orm/query.py", 5, "fetch"),
        Function(PLACE + "shop/models.py", 3, "from_row"),
    ),
    array("q", [-1, 0, 1, 2]),
    array("q", [0, 1, 2, 3]),
    array("q", [1, 1, 2, 30]),
    array("q", [1_000, 20_000, 300_000, 4_000_000]),
)
KINDS = {
    "wsgi_app": "framework",
    "order": "application",
    "fetch": "library",
    "from_row": "application",
}
# What is left of it, and the time of each.
OWN = {"wsgi_app": 1_000, "order": 320_000, "from_row": 4_000_000}


@pytest.fixture(params=["recorded", "by a setting"])
def shown(request, store):
    """A viewer over a capture, and the capture, of which one says what the shop is."""
    packages = ("shop",)
    if request.param == "recorded":
        record, settings = add_tree(store, TREE, app_packages=packages), Settings()
    else:
        record, settings = add_tree(store, TREE), Settings(app_packages=packages)
    return Client(Viewer(store, settings=settings)), record


def data_of(client, path):
    answer = client.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json


def kinds_of(rows):
    return {row["name"]: row["kind"] for row in rows}


def test_without_being_named_it_counts_as_a_library(store):
    record = add_tree(store, TREE)
    rows = data_of(Client(Viewer(store, settings=Settings())), f"/c/{record.id}?view=table")[
        "table"
    ]["rows"]
    assert set(kinds_of(rows).values()) == {"framework", "library"}


def test_every_view_says_whose_code_it_is(shown):
    client, record = shown
    page = f"/c/{record.id}"
    table = data_of(client, f"{page}?view=table")["table"]["rows"]
    assert kinds_of(table) == KINDS
    key = next(row["link"] for row in table if row["name"] == "fetch").partition("fn=")[2]
    around = data_of(client, f"{page}?view=sandwich&fn={key}")
    assert kinds_of([around["function"], *around["callers"], *around["callees"]]) == {
        "order": "application",
        "fetch": "library",
        "from_row": "application",
    }
    assert kinds_of(data_of(client, f"{page}?view=tree")["tree"]["rows"]) == KINDS
    functions = client.get(f"{page}/tree.json").json["functions"]
    assert dict(zip(functions["name"], functions["kind"], strict=True)).items() >= KINDS.items()


def test_the_time_above_is_the_application_s_and_so_is_the_hottest_function(shown):
    client, record = shown
    page = Document(client.get(f"/c/{record.id}").text)
    assert "application 93.0 % framework" in " ".join(page.text.split())
    source = data_of(client, f"/c/{record.id}?view=sandwich")
    assert source["function"]["name"] == "from_row"


def test_application_code_only_leaves_it(shown):
    client, record = shown
    tree = client.get(f"/c/{record.id}/tree.json?app=1").json
    names = [tree["functions"]["name"][number] for number in tree["nodes"]["function"]]
    assert dict(zip(names[1:], tree["nodes"]["self"][1:], strict=True)) == OWN
    left = read_profile(client.get(f"/c/{record.id}/export/prof?app=1").data)
    assert {function.name for function in left.functions} == set(OWN)


def test_drawings_that_are_exported_say_it_too(shown):
    client, record = shown
    of_a_picture = kinds_of_picture(client.get(f"/c/{record.id}/export/svg").data)
    assert of_a_picture == {name: kind.partition(" ")[0] for name, kind in KINDS.items()}
    text = client.get(f"/c/{record.id}/export/html").text
    for element in ("flame-data", "flame-data-app"):
        found = re.search(f'id="{element}"[^>]*>(.*?)</script>', text, re.DOTALL)
        functions = json.loads(found[1])["functions"]
        kinds = dict(zip(functions["name"], functions["kind"], strict=True))
        assert {name: KINDS[name] for name in kinds if name in KINDS} == {
            name: kind for name, kind in kinds.items() if name in KINDS
        }
    assert set(OWN) == set(kinds) & set(KINDS)


def kinds_of_picture(svg):
    """The class of each box by the first line of its title."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None:
            found[title.text.partition("\n")[0]] = group.get("class")
    del found["all"]
    return found


def test_what_one_side_of_a_comparison_knows_holds_for_both(store):
    knowing = add_tree(store, TREE, app_packages=("shop",))
    other = add_tree(store, replace(TREE, self_ns=array("q", [500, 10, 150_000, 2_000_000])))
    client = Client(Viewer(store, settings=Settings()))
    for before, after in ((knowing, other), (other, knowing)):
        query = f"a={before.id}&b={after.id}"
        rows = data_of(client, f"/compare?{query}")["functions"]
        kinds = {row["before"]["name"]: row["kind"] for row in rows}
        assert kinds == KINDS
        lines = client.get(f"/compare/export/csv?{query}").text.splitlines()[1:]
        assert {line.split(",")[0]: line.split(",")[3] for line in lines} == KINDS
        functions = client.get(f"/compare/tree.json?{query}").json["functions"]
        kinds = dict(zip(functions["name"], functions["kind"], strict=True))
        assert KINDS.items() <= kinds.items()
        left = data_of(client, f"/compare?{query}&app=1")["functions"]
        assert {row["before"]["name"]: (row["after"] or {}).get("name") for row in left} == {
            name: name for name in OWN
        }


def test_captures_added_up_know_what_any_of_them_does(store):
    first = add_tree(store, TREE, app_packages=("shop",))
    second = add_tree(store, TREE, app_packages=("orm",))
    rows = data_of(
        Client(Viewer(store, settings=Settings())),
        f"/merge?c={first.id}&c={second.id}&view=table",
    )
    assert kinds_of(rows["table"]["rows"]) == KINDS | {"fetch": "application"}


def test_the_command_line_s_drawings_take_the_setting(tmp_path, monkeypatch):
    (tmp_path / "night.prof").write_bytes(write_profile(call_graph(TREE)))
    monkeypatch.chdir(tmp_path)
    command = ["export", "night.prof", "-o", "night.svg", "--force"]
    for setting, kind in (("", "library"), ("shop", "application")):
        monkeypatch.setenv("FLASKPROF_APP_PACKAGES", setting)
        assert CliRunner().invoke(main, command).exit_code == 0
        found = kinds_of_picture((tmp_path / "night.svg").read_bytes())
        assert (found["order"], found["fetch"]) == (kind, "library")
