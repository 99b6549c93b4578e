"""One capture: its metadata and the table of its functions, beside pstats."""

import io
import marshal
import pstats
from array import array

import pytest
from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.formats import FORMATS
from flaskprof.profiles.model import CallTree
from flaskprof.web.app import Viewer


@pytest.fixture
def stats(flask_prof, tmp_path):
    """The same profile as the standard library reads it."""
    path = tmp_path / "request.prof"
    path.write_bytes(flask_prof)
    return pstats.Stats(str(path), stream=io.StringIO())


def test_the_page_says_what_is_known_of_the_capture(see, capture):
    page = see(f"/c/{capture.id}")
    text = " ".join(page.text.split())
    for part in (
        "GET /heavy-computation 200",
        "2027-01-15 07:59:00 UTC 1 min ago",
        "exact: every call counted",
        "Wall time 250 ms",
        "CPU time 200 ms 80.0 % of wall",
        "Trigger header",
        "Endpoint heavy",
        "Engine cprofile",
        "Service shop 1.4",
        "Host web-1",
        "Process 4242",
        f"Capture {capture.id}",
    ):
        assert part in text
    assert page.links[".prof pstats, snakeviz and gprof2dot"] == f"/c/{capture.id}/export/prof"
    assert page.links[".json what is known of it"] == f"/c/{capture.id}.json"
    assert page.values("datetime") == ["2027-01-15T07:59:00.000Z"]


def test_what_is_not_known_is_left_out(see, store, flask_prof):
    record = store.add(flask_prof, title="load.prof", method="", trigger="")
    text = see(f"/c/{record.id}").text
    for term in ("CPU time", "Trigger", "Endpoint", "Engine", "Service", "Host", "Process"):
        assert term not in text


def test_notes_are_shown(see, store, flask_prof):
    record = store.add(flask_prof, notes=("The profiler was taken <away>.",))
    assert "The profiler was taken <away>." in see(f"/c/{record.id}").text


def test_a_sampled_profile_says_so_and_shows_no_time_per_call(see, ask, store, flask_prof):
    record = store.add(flask_prof, exactness="sampled")
    page = see(f"/c/{record.id}")
    assert "sampled: times are estimates, calls are counts of samples" in page.text
    assert "exact: every call counted" not in page.text
    assert "Self ÷ calls" not in page.text
    assert ask(f"/c/{record.id}")["profile"]["is_sampled"] is True


def test_a_file_that_calls_itself_sampled_is_believed(see, ask, store):
    functions = {("a.py", 1, "f"): (3, 3, 0.3, 0.3, {}), ("__sampled__",): True}
    record = store.add(marshal.dumps(functions))
    assert "sampled: times are estimates" in see(f"/c/{record.id}").text
    assert ask(f"/c/{record.id}")["profile"]["is_sampled"] is True


def test_the_rows_as_json_are_those_of_pstats(ask, capture, stats):
    data = ask(f"/c/{capture.id}?rows=all")
    found = {
        (row["file"], row["line"], row["name"]): (
            row["primitive_calls"],
            row["calls"],
            row["self_seconds"],
            row["cumulative_seconds"],
        )
        for row in data["table"]["rows"]
    }
    assert found == {function: sums[:4] for function, sums in stats.stats.items()}
    assert data["table"]["matching"] == len(stats.stats)
    assert data["profile"]["total_calls"] == stats.total_calls
    assert data["profile"]["total_seconds"] == pytest.approx(stats.total_tt)
    assert data["capture"]["route"] == "/heavy-computation"


def test_a_row_shows_calls_times_per_call_and_shares(see, store):
    above = ("app.py", 1, "main")
    functions = {
        above: (1, 1, 0.25, 1.0, {}),
        ("app.py", 7, "walk"): (2, 10, 0.75, 0.75, {above: (2, 2, 0.75, 0.75)}),
    }
    record = store.add(marshal.dumps(functions))
    page = see(f"/c/{record.id}?view=table")
    assert [
        page.column(name)
        for name in (
            "Function",
            "Self",
            "Cumulative",
            "Calls",
            "Self ÷ calls",
            "Cum. ÷ calls",
            "Kind",
            "Where",
        )
    ] == [
        ["walk", "main"],
        ["750 ms 75.0 %", "250 ms 25.0 %"],
        ["750 ms 75.0 %", "1.00 s 100.0 %"],
        ["10/2", "1"],
        ["75.0 ms", "250 ms"],
        ["375 ms", "1.00 s"],
        ["application", "application"],
        ["app.py:7", "app.py:1"],
    ]
    bars = [value for tag, name, value in page.attributes if (tag, name) == ("rect", "width")]
    assert bars[-8:] == ["100", "75.0", "100", "75.0", "100", "25.0", "100", "100.0"]


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("self", lambda row: -row["self_seconds"]),
        ("cumulative", lambda row: -row["cumulative_seconds"]),
        ("calls", lambda row: -row["calls"]),
        ("per_call", lambda row: -row["self_per_call"]),
        ("name", lambda row: row["name"]),
        ("file,line", lambda row: (row["file"], row["line"])),
        ("cumtime", lambda row: -row["cumulative_seconds"]),
    ],
)
def test_the_table_is_sorted_as_asked_and_turned_round(ask, capture, sort, key):
    rows = ask(f"/c/{capture.id}?sort={sort}&rows=all")["table"]["rows"]
    assert rows == sorted(rows, key=key)
    natural = sort in ("name", "file,line")
    order = "desc" if natural else "asc"
    turned = ask(f"/c/{capture.id}?sort={sort}&order={order}&rows=all")["table"]["rows"]
    assert [key(row) for row in turned] == [key(row) for row in rows][::-1]


def test_column_heads_sort_and_say_how_the_table_is_sorted(see, capture):
    page = see(f"/c/{capture.id}?view=table")
    assert page.values("aria-sort") == ["descending"]
    assert page.links["Self"] == f"/c/{capture.id}?view=table&sort=self&order=asc"
    assert page.links["Cumulative"] == f"/c/{capture.id}?view=table&sort=cumulative"
    turned = see(page.links["Self"])
    assert turned.values("aria-sort") == ["ascending"]
    assert turned.links["Self"] == f"/c/{capture.id}?view=table&sort=self&order=desc"
    by_name = see(page.links["Function"])
    assert by_name.values("aria-sort") == ["ascending"]
    assert by_name.column("Function") == sorted(by_name.column("Function"))


def test_the_search_finds_functions_and_files_and_is_kept_by_every_link(see, ask, capture):
    rows = ask(f"/c/{capture.id}?search=FIBONACCI")["table"]["rows"]
    assert [row["name"] for row in rows] == ["fibonacci"]
    rows = ask(f"/c/{capture.id}?search=json/decoder.py&rows=all")["table"]["rows"]
    assert {row["file"].rpartition("/")[2] for row in rows} == {"decoder.py"}
    page = see(f"/c/{capture.id}?search=json&sort=calls")
    assert page.links["Cumulative"] == f"/c/{capture.id}?view=table&sort=cumulative&search=json"
    assert page.links["Clear"] == f"/c/{capture.id}?view=table&sort=calls"
    assert ("input", "value", "json") in page.attributes
    assert "No function matches." in see(f"/c/{capture.id}?search=nothing+of+it").text


def test_the_form_keeps_order_and_length(see, capture):
    page = see(f"/c/{capture.id}?sort=calls&order=asc&rows=20")
    names = [v for tag, n, v in page.attributes if tag == "input" and n in ("name", "value")]
    assert names == [
        "view",
        "table",
        "sort",
        "calls",
        "order",
        "asc",
        "rows",
        "20",
        "search",
        "",
    ]


def test_a_hundred_rows_are_shown_until_all_are_asked_for(see, ask, capture, stats):
    page = see(f"/c/{capture.id}?view=table")
    total = len(stats.stats)
    assert len(page.body()) == 100
    assert f"100 of {total} functions" in page.text
    link = page.links[f"Show all {total} functions"]
    assert link == f"/c/{capture.id}?view=table&sort=self&rows=all"
    whole = see(link)
    assert len(whole.body()) == total
    assert f"Show all {total} functions" not in whole.links
    assert len(ask(f"/c/{capture.id}?rows=7")["table"]["rows"]) == 7


def test_a_huge_profile_is_shown_a_thousand_rows_at_a_time(see, ask, store):
    functions = {("x.py", n, f"f{n:04}"): (1, 1, 1.0, 1.0, {}) for n in range(2345)}
    record = store.add(marshal.dumps(functions))
    first = see(f"/c/{record.id}?view=table&sort=name&order=desc")
    page = see(first.links["Show all 2,345 functions, 1,000 a page"])
    names = page.column("Function")
    assert "1\N{EN DASH}1000 of 2,345 functions" in page.text
    assert "← Previous" not in page.links
    while "Next →" in page.links:
        page = see(page.links["Next →"])
        names += page.column("Function")
    assert names == sorted((name for *_, name in functions), reverse=True)
    assert "2001\N{EN DASH}2345 of 2,345 functions" in page.text
    assert len(see(page.links["← Previous"]).body()) == 1000
    assert "page=" not in page.links["Self"]
    assert len(ask(f"/c/{record.id}?rows=all")["table"]["rows"]) == 2345


def test_order_and_restrictions_of_the_settings_hold_until_they_are_lifted(
    store, capture, stats
):
    settings = Settings.load(
        sort_by="calls,name", restrictions=[0.5, "jinja2|json", 3], environ={}
    )
    client = Client(Viewer(store, settings=settings))
    accept = {"Accept": "application/json"}
    table = client.get(f"/c/{capture.id}?view=table", headers=accept).json["table"]
    stats.sort_stats("calls")
    _, expected = stats.get_print_list([0.5, "jinja2|json", 3])
    assert table["matching"] == 3
    assert sorted(row["calls"] for row in table["rows"]) == sorted(
        stats.stats[function][1] for function in expected
    )
    assert table["sort_by"] == ["calls", "name"]
    text = client.get(f"/c/{capture.id}?view=table").text
    assert "The settings restrict this table to" in text
    lifted = client.get(f"/c/{capture.id}?restricted=no", headers=accept).json["table"]
    assert lifted["matching"] == len(stats.stats)
    text = client.get(f"/c/{capture.id}?restricted=no").text
    assert "The settings restrict this table to" not in text
    assert "restricted=no" in text.partition("<thead>")[2].partition("</thead>")[0]


def test_kinds_of_code_are_told_in_words(see, ask, capture, store):
    rows = ask(f"/c/{capture.id}?rows=all")["table"]["rows"]
    # Of libraries the request may have needed none: what they compiled is kept.
    kinds = {"application", "framework", "standard library", "builtin"}
    assert {row["kind"] for row in rows} - {"library"} == kinds
    library = "/venv/lib/python3.12/site-packages/orm/query.py"
    record = store.add(marshal.dumps({(library, 1, "all"): (1, 1, 0.1, 0.1, {})}))
    assert see(f"/c/{record.id}?view=table").column("Kind") == ["library"]
    page = see(f"/c/{capture.id}?search=flask/json&rows=all")
    assert set(page.column("Kind")) == {"framework"}
    assert all(place.startswith("flask/json/") for place in page.column("Where"))
    ends = [title.partition("site-packages/")[2] for title in page.values("title")]
    assert [end for end in ends if end] == page.column("Where")


def test_a_profile_without_functions_is_a_page_too(see, store):
    record = store.add(marshal.dumps({}))
    assert "The profile is empty." in see(f"/c/{record.id}?view=table").text
    assert "No time was recorded" in see(f"/c/{record.id}?view=tree").text


def test_a_profile_without_time_is_a_page_too(see, store):
    record = store.add(marshal.dumps({("a.py", 1, "f"): (0, 0, 0.0, 0.0, {})}))
    assert see(f"/c/{record.id}?view=table").column("Self") == ["0 s 0.0 %"]


def test_the_cost_of_recording_and_the_neighbours_are_said(see, store, flask_prof):
    record = store.add(
        flask_prof,
        duration_seconds=2.0,
        overhead_seconds=0.5,
        clock="tsc",
        overlaps=3,
        has_stacks=True,
    )
    store.files[record.id, ".pb.gz"] = FORMATS["pprof"].write(
        CallTree((), *(array("q"),) * 4), record
    )
    page = see(f"/c/{record.id}")
    text = " ".join(page.text.split())
    assert "Recording ≈ 500 ms 25.0 % of wall" in text
    assert "Clock tsc" in text
    assert "Other requests meanwhile 3" in text
    assert (
        page.links[".pb.gz go tool pprof, Pyroscope and Parca"]
        == f"/c/{record.id}/export/pprof"
    )
