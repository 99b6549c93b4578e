"""The front page: what the routes did lately, what is in flight, new and slow captures."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

from flaskprof.web.figures import in_words, rate
from flaskprof.web.links import Links

NOW = 1_800_000_000.0


@pytest.fixture
def see_front(front, parse):
    def see_front(path="/", status=200):
        response = Client(front).get(path)
        assert response.status_code == status, response.text
        return parse(response.text)

    return see_front


@pytest.fixture
def ask_front(front):
    def ask_front(path="/"):
        response = Client(front).get(path, headers={"Accept": "application/json"})
        assert response.status_code == 200, response.text
        return response.json

    return ask_front


@pytest.fixture
def shop(processes):
    """Three routes: a slow one, one that fails, one that is asked for most."""
    processes.answered("/slow", [0, 0, 30, 0], seconds=27.0, cpu=3.0)
    processes.answered("/often", [599, 1, 0, 0], seconds=3.0, cpu=1.0)
    processes.answered("/fails", [9, 0, 0, 0], method="POST", seconds=0.1)
    processes.answered("/fails", [3, 0, 0, 0], method="POST", status="503", seconds=0.1)
    return processes


def routes(document):
    """The rows of the table of routes, without its head."""
    head = next(n for n, row in enumerate(document.rows) if row[:2] == ["Route", "Requests/s"])
    return [row for row in document.rows[head + 1 :] if len(row) == 9]


def names(document):
    return [row[0].split()[-1] for row in routes(document)]


def test_each_route_has_rate_quantiles_errors_and_shares(see_front, shop):
    rows = {row[0]: row[1:8] for row in routes(see_front())}
    spaced = {name: [cell.replace("\u202f", " ") for cell in row] for name, row in rows.items()}
    assert spaced == {
        "GET /slow": ["0.10 /s", "750 ms", "975 ms", "995 ms", "0.0 %", "89.4 %", "75.0 %"],
        "GET /often": ["2.00 /s", "50.1 ms", "95.2 ms", "99.2 ms", "0.0 %", "9.9 %", "25.0 %"],
        "POST /fails": [
            "0.04 /s",
            "50.0 ms",
            "95.0 ms",
            "99.0 ms",
            "25.0 %",
            "0.7 %",
            "\N{EN DASH}",
        ],
    }


def test_of_what_is_above_all_buckets_it_says_no_more_than_that(
    see_front, ask_front, processes
):
    processes.answered("/", [1, 0, 0, 9])
    (row,) = routes(see_front())
    assert row[3].replace("\u202f", " ") == "≥ 1.00 s"
    assert ask_front()["routes"][0]["p95_seconds"] == 1.0


def test_a_quantile_says_between_which_bounds_it_is(see_front, shop):
    page = see_front()
    assert "between 500 ms and 1 s; estimated" in page.values("title")
    assert "between 0 s and 100 ms; estimated" in page.values("title")
    assert "Latency, 100 ms to 1 s" in page.rows[0]


def test_the_same_is_there_as_json_in_full_precision(ask_front, shop):
    found = ask_front("/?sort=route")
    assert (found["window_seconds"], found["known_seconds"], found["workers"]) == (300, 300, 2)
    assert [row["route"] for row in found["routes"]] == ["/fails", "/often", "/slow"]
    slow = found["routes"][2]
    assert slow.pop("time_share") == pytest.approx(27 / 30.2)
    assert slow.pop("p99_seconds") == pytest.approx(0.995)
    assert slow == {
        "method": "GET",
        "route": "/slow",
        "requests": 30,
        "requests_per_second": 0.1,
        "p50_seconds": 0.75,
        "p95_seconds": 0.975,
        "error_share": 0.0,
        "cpu_share": 0.75,
        "buckets": [
            {"up_to_seconds": 0.1, "requests": 0},
            {"up_to_seconds": 0.5, "requests": 0},
            {"up_to_seconds": 1.0, "requests": 30},
            {"up_to_seconds": None, "requests": 0},
        ],
        "link": "/r/?route=/slow&method=GET",
    }


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", ["/slow", "/often", "/fails"]),
        ("route", ["/fails", "/often", "/slow"]),
        ("rate", ["/often", "/slow", "/fails"]),
        ("p50", ["/slow", "/often", "/fails"]),
        ("p95", ["/slow", "/often", "/fails"]),
        ("p99", ["/slow", "/often", "/fails"]),
        ("errors", ["/fails", "/often", "/slow"]),
        ("time", ["/slow", "/often", "/fails"]),
        ("cpu", ["/slow", "/often", "/fails"]),
    ],
)
def test_every_column_sorts(see_front, shop, sort, expected):
    assert names(see_front(f"/?sort={sort}")) == expected


def test_a_column_turns_round_and_the_rest_of_the_address_stays(see_front, shop):
    page = see_front("/?sort=rate&search=s&window=1h")
    assert page.links["Requests/s"] == "/?window=1h&sort=rate&order=asc&search=s"
    assert page.links["p95"] == "/?window=1h&sort=p95&search=s"
    turned = see_front("/?sort=rate&order=asc")
    assert names(turned) == ["/fails", "/slow", "/often"]
    assert turned.links["Requests/s"] == "/?sort=rate"
    assert turned.values("aria-sort") == ["ascending"]


@pytest.mark.parametrize(
    ("search", "expected"),
    [("SLOW", ["/slow"]), ("post", ["/fails"]), ("get%20/", ["/slow", "/often"]), ("x", [])],
)
def test_a_text_filters_by_method_and_route(see_front, shop, search, expected):
    page = see_front(f"/?search={search}") if expected else see_front("/?search=x")
    if expected:
        assert names(page) == expected
    else:
        assert "No route that was asked for in the last 5 min holds this text." in page.text


@pytest.mark.parametrize(
    "query", ["window=2d", "sort=age", "order=up", "rows=7", "sort=time&order=DESC"]
)
def test_an_address_that_makes_no_sense_is_refused(see_front, query):
    see_front(f"/?{query}", status=400)


def test_where_less_is_known_than_is_asked_for_it_says_how_much(see_front, ask_front, shop):
    assert "The last 5 min, by all workers." in see_front("/?window=1h").text
    assert ask_front("/?window=1h")["known_seconds"] == 300
    shop.known_since(NOW - 3600)
    assert "The last 1 h, by all workers." in see_front("/?window=1h").text


def test_where_nothing_is_known_or_happened_it_says_so(see_front, processes, tmp_path):
    assert "No request was answered in the last 5 min." in see_front().text
    for path in (tmp_path / "recent").iterdir():
        path.unlink()
    assert "Nothing is known of this time yet" in see_front().text


def test_many_routes_are_shown_on_demand(see_front, ask_front, processes):
    for number in range(60):
        processes.answered(f"/{number}", [1, 0, 0, 0])
    page = see_front()
    assert len(routes(page)) == 50
    assert page.links["Show 10 more routes"] == "/?rows=all"
    assert len(routes(see_front("/?rows=all"))) == 60
    assert len(ask_front()["routes"]) == 60


def test_captures_are_marked_where_they_lie_in_the_histogram(front, see_front, shop, store):
    quick = store.add(b"", route="/slow", duration_seconds=0.05)
    over = store.add(b"", route="/slow", duration_seconds=7.5)
    page = see_front()
    marks = [value for tag, name, value in page.attributes if (tag, name) == ("circle", "cx")]
    assert marks == ["8.0", "56.0"]
    links = page.values("href")
    assert [links.count(f"/c/{record.id}") for record in (quick, over)] == [3, 3]
    labels = page.values("aria-label")
    assert "Capture of 50.0 ms" in labels
    assert "Capture of 7.50 s" in labels
    bars = [
        (name, value)
        for tag, name, value in page.attributes
        if tag == "rect" and name in ("x", "height") and value
    ]
    assert ("x", "32.5") in bars  # the third bucket has all that was slow


def test_requests_in_flight_are_listed_by_route(see_front, ask_front, processes):
    processes.flies("/orders/<int:id>", 75, "DELETE")
    processes.flies("", 2.5, thread="<b>")
    page = see_front()
    assert page.links["DELETE /orders/<int:id>"].startswith("/r/?route=/orders/")
    rows = [row for row in page.rows if "4711" in row]
    assert [[row[0], *row[2:]] for row in rows] == [
        ["DELETE /orders/<int:id>", "4711", "waitress-1"],
        ["GET (no route yet)", "4711", "<b>"],
    ]
    found = ask_front()["in_flight"]
    assert found["workers"] == 1
    assert [request["pid"] for request in found["requests"]] == [4711, 4711]
    assert found["requests"][0]["age_seconds"] >= 75
    for _ in range(30):
        processes.flies("/young", 1)
    assert "and 12 younger ones" in see_front().text


def test_the_newest_and_the_slowest_captures_are_listed(see_front, ask_front, store, processes):
    for number in range(9):
        seconds = [9, 1, 8, 2, 7, 3, 6, 4, 5][number]
        store.add(b"", started=NOW - number * 60, route=f"/{seconds}", duration_seconds=seconds)
    found = ask_front()
    assert [record["route"] for record in found["newest"]] == [
        "/9",
        "/1",
        "/8",
        "/2",
        "/7",
        "/3",
    ]
    assert [record["duration_seconds"] for record in found["slowest"]] == [9, 8, 7, 6, 5, 4]
    page = see_front()
    assert page.links["all 9"] == "/captures"
    assert page.links["all by wall time"] == "/captures?sort=duration"
    assert "Slowest captures of each route" in page.text
    assert "GET /9" in page.links


def test_one_slow_route_does_not_hide_the_slowest_captures_of_others(
    see_front, ask_front, store, processes
):
    def slowest():
        return [
            (record["route"], record["method"], record["duration_seconds"])
            for record in ask_front()["slowest"]
        ]

    for seconds in range(10, 30):
        store.add(b"", route="/slow", duration_seconds=seconds)
    alone = [("/slow", "GET", seconds) for seconds in range(29, 23, -1)]
    assert slowest() == alone
    assert "Slowest captures" in see_front().text
    assert "of each route" not in see_front().text
    store.add(b"", route="/slow", method="POST", duration_seconds=2)
    for seconds in (0.1, 0.2, 0.3):
        store.add(b"", route="/quick", duration_seconds=seconds)
    # What room is left is for the next slowest of all.
    assert slowest() == [*alone[:4], ("/slow", "POST", 2), ("/quick", "GET", 0.3)]
    for number in range(5):
        store.add(b"", route=f"/{number}", duration_seconds=1 + number / 10)
    assert slowest() == [
        alone[0],
        ("/slow", "POST", 2),
        *((f"/{number}", "GET", 1 + number / 10) for number in (4, 3, 2, 1)),
    ]


def test_a_newcomer_is_told_what_to_send(see_front, processes):
    page = see_front()
    assert "Nothing has been captured yet" in page.text
    assert 'curl -i -H "X-Profile: 1"' in page.text


def test_what_is_no_single_route_has_no_page_of_its_own(see_front, processes):
    processes.answered("", [1, 0, 0, 0])
    processes.answered("_overflow_", [1, 0, 0, 0], method="_overflow_", status="_overflow_")
    page = see_front()
    assert {row[0] for row in routes(page)} == {"GET (no route)", "(more routes)"}
    assert not [url for url in page.values("href") if url.startswith("/r/")]


def test_hostile_routes_stay_text(see_front, processes, hostile_names):
    # As the metrics have it: what has no UTF-8 is a question mark.
    for name in [name.encode("utf-8", "replace").decode() for name in hostile_names]:
        processes.answered(name, [1, 0, 0, 0])
        processes.flies(name, 60, thread=name)
    page = see_front()
    assert page.tags.count("script") == 2  # those of every page and of this one
    assert "img" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith(("on", "style"))]
    assert page.values("href").count(Links("").route(hostile_names[0], "GET")) == 2


def test_given_files_have_no_front_page_but_their_list(see, store):
    store.add(b"", title="before.prof")
    assert see("/").links["before.prof"] == see("/captures").links["before.prof"]


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59, "1 min"),
        (90, "90 s"),
        (300, "5 min"),
        (312, "5.2 min"),
        (3600, "1 h"),
        (3780, "63 min"),
    ],
)
def test_spans_are_told_in_words(length, words):
    assert in_words(length) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123, "0.001"), (0.25, "0.25"), (9.999, "10.0"), (1234.5, "1,230")],
)
def test_rates_have_three_digits(value, text):
    assert (rate(value).text, rate(value).unit) == (text, "/s")
