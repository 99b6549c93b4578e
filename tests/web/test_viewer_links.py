"""Addresses of the viewer, wherever it is mounted."""

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from flaskprof.profiles.model import Function
from flaskprof.web.links import Links, function_key

ID = "0197a2b3c4d57e6f8a9b0c1d2e3f4a5b"
FUNCTION = Function("/srv/shop/views.py", 12, "cart")


@pytest.mark.parametrize(
    ("script_name", "root"),
    [
        ("", ""),
        ("/", ""),
        ("/flaskprof", "/flaskprof"),
        ("/shop/flaskprof", "/shop/flaskprof"),
        ("//evil.example/x", "/evil.example/x"),
        ("/größe/<b>", "/gr%C3%B6%C3%9Fe/%3Cb%3E"),
    ],
)
def test_every_link_lies_under_the_script_name(script_name, root):
    links = Links(script_name)
    assert links.overview() == f"{root}/"
    assert links.captures() == f"{root}/captures"
    assert links.captures(route="/a b", page=2) == f"{root}/captures?route=/a+b&page=2"
    assert links.route("/a/<b>", "GET") == f"{root}/r/?route=/a/%3Cb%3E&method=GET"
    assert links.compare(a=ID, b="x,y") == f"{root}/compare?a={ID}&b=x,y"
    assert links.capture(ID) == f"{root}/c/{ID}"
    assert links.function(ID, FUNCTION) == f"{root}/c/{ID}/f/{function_key(FUNCTION)}"
    assert links.download_profile(ID) == f"{root}/c/{ID}.prof"
    assert links.download_record(ID) == f"{root}/c/{ID}.json"
    assert links.asset("viewer.css", "abc") == f"{root}/static/viewer.css?v=abc"


@pytest.mark.parametrize(
    ("path", "endpoint", "arguments"),
    [
        ("/", "overview", {}),
        ("/captures", "captures", {}),
        (f"/c/{ID}", "capture", {"capture_id": ID}),
        (f"/c/{ID}.prof", "download_profile", {"capture_id": ID}),
        (f"/c/{ID}.json", "download_record", {"capture_id": ID}),
        (f"/c/{ID}/f/0123", "function", {"capture_id": ID, "key": "0123"}),
        ("/static/viewer.css", "asset", {"name": "viewer.css"}),
    ],
)
def test_an_address_finds_its_page(path, endpoint, arguments):
    assert Links("/any").match(path, "GET") == (endpoint, arguments)
    assert Links("/any").match(path, "HEAD") == (endpoint, arguments)


@pytest.mark.parametrize("path", ["/nothing", "//x", "/c/", "/c/a/b", "/static/a/b", "/c/a/f/"])
def test_other_addresses_are_not_found(path):
    with pytest.raises(NotFound):
        Links("").match(path, "GET")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
def test_only_reading_is_allowed(method):
    with pytest.raises(MethodNotAllowed):
        Links("").match("/", method)


def test_a_function_has_the_same_short_key_everywhere():
    assert function_key(FUNCTION) == "0186266eb43b0f2e5b82"
    assert function_key(FUNCTION) != function_key(FUNCTION._replace(line=13))
    assert len(function_key(Function("x" * 10_000, 1, "\udc80"))) == 20


def test_fields_of_a_key_do_not_run_into_each_other():
    one, other = Function("a", 1, "bc"), Function("ab", 1, "c")
    assert function_key(one) != function_key(other)
    one, other = Function("a 1", 1, "b"), Function("a", 1, " 1b")
    assert function_key(one) != function_key(other)
