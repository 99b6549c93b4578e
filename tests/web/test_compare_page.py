"""What changed between two captures, or two sets of them."""

import csv
import io
import json
import marshal

import pytest

NOW = 1_800_000_000.0
APP = "/srv/shop/app.py"


def prof(**functions):
    """A profile of functions of one file, each as (line, calls, self seconds)."""
    return marshal.dumps(
        {
            (APP, line, name): (calls, calls, seconds, seconds, {})
            for name, (line, calls, seconds) in functions.items()
        }
    )


@pytest.fixture
def two(store):
    """A capture, and one after the source moved: f quicker, g slower, h gone, i new."""
    before = store.add(
        prof(f=(1, 10, 2.0), g=(20, 5, 0.5), h=(30, 1, 0.25), same=(40, 3, 0.125)),
        started=NOW - 60,
        route="/cart",
    )
    after = store.add(
        prof(f=(3, 2, 0.5), g=(22, 5, 1.0), i=(33, 1, 0.125), same=(44, 3, 0.125)),
        started=NOW - 30,
        route="/cart",
    )
    return before, after


def address(before, after, more=""):
    ids = [",".join(r.id for r in side) for side in (before, after)]
    return f"/compare?a={ids[0]}&b={ids[1]}{more}"


@pytest.fixture
def pair(two):
    return address([two[0]], [two[1]])


def test_functions_are_matched_though_their_lines_moved(see, ask, pair):
    data = ask(pair)
    assert [row["function"].rpartition("(")[2] for row in data["functions"]] == [
        "f)",
        "g)",
        "h)",
        "i)",
    ]
    f, _, h, i = data["functions"]
    assert (f["before"]["line"], f["after"]["line"]) == (1, 3)
    assert (f["calls_difference"], f["self_seconds_difference"]) == (-8, -1.5)
    assert (h["after"], i["before"]) == (None, None)
    assert data["unchanged"] == 1
    assert data["total_seconds_difference"] == -1.125
    assert not data["is_mean_per_capture"]
    page = see(pair)
    assert page.column("Calls before") == ["10", "5", "1", "\N{EN DASH}"]
    assert page.column("Self before") == ["2.00 s", "500 ms", "250 ms", "\N{EN DASH}"]
    assert [row[0].split() for row in page.body()][2:] == [
        ["application", "gone", "h"],
        ["application", "new", "i"],
    ]


def test_what_became_less_has_a_minus_and_what_became_more_a_plus(see, pair):
    page = see(pair)
    assert page.column("Self \u00b1")[:2] == ["\N{MINUS SIGN}1.50 s", "+500 ms"]
    assert page.column("Calls \u00b1")[:2] == ["\N{MINUS SIGN}8", "0"]
    text = page.text.replace("\u202f", " ")
    assert "\N{MINUS SIGN}1.12 s \N{MINUS SIGN}39.1 %" in text
    turned = see(page.links["\N{RIGHTWARDS ARROW OVER LEFTWARDS ARROW} Swap sides"])
    assert "+1.12 s +64.3 %" in turned.text.replace("\u202f", " ")


def test_a_page_is_called_by_what_it_compares(see, store):
    old, new = (store.add(prof(f=(1, 1, 1.0)), title=f"{name}.prof") for name in "ab")
    page = see(address([old], [new]))
    assert "Comparison: a.prof \N{RIGHTWARDS ARROW} b.prof" in page.text


def test_a_sentence_says_what_changed_most(see, ask, pair):
    said = (
        "most changed in /srv/shop/app.py:3(f): 1.50 s less of its own in 2 calls instead of 10"
    )
    assert said in see(pair).text
    assert said in ask(pair)["summary"]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("", "fghi"),
        ("self", "gihf"),
        ("self&order=asc", "fhig"),
        ("self_before", "fghi"),
        ("self_after", "gfih"),
        ("name", "fghi"),
        ("name&order=desc", "ihgf"),
        ("calls", "ighf"),
        ("calls_after", "gfih"),
        ("cumulative", "gihf"),
    ],
)
def test_the_table_is_sorted_by_any_column(ask, pair, sort, first):
    rows = ask(f"{pair}&sort={sort}")["functions"]
    assert "".join(row["function"][-2] for row in rows) == first


def test_a_head_sorts_and_turns_the_order_round(see, pair):
    page = see(pair)
    assert page.values("aria-sort") == []
    page = see(page.links["Self \u00b1"])
    assert page.values("aria-sort") == ["descending"]
    assert see(page.links["Self \u00b1"]).values("aria-sort") == ["ascending"]


def test_a_search_keeps_what_is_searched_for(see, ask, pair):
    assert len(ask(f"{pair}&search=(G)")["functions"]) == 1
    page = see(f"{pair}&search=app.py&sort=self")
    assert len(page.body()) == 4
    assert "No function that changed matches." in see(f"{pair}&search=nothing").text


def test_sides_are_swapped(see, ask, two, pair):
    link = see(f"{pair}&sort=self").links["⇄ Swap sides"]
    assert link == f"/compare?a={two[1].id}&b={two[0].id}&sort=self"
    assert ask(link)["total_seconds_difference"] == 1.125


def test_many_functions_are_paged(see, store):
    one = store.add(prof(**{f"f{n}": (n, 1, 1.0) for n in range(230)}))
    other = store.add(prof(**{f"f{n}": (n, 1, 2.0 + n) for n in range(230)}))
    page = see(address([one], [other]))
    assert "1\N{EN DASH}100 of 230 functions that changed" in page.text
    page = see(see(page.links["Next →"]).links["Next →"])
    assert "201\N{EN DASH}230 of 230" in page.text
    assert "Next →" not in page.links


def test_sets_of_different_size_are_compared_as_means(see, ask, two, store):
    before, after = two
    again = [store.add(store.files[before.id, ".prof"], route="/cart") for _ in range(3)]
    same = address([before, *again], [before])
    data = ask(same)
    assert data["is_mean_per_capture"]
    assert (data["functions"], data["total_seconds_difference"]) == ([], 0.0)
    page = see(same)
    assert "4 before and 1 after" in page.text
    assert "4 captures of GET /cart" in page.links
    other = store.add(prof(f=(1, 2, 0.5)), route="/cart")
    mixed = ask(address([before, again[0]], [before, other]))
    f = next(row for row in mixed["functions"] if row["function"].endswith("(f)"))
    assert (f["before"]["calls"], f["after"]["calls"]) == (10, 6)
    assert (f["before"]["self_seconds"], f["after"]["self_seconds"]) == (2.0, 1.25)
    third = see(address([before, *again[:1], other], [after]))
    assert third.column("Calls before")[0] == "7.3"


def test_captures_that_were_chosen_are_compared_the_older_first(client, two):
    before, after = two
    response = client.get(f"/compare?c={after.id}&c={before.id}")
    assert response.status_code == 303
    assert response.headers["Location"] == f"/compare?a={before.id}&b={after.id}"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("number", [1, 3])
def test_two_have_to_be_chosen(ask, store, number):
    chosen = "&".join(f"c={store.add(prof(f=(1, 1, 1.0))).id}" for _ in range(number))
    assert "choose two captures" in ask(f"/compare?{chosen}", 400)["detail"].lower()


@pytest.mark.parametrize("word", ["previous", "median", "slowest", "route"])
def test_a_word_stands_for_captures_of_the_same_route(client, store, word):
    profile = prof(f=(1, 1, 1.0))
    alike = [
        store.add(profile, started=NOW - n, route="/a", duration_seconds=n)
        for n in range(1, 40)
    ]
    store.add(profile, started=NOW - 5.5, route="/b", duration_seconds=100)
    newest_first = [record.id for record in alike]
    expected = {
        "previous": [newest_first[5]],
        "median": [newest_first[19]],
        "slowest": [newest_first[38]],
        "route": newest_first[:25],
    }
    response = client.get(f"/compare?a={word}&b={alike[4].id}&sort=self")
    assert response.status_code == 303
    ids = ",".join(expected[word])
    assert response.headers["Location"] == f"/compare?a={ids}&b={alike[4].id}&sort=self"


def test_a_first_capture_has_no_previous_one(ask, two):
    detail = ask(f"/compare?a=previous&b={two[0].id}", 404)["detail"]
    assert detail == "There is no previous capture of GET /cart to compare with."


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("a={id}", 400),
        ("a=median&b=route", 400),
        ("a={id}&b=0197a2b3c4d57e6f8a9b0c1d2e3f4a5b", 404),
        ("a={id}&b=..%2Fx", 404),
        ("a={id}&b={id}&sort=kind", 400),
        ("a={id}&b={id}&order=up", 400),
        ("a={id}&b={id}&page=-1", 400),
        ("a={id}&b={sampled},{id}", 400),
    ],
)
def test_what_makes_no_sense_is_refused(ask, store, two, query, status):
    sampled = store.add(prof(f=(1, 1, 1.0)), exactness="sampled")
    ask("/compare?" + query.format(id=two[0].id, sampled=sampled.id), status)


def test_the_same_capture_on_both_sides_is_said(see, two):
    page = see(address([two[0]], [two[0]]))
    assert "Both sides are the same" in page.text
    assert "No function changed." in page.text


def test_calls_are_not_compared_with_samples(see, store, two):
    functions = marshal.loads(prof(f=(1, 7, 1.0)))
    sampled = store.add(marshal.dumps({**functions, ("__sampled__",): True}))
    page = see(address([two[0]], [sampled]))
    assert "One side counts calls and the other samples" in page.text
    assert not [head for head in page.rows[0] if head.startswith(("Calls", "Samples"))]
    page = see(address([sampled], [sampled]))
    assert "Both sides are sampled" in page.text


def test_a_comparison_is_saved_as_csv_and_json(client, pair, ask):
    response = client.get(pair.replace("/compare", "/compare/export/csv"))
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert response.headers["Content-Disposition"] == "attachment; filename=comparison.csv"
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["function"] for row in rows] == ["f", "g", "h", "i"]
    assert rows[0]["self_seconds_difference"] == "-1.5"
    assert [rows[0][f"calls_{when}"] for when in ("before", "after")] == ["10", "2"]
    saved = json.loads(client.get(pair.replace("/compare", "/compare/export/json")).data)
    assert saved == ask(pair)
    assert client.get(pair.replace("/compare", "/compare/export/xml")).status_code == 404


def test_the_tree_has_the_times_of_both_sides(client, pair):
    tree = client.get(pair.replace("/compare", "/compare/tree.json")).json
    names = [tree["functions"]["name"][number] for number in tree["nodes"]["function"]]
    times = zip(tree["nodes"]["before"], tree["nodes"]["after"], strict=True)
    both = dict(zip(names, times, strict=True))
    assert both["f"] == (2_000_000_000, 500_000_000)
    assert both["h"] == (250_000_000, 0)
    assert both["i"] == (0, 125_000_000)
    assert tree["truth"] == "estimated"


def test_the_tree_of_sets_is_one_of_means(client, two, store):
    before, after = two
    again = store.add(store.files[before.id, ".prof"])
    url = address([before, again], [after]).replace("/compare", "/compare/tree.json")
    tree = client.get(url).json
    names = [tree["functions"]["name"][number] for number in tree["nodes"]["function"]]
    assert tree["nodes"]["before"][names.index("f")] == 2_000_000_000


def test_hostile_names_stay_text(see, client, store, hostile_prof, hostile_names):
    hostile = store.add(hostile_prof, route=hostile_names[0])
    other = store.add(prof(f=(1, 1, 1.0)), title="=cmd()")
    url = address([hostile], [other])
    page = see(url)
    assert page.tags.count("script") == len(page.values("src"))
    assert not {name for _, name, _ in page.attributes if name.startswith("on")}
    assert hostile_names[0] in page.text
    text = client.get(url.replace("/compare", "/compare/export/csv")).data.decode("utf-8")
    assert len(list(csv.reader(io.StringIO(text)))) == len(hostile_names) + 3


def test_text_that_a_sheet_would_run_is_quoted(client, store):
    name = "=HYPERLINK(1)"
    one = store.add(marshal.dumps({("+x.py", 1, name): (1, 1, 1.0, 1.0, {})}))
    other = store.add(prof(f=(1, 1, 1.0)))
    text = client.get(address([one], [other]).replace("/compare", "/compare/export/csv")).text
    assert f"'{name},'+x.py" in text


def test_what_builtins_took_is_their_callers_where_samples_do_not_see_them(see, ask, store):
    view, length = (APP, 1, "view"), ("~", 0, "<built-in method builtins.len>")
    exact = store.add(
        marshal.dumps(
            {
                view: (1, 1, 0.25, 1.0, {}),
                length: (9, 9, 0.75, 0.75, {view: (9, 9, 0.75, 0.75)}),
                (APP, 9, "short"): (1, 1, 0.001, 0.001, {}),
            }
        )
    )
    sampled = store.add(
        marshal.dumps({view: (100, 100, 1.25, 1.25, {}), ("__sampled__",): True})
    )
    path = address([exact], [sampled])
    rows = {row["function"][-6:]: row for row in ask(path)["functions"]}
    assert rows["(view)"]["self_seconds_difference"] == pytest.approx(0.25)
    assert set(rows) == {"(view)", "short)"}
    page = see(path)
    assert "Samples do not see builtins" in page.text
    assert "most changed in /srv/shop/app.py:1(view): 250 ms more of its own." in page.text
    # What samples do not show may have been called all the same.
    assert not [row for row in page.body() if {"gone", "new"} & set(row[0].split())]
    tree = ask(path.replace("compare", "compare/tree.json"))
    assert not [name for name in tree["functions"]["name"] if "len" in name]
