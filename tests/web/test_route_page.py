"""The page of one route."""

from dataclasses import replace

import pytest
from werkzeug.test import Client

from flaskprof.web.app import Viewer
from flaskprof.web.links import Links

NOW = 1_800_000_000.0
ROUTE = "/orders/<int:id>"


@pytest.fixture
def orders(store):
    """Captures of one route, of 10, 20, … 900 ms, and some others."""
    for number in range(1, 91):
        store.add(
            b"",
            started=NOW - 1000 + number,
            route=ROUTE,
            duration_seconds=number * 0.01,
            exactness="sampled" if number % 30 == 0 else "exact",
        )
    store.add(b"", started=NOW - 5, route=ROUTE, method="POST", duration_seconds=9.0)
    store.add(b"", started=NOW - 5, route="/orders", duration_seconds=9.0)
    return store


def of(store, seconds):
    return next(r for r in store.records.values() if r.duration_seconds == seconds)


ADDRESS = f"/r/?route={ROUTE}&method=GET"


def test_median_slowest_and_number_are_those_of_the_route_and_method(see, ask, orders):
    data = ask(ADDRESS)
    assert data["matching"] == 90
    assert data["slowest"]["duration_seconds"] == 0.9
    assert data["median"]["duration_seconds"] == 0.45
    assert data["requests"] is None
    assert len(data["captures"]) == 50
    page = see(ADDRESS)
    assert page.links["450 ms"] == f"/c/{of(orders, 0.45).id}"
    assert page.links["900 ms"] == f"/c/{of(orders, 0.9).id}"
    assert "1\N{EN DASH}50 of 90 captures" in page.text
    assert "all requests" not in page.text.lower()


def test_without_a_method_a_route_is_that_of_all_methods(ask, orders):
    data = ask(f"/r/?route={ROUTE}")
    assert (data["matching"], data["slowest"]["duration_seconds"]) == (91, 9.0)


def test_its_captures_are_sorted_by_any_column_and_paged(see, orders):
    page = see(f"{ADDRESS}&sort=duration&order=asc")
    assert page.column("Wall time")[:2] == ["10.0 ms", "20.0 ms"]
    assert see(page.links["Next →"]).column("Wall time")[0] == "510 ms"


def test_slowest_and_median_are_compared(see, orders):
    slowest, median = of(orders, 0.9), of(orders, 0.45)
    url = see(ADDRESS).links["Compare slowest with median"]
    assert url == f"/compare?a={median.id}&b={slowest.id}"


def test_the_newest_are_merged_and_a_sentence_says_so(see, ask, orders):
    page = see(ADDRESS)
    newest = [r.id for r in sorted(orders.records.values(), key=lambda r: -r.started)]
    wanted = [
        capture_id
        for capture_id in newest
        if (record := orders.records[capture_id]).route == ROUTE and record.method == "GET"
    ][:25]
    wanted = [i for i in wanted if orders.records[i].exactness == "exact"]
    assert len(wanted) == 24
    assert ask(ADDRESS)["links"]["merge"] == "/merge?" + "&".join(f"c={i}" for i in wanted)
    assert "Merged profile of the newest 24" in page.links
    assert "adds up its newest 24 captures; 1 sampled among them is left out" in page.text


def test_a_mark_of_the_histogram_leads_to_its_capture(see, orders):
    page = see(ADDRESS)
    links = [
        value
        for tag, name, value in page.attributes
        if (tag, name) == ("a", "href") and value.startswith("/c/")
    ]
    assert f"/c/{of(orders, 0.9).id}" in links
    assert page.tags.count("circle") > 20
    assert "900 ms, 2027-01-15 07:44:50 UTC" in page.text


def test_a_route_without_captures_is_not_found(ask, orders):
    assert ask("/r/?route=/nothing&method=GET", status=404)["status"] == 404
    assert ask("/r/", status=404)["status"] == 404


@pytest.mark.parametrize("looks", range(1, 6))
def test_captures_that_go_while_the_page_is_made_are_no_fault(client, orders, looks):
    """They are deleted between two of the looks that a page takes at the store."""
    ask, seen = orders.list, []

    def list_some(query):
        seen.append(query)
        if len(seen) == looks:
            orders.records.clear()
        return ask(query)

    orders.list = list_some
    assert client.get(ADDRESS).status_code in (200, 404)


def test_one_capture_is_enough(see, store, capture):
    page = see("/r/?route=/heavy-computation&method=GET")
    assert "Compare slowest with median" not in page.links
    assert not [text for text in page.links if text.startswith("Merged")]


def test_hostile_routes_are_shown_as_what_they_are(see, store, hostile_names):
    for name in hostile_names:
        store.add(b"", route=name)
    for name in ("<script>alert(1)</script>", "/../../etc/passwd?a=b#c%2f%00", "שלום פונקציה"):
        link = next(r for r in store.records.values() if r.route == name)
        page = see(Links("").route(link.route, "GET"))
        assert name in page.text
        assert page.tags.count("script") == len(page.values("src"))


def test_all_requests_stand_behind_the_captures(orders, settings, processes):
    processes.answered(ROUTE, [1, 2, 0, 1], seconds=2.65)
    viewer = Viewer(orders, settings=settings, clock=lambda: NOW, live=processes.live())
    client = Client(viewer)
    data = client.get(ADDRESS, headers={"Accept": "application/json"}).json
    assert data["requests"] == {
        "count": 4,
        "total_seconds": 2.65,
        "bounds_seconds": [0.1, 0.5, 1.0],
        "counts": [1, 2, 0, 1],
    }
    text = client.get(ADDRESS).text
    assert text.count('<rect class="requests"') == 4  # one of them in the legend
    assert "2 of all requests, 100 ms to 500 ms" in text


def test_metrics_that_cannot_be_read_leave_the_page_whole(orders, settings, processes):
    def reading():
        raise OSError("gone")

    live = replace(processes.live(), reading=reading)
    client = Client(Viewer(orders, settings=settings, clock=lambda: NOW, live=live))
    assert client.get(ADDRESS).status_code == 200
