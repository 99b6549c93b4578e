"""The front page in a real browser: it refreshes itself until it is told not to.

The screenshots that it takes are left in ``artefacts/viewer``.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from browsing import SHOTS, SIZES, faults, follow, serious_violations

pytestmark = pytest.mark.browser

NOW = 1_800_000_000.0


@pytest.fixture
def base(serve, front):
    """Serve the front page; its base URL."""
    return serve(front)


@pytest.fixture
def shop(processes, store, hostile_names):
    """Much going on, under names of every kind."""
    made = random.Random(5)
    routes = ["/orders/<int:id>", "/", "/products/<slug>", "/cart", *hostile_names]
    for number, name in enumerate(routes):
        route = name.encode("utf-8", "replace").decode()
        buckets = [made.randrange(500), made.randrange(90), made.randrange(30), number % 3]
        processes.answered(route, buckets, seconds=sum(buckets) / 9, cpu=number)
        if number % 4 == 0:
            processes.answered(route, [0, 3, 0, 0], status="500", seconds=1)
        for _ in range(6):
            store.add(
                b"",
                started=NOW - made.randrange(10_000),
                duration_seconds=made.lognormvariate(-1, 1),
                cpu_seconds=0.01,
                route=route,
                status=[200, 404, 500][number % 3],
            )
    processes.flies("/orders/<int:id>", 12)
    processes.flies("", 0.2, "POST", thread=hostile_names[5])
    return processes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_clean_and_fits_its_window(browser, base, shop, size, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    found = faults(page)
    for name, path in {"overview": "/", "overview-filtered": "/?search=ord&sort=p99"}.items():
        page.goto(base + path)
        page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png", full_page=True)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert (name, found, width) == (name, [], SIZES[size]["width"])
    context.close()


@pytest.fixture
def page(browser, base, shop):
    """The front page in a browser whose clock the test winds."""
    page = browser.new_page(viewport=SIZES["desk"])
    page.clock.install()
    page.goto(f"{base}/?sort=rate")
    yield page
    page.close()


def questions(page):
    """Collect the requests of the page for itself, and not for its icon."""
    asked = []

    def note(request):
        if "/static/" not in request.url:
            asked.append(request.url)

    page.on("request", note)
    return asked


def rows(page):
    return page.locator("table.flying tbody tr").count()


def test_it_shows_what_is_new_while_its_state_and_the_focus_stay(page, shop):
    found = faults(page)
    link = page.locator("table.routes tbody a").first
    link.focus()
    name = link.inner_text()
    shop.flies("/new", 3)
    assert rows(page) == 2
    page.clock.run_for(5000)
    page.wait_for_selector("table.flying >> text=/new")
    assert "sort=rate" in page.url
    assert page.evaluate("document.activeElement.innerText") == name
    shop.flies("/newer", 2)
    page.clock.run_for(5000)
    page.wait_for_selector("table.flying >> text=/newer")
    assert found == []


def test_a_row_that_is_walked_on_keeps_the_focus_as_it_refreshes(page, shop):
    page.keyboard.press("j")
    page.keyboard.press("j")
    name = page.evaluate("document.activeElement.querySelector('th').innerText")
    for number in (3, 4):
        shop.flies(f"/new-{number}", number)
        page.clock.run_for(5000)
        page.wait_for_selector(f"table.flying >> text=/new-{number}")
        assert page.evaluate("document.activeElement.tagName") == "TR"
        assert page.evaluate("document.activeElement.querySelector('th').innerText") == name
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.querySelector('th').innerText") == name


def test_the_dots_of_a_histogram_are_walked_and_opened_by_keys(page, shop):
    dots = "tr:first-child svg.spread a"
    assert page.locator(f"{dots}[tabindex='-1']").count() == page.locator(dots).count() - 1
    page.locator(dots).first.focus()
    hrefs = [dot.get_attribute("href") for dot in page.locator(dots).all()]
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('href')") == hrefs[1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('href')") == hrefs[0]
    page.keyboard.press("ArrowRight")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url.endswith(hrefs[1])


def test_it_can_be_stopped_and_stays_stopped_until_it_is_to_go_on(page, shop):
    asked = questions(page)
    page.click("button:text('Stop refreshing')")
    shop.flies("/new", 3)
    page.clock.run_for(60_000)
    assert (asked, rows(page)) == ([], 2)
    page.reload()
    assert rows(page) == 3
    shop.flies("/newer", 2)
    asked.clear()
    page.clock.run_for(60_000)
    assert asked == []
    page.click("button:text('Refresh again')")
    page.wait_for_selector("table.flying >> text=/newer")


def test_a_page_that_nobody_sees_asks_for_nothing(page, shop):
    asked = questions(page)
    see = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(see, True)
    shop.flies("/new", 3)
    page.clock.run_for(60_000)
    assert asked == []
    page.evaluate(see, False)
    page.wait_for_selector("table.flying >> text=/new")


def test_where_nobody_answers_it_says_so_and_tries_again(page, shop):
    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(5000)
    page.wait_for_selector("text=Not to be reached; trying again")
    page.unroute("**/*")
    shop.flies("/new", 3)
    page.clock.run_for(5000)
    page.wait_for_selector("table.flying >> text=/new")
    assert page.locator("text=Not to be reached").count() == 0


def test_without_javascript_all_but_the_refreshing_works(browser, base, shop):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base)
    assert not page.is_visible("text=Stop refreshing")
    follow(page, "thead a:text('p99')")
    assert page.inner_text("thead [aria-sort=descending]") == "p99"
    page.fill("input[type=search]", "orders")
    follow(page, "button:text('Filter')")
    assert page.locator("table.routes tbody tr").count() == 1
    follow(page, "a:text('Last 1 h')")
    assert all(part in page.url for part in ("window=1h", "sort=p99", "search=orders"))
    assert page.locator("table.routes tbody tr").count() == 1
    follow(page, "table.routes tbody th a")
    assert "/orders/<int:id>" in page.inner_text("h1")
    page.go_back()
    page.locator("svg.spread a").last.click()  # it lies above the others
    assert "/c/" in page.url
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, base, shop, axe, scheme):
    page = browser.new_page(viewport=SIZES["phone"], color_scheme=scheme)
    page.goto(base)
    assert serious_violations(page, axe) == []
    page.close()


def test_the_script_is_small():
    script = Path(__file__).parents[2] / "flaskprof" / "web" / "static" / "live.js"
    assert script.stat().st_size <= 5000
