"""Hostile names in a real browser: on every page, in every drawing and in speedscope.

Nothing of them is executed, and nothing is wider than its window.
"""

from array import array
from urllib.parse import quote

import pytest
from browsing import SIZES, faults
from captured import add_tree
from pages import Document
from werkzeug.test import Client

from flaskprof.profiles.model import CallTree, Function
from flaskprof.web.app import Viewer
from flaskprof.web.links import Links

pytestmark = pytest.mark.browser

NOW = 1_800_000_000.0
# What speedscope and the browser's own drawing tell of their work.
_PEACEFUL = ("log: ", "timeEnd: ", "warning: [.WebGL")
# What the page before had asked for and was left before it came.
_LEFT = "failed: "
LOOKS = [("desk", "light"), ("phone", "dark")]


def hostile_tree(names):
    """A tree in which each name is called by the one before, and is a file and a function."""
    functions = tuple(Function(name, number, name) for number, name in enumerate(names))
    nodes = range(len(functions))
    return CallTree(
        functions,
        array("q", [node - 1 for node in nodes]),
        array("q", nodes),
        array("q", [2] * len(functions)),
        array("q", [1_000_000 * (node + 1) for node in nodes]),
    )


@pytest.fixture
def hostile(store, hostile_names):
    """Two captures of each hostile route, with stacks of hostile names."""
    tree = hostile_tree(hostile_names)
    half = hostile_tree(hostile_names[::2])
    return [
        (
            add_tree(
                store, tree, started=NOW - 90, route=name, method=name, trigger=name, host=name
            ),
            add_tree(store, half, started=NOW - 60, route=name, method=name, endpoint=name),
        )
        for name in hostile_names
    ]


@pytest.fixture
def base(store, settings, processes, serve, hostile_names):
    """A viewer that watches processes which answer under hostile names."""
    for name in hostile_names:
        route = name.encode("utf-8", "replace").decode()
        processes.answered(route, [3, 2, 1, 0], method=route, status="500")
        processes.flies(route, 3, method=route, thread=route)
    return serve(Viewer(store, settings=settings, clock=lambda: NOW, live=processes.live()))


def addresses(hostile, viewer):
    """The path of every kind of page, one capture of each route among them."""
    yield "/"
    yield "/captures"
    yield "/nothing/" + quote(hostile[0][0].route)
    links = Links("")
    for before, _ in hostile:
        yield links.captures(route=before.route, method=before.method)
        yield links.route(before.route, before.method)
    for before, after in hostile[::3]:
        yield links.capture(before.id)
        yield links.compare(a=before.id, b=after.id)
    first, second = hostile[0]
    rows = (
        Client(viewer)
        .get(f"/c/{first.id}?view=table", headers={"Accept": "application/json"})
        .json["table"]["rows"]
    )
    for row in rows:
        for view in ("table", "sandwich", "tree", "source", "flame"):
            yield row["link"].replace("sandwich", view)
    yield f"/merge?c={first.id}&c={second.id}"


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_on_every_page_they_are_text_that_fits(browser, base, viewer, hostile, size, scheme):
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
    page = context.new_page()
    found = faults(page)
    for path in addresses(hostile, viewer):
        page.goto(base + path)
        if page.locator("canvas.flame").count():
            page.wait_for_selector(".flame-legend:not([hidden])")
        width = page.evaluate("document.scrollingElement.scrollWidth")
        expected = ["error: Failed to load resource"] if path.startswith("/nothing") else []
        said = [text[:30] for text in found if not text.startswith(_LEFT)]
        assert (path, said, width) == (
            path,
            [text[:30] for text in expected],
            SIZES[size]["width"],
        )
        found.clear()
    context.close()


@pytest.mark.parametrize(
    ("name", "size", "scheme"), [("html", "phone", "dark"), ("svg", "desk", "light")]
)
def test_a_drawing_from_disk_runs_nothing_of_them(
    browser, viewer, hostile, tmp_path, name, size, scheme
):
    for number, (before, _) in enumerate(hostile):
        file = tmp_path / f"{number}.{name}"
        file.write_bytes(Client(viewer).get(f"/c/{before.id}/export/{name}").data)
        page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
        found = faults(page)
        page.goto(file.as_uri())
        if name == "html":
            page.wait_for_selector(".flame-legend:not([hidden])")
            width = page.evaluate("document.scrollingElement.scrollWidth")
            assert width == SIZES[size]["width"]
        assert found == []
        page.close()


def speedscope_url(viewer, record):
    links = Document(Client(viewer).get(f"/c/{record.id}").text).links
    return links["speedscope"]


def test_speedscope_shows_them_as_text(browser, base, viewer, hostile):
    for before, _ in hostile[::3]:
        page = browser.new_page(viewport=SIZES["desk"])
        found = faults(page)
        page.goto(base + speedscope_url(viewer, before))
        page.wait_for_selector("text=Left Heavy")
        page.wait_for_function("document.title !== 'speedscope'")
        wrong = [text for text in found if not text.startswith(_PEACEFUL)]
        assert wrong == []
        page.close()
