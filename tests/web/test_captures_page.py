"""The list of captures."""

import os

import pytest
from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.store.files import FileStore
from flaskprof.web.app import Viewer

NOW = 1_800_000_000.0


def test_captures_are_listed_newest_first_with_what_is_known_of_them(see, store):
    store.add(b"", started=NOW - 7200, route="/old", status=404, duration_seconds=1.5)
    store.add(
        b"",
        started=NOW - 60,
        route="/new/<int:id>",
        method="POST",
        status=200,
        duration_seconds=0.5,
        cpu_seconds=0.25,
        service="shop",
        host="web-1",
    )
    page = see("/captures")
    assert page.column("Request") == ["POST /new/<int:id>", "GET /old"]
    assert page.column("Status") == ["200", "404"]
    assert page.column("Wall time") == ["500 ms", "1.50 s"]
    assert page.column("CPU") == ["250 ms", "\N{EN DASH}"]
    assert page.column("Started") == [
        "2027-01-15 07:59:00 1 min ago",
        "2027-01-15 06:00:00 2 h ago",
    ]
    assert page.column("Service") == ["shop web-1", ""]
    assert page.values("datetime") == ["2027-01-15T07:59:00.000Z", "2027-01-15T06:00:00.000Z"]
    assert "0.25" in page.values("value")


def test_each_capture_leads_to_its_page(see, ask, store):
    record = store.add(b"", route="/cart")
    assert see("/captures").links["GET /cart"] == f"/c/{record.id}"
    assert ask("/captures")["captures"][0]["links"] == {
        "page": f"/c/{record.id}",
        "profile": f"/c/{record.id}.prof",
        "record": f"/c/{record.id}.json",
    }


def test_a_title_stands_in_place_of_method_and_route(see, store):
    store.add(b"", started=NOW - 2, route="")
    store.add(b"", started=NOW - 1, title="load.prof", route="", method="")
    assert see("/captures").column("Request") == ["load.prof", "GET (no route)"]


@pytest.fixture
def mixed(store):
    for number in range(120):
        store.add(
            b"",
            started=NOW - 1000 + number,
            route=["/a", "/b", ""][number % 3],
            method=["GET", "POST"][number % 2],
            trigger=["header", "slow"][number % 5 == 0],
        )
    return store


@pytest.mark.parametrize(
    ("query", "matching"),
    [
        ("", 120),
        ("route=/a", 40),
        ("route=(no+route)", 40),
        ("method=POST", 60),
        ("trigger=slow", 24),
        ("route=/a&method=GET", 20),
        ("route=/a&method=GET&trigger=slow", 4),
        ("route=&method=&trigger=", 120),
        ("route=/nothing", 0),
    ],
)
def test_the_list_is_filtered_by_route_method_and_trigger(ask, see, mixed, query, matching):
    data = ask(f"/captures?{query}")
    assert data["matching"] == matching
    assert len(data["captures"]) == min(matching, 50)
    page = see(f"/captures?{query}")
    shown = f"1\N{EN DASH}{min(matching, 50)} of {matching} captures"
    assert (shown in page.text) if matching else ("No capture matches." in page.text)


def test_the_chosen_filter_stays_chosen_even_if_nothing_has_that_value(see, mixed):
    page = see("/captures?route=/nothing&method=POST")
    html = [(name, value) for tag, name, value in page.attributes if tag == "option"]
    chosen = [html[i - 1][1] for i, (name, _) in enumerate(html) if name == "selected"]
    assert chosen == ["/nothing", "POST"]


def test_pages_lead_from_one_to_the_next_and_back_with_the_filter_kept(see, ask, mixed):
    first = see("/captures?method=GET")
    assert "← Newer" not in first.links
    assert first.links["Older →"] == "/captures?method=GET&page=2"
    second = see(first.links["Older →"])
    assert "51\N{EN DASH}60 of 60 captures" in second.text
    assert "Older →" not in second.links
    assert second.links["← Newer"] == "/captures?method=GET"
    seen = (
        ask("/captures")["captures"]
        + ask("/captures?page=2")["captures"]
        + ask("/captures?page=3")["captures"]
    )
    assert [row["id"] for row in seen] == sorted((r for r in mixed.records), reverse=True)
    assert ask("/captures?page=2")["links"] == {
        "previous": "/captures",
        "next": "/captures?page=3",
    }


@pytest.mark.parametrize(
    ("sort", "order", "first"),
    [
        ("duration", "", "/slow"),
        ("duration", "asc", "/quick"),
        ("cpu", "", "/busy"),
        ("status", "", "/failed"),
        ("route", "", "/busy"),
        ("route", "desc", "/slow"),
        ("started", "asc", "/slow"),
        ("", "", "/failed"),
    ],
)
def test_the_list_is_sorted_by_any_column(see, ask, store, sort, order, first):
    store.add(b"", started=NOW - 9, route="/slow", duration_seconds=3.0, status=200)
    store.add(b"", started=NOW - 8, route="/busy", cpu_seconds=0.2, status=200)
    store.add(b"", started=NOW - 7, route="/quick", duration_seconds=0.001)
    store.add(b"", started=NOW - 6, route="/failed", status=500)
    address = f"/captures?sort={sort}&order={order}"
    assert ask(address)["captures"][0]["route"] == first
    page = see(address)
    assert page.column("Request")[0] == f"GET {first}"
    assert len(page.values("aria-sort")) == 1


def test_a_head_sorts_and_turns_the_order_round_and_keeps_the_filter(see, mixed):
    page = see("/captures?method=GET&page=2")
    assert page.links["Wall time"] == "/captures?method=GET&sort=duration"
    page = see(page.links["Wall time"])
    assert page.links["Wall time"] == "/captures?method=GET&sort=duration&order=asc"
    assert page.links["Next →"] == "/captures?method=GET&sort=duration&page=2"
    turned = see(page.links["Wall time"])
    assert turned.values("aria-sort") == ["ascending"]
    assert turned.links["Started"] == "/captures?method=GET"


@pytest.mark.parametrize("query", ["sort=name", "sort=id;", "order=up", "page=0", "page=x"])
def test_an_order_that_makes_no_sense_is_refused(ask, mixed, query):
    name = query.partition("=")[0]
    assert (
        ask(f"/captures?{query}", status=400)["detail"]
        .removeprefix("Bad Request. ")
        .lower()
        .startswith(f"{name}: ")
    )


def test_a_part_of_the_route_is_enough_to_find_captures(ask, see, mixed):
    assert ask("/captures?search=B")["matching"] == 40
    assert ask("/captures?search=%20/%20")["matching"] == 80
    page = see("/captures?search=/b&method=GET")
    assert "of 20 captures" in page.text
    assert ("input", "value", "/b") in page.attributes


def test_each_capture_can_be_chosen(see, store):
    records = [store.add(b"", started=NOW - number, route="/<b>") for number in (1, 2)]
    page = see("/captures")
    assert [value for value in page.values("value") if len(value) == 32] == [
        record.id for record in records
    ]
    assert "Choose GET /<b>, 2027-01-15 07:59:59" in page.values("aria-label")
    assert page.values("formaction") == ["/compare"]


def test_a_page_beyond_the_end_leads_back(see, mixed):
    page = see("/captures?page=99")
    assert "No capture matches." in page.text
    assert page.links["Show all of them."] == "/captures"


def test_an_empty_list_tells_what_to_send(see, client, store):
    assert 'curl -i -H "X-Profile: 1" http://localhost:5000/' in see("/captures").text
    mounted = see("/captures", base_url="http://127.0.0.1:8080/shop/flaskprof")
    assert 'curl -i -H "X-Profile: 1" http://127.0.0.1:8080/shop/' in mounted.text
    assert "flaskprof token" in mounted.text


@pytest.mark.parametrize("host", ["evil.example; rm -rf ~", "$(reboot)", "a`b`", '"><script>'])
def test_a_command_to_copy_never_holds_a_strange_host(viewer, host):
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/flaskprof",
        "PATH_INFO": "/captures",
        "HTTP_HOST": host,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    body = b"".join(viewer(environ, lambda status, headers: None)).decode()
    assert host not in body
    assert "rm -rf" not in body
    assert "<script>" not in body


def test_the_prefix_of_the_settings_is_taken_off_the_applications_address(store):
    from werkzeug.test import Client

    client = Client(Viewer(store, settings=Settings(prefix="/internal/profiles")))
    text = client.get("/captures", base_url="http://localhost/internal/profiles").text
    assert "http://localhost/</code>" in text


@pytest.fixture
def folder(tmp_path, flask_prof):
    """The viewer of a folder of files, of which one is no profile."""
    for name in ("b.prof", "a.prof", "long_" + "x" * 200 + ".prof"):
        (tmp_path / name).write_bytes(flask_prof)
    (tmp_path / "broken.prof").write_bytes(b"no profile")
    os.utime(tmp_path / "b.prof", (1, 1))
    return tmp_path


@pytest.fixture
def files(folder, settings, parse):
    """Return what shows a page of the files."""
    client = Client(Viewer(FileStore([folder]), settings=settings))
    return lambda path: parse(client.get(path).text)


def test_files_are_listed_with_what_there_is_of_files(files):
    page = files("/")
    assert page.rows[0] == ["File", "Time", "Changed", "Exactness"]
    assert "1\N{EN DASH}4 of 4 files" in page.text
    assert ("Overview" in page.links, "Files" in page.links) == (False, True)
    labels = [value for _, name, value in page.attributes if name == "name"]
    assert "route" not in labels
    assert "trigger" not in labels


def test_files_are_sorted_by_name_and_searched(files):
    page = files("/captures?sort=route")
    assert [name[:6] for name in page.column("File")] == [
        "a.prof",
        "b.prof",
        "broken",
        "long_x",
    ]
    assert "by name, in alphabetical order" in page.text
    assert files("/captures?search=B.P").column("File") == ["b.prof"]
    assert "No file matches." in files("/captures?search=nothing").text


def test_a_file_that_is_no_profile_says_so_and_cannot_be_chosen(files):
    page = files("/captures?search=broken")
    assert page.column("Exactness") == ["cannot be shown"]
    assert page.column("Time") == ["\N{EN DASH}"]
    assert any("This file cannot be shown: " in value for value in page.values("title"))
    assert ("input", "disabled", None) in page.attributes


def test_two_files_are_one_click_from_their_comparison(folder, files):
    assert not any(text.startswith("Compare ") for text in files("/").links)
    for path in folder.glob("*o*.prof"):
        path.unlink()
    links = files("/").links
    assert links["Compare b.prof with a.prof"].startswith("/compare?a=")


def test_where_all_are_alike_there_is_nothing_to_choose(see, store):
    for route in ("/a", "/b"):
        store.add(b"", route=route)
    names = [value for tag, name, value in see("/captures").attributes if name == "name"]
    assert ("route" in names, "method" in names, "trigger" in names) == (True, False, False)
    chosen = see("/captures?method=GET").attributes
    assert ("select", "name", "method") in chosen
