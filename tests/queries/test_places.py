"""Who issued a query, as the stack tells."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from jinja2 import DictLoader, Environment, FileSystemLoader

import flaskprof
from flaskprof.profiles.kinds import Kinds
from flaskprof.queries.places import place_of_call


def here(kinds=Kinds()):  # noqa: B008  it cannot be changed
    return place_of_call(sys._getframe(1), kinds)


def compiled(file):
    """A function `ask` that calls what it is given, as if it stood in line 2 of `file`."""
    module = file.rpartition("site-packages/")[2].removesuffix(".py").replace("/", ".")
    names = {"__name__": module}
    exec(compile("def ask(call):\n    return call()\n", file, "exec"), names)
    return names["ask"]


LIBRARY = compiled("/venv/lib/python3.12/site-packages/flask_security/datastore.py")
DATABASE = compiled("/venv/lib/python3.12/site-packages/sqlalchemy/engine/base.py")
STANDARD = compiled("/usr/lib/python3.12/contextlib.py")
APPLICATION = compiled("/srv/shop/views.py")
MIDDLEWARE = compiled(str(Path(flaskprof.__file__).parent / "middleware.py"))
SERVER = compiled("/usr/bin/gunicorn")
SHOP = compiled(str(Path(flaskprof.__file__).parent / "demo" / "shop.py"))


def below(*functions, call=here):
    """Call `here` from the last function, which is called from the one before it, and so on."""
    for function in reversed(functions):
        call = lambda function=function, call=call: function(call)  # noqa: E731  nested calls
        call.__code__ = call.__code__.replace(co_filename="/usr/lib/python3.12/functools.py")
    return call()


def test_the_nearest_line_of_the_application_is_named():
    expected = ("/srv/shop/views.py", 2, "ask")
    assert below(SERVER, MIDDLEWARE, APPLICATION, LIBRARY, STANDARD, DATABASE) == expected


def test_an_application_that_is_installed_is_one_where_its_package_is_named():
    shop = compiled("/venv/lib/python3.12/site-packages/shop/views.py")
    stack = SERVER, MIDDLEWARE, shop, LIBRARY, DATABASE
    assert below(*stack)[0] == LIBRARY.__code__.co_filename
    named = partial(here, Kinds(frozenset({"shop"})))
    assert below(*stack, call=named) == (shop.__code__.co_filename, 2, "ask")
    assert below(*stack)[0] == LIBRARY.__code__.co_filename


def test_the_demo_shop_is_an_application():
    assert below(MIDDLEWARE, SHOP, DATABASE)[0].endswith("flaskprof/demo/shop.py")


def test_without_the_application_it_is_a_library_that_is_no_database_s():
    file, line, function = below(SERVER, MIDDLEWARE, LIBRARY, DATABASE)
    assert (Path(file).name, line, function) == ("datastore.py", 2, "ask")


def test_a_database_library_is_none_of_the_application_s_wherever_it_lies():
    vendored = compiled("/srv/shop/vendor/sqlalchemy/engine/base.py")
    vendored.__globals__["__name__"] = "sqlalchemy.engine.base"
    assert below(MIDDLEWARE, APPLICATION, vendored) == ("/srv/shop/views.py", 2, "ask")


def test_what_lies_beyond_our_middleware_is_never_named():
    assert below(SERVER, MIDDLEWARE, DATABASE) == ("", 0, "")
    assert place_of_call(None, Kinds()) == ("", 0, "")


def test_the_line_of_a_template_is_the_template_s_own(tmp_path):
    page = tmp_path / "order.html"
    page.write_text("<h1>\n</h1>\n{% for i in [1] %}\n{{ here() }}\n{% endfor %}\n")
    seen = []
    environment = Environment(loader=FileSystemLoader(tmp_path), autoescape=True)
    template = environment.get_template("order.html")
    template.render(here=lambda: seen.append(place_of_call(sys._getframe(1), Kinds())))
    assert seen == [(str(page), 4, "order.html")]


def test_a_template_without_a_file_has_its_line_too():
    seen = []
    environment = Environment(loader=DictLoader({"a": "\n\n{{ here() }}"}), autoescape=True)
    environment.get_template("a").render(
        here=lambda: seen.append(place_of_call(sys._getframe(1), Kinds()))
    )
    assert [(line, name) for _, line, name in seen] == [(3, "a")]
