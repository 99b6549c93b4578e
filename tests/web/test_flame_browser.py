"""The flame view in a real browser: what it draws, says and finds, and keeps in its address.

The screenshots that it takes are left in ``artefacts/viewer``.
"""

import re
from array import array

import pytest
from browsing import SHOTS, SIZES, faults, turn_to
from captured import add_tree, fan
from werkzeug.test import Client

from flaskprof.formats.pprof import write_pprof
from flaskprof.profiles.flame import flame_tree
from flaskprof.profiles.flame.difference import difference
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph
from flaskprof.web.exports import EXPORTS
from flaskprof.web.flame_data import WIDEST, flame_json
from flaskprof.web.links import function_key
from servers import until

pytestmark = pytest.mark.browser

# What the tests themselves bring about: an error of a server, reading the canvas, scripts that
# are asked for ahead of a page where they are switched off.
EXPECTED = re.compile(r"status of 503|willReadFrequently|failed: \S+\.js\?")

MS = 10**6
SERVE, VIEW, LOAD, EXECUTE, RENDER, DUMPS, OTHER, FETCH = NAMES = (
    Function("/srv/shop/app.py", 1, "serve"),
    Function("/srv/shop/views.py", 20, "order"),
    Function("/srv/lib/python3.12/site-packages/sqlalchemy/orm.py", 30, "load"),
    Function("~", 0, "<built-in method execute>"),
    Function("/srv/shop/views.py", 50, "render<script>alert(1)</script>\u202e"),
    Function("/usr/lib/python3.12/json/__init__.py", 60, "dumps"),
    Function("/srv/shop/views.py", 70, "other"),
    Function("~", 0, "<method 'fetch'>"),
)
TINY = tuple(Function("/srv/shop/tiny.py", line, f"tiny{line}") for line in range(1, 301))


def shop(load_ms=50, *, with_other=True):
    """A request in which `load` is called from two functions, and 300 calls take 1 µs each."""
    rows = [
        (-1, 0, 1, 10 * MS),
        (0, 1, 1, 100 * MS),
        (1, 2, 5, load_ms * MS),
        (2, 3, 5, 200 * MS),
        (2, 7, 5, 50 * MS),
        (1, 4, 1, 150 * MS),
        (5, 4, 3, 50 * MS),
        (0, 5, 2, 300 * MS),
        *((7, len(NAMES) + number, 1, 1_000) for number in range(len(TINY))),
    ]
    if with_other:
        last = len(rows)
        rows += [(0, 6, 1, 5 * MS), (last, 2, 1, 5 * MS), (last + 1, 3, 1, 5 * MS)]
        rows += [(last + 1, 7, 1, 10 * MS)]
    return CallTree(
        (*NAMES, *TINY), *(array("q", column) for column in zip(*rows, strict=True))
    )


@pytest.fixture
def exact(store):
    record = store.add(
        write_profile(call_graph(shop())), route="/order", status=200, has_stacks=True
    )
    stacks = write_pprof(shop(), labels={}, started=1.0, duration_seconds=0.9)
    store.files[record.id, ".pb.gz"] = stacks
    return record


@pytest.fixture
def estimated(store):
    return store.add(write_profile(call_graph(shop())), title="order.prof")


@pytest.fixture
def show(browser, serve, viewer):
    """Return a function that opens a page in a new context, and looks for faults at the end."""
    base, opened = serve(viewer), []

    def show(path, size="desk", scheme="light", **options):
        context = browser.new_context(
            viewport=SIZES[size], color_scheme=scheme, reduced_motion="reduce", **options
        )
        page = context.new_page()
        opened.append((context, faults(page)))
        page.goto(base + path)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("canvas.flame[data-drawn]")
        return page

    yield show
    for context, found in opened:
        context.close()
        assert [fault for fault in found if not EXPECTED.search(fault)] == []


def flame(record, **query):
    return f"/c/{record.id}?view=flame" + "".join(f"&{k}={v}" for k, v in query.items())


def box(page):
    """What is said of the box that the keyboard is on: its name and its data."""
    return page.inner_text(".flame-box .code"), page.eval_on_selector(
        ".flame-box", "box => ({...box.dataset})"
    )


def hand(page, data):
    """Load the page again, with other data of the drawing than its own."""

    def swap(route):
        text = route.fetch().text()
        body = re.sub(r'(?<=id="flame-data">).*(?=</script>)', lambda _: data.decode(), text)
        assert body != text
        route.fulfill(body=body, content_type="text/html")

    page.route(page.url, swap)
    if data:
        page.route("**/tree.json*", lambda route: route.fulfill(body=data))
    page.reload()


def click(page, share, row):
    """Click on a place of the canvas: a share of its width, and a row."""
    width = page.eval_on_selector("canvas.flame", "canvas => canvas.clientWidth")
    page.click("canvas.flame", position={"x": share * width, "y": row * 20 + 10})


def colours(page, share, row):
    """How many colours there are in a small area of the canvas, none of it text."""
    return page.eval_on_selector(
        "canvas.flame",
        """(canvas, [share, row]) => {
            const x = Math.round(share * canvas.width);
            const area = canvas.getContext("2d").getImageData(x, row * 20 + 1, 24, 17);
            return new Set(new Uint32Array(area.data.buffer)).size;
        }""",
        [share, row],
    )


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_it_is_drawn_whole_and_without_faults(show, exact, estimated, size, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name, record in (("exact", exact), ("estimated", estimated)):
        page = show(flame(record), size, scheme)
        page.locator(".flame-view").scroll_into_view_if_needed()
        page.screenshot(path=SHOTS / f"flame-{name}-{size}-{scheme}.png")
        assert page.evaluate("document.scrollingElement.scrollWidth") == SIZES[size]["width"]
        assert box(page)[1]["total"] == str(shop().total_ns)
        assert page.is_hidden(".flame-message:not(:empty)")


def test_what_is_exact_is_solid_and_what_is_not_is_hatched_with_its_bounds(
    show, exact, estimated
):
    # `order` is what it is; how much of `execute` was on behalf of which `load` is not known.
    solid = show(flame(exact))
    assert [colours(solid, share, row) for share, row in ((0.5, 2), (0.17, 4))] == [1, 1]
    page = show(flame(estimated))
    assert colours(page, 0.5, 2) == 1
    assert colours(page, 0.17, 4) > 1
    # All calls of `order` are in its box.
    click(page, 0.5, 2)
    assert "≈" not in page.inner_text(".flame-box")
    assert page.inner_text(".flame-box .flame-truth") == "exact"
    click(page, 0.17, 4)
    name, data = box(page)
    assert (name, data["truth"]) == (EXECUTE.name, "estimated")
    assert re.search(r"≈\s[\d.]+\sms \([\d.]+\u2013[\d.]+\sms\)", page.inner_text(".flame-box"))
    click(solid, 0.17, 4)
    assert (box(solid)[0], box(solid)[1]["truth"]) == (EXECUTE.name, "exact")
    assert "200,000,000 ns" in solid.inner_text(".flame-box")


def test_a_search_finds_the_share_that_its_boxes_have_together(show, exact, viewer):
    data = Client(viewer).get(f"/c/{exact.id}/tree.json").json
    nodes, functions = data["nodes"], data["functions"]
    page = show(flame(exact))
    for pattern in ("load|EXECUTE", "views.py", "tiny[0-9]+$|dumps", "site-pack"):
        found, union = [], 0
        for node, above in enumerate(nodes["parent"]):
            number = nodes["function"][node]
            text = "{} {}:{}".format(*(functions[c][number] for c in ("name", "file", "line")))
            is_match = node > 0 and re.search(pattern.replace("$", "\\b"), text, re.IGNORECASE)
            is_below = above >= 0 and found[above]
            union += nodes["total"][node] if is_match and not is_below else 0
            found.append(bool(is_match or is_below))
        page.fill(".flame-search input", pattern.replace("$", "\\b"))
        page.wait_for_function(
            "time => document.querySelector('.flame-found').dataset.time === time",
            arg=str(union),
        )
        share = f"{100 * union / data['total']:.1f}"
        assert share in page.inner_text(".flame-found output")
    page.wait_for_url("**search=site-pack**")
    page.fill(".flame-search input", "[unclosed")
    page.wait_for_selector("text=nothing found, as plain text")
    assert page.get_attribute(".flame-search input", "aria-invalid") == "true"


def test_a_click_zooms_and_the_address_brings_it_back(show, exact):
    page = show(flame(exact))
    click(page, 0.2, 3)
    assert [item.inner_text() for item in page.query_selector_all(".flame-path button")] == [
        "all", "serve", "order", "load",
    ]  # fmt: skip
    page.wait_for_url(f"**fn={function_key(LOAD)}**")
    assert (box(page)[0], box(page)[1]["total"]) == ("load", str(300 * MS))
    click(page, 0.5, 4)
    assert box(page)[0] == EXECUTE.name
    page.reload()
    page.wait_for_selector("canvas.flame[data-drawn]")
    assert page.inner_text(".flame-path [aria-current]") == EXECUTE.name
    page.go_back()
    page.wait_for_selector(".flame-path [aria-current]:text-is('load')")
    page.click(".flame-path button:text-is('serve')")
    page.wait_for_selector(".flame-path [aria-current]:text-is('serve')")
    # The wheel zooms around what it is over, and the address says so.
    page.hover("canvas.flame", position={"x": 100, "y": 50})
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    page.wait_for_url("**range=*")
    assert page.is_visible(".flame-tip .code:text-is('order')")


def test_the_keyboard_does_everything(show, exact):
    page = show(flame(exact))
    page.focus("canvas.flame")
    press = page.keyboard.press
    for key, name in (
        ("ArrowDown", "serve"), ("ArrowDown", "order"), ("ArrowDown", "load"),
        ("ArrowRight", "render"), ("ArrowLeft", "load"), ("ArrowUp", "order"),
        ("ArrowRight", "dumps"),
    ):  # fmt: skip
        press(key)
        assert box(page)[0].startswith(name), key
    assert page.inner_text(".flame-said").startswith("dumps; Total 300")
    press("Enter")
    assert page.inner_text(".flame-path [aria-current]") == "dumps"
    press("Escape")
    assert page.inner_text(".flame-path [aria-current]") == "all"
    press("/")
    page.keyboard.type("tiny17")
    press("Enter")
    page.wait_for_selector(".flame-found output:has-text('11 boxes of 11 functions')")
    seen = set()
    for key in ("Enter", "Enter", "Shift+Enter"):
        press(key)
        # Too narrow to be seen before, its figures are what they are.
        name, data = box(page)
        assert (name[:6], data["total"]) == ("tiny17", "1000")
        seen.add(name)
    assert len(seen) == 2
    press("Escape")
    assert page.evaluate("document.activeElement.className") == "flame"
    press("i")
    page.wait_for_url("**shape=flame**")
    press("Escape")
    press("Home")
    press("ArrowUp")
    assert box(page)[0] == "serve"
    press("Enter")
    press("o")
    page.wait_for_url("**app=1*")
    page.wait_for_selector(".flame-box :text('Self, with other code')")
    assert box(page)[1]["self"] == str(310 * MS)


def crumb(page):
    return page.inner_text(".flame-path [aria-current]")


def test_each_step_is_undone_by_itself(show, exact):
    page = show(f"/c/{exact.id}")
    click(page, 0.2, 3)
    click(page, 0.5, 4)
    page.fill(".flame-search input", "dumps")
    page.wait_for_url("**search=dumps*")
    page.fill(".flame-search input", "render")
    page.wait_for_url("**search=render*")
    # A search is no search of the table, which addresses without a view may mean.
    page.reload()
    page.wait_for_selector(".flame-found output:has-text('1 function')")
    page.go_back()
    page.wait_for_selector(".flame-found", state="hidden")
    assert (page.input_value(".flame-search input"), crumb(page)) == ("", EXECUTE.name)
    page.go_back()
    page.wait_for_selector(".flame-path [aria-current]:text-is('load')")
    page.wait_for_url(f"**fn={function_key(LOAD)}**")
    page.go_back()
    page.wait_for_selector(".flame-path [aria-current]:text-is('all')")
    page.wait_for_url(lambda url: "fn=" not in url)
    assert box(page)[0] == "all"


def test_where_it_was_moved_to_is_there_again_after_a_step_and_back(show, exact):
    page = show(flame(exact))
    page.focus("canvas.flame")
    for key in "wwd":
        page.keyboard.press(key)
    click(page, 0.2, 3)
    assert crumb(page).startswith("render")
    page.go_back()
    page.wait_for_url("**range=*")
    left, right = map(int, re.search(r"range=(\d+)-(\d+)", page.url).groups())
    assert right - left == pytest.approx(flame_tree(shop()).total_ns[0] / 1.5**2, rel=0.001)
    page.keyboard.press("0")
    page.wait_for_url(lambda url: "range=" not in url)


def test_a_double_click_zooms_to_the_box_that_is_clicked(show, exact):
    page = show(flame(exact))
    width = page.eval_on_selector("canvas.flame", "canvas => canvas.clientWidth")
    page.dblclick("canvas.flame", position={"x": 0.2 * width, "y": 70})
    assert crumb(page) == "load"


def test_the_box_that_was_walked_to_is_chosen_in_all_views_and_after_a_reload(show, exact):
    page = show(flame(exact))
    press = page.keyboard.press
    press("1")
    assert page.evaluate("document.activeElement.className") == "flame"
    press("/")
    page.keyboard.type("load|other")
    # However soon it comes, it is for what was typed.
    press("Enter")
    press("Escape")
    assert box(page)[0] == "load"
    # The second of two boxes of one function.
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown"):
        press(key)
    assert (box(page)[0], box(page)[1]["total"]) == ("load", str(20 * MS))
    page.wait_for_url("**at=*")
    page.reload()
    page.wait_for_selector("canvas.flame[data-drawn]")
    assert (box(page)[0], box(page)[1]["total"]) == ("load", str(20 * MS))
    turn_to(page, "3")
    page.wait_for_selector(".filling h2:has-text('load')")
    turn_to(page, "1")
    page.wait_for_selector("canvas.flame[data-drawn]")
    assert (box(page)[0], box(page)[1]["total"]) == ("load", str(20 * MS))
    turn_to(page, "4")
    page.wait_for_selector("tr.current[aria-level='3']")
    assert "20.0" in page.inner_text("tr.current .timing")
    turn_to(page, "1")
    page.wait_for_selector("canvas.flame[data-drawn]")
    page.click(".flame-actions a:text('Source')")
    page.wait_for_url(f"**view=source**fn={function_key(LOAD)}**")


def test_a_search_goes_along_to_the_table_unless_it_is_an_expression(show, exact):
    page = show(flame(exact))
    page.fill(".flame-search input", "views.py")
    page.wait_for_selector(".tabs a:text('Table')[href*='search=views.py']")
    page.fill(".flame-search input", "load|dumps")
    page.wait_for_selector(".tabs a:text('Tree')[href*='search=load']")
    assert "search" not in page.get_attribute(".tabs a:text('Table')", "href")


def test_all_boxes_of_the_function_are_added_up_and_none_is_too_narrow_to_be_marked(
    show, exact
):
    page = show(flame(exact, fn=function_key(EXECUTE)))
    assert box(page)[0] == EXECUTE.name
    text = " ".join(page.inner_text(".flame-box").split()).replace("\u202f", " ")
    assert "In all 2 boxes of it 205 ms" in text
    assert "Calls 5 40.0 ms each" in text
    marked = """() => {
        const canvas = document.querySelector("canvas.flame");
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4)
            found += data[at] === 0x7a && data[at + 1] === 0x1f && data[at + 2] === 0xa2;
        return found;
    }"""
    page = show(flame(exact))
    assert page.evaluate(marked) == 0
    page = show(flame(exact, fn=function_key(TINY[7])))
    assert page.evaluate(marked) >= 3 * 17


def test_a_stack_can_be_copied(show, exact):
    page = show(flame(exact, fn=function_key(DUMPS)))
    page.evaluate(
        "document.addEventListener('copy',"
        " event => { window.copied = event.clipboardData.getData('text/plain'); })"
    )
    stack = f"{SERVE.name} {SERVE.file}:1\n{DUMPS.name} {DUMPS.file}:60"
    page.click("button:text('Copy stack')")
    page.wait_for_selector("button:text('Copied')")
    assert page.evaluate("window.copied") == stack
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+c")
    assert page.evaluate("window.copied") == f"{SERVE.name} {SERVE.file}:1"
    assert page.inner_text(".flame-said") == "Stack copied"
    page.keyboard.press("Control+f")
    assert page.evaluate("document.activeElement.name") == "search"


def test_the_window_follows_the_keyboard_and_what_is_said_stays_in_sight(show, store):
    depth = 80
    functions = tuple(Function("/srv/deep.py", line, f"f{line}") for line in range(depth))
    tree = CallTree(
        functions,
        array("q", range(-1, depth - 1)), array("q", range(depth)),
        array("q", [1] * depth), array("q", [MS] * depth),
    )  # fmt: skip
    page = show(flame(add_tree(store, tree)))
    page.focus("canvas.flame")
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    assert box(page)[0] == "f59"
    row, free, bottom, height = page.evaluate(
        """() => {
            const scroll = document.querySelector(".flame-scroll");
            const canvas = scroll.querySelector("canvas").getBoundingClientRect();
            const box = document.querySelector(".flame-box").getBoundingClientRect();
            return [canvas.top - scroll.scrollTop + 60 * 20, box.top, box.bottom, innerHeight];
        }"""
    )
    assert 0 <= row <= free - 20
    assert bottom <= height


def test_on_a_phone_nothing_hides_the_drawing(show, store):
    long = Function("/srv/" + "deep/" * 90 + "app.py", 1, "very_" * 200)
    tree = CallTree((long,), *(array("q", [one]) for one in (-1, 0, 1, MS)))
    record = store.add(write_profile(call_graph(tree)))
    page = show(flame(record), "phone", "dark")
    click(page, 0.2, 1)
    drawn, said = (
        page.locator(part).bounding_box() for part in (".flame-scroll", ".flame-box")
    )
    assert said["y"] >= drawn["y"] + drawn["height"]


def test_its_legend_keeps_its_colours_where_the_system_forces_others(show, exact):
    page = show(flame(exact), forced_colors="active")
    colour = "swatch => getComputedStyle(swatch).backgroundColor"
    shown = {
        page.eval_on_selector(f".flame-legend i.{kind}", colour)
        for kind in ("application", "library", "standard", "builtin")
    }
    assert len(shown) == 4
    flip = page.locator("[data-do=flip]")
    before = flip.evaluate(colour)
    flip.click()
    assert flip.evaluate(colour) != before


def test_escape_closes_a_menu_and_only_that(show, exact):
    page = show(flame(exact))
    click(page, 0.2, 3)
    page.click("summary:text('Export')")
    page.keyboard.press("Escape")
    assert page.locator("details[open]").count() == 0
    assert crumb(page) == "load"
    page.keyboard.press("Escape")
    assert crumb(page) == "all"


def test_the_keys_of_the_flame_view_are_listed_where_it_is(show, exact):
    page = show(flame(exact))
    page.keyboard.press("?")
    assert "walk from box to box" in page.inner_text("dialog[open]")
    page.screenshot(path=SHOTS / "flame-keys.png")
    page.click("dialog button")
    page.wait_for_selector("dialog[open]", state="detached")
    turn_to(page, "2")
    page.keyboard.press("?")
    assert "walk from box to box" not in page.inner_text("dialog[open]")


def test_kinds_can_be_dimmed_and_their_shares_are_said_once(show, exact):
    page = show(flame(exact))
    button = page.locator(".flame-legend [data-kind=standard]")
    assert button.inner_text() == "standard library"
    assert re.search(r"standard library\s*\d+\.\d\s%", page.inner_text(".whose"))
    assert page.locator(".flame-legend [data-kind=framework]").is_hidden()
    button.click()
    page.wait_for_url("**off=standard**")
    assert button.get_attribute("aria-pressed") == "false"
    page.select_option("[name=colour]", "file")
    page.wait_for_url("**colour=file**")
    assert button.is_hidden()


def test_calls_that_are_not_shown_have_their_share_in_the_legend(show, exact):
    page = show(flame(exact))
    assert page.locator(".flame-legend [data-if=unshown]").is_hidden()
    tree = flame_tree(call_graph(shop()), max_nodes=9)
    hand(page, flame_json(tree, Kinds()))
    page.wait_for_selector(".flame-legend [data-if=unshown]")
    unshown = sum(
        own for own, calls in zip(tree.self_ns, tree.folded, strict=True) if calls
    )  # fmt: skip
    (share,) = re.findall(r"(\d+\.\d)\s%", page.inner_text(".flame-legend"))
    assert float(share) == pytest.approx(100 * unshown / tree.total_ns[0], abs=0.05)


FIRST = f"canvas.flame[data-nodes='{WIDEST}']"
ALL = "canvas.flame[data-nodes='4002']"


@pytest.fixture
def hold(browser, serve, viewer, store):
    """Return a function that opens the page of a large tree and holds back all but its widest.

    It gives the page, and what waits for the request of the rest.
    """
    record, base, pages = add_tree(store, fan(4_000)), serve(viewer), []

    def hold(**query):
        page = browser.new_page(viewport=SIZES["desk"], reduced_motion="reduce")
        pages.append(page)
        held = []

        def note(route):
            held.append(route)

        page.route(re.compile(r"/tree\.json(?!.*part=)"), note)
        page.goto(base + flame(record, **query))

        def rest():
            # Looking at the page lets the driver tell of its requests.
            until(lambda: page.evaluate("1") and held, "the rest to be asked for")
            (whole,) = held
            return whole

        return page, rest

    yield hold
    for page in pages:
        page.close()


def test_the_widest_boxes_are_drawn_and_true_before_the_rest_is_there(hold):
    page, rest = hold()
    page.wait_for_selector(FIRST)
    total = fan(4_000).total_ns
    assert box(page)[1]["total"] == str(total)
    click(page, 0.2, 2)
    assert (box(page)[0], box(page)[1]["total"]) == ("f1", str(4_000 * MS))
    assert crumb(page) == "f1"
    # What is found is not counted before all is there.
    page.fill(".flame-search input", r"^f39\d\d|^f1\s")
    page.wait_for_url("**search=*")
    assert page.inner_text(".flame-found output") == ""
    rest().continue_()
    page.wait_for_selector(ALL)
    assert (crumb(page), box(page)[0]) == ("f1", "f1")
    page.wait_for_selector(".flame-found output:has-text('101 boxes of 101 functions')")
    page.keyboard.press("Enter")
    assert box(page)[0] == "f3999"


def test_where_it_was_moved_to_stays_when_the_rest_comes(hold):
    page, rest = hold()
    page.wait_for_selector(FIRST)
    page.focus("canvas.flame")
    for key in "wwd":
        page.keyboard.press(key)
    page.wait_for_url("**range=*")
    moved = page.url
    rest().continue_()
    page.wait_for_selector(ALL)
    assert page.url == moved


def test_an_address_that_is_aimed_at_a_box_waits_for_all(hold):
    key = function_key(fan(4_000).functions[4_000])
    page, rest = hold(fn=key)
    whole = rest()
    assert page.get_attribute("canvas.flame", "data-nodes") is None
    whole.continue_()
    page.wait_for_selector(ALL)
    assert box(page)[0] == "f4000"


def test_when_the_rest_does_not_come_it_says_so_and_what_is_there_stays(hold):
    page, rest = hold()
    rest().fulfill(status=503, body='{"detail": "Gone."}')
    page.wait_for_selector(".flame-message:has-text('could not be loaded: Gone.')")
    click(page, 0.2, 2)
    assert box(page)[0] == "f1"


def test_two_fingers_zoom_where_they_are(show, exact):
    page = show(flame(exact), has_touch=True)
    canvas = page.locator("canvas.flame").bounding_box()
    y, middle = canvas["y"] + 10, canvas["x"] + canvas["width"] / 2
    fingers = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, x in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", middle - 30)
    touch("touchStart", middle - 30, middle + 30)
    for apart in (60, 120, 180, 240):
        touch("touchMove", middle - apart, middle + apart)
    touch("touchEnd", middle - 240)
    touch("touchEnd")
    page.wait_for_url("**range=*")
    left, right = map(int, re.search(r"range=(\d+)-(\d+)", page.url).groups())
    whole = flame_tree(shop()).total_ns[0]
    assert (left + right) / 2 == pytest.approx(whole / 2, rel=0.005)
    assert right - left == pytest.approx(whole / 8, rel=0.02)
    assert page.evaluate("window.visualViewport.scale") == 1


def test_a_difference_tells_what_got_slower_and_what_is_new(show, exact):
    page = show(flame(exact))
    hand(page, flame_json(difference(shop(300, with_other=False), shop()), Kinds()))
    page.wait_for_selector(".flame-legend :text('more time')")
    page.screenshot(path=SHOTS / "flame-difference.png")
    page.focus("canvas.flame")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert box(page)[0] == "load"
    text = " ".join(page.inner_text(".flame-box").split())
    assert "Total 550 ms → 300 ms \u2212250 ms" in text.replace("\u202f", " ")


def test_hostile_names_are_only_text(show, exact):
    page = show(flame(exact, search="alert"))
    page.focus("canvas.flame")
    page.keyboard.press("n")
    assert box(page)[0] == "render<script>alert(1)</script>\\u202e"
    assert "render<script>alert(1)</script>\\u202e" in page.inner_text(".flame-said")
    assert page.locator(".flame-view script").count() == 0


def test_without_scripts_it_says_where_the_figures_are(show, exact):
    page = show(flame(exact), java_script_enabled=False)
    assert "The same figures are" in page.inner_text(".flame-view noscript, .flame-view .note")
    assert page.is_hidden(".flame-tools")
    assert page.is_hidden("canvas.flame")
    assert page.is_visible("table.functions tbody tr")


def test_what_cannot_be_loaded_is_said(show, exact):
    page = show(flame(exact))
    page.route(
        "**/tree.json*", lambda route: route.fulfill(status=503, body='{"detail": "Gone."}')
    )
    hand(page, b"")
    page.wait_for_selector(".flame-message:has-text('could not be loaded: Gone.')")
    # The figures below are there all the same.
    page.wait_for_selector("table.functions tbody tr")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_exported_works_from_disk(browser, estimated, tmp_path, scheme):
    graph = call_graph(shop())
    for name in ("svg", "html"):
        (tmp_path / f"order.{name}").write_bytes(EXPORTS[name].write(graph, estimated))
    context = browser.new_context(viewport=SIZES["desk"], color_scheme=scheme, offline=True)
    page = context.new_page()
    found = faults(page)
    page.goto(f"file://{tmp_path}/order.svg")
    page.screenshot(path=SHOTS / f"flame-export-svg-{scheme}.png")
    page.goto(f"file://{tmp_path}/order.html")
    page.wait_for_selector("canvas.flame[data-drawn]")
    page.screenshot(path=SHOTS / f"flame-export-html-{scheme}.png")
    click(page, 0.2, 3)
    page.fill(".flame-search input", "load")
    page.wait_for_url("**#*search=load*")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.wait_for_selector(".flame-box :text('Self, with other code')")
    page.wait_for_url("**app=1**")
    assert found == []
    context.close()
