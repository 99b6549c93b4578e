"""Whose code a function is, and how its path is shown, are told by the path alone."""

import json.decoder
import pstats

import flask.app
import pytest

from flaskprof.profiles.kinds import Kind, Kinds, is_builtin
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import label, short_path

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
    function = Function(file, 1, "f")
    assert Kinds().of(function) is kind
    assert Kinds().is_foreign(function) == (kind is not Kind.APPLICATION)
    assert is_builtin(function) == (kind is Kind.BUILTIN)
    assert short_path(file) == short


def test_modules_of_this_interpreter_are_told_apart():
    assert Kinds().of(Function(json.decoder.__file__, 1, "f")) is Kind.STANDARD_LIBRARY
    assert Kinds().of(Function(flask.app.__file__, 1, "f")) is Kind.FRAMEWORK


OWN = Kinds(frozenset({"shop", "acme.web", "flask_shop"}))
INSTALLED = [
    ("shop/views.py", Kind.APPLICATION),
    ("shop/api/v2/orders.py", Kind.APPLICATION),
    ("shop.py", Kind.APPLICATION),
    ("shop.cpython-312-x86_64-linux-gnu.so", Kind.APPLICATION),
    ("shop_common/money.py", Kind.LIBRARY),
    ("shopping.py", Kind.LIBRARY),
    ("sho/p.py", Kind.LIBRARY),
    ("vendored/shop/views.py", Kind.LIBRARY),
    ("acme/web/views.py", Kind.APPLICATION),
    ("acme/web.py", Kind.APPLICATION),
    ("acme/mail/send.py", Kind.LIBRARY),
    ("acme/__init__.py", Kind.LIBRARY),
    ("flask_shop/app.py", Kind.APPLICATION),
    ("flask/app.py", Kind.FRAMEWORK),
]


@pytest.mark.parametrize(("path", "kind"), INSTALLED, ids=[path for path, _ in INSTALLED])
@pytest.mark.parametrize("is_windows", [False, True], ids=["posix", "windows"])
def test_packages_that_are_named_are_the_application_s_wherever_they_are_installed(
    path, kind, is_windows
):
    file = f"/venv/lib/python3.12/site-packages/{path}"
    if is_windows:
        file = "C:" + file.replace("/", "\\")
    function = Function(file, 1, "f")
    assert OWN.of(function) is kind
    assert Kinds().of(function) is not Kind.APPLICATION


def test_packages_are_those_that_are_installed_not_those_of_python():
    own = Kinds(frozenset({"json"}))
    assert own.of(Function(json.decoder.__file__, 1, "f")) is Kind.STANDARD_LIBRARY


def test_the_packages_of_two_profiles_are_the_application_s_of_both():
    both = Kinds(frozenset({"shop"})) | Kinds(frozenset({"acme.web"}))
    assert both == Kinds(frozenset({"shop", "acme.web"}))


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
