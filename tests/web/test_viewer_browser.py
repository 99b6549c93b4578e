"""Every page in a real browser: clean console, no violation of the CSP, no sideways scroll.

The screenshots that it takes are left in ``artefacts/viewer``.
"""

from dataclasses import replace

import pytest
from browsing import SHOTS, SIZES, faults, follow, serious_violations, turn_to
from captured import TREE, add_tree

from flaskprof.ids import new_capture_id
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import Function
from flaskprof.web.links import function_key

pytestmark = pytest.mark.browser

VIEWS = ("flame", "table", "sandwich", "tree", "source")


@pytest.fixture
def full_store(store, flask_prof, hostile_prof, hostile_names, capture):
    """A store with a capture of each look, some with hostile routes."""
    statuses = [200, 201, 302, 404, 500]
    for number, name in enumerate(hostile_names):
        store.add(
            flask_prof,
            started=capture.started - 100 * number**3,
            duration_seconds=0.0004 * 4**number,
            cpu_seconds=0.0001 * 4**number,
            method=["GET", "POST", "DELETE"][number % 3],
            route=name,
            status=statuses[number % 5],
            service="shop",
            host="web-1",
        )
    store.add(
        hostile_prof,
        started=capture.started - 7,
        route="/orders/<int:id>/items/<path:where>",
        title="hostile",
        exactness="sampled",
        trigger="slow",
        notes=("Another profiler was switched on while this one ran.", hostile_names[0]),
        service=hostile_names[-2],
        host=hostile_names[2],
    )
    return store


@pytest.fixture
def pages(full_store, capture, flask_prof, hostile_prof):
    """The path of each kind of page, by a name for its screenshot."""
    graph = read_profile(flask_prof)
    heavy = next(function for function in graph.functions if function.name == "fibonacci")
    hostile = next(r for r in full_store.records.values() if r.title == "hostile")
    sampled = full_store.add(hostile_prof, started=1e9, exactness="sampled", title="other")
    bad = full_store.add(b"no profile", started=capture.started - 9, title="bad")
    hostile_graph = read_profile(full_store.files[hostile.id, ".prof"])
    long = next(f for f in hostile_graph.functions if f.name.startswith("long_"))
    merge = f"/merge?c={hostile.id}&c={sampled.id}"
    of_capture = f"/c/{capture.id}?rows=20&fn={function_key(heavy)}"
    return {
        "captures": "/captures",
        "captures-none-match": "/captures?route=/nothing",
        "route": "/r/?route=/heavy-computation&method=GET",
        **{view: f"{of_capture}&view={view}" for view in VIEWS},
        "table-searched": f"{of_capture}&sort=cumulative&search=json",
        "tree-application": f"/c/{capture.id}?view=tree&app=1",
        "tree-stacks": f"/c/{add_tree(full_store, started=capture.started - 5).id}?view=tree",
        "merge": f"{merge}&view=table",
        **{
            f"{view}-hostile": f"/c/{hostile.id}?view={view}&fn={function_key(long)}"
            for view in VIEWS
        },
        "being-written": f"/c/{new_capture_id(capture.started + 59)}",
        "not-found": "/nothing",
        "bad-profile": f"/c/{bad.id}",
    }


def stay(page):
    """Load a page that loads itself again as one that does not."""

    def answer(route):
        response = route.fetch()
        headers = {name: text for name, text in response.headers.items() if name != "refresh"}
        route.fulfill(response=response, headers=headers)

    page.route(page.url, answer)
    page.reload()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_each_page_is_clean_fits_its_window_and_shuts_nobody_out(
    browser, serve, viewer, pages, axe, size, scheme
):
    base = serve(viewer)
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
    for name, path in pages.items():
        page = context.new_page()
        found = faults(page)
        response = page.goto(base + path)
        if page.locator("canvas.flame").count():
            page.wait_for_selector(".flame-tools:not([hidden])")
        page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png")
        width = page.evaluate("document.scrollingElement.scrollWidth")
        # The browser notes each answer that is an error, which those pages are.
        if response.status >= 400:
            found = [fault for fault in found if "Failed to load resource" not in fault]
        assert (name, found, width) == (name, [], SIZES[size]["width"])
        # Hostile names are the same to it in both looks.
        if size == "phone" or "hostile" not in name:
            if "refresh" in response.headers:
                stay(page)
            assert (name, serious_violations(page, axe)) == (name, [])
        page.close()
    context.close()


def test_everything_works_without_javascript(browser, serve, viewer, full_store, capture):
    base = serve(viewer)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/captures")
    page.select_option("select[name=route]", "/heavy-computation")
    follow(page, "button:text('Filter')")
    follow(page, "tbody th a")
    page.wait_for_url(f"{base}/c/{capture.id}")
    assert page.locator("tbody tr").count() == 10
    follow(page, ".tabs a:text('Table')")
    follow(page, "thead a:text('Cumulative')")
    assert page.inner_text("thead [aria-sort=descending]") == "Cumulative"
    page.fill("input[type=search]", "fibonacci")
    follow(page, "button:text('Search')")
    assert page.locator("tbody tr").count() == 1
    assert "sort=cumulative" in page.url
    follow(page, "tbody th a")
    assert page.inner_text(".filling h2") == "fibonacci"
    follow(page, ".tabs a:text('Tree')")
    assert "fibonacci" in page.inner_text("tr.current th")
    levels = page.locator("tbody tr").count()
    follow(page, "tr.current a.fold")
    assert page.locator("tbody tr").count() > levels
    page.go_back()
    page.go_back()
    page.go_back()
    assert "search=fibonacci" in page.url
    page.click("summary:text('Export')")
    with page.expect_download() as download:
        page.click("a:has-text('.prof')")
    assert download.value.suggested_filename == f"{capture.id}.prof"
    context.close()


def test_a_waiting_page_turns_into_the_capture_by_itself(
    browser, serve, store, viewer, capture
):
    base = serve(viewer)
    young = new_capture_id(capture.started + 59)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/c/{young}")
    assert page.inner_text("h1") == "This capture is being written"
    store.files[young, ".prof"] = store.files[capture.id, ".prof"]
    store.records[young] = replace(capture, id=young)
    page.wait_for_selector("h1:has-text('/heavy-computation')", timeout=20_000)
    context.close()


def test_the_keyboard_reaches_content_and_search_first(browser, serve, viewer, capture):
    page = browser.new_page()
    page.goto(f"{serve(viewer)}/c/{capture.id}?view=table")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
    page.keyboard.type("a/b")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=a%2Fb*")
    page.close()


def test_a_table_is_sorted_in_place_and_the_back_button_undoes_it(
    browser, serve, viewer, store
):
    record = add_tree(store)
    page = browser.new_page(viewport=SIZES["desk"])
    found = faults(page)
    page.goto(f"{serve(viewer)}/c/{record.id}?view=table")
    page.evaluate("window.isSame = true")
    page.focus("thead a:text('Cumulative')")
    page.keyboard.press("Enter")
    page.wait_for_selector("th.cumulative[aria-sort=descending] a:focus")
    assert "sort=cumulative" in page.url
    page.go_back()
    page.wait_for_selector("th.self[aria-sort=descending]")
    assert "sort=" not in page.url
    assert page.evaluate("window.isSame")
    page.close()
    assert found == []


def test_keys_lead_through_the_views_of_a_profile(browser, serve, viewer, store):
    record = add_tree(store)
    page = browser.new_page(viewport=SIZES["desk"])
    found = faults(page)
    page.goto(f"{serve(viewer)}/c/{record.id}?view=table")
    press = page.keyboard.press
    press("?")
    assert "next and previous row" in page.inner_text("dialog[open]")
    page.screenshot(path=SHOTS / "keys-desk-light.png")
    press("Escape")
    page.wait_for_function(
        "!document.querySelector('dialog[open]') && !document.activeElement.closest('dialog')"
    )
    for key in ("ArrowDown", "j", "ArrowUp"):
        press(key)
    assert page.evaluate("document.activeElement.rowIndex") == 1
    turn_to(page, "Enter")
    assert page.inner_text(".filling h2") == "from_row"
    turn_to(page, "4")
    page.wait_for_selector("[role=treegrid] tr.current")
    press("ArrowDown")
    assert page.evaluate("document.activeElement.className") == "current"
    press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('aria-level')") == "3"
    press("ArrowLeft")
    page.wait_for_selector("tr[aria-level='3'][aria-expanded=false]:focus")
    press("ArrowRight")
    page.wait_for_selector("tr[aria-level='3'][aria-expanded=true]:focus")
    page.go_back()
    page.wait_for_selector("tr[aria-level='3'][aria-expanded=false]")
    turn_to(page, "1")
    page.wait_for_selector(".flame-tools:not([hidden])")
    turn_to(page, "2")
    page.wait_for_selector("table.functions tr.current")
    turn_to(page, "o")
    page.wait_for_url("**app=1*")
    assert page.locator("tbody tr").count() == 3
    assert found == []
    page.close()


def test_what_is_selected_in_the_drawing_is_so_in_the_other_views(
    browser, serve, viewer, store
):
    record = add_tree(store)
    page = browser.new_page(viewport=SIZES["desk"])
    page.goto(f"{serve(viewer)}/c/{record.id}")
    page.wait_for_selector(".flame-tools:not([hidden])")
    page.click("canvas.flame", position={"x": 600, "y": 90})
    page.wait_for_url("**fn=*")
    page.click(".tabs a:text('Table')")
    page.wait_for_selector("tr.current")
    assert page.inner_text("tr.current th") in {"all", "from_row", "order", "wsgi_app"}
    page.close()


def test_speedscope_opens_a_profile_without_a_complaint_or_another_host(
    browser, serve, viewer, store
):
    # What begins so is taken for a mangled name, which WebAssembly reads.
    rust = Function("/srv/shop/views.py", 10, "_Router")
    tree = replace(TREE, functions=(rust, *TREE.functions[1:]))
    record = add_tree(store, tree)
    base = serve(viewer)
    context = browser.new_context(viewport=SIZES["desk"])
    page = context.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.goto(f"{base}/c/{record.id}")
    with page.expect_console_message(lambda message: "import" in message.text):
        page.click("a.button:text('speedscope')")
    page.wait_for_function("document.title.startsWith('GET /orders')")
    page.get_by_text("Left Heavy").wait_for()
    page.screenshot(path=SHOTS / "speedscope-desk-light.png")
    assert not [line for line in said if "error" in line.lower() or "policy" in line.lower()]
    assert "log: Importing as speedscope json file" in said
    assert all(url.startswith((base, "data:", "blob:")) for url in asked)
    context.close()


def test_an_empty_viewer_tells_a_newcomer_what_to_send(browser, serve, viewer):
    page = browser.new_page(viewport=SIZES["phone"])
    found = faults(page)
    page.goto(f"{serve(viewer)}/captures")
    page.screenshot(path=SHOTS / "captures-empty-phone-light.png", full_page=True)
    assert 'curl -i -H "X-Profile: 1"' in page.inner_text("main")
    assert page.evaluate("document.scrollingElement.scrollWidth") == 390
    assert found == []
    page.close()
