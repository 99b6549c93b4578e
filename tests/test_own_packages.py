"""An application that is installed among libraries is told by the module that made it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import pytest
from werkzeug.test import Client

from flaskprof import FlaskProf, ProfilerMiddleware, wsgi
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings
from flaskprof.own_packages import own_packages
from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.store import CaptureQuery

# Under names that nothing else here has; ours_acme is a namespace.
FILES = {
    "ours_shop/__init__.py": "",
    "ours_shop/wsgi.py": """
        from flask import Flask
        from ours_shop.views import total

        def create_app():
            app = Flask(__name__)
            app.debug = True
            app.add_url_rule("/", view_func=total)
            return app

        def plain(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [total().encode()]
    """,
    "ours_shop/views.py": """
        import ours_money

        def total():
            return ours_money.shown(7)
    """,
    "ours_money.py": """
        def shown(amount):
            return f"{amount} EUR"
    """,
    "ours_shop/store.py": """
        import ours_orm

        def total():
            return ours_orm.fetched("SELECT '7 EUR'")
    """,
    "ours_orm.py": """
        import sqlalchemy

        engine = sqlalchemy.create_engine("sqlite://")

        def fetched(statement):
            with engine.connect() as connection:
                return connection.scalar(sqlalchemy.text(statement))
    """,
    "flask_ours/__init__.py": "",
    "ours_acme/web/__init__.py": "",
    "ours_acme/web/main.py": "",
    "ours_acme/single.py": "",
    "ours_tool/__init__.py": "",
    "ours_tool/__main__.py": """
        from flaskprof.own_packages import own_packages

        print(*own_packages(__name__))
    """,
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder that packages are installed into, from which they are imported."""
    place = tmp_path / "lib" / "python3" / "site-packages"
    for name, text in FILES.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    before = set(sys.modules)
    monkeypatch.syspath_prepend(place)
    yield place
    for name in set(sys.modules) - before:
        if "ours" in name:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("module", "packages"),
    [
        ("ours_shop", ("ours_shop",)),
        ("ours_shop.wsgi", ("ours_shop",)),
        ("ours_money", ("ours_money",)),
        ("flask_ours", ("flask_ours",)),
        ("ours_acme.web.main", ("ours_acme.web",)),
        ("ours_acme.web", ("ours_acme.web",)),
        ("ours_acme.single", ("ours_acme.single",)),
        ("ours_acme", ()),
    ],
)
def test_it_is_the_topmost_package_that_is_no_namespace(installed, module, packages):
    importlib.import_module(module)
    assert own_packages(module) == packages


@pytest.mark.parametrize("module", ["", "no_such_module", "json.decoder", "sys", __name__])
def test_there_is_none_where_it_is_not_installed(module):
    assert own_packages(module) == ()


def test_the_shop_of_the_demonstration_does_not_make_flaskprof_an_application():
    assert importlib.import_module("flaskprof.demo.shop")
    assert own_packages("flaskprof.demo.shop") == ()


def test_a_package_that_is_run_is_told_too(installed):
    command = [sys.executable, "-m", "ours_tool"]
    path = ":".join([str(installed), *filter(None, sys.path)])
    done = subprocess.run(
        command, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("ours_tool\n", "")


@pytest.fixture
def directory(tmp_path, closed_recorders):
    return tmp_path / "data"


def captured(app, directory):
    """Capture a request to an application; return record and kind by name of function."""
    answer = Client(app).get(
        "/",
        headers={"X-Profile": "1"},
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
        buffered=True,
    )
    assert answer.text == "7 EUR"
    recorder = recorder_for(Settings(dir=directory))
    assert recorder.flush()
    (record,) = recorder.store.list(CaptureQuery(limit=1)).records
    kinds = Kinds(frozenset(record.app_packages))
    graph = read_profile(recorder.store.read(record.id, ".prof"))
    return record, {function.name: kinds.of(function) for function in graph.functions}


def test_a_capture_says_which_package_its_flask_application_is(installed, directory):
    app = importlib.import_module("ours_shop.wsgi").create_app()
    FlaskProf(app, dir=directory)
    record, kinds = captured(app, directory)
    assert record.app_packages == ("ours_shop",)
    assert (kinds["total"], kinds["shown"]) == (Kind.APPLICATION, Kind.LIBRARY)
    assert kinds["wsgi_app"] is Kind.FRAMEWORK


def test_a_setting_names_more_packages(installed, directory):
    app = importlib.import_module("ours_shop.wsgi").create_app()
    app.config["FLASKPROF_APP_PACKAGES"] = ["ours_money"]
    FlaskProf(app, dir=directory)
    record, kinds = captured(app, directory)
    assert record.app_packages == ("ours_money", "ours_shop")
    assert (kinds["total"], kinds["shown"]) == (Kind.APPLICATION, Kind.APPLICATION)


def test_a_query_is_said_to_be_of_its_line_and_not_of_a_library_s(installed, directory):
    module = importlib.import_module("ours_shop.wsgi")
    module.total = importlib.import_module("ours_shop.store").total
    app = module.create_app()
    FlaskProf(app, dir=directory)
    record, _ = captured(app, directory)
    importlib.import_module("ours_orm").engine.dispose()
    (query,) = record.queries
    place = installed / "ours_shop" / "store.py"
    assert (query.file, query.line, query.function) == (str(place), 5, "total")


def test_of_several_applications_of_a_process_each_is_its_own(installed, directory):
    app = importlib.import_module("ours_shop.wsgi").create_app()
    FlaskProf(app, dir=directory)
    importlib.import_module("ours_money")
    ProfilerMiddleware(app, dir=directory, import_name="ours_money")
    record, _ = captured(app, directory)
    assert record.app_packages == ("ours_money", "ours_shop")


@pytest.mark.parametrize("is_method", [False, True])
def test_the_middleware_around_flask_knows_it_too(installed, directory, is_method):
    app = importlib.import_module("ours_shop.wsgi").create_app()
    inner = app.wsgi_app if is_method else app
    record, _ = captured(ProfilerMiddleware(inner, dir=directory, dev=True), directory)
    assert record.app_packages == ("ours_shop",)


def test_of_another_application_the_middleware_is_told(installed, directory):
    module = importlib.import_module("ours_shop.wsgi")
    app = ProfilerMiddleware(module.plain, dir=directory, dev=True, import_name=module.__name__)
    record, kinds = captured(app, directory)
    assert record.app_packages == ("ours_shop",)
    assert kinds["plain"] is Kind.APPLICATION


def test_flaskprof_app_tells_it(installed, directory, monkeypatch):
    monkeypatch.setenv("FLASKPROF_DIR", str(directory))
    monkeypatch.setenv("FLASKPROF_DEV", "1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    record, _ = captured(wsgi.load_application("ours_shop.wsgi:plain"), directory)
    assert record.app_packages == ("ours_shop",)
