"""Routes, merges and comparisons in a real browser, with scripts and without.

The screenshots that it takes are left in ``artefacts/viewer``.
"""

from itertools import pairwise

import pytest
from browsing import SHOTS, SIZES, faults, follow, serious_violations

from flaskprof.store.files import FileStore
from flaskprof.web.app import Viewer
from flaskprof.web.links import Links

pytestmark = pytest.mark.browser

LOOKS = [("desk", "light"), ("phone", "dark")]


@pytest.fixture
def pages(store, flask_prof, hostile_prof, hostile_names, capture):
    """The path of each kind of page, by a name for its screenshot."""
    links = Links("")
    others = [
        store.add(
            flask_prof,
            started=capture.started - 60 * number,
            route=capture.route,
            duration_seconds=0.1 * 1.2**number,
            cpu_seconds=0.05,
            status=200,
        )
        for number in range(1, 30)
    ]
    hostile = [
        store.add(hostile_prof, started=capture.started - 7, route=name, method=name)
        for name in hostile_names
    ]
    long = next(record for record in hostile if record.route.startswith("long_"))
    return {
        "captures-slowest": "/captures?sort=duration&search=/",
        "route": links.route(capture.route, "GET"),
        "route-hostile": links.route(long.route, long.method),
        "merge": links.subject([capture.id, others[0].id]),
        "compare": links.compare(a="route", b=capture.id),
        "compare-hostile": links.compare(a=long.id, b=capture.id, search="_"),
        "compare-same": links.compare(a=capture.id, b=capture.id),
    }


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_each_page_is_clean_and_open_to_all(browser, serve, viewer, pages, axe, size, scheme):
    base = serve(viewer)
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
    for name, path in pages.items():
        page = context.new_page()
        found = faults(page)
        page.goto(base + path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png", full_page=True)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert (name, found, width) == (name, [], SIZES[size]["width"])
        assert (name, serious_violations(page, axe)) == (name, [])
        page.close()
    context.close()


def test_captures_are_chosen_and_compared_without_javascript(browser, serve, viewer, pages):
    base = serve(viewer)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base + pages["route"])
    first, second = page.locator("tbody input[type=checkbox]").all()[:2]
    after, before = (box.get_attribute("value") for box in (first, second))
    first.check()
    second.check()
    follow(page, "button:text('Compare selected')")
    assert page.url == f"{base}/compare?a={before}&b={after}"
    follow(page, "text=Swap sides")
    assert page.url == f"{base}/compare?a={after}&b={before}"
    page.go_back()
    page.go_back()
    page.locator("tbody input[type=checkbox]").nth(0).check()
    page.locator("tbody input[type=checkbox]").nth(1).check()
    follow(page, "button:text('Merge selected')")
    assert "/merge?c=" in page.url
    assert "2 captures of GET /heavy-computation" in page.inner_text("h1")
    page.go_back()
    follow(page, "thead a:text('Wall time')")
    assert page.inner_text("thead [aria-sort=descending]") == "Wall time"
    context.close()


def test_buttons_say_how_many_are_chosen_and_wait_for_enough(browser, serve, viewer, pages):
    page = browser.new_page()
    page.goto(serve(viewer) + pages["route"])
    merge, compare = page.locator("#chosen button").all()
    assert (merge.is_disabled(), compare.is_disabled()) == (True, True)
    boxes = page.locator("tbody input[type=checkbox]")
    boxes.nth(0).check()
    assert (merge.inner_text(), merge.is_disabled()) == ("Merge 1 selected", False)
    assert compare.is_disabled()
    boxes.nth(1).check()
    assert (compare.inner_text(), compare.is_disabled()) == ("Compare 2 selected", False)
    boxes.nth(2).check()
    assert (merge.is_disabled(), compare.is_disabled()) == (False, True)
    page.close()


def test_all_of_a_page_are_chosen_at_once_but_what_cannot_be_shown(
    browser, serve, settings, tmp_path, flask_prof
):
    for name in "abc":
        (tmp_path / f"{name}.prof").write_bytes(flask_prof)
    (tmp_path / "broken.prof").write_bytes(b"no profile")
    page = browser.new_page(viewport=SIZES["phone"])
    page.goto(serve(Viewer(FileStore([tmp_path]), settings=settings)) + "/captures")
    page.get_by_label("Choose all on this page").check()
    assert page.inner_text("#chosen button >> nth=0") == "Merge 3 selected"
    with page.expect_navigation():
        page.click("text=Merge 3 selected")
    assert page.inner_text("h1") == "3 captures"
    page.go_back()
    page.wait_for_function("!document.querySelector('#chosen button').disabled")
    page.get_by_label("Choose all on this page").uncheck()
    assert page.locator("tbody input:checked").count() == 0
    page.close()


def test_the_whole_histogram_is_seen_on_a_phone(browser, serve, viewer, pages):
    page = browser.new_page(viewport=SIZES["phone"])
    page.goto(serve(viewer) + pages["route"])
    box = page.locator("svg.histogram").bounding_box()
    assert box["x"] + box["width"] <= SIZES["phone"]["width"]
    texts = [text.bounding_box() for text in page.locator("svg.histogram text").all()]
    shown = [text for text in texts if text and text["width"]]
    assert len(shown) >= 2
    marks = sorted(
        (text["x"], text["width"]) for text in shown if text["y"] < shown[0]["y"] + 2
    )
    assert all(x + width <= after for (x, width), (after, _) in pairwise(marks))
    page.close()


def test_a_dot_of_the_histogram_leads_to_its_capture(browser, serve, viewer, pages, store):
    page = browser.new_page(viewport=SIZES["desk"])
    page.goto(serve(viewer) + pages["route"])
    page.click(".histogram .dot.slowest")
    slowest = max(
        (r for r in store.records.values() if r.route == "/heavy-computation"),
        key=lambda record: record.duration_seconds,
    )
    assert page.url.endswith(f"/c/{slowest.id}")
    page.close()
