"""Paths are shortened and classified by their text alone."""

import json.decoder
import pstats

import flask.app
import pytest

from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import Kind, kind_of, label, short_path

PATHS = [
    ("~", Kind.BUILTIN, "~"),
    ("", Kind.BUILTIN, ""),
    (
        "/srv/.venv/lib/python3.12/site-packages/flask/app.py",
        Kind.FRAMEWORK,
        "flask/app.py",
    ),
    ("/v/site-packages/flask_login/utils.py", Kind.FRAMEWORK, "flask_login/utils.py"),
    ("/v/site-packages/flasktools/utils.py", Kind.LIBRARY, "flasktools/utils.py"),
    ("/v/site-packages/bottle.py", Kind.FRAMEWORK, "bottle.py"),
    ("/v/site-packages/flaskprof/middleware.py", Kind.FRAMEWORK, "flaskprof/middleware.py"),
    ("/v/site-packages/flaskprof/demo/shop.py", Kind.APPLICATION, "flaskprof/demo/shop.py"),
    ("/usr/lib/python3/dist-packages/apt/cache.py", Kind.LIBRARY, "apt/cache.py"),
    (r"C:\venv\Lib\site-packages\flask\app.py", Kind.FRAMEWORK, r"flask\app.py"),
    (
        "/opt/a/site-packages/b/site-packages/c.py",
        Kind.LIBRARY,
        "c.py",
    ),
    ("/usr/lib/python3.12/json/decoder.py", Kind.STANDARD_LIBRARY, "json/decoder.py"),
    ("/usr/lib64/python3.11/os.py", Kind.STANDARD_LIBRARY, "os.py"),
    ("/usr/lib/python3.13t/os.py", Kind.STANDARD_LIBRARY, "os.py"),
    ("/usr/lib/pypy3.10/os.py", Kind.STANDARD_LIBRARY, "os.py"),
    ("/usr/lib/python312.zip/json/decoder.py", Kind.STANDARD_LIBRARY, "json/decoder.py"),
    (
        "/Library/Frameworks/Python.framework/Versions/3.12/lib/python3.12/abc.py",
        Kind.STANDARD_LIBRARY,
        "abc.py",
    ),
    (
        r"C:\Users\me\AppData\Local\Programs\Python\Python312\Lib\json\decoder.py",
        Kind.STANDARD_LIBRARY,
        r"json\decoder.py",
    ),
    ("<frozen importlib._bootstrap>", Kind.STANDARD_LIBRARY, "<frozen importlib._bootstrap>"),
    ("<string>", Kind.APPLICATION, "<string>"),
    ("app.py", Kind.APPLICATION, "app.py"),
    ("/app.py", Kind.APPLICATION, "/app.py"),
    ("/srv/shop/app.py", Kind.APPLICATION, "/srv/shop/app.py"),
    ("/srv/shop/api/orders.py", Kind.APPLICATION, "…/shop/api/orders.py"),
    (r"D:\work\shop\api\orders.py", Kind.APPLICATION, r"…\shop\api\orders.py"),
    ("/srv/lib/python/tools.py", Kind.APPLICATION, "…/lib/python/tools.py"),
]


@pytest.mark.parametrize(("file", "kind", "short"), PATHS, ids=[path[0] for path in PATHS])
def test_a_path_says_whose_code_it_is(file, kind, short):
    assert kind_of(Function(file, 1, "f")) is kind
    assert short_path(file) == short


def test_modules_of_this_interpreter_are_told_apart():
    assert kind_of(Function(json.decoder.__file__, 1, "f")) is Kind.STANDARD_LIBRARY
    assert kind_of(Function(flask.app.__file__, 1, "f")) is Kind.FRAMEWORK


@pytest.mark.parametrize(
    "function",
    [
        ("/srv/app.py", 3, "view"),
        ("~", 0, "<built-in method builtins.len>"),
        ("~", 0, "<unclosed"),
        ("~", 1, "<f>"),
        ("", 0, "len"),
    ],
)
def test_a_label_is_what_pstats_prints(function):
    assert label(Function(*function)) == pstats.func_std_string(function)
