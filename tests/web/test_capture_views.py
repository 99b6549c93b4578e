"""The views of a profile beside its table: tree, source, and what they share."""

import cProfile
from array import array
from urllib.parse import parse_qs, urlsplit

import pytest
from captured import LOAD, ROOT, ROW, TREE, VIEW, add_tree
from pages import NOW, Document, to_prof
from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.profiles.model import CallTree, Function
from flaskprof.web.app import Viewer
from flaskprof.web.links import function_key

DEEP = CallTree(
    (VIEW, ROW),
    array("q", [-1, *range(299)]),
    array("q", [0] * 300),
    array("q", [1] * 300),
    array("q", [1_000_000] * 300),
)
WIDE = CallTree(
    tuple(Function("/srv/shop/a.py", number, f"f{number}") for number in range(201)),
    array("q", [-1, *([0] * 200)]),
    array("q", range(201)),
    array("q", [1] * 201),
    array("q", [10**6 * (number + 1) for number in range(201)]),
)


@pytest.mark.parametrize("view", ["flame", "table", "sandwich", "tree", "source"])
def test_the_selected_function_stays_selected_in_every_view(see, store, view):
    record = add_tree(store)
    key = function_key(ROW)
    page = see(f"/c/{record.id}?view={view}&fn={key}&app=1")
    tabs = {name: page.links[name] for name in ("Flame", "Table", "Callers", "Tree", "Source")}
    for url in tabs.values():
        query = parse_qs(urlsplit(url).query)
        assert (query["fn"], query["app"]) == ([key], ["1"])
    assert "from_row in GET /orders" in page.text


def test_an_unknown_view_and_an_unknown_function_are_said_to_be_so(client, capture):
    assert client.get(f"/c/{capture.id}?view=pie").status_code == 400
    assert client.get(f"/c/{capture.id}?view=tree&fn=00").status_code == 404


def test_application_code_alone_has_the_rest_folded_into_it(see, ask, store):
    record = add_tree(store)
    page = see(f"/c/{record.id}?view=table&app=1")
    assert page.column("Function") == ["from_row", "order", "wsgi_app"]
    assert page.column("Calls") == ["30", "1", "1"]
    on = see(page.links["Application code only: on"])
    assert len(on.column("Function")) == 4
    data = ask(f"/c/{record.id}?app=1")
    assert data["profile"]["application_only"] is True
    drawn = see(f"/c/{record.id}?view=flame&app=1")
    assert drawn.column("Function") == ["from_row", "order", "wsgi_app"]
    assert "app=1" not in drawn.links["Application code only: on"]
    assert data["profile"]["total_seconds"] == pytest.approx(TREE.total_ns / 1e9)


def test_estimated_self_times_say_that_they_are(see, capture, store):
    text = "Self times and edges are estimates here"
    assert text in see(f"/c/{capture.id}?view=table&app=1").text
    assert text not in see(f"/c/{capture.id}?view=table").text
    assert text not in see(f"/c/{add_tree(store).id}?view=table&app=1").text


def test_whose_time_it_was_stands_above(see, store):
    text = " ".join(see(f"/c/{add_tree(store).id}").text.split())
    assert "application 93.0 % framework <0.1 % library 6.9 % standard library 0.0 %" in text
    assert "Most time of its own from_row 92.6 %" in text


def test_a_function_that_its_recording_distorts_is_marked(see, store):
    record = add_tree(store, python_call_ns=50_000.0, builtin_call_ns=10.0)
    page = see(f"/c/{record.id}?view=table")
    assert (
        page.column("Calls")
        == ["≈ 37.5 % is recording 30", "≈ 2.3 % is recording 2", "1", "1"][:1]
        + page.column("Calls")[1:]
    )
    text = " ".join(see(f"/c/{record.id}?view=sandwich&fn={function_key(ROW)}").text.split())
    assert "Recording its calls ≈ 1.50 ms 37.5 % of it" in text


def rows_of(page):
    return [row[0].lstrip("▾▸ ") for row in page.body()]


def test_the_tree_is_open_where_the_time_went(see, store):
    page = see(f"/c/{add_tree(store).id}?view=tree")
    assert rows_of(page) == ["wsgi_app", "order", "all", "from_row"]
    assert page.values("aria-level") == ["1", "2", "3", "4"]
    assert page.values("aria-expanded") == ["true"] * 3
    assert page.column("Total")[3] == "4.00 ms 92.6 %"
    assert page.column("Self")[1] == "20.0 µs"


def test_a_row_of_the_tree_opens_and_closes_by_its_link(see, store):
    record = add_tree(store)
    page = see(see(f"/c/{record.id}?view=tree").links["Close all"])
    assert rows_of(page) == ["wsgi_app"]
    page = see(page.links["▸"])
    assert rows_of(page) == ["wsgi_app", "order"]
    assert page.values("aria-expanded") == ["true", "false"]
    page = see(page.links["▾"])
    assert rows_of(page) == ["wsgi_app"]
    page = see(page.links["Open the hottest path"])
    assert len(rows_of(page)) == 4


def test_the_tree_opens_the_way_to_the_selected_function(see, store):
    record = add_tree(store)
    page = see(f"/c/{record.id}?view=tree&fn={function_key(LOAD)}")
    assert rows_of(page) == ["wsgi_app", "order", "all"]
    assert page.values("aria-expanded") == ["true", "true", "false"]


def test_the_tree_opens_the_stack_that_the_flame_view_was_at(see, store):
    # from_row is called by order and by all; more of its time is on behalf of all.
    tree = CallTree(
        (ROOT, VIEW, LOAD, ROW),
        array("q", [-1, 0, 1, 0, 3]),
        array("q", [0, 1, 3, 2, 3]),
        array("q", [1] * 5),
        array("q", [10, 10, 1_000, 10, 5_000]),
    )
    record = add_tree(store, tree)
    path = f"/c/{record.id}?view=tree&fn={function_key(ROW)}"

    keys = {function: function_key(function)[:5] for function in tree.functions}
    order, longest = (keys[ROOT] + keys[VIEW], keys[ROOT] + keys[LOAD])

    def rows(query):
        return [cell.lstrip("▸▾") for cell in see(path + query).column("Function")]

    assert rows("") == ["wsgi_app", "all", "from_row", "order"]
    assert rows(f"&zoom={longest}") == rows("")
    assert rows(f"&zoom={order}") == ["wsgi_app", "all", "order", "from_row"]
    assert rows(f"&zoom={longest}&at={order}{keys[ROW]}") == rows(f"&zoom={order}")
    # What is not there is passed over.
    assert rows(f"&zoom={keys[ROOT]}00000{keys[VIEW]}") == rows(f"&zoom={order}")
    assert rows("&zoom=~7") == rows("")


def test_the_tree_of_a_recursion_ends_where_it_begins_and_says_so(see, store):
    record = add_tree(store, DEEP)
    page = see(f"/c/{record.id}?view=tree")
    assert rows_of(page) == ["order", "order ↻"]
    deep = ".".join(map(str, range(299)))
    assert len(rows_of(see(f"/c/{record.id}?view=tree&open={deep}"))) == 300


def test_many_callees_are_shown_when_they_are_asked_for(see, store):
    record = add_tree(store, WIDE)
    page = see(f"/c/{record.id}?view=tree&open=0")
    assert rows_of(page)[:3] == ["f0", "f200", "f199"]
    assert rows_of(page)[-1] == "170 more callees"
    assert len(rows_of(see(page.links["170 more callees"]))) == 201


def test_a_tree_of_which_more_is_open_than_is_shown_says_so(see, store, monkeypatch):
    record = add_tree(store, WIDE)
    monkeypatch.setattr("flaskprof.web.panels.tree._MOST_ROWS", 201)
    whole = f"/c/{record.id}?view=tree&open=0&all=0"
    assert len(rows_of(see(whole))) == 201
    monkeypatch.setattr("flaskprof.web.panels.tree._MOST_ROWS", 200)
    *shown, last = rows_of(see(whole))
    assert len(shown) == 200
    assert last == "More is open than these 200 rows: close some to see it"


def test_an_estimated_tree_shows_its_bounds(see, ask, store):
    functions = {
        ("a.py", 1, "main"): (1, 1, 0.0, 10.0, {}),
        ("a.py", 2, "one"): (1, 1, 1.0, 4.0, {("a.py", 1, "main"): (1, 1, 1.0, 4.0)}),
        ("a.py", 3, "two"): (1, 1, 1.0, 6.0, {("a.py", 1, "main"): (1, 1, 1.0, 6.0)}),
        ("a.py", 4, "work"): (
            2, 2, 6.0, 8.0,
            {("a.py", 2, "one"): (1, 1, 2.25, 3.0), ("a.py", 3, "two"): (1, 1, 3.75, 5.0)},
        ),
        ("a.py", 5, "deep"): (1, 1, 1.0, 2.0, {("a.py", 4, "work"): (1, 1, 1.0, 2.0)}),
        ("a.py", 6, "leaf"): (1, 1, 1.0, 1.0, {("a.py", 5, "deep"): (1, 1, 1.0, 1.0)}),
    }  # fmt: skip
    record = store.add(to_prof(functions))
    page = see(f"/c/{record.id}?view=tree")
    assert "stacks estimated" in page.text
    times = dict(zip(rows_of(page), page.column("Total"), strict=True))
    assert times["leaf"] == "≈ 625 ms 6.2 %250 ms to 1.00 s"
    assert times["main"] == "10.0 s 100.0 %"
    rows = ask(f"/c/{record.id}?view=tree")["tree"]["rows"]
    bounds = {row["name"]: (row["low_ns"], row["high_ns"], row["is_exact"]) for row in rows}
    assert bounds["leaf"] == (250_000_000, 1_000_000_000, False)
    assert bounds["main"] == (10_000_000_000, 10_000_000_000, True)


def test_self_time_and_calls_of_an_estimated_tree_say_whether_they_are_exact(see, ask, store):
    functions = {
        ("a.py", 1, "main"): (1, 1, 1.0, 10.0, {}),
        ("a.py", 2, "work"): (3, 3, 2.0, 9.0, {("a.py", 1, "main"): (3, 3, 2.0, 9.0)}),
        ("a.py", 3, "leaf"): (
            5, 5, 7.0, 7.0,
            {("a.py", 2, "work"): (4, 4, 4.0, 4.0), ("a.py", 4, "other"): (1, 1, 3.0, 3.0)},
        ),
        ("a.py", 4, "other"): (
            2, 2, 0.0, 3.0,
            {("a.py", 1, "main"): (1, 1, 0.0, 0.0), ("a.py", 2, "work"): (1, 1, 0.0, 3.0)},
        ),
    }  # fmt: skip
    record = store.add(to_prof(functions))
    query = "view=tree&open=1.2.3.4.5"
    page = see(f"/c/{record.id}?{query}")
    cells = zip(rows_of(page), page.column("Self"), page.column("Calls"), strict=True)
    assert list(cells) == [
        ("main", "1.00 s", "1"),
        ("work", "2.00 s", "3"),
        ("leaf", "4.00 s", "4"),
        ("other", "0 s", "1"),
        ("leaf", "≈ 3.00 s", "≈ 1"),
    ]
    rows = ask(f"/c/{record.id}?{query}")["tree"]["rows"]
    assert [row["is_own_exact"] for row in rows] == [True, True, True, True, False]
    assert rows[-1]["is_exact"]


def test_rows_of_the_tree_as_json_are_exact(ask, store):
    data = ask(f"/c/{add_tree(store).id}?view=tree")["tree"]
    assert (data["truth"], data["nodes"]) == ("exact", 4)
    assert [row["self_ns"] for row in data["rows"]] == list(TREE.self_ns)
    assert [row["total_ns"] for row in data["rows"]] == list(TREE.totals_ns())


@pytest.mark.parametrize("opened", ["x", "-1", "1,2", "9" * 50, ".".join(map(str, range(500)))])
def test_what_is_no_list_of_nodes_is_refused(client, store, opened):
    path = f"/c/{add_tree(store).id}?view=tree&open={opened}"
    assert client.get(path).status_code == 400


def test_nodes_that_are_not_there_are_passed_over(see, store):
    page = see(f"/c/{add_tree(store).id}?view=tree&open=0.77777")
    assert rows_of(page) == ["wsgi_app", "order"]


@pytest.mark.parametrize("view", ["flame", "table", "sandwich", "tree", "source"])
def test_an_empty_profile_is_a_page_in_every_view(see, store, view):
    record = store.add(to_prof({}))
    assert see(f"/c/{record.id}?view={view}").text


@pytest.mark.parametrize("view", ["flame", "table", "sandwich", "tree", "source"])
def test_a_merge_is_shown_as_a_capture_is_and_claims_nothing_it_has_not(see, store, view):
    ids = [add_tree(store, started=NOW - number, pid=7, host="web-1").id for number in (9, 8)]
    page = see(f"/merge?c={ids[0]}&c={ids[1]}&view={view}")
    text = " ".join(page.text.split())
    assert "2 captures of GET /orders" in text
    for term in ("Process", "Host", "Endpoint", "Capture "):
        assert f" {term}" not in text.partition("What was added up")[2][:200]
    assert set(page.values("href")) >= {f"/c/{capture_id}" for capture_id in ids}
    assert not any("/c/" in url and url.endswith(".json") for url in page.links.values())


@pytest.fixture
def sourced(tmp_path, store):
    """A capture of code in a file of our own, and a function that makes viewers of it."""
    path = tmp_path / "shop.py"
    text = "def price(n):\n    return sum(range(n))\n\n\ndef cart():\n    return price(9)\n"
    path.write_text(text)
    names = {}
    exec(compile(text, str(path), "exec"), names)
    profile = cProfile.Profile()
    profile.runcall(names["cart"])
    profile.create_stats()
    record = store.add(to_prof(profile.stats))

    def see(document, *, source, is_development=False, query=""):
        settings = Settings.load(source=source, environ={})
        viewer = Viewer(store, settings=settings, is_development=lambda: is_development)
        key = function_key(Function(str(path), 1, "price"))
        url = f"/c/{record.id}?view=source&fn={key}{query}"
        return document(Client(viewer).get(url).text)

    return see


def test_source_is_shown_with_times_where_functions_begin(sourced, tmp_path):
    page = sourced(Document, source=[str(tmp_path)])
    lines = [row for row in page.rows if row and row[0].isdigit()]
    assert [row[4] for row in lines][:2] == ["def price(n):", "return sum(range(n))"]
    assert lines[0][3] == "1"
    assert lines[1][1:4] == ["", "", ""]
    whole = sourced(Document, source=[str(tmp_path)], query="&whole=1")
    lines = [row for row in whole.rows if row and row[0].isdigit()]
    assert [row[0] for row in lines] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [bool(row[3]) for row in lines] == [True, False, False, False, True, False, False]


def test_source_that_is_not_shown_whole_says_so(sourced, tmp_path, monkeypatch):
    whole = sourced(Document, source=[str(tmp_path)], query="&whole=1")
    assert "are shown, from" not in whole.text
    monkeypatch.setattr("flaskprof.web.panels.source._MOST_LINES", 5)
    page = sourced(Document, source=[str(tmp_path)], query="&whole=1")
    assert [row[0] for row in page.rows if row and row[0].isdigit()] == list("12345")
    assert "Of 7 lines 5 are shown, from line 1 on." in page.text
    alone = sourced(Document, source=[str(tmp_path)])
    assert "are shown, from" not in alone.text


def test_source_is_off_outside_development_unless_allowed(sourced):
    for source, is_development in (("auto", False), ("off", True)):
        page = sourced(Document, source=source, is_development=is_development)
        assert "Source is not shown here." in page.text
        assert "def price" not in page.text


def test_a_builtin_has_no_source(see, store):
    builtin = ("~", 0, "<built-in method builtins.len>")
    record = store.add(to_prof({builtin: (1, 1, 1.0, 1.0, {})}))
    page = see(f"/c/{record.id}?view=source")
    assert "A builtin is written in C" in page.text


def test_old_links_to_a_function_still_lead_to_it(see, store):
    record = add_tree(store)
    page = see(f"/c/{record.id}/f/{function_key(VIEW)}")
    assert "order" in page.text
    assert {"wsgi_app", "all"} <= {*page.links}
    assert ROOT.name in page.links
