"""Imports run strictly downwards: a module sees its own package and the layers below."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flaskprof

PACKAGE = Path(flaskprof.__file__).parent

# Lowest first. A module may import what stands in a row above its own.
LAYERS = (
    {
        "errors",
        "ids",
        "late",
        "log",
        "peer",
        "rendering",
        "server_timing",
        "tracing",
        "view_names",
    },
    {"config", "profiles", "signals"},
    {"queries"},
    {"access", "own_packages", "record", "routes"},
    {"formats"},
    {"metrics", "store"},
    {"capture"},
    {"custom", "sections"},
    {"decorators", "integrations", "middleware", "web"},
    {"async_views", "flask_hooks", "log_filter", "text", "wiring"},
    {"explore"},
    {"extension", "sidecar"},
    {"wsgi"},
    {"demo"},
    {"cli", "testing"},
    {"slowest"},
    {"pytest_plugin"},
    {"__main__"},
)
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}

# Public names of the package itself, which are resolved on first use.
LAZY = {name: home.split(".")[1] for name, home in flaskprof._HOMES.items()}

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The top-level module or package of flaskprof that the file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and part of each import of flaskprof, wherever in the module it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root, _, rest = alias.name.partition(".")
                if root == "flaskprof" and rest:
                    yield node.lineno, rest.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            root, _, rest = (node.module or "").partition(".")
            if root != "flaskprof":
                continue
            if rest:
                yield node.lineno, rest.split(".")[0]
                continue
            for alias in node.names:
                if alias.name != "__version__":
                    yield node.lineno, LAZY.get(alias.name, alias.name)


def late_parts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and part of each function of flaskprof that is imported when it is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Late":
            home = re.match(r"f?'flaskprof\.(\w+)", ast.unparse(node.args[0]))
            if home:
                yield node.lineno, home[1]


def upward_imports(part: str, source: str) -> list[str]:
    """Describe each import that does not run downwards."""
    tree = ast.parse(source)
    return [
        f"line {line}: {part} imports {target}"
        for line, target in (*imported_parts(tree), *late_parts(tree))
        if target != part and LAYER_OF.get(target, len(LAYERS)) >= LAYER_OF[part]
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path != PACKAGE / "__init__.py"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_imports_run_strictly_downwards(path):
    part = part_of(path)
    assert part in LAYER_OF, f"{part} is in no layer: say in LAYERS where it belongs"
    assert upward_imports(part, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import flaskprof.cli",
        "from flaskprof.capture.engines import Engine",
        "from flaskprof import FlaskProf",
        "def late():\n    from flaskprof.web.app import Viewer",
        "if TYPE_CHECKING:\n    from flaskprof.wsgi import ProfilerMiddleware",
        "from flaskprof.metrics import registry",
        "show = Late('flaskprof.web.views.route:route')",
    ],
)
def test_an_import_that_does_not_run_downwards_is_found(source):
    assert len(upward_imports("store", source)) == 1


def test_the_public_names_are_resolved_on_first_use_only():
    source = (PACKAGE / "__init__.py").read_text("utf-8")
    at_import = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in at_import} == {"__future__", "importlib", "typing"}


@pytest.mark.xfail(
    importlib.util.find_spec("flaskprof.wsgi") is None, reason="there is no middleware yet"
)
def test_a_process_without_flask_does_not_import_its_application_machinery():
    script = (
        "import sys, flaskprof\n"
        "from flaskprof import ProfilerMiddleware\n"
        "from flaskprof.wsgi import ProfilerMiddleware as same\n"
        "assert ProfilerMiddleware is same\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] == 'flask'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
