"""Functions that are imported when they are called, and what a process spares by them."""

import ast
import marshal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import flaskprof
from flaskprof.late import Late
from flaskprof.web.exports import EXPORTS
from flaskprof.web.views import VIEWS
from flaskprof.web.views.capture import _PANELS

PACKAGE = Path(flaskprof.__file__).parent


def literal_homes():
    """Every home that stands in the source as one text."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_late = isinstance(node, ast.Call) and ast.unparse(node.func) == "Late"
            if is_late and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def table_homes():
    """Every home of the tables whose texts are put together."""
    writers = [row.write for row in EXPORTS.values()]
    functions = [*VIEWS.values(), *_PANELS.values(), *writers]
    return [function.home for function in functions if isinstance(function, Late)]


def test_a_function_is_imported_when_it_is_first_called():
    sys.modules.pop("colorsys", None)
    function = Late("colorsys:rgb_to_hsv")
    assert "colorsys" not in sys.modules
    assert function(1.0, 1.0, b=1.0) == function(1.0, 1.0, 1.0) == (0.0, 0.0, 1.0)
    assert "colorsys" in sys.modules


def test_what_a_function_raises_passes():
    with pytest.raises(ZeroDivisionError):
        Late("operator:truediv")(1, 0)
    with pytest.raises(ModuleNotFoundError):
        Late("flaskprof.nowhere:nothing")()


@pytest.mark.parametrize("home", sorted({*literal_homes(), *table_homes()}))
def test_every_home_has_its_function(home):
    module, _, name = home.partition(":")
    assert callable(getattr(import_module(module), name))


def test_the_flame_view_of_a_file_is_served_without_what_other_pages_need(tmp_path):
    profile = tmp_path / "made.prof"
    profile.write_bytes(marshal.dumps({("a.py", 1, "f"): (1, 1, 0.5, 0.5, {})}))
    spared = [
        "asyncio",
        "flask",
        "flaskprof.access",
        "flaskprof.capture",
        "flaskprof.metrics",
        "flaskprof.middleware",
        "flaskprof.profiles.diff",
        "flaskprof.web.flame_page",
        "flaskprof.web.flame_svg",
        "flaskprof.web.panels.source",
        "flaskprof.web.panels.tree",
        "flaskprof.web.queries",
        "flaskprof.web.route_rows",
        "flaskprof.web.source",
        "flaskprof.web.views.compare",
        "flaskprof.web.views.overview",
        "flaskprof.web.views.route",
        "itsdangerous",
        "prometheus_client",
        "pygments",
        "sqlite3",
    ]
    script = f"""
import sys
import flaskprof.cli.open, flaskprof.web.app
from werkzeug.test import Client
from flaskprof.config import Settings
from flaskprof.store import CaptureQuery
from flaskprof.store.files import FileStore
store = FileStore([{str(profile)!r}])
client = Client(flaskprof.web.app.Viewer(store, settings=Settings()))
page = "/c/" + store.list(CaptureQuery()).records[0].id
for path in page, page + "/tree.json", "/static/flame.js":
    assert client.get(path).status_code == 200, path
print([name for name in {spared!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
