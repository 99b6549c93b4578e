"""Where the extension cannot be built flaskprof is installed all the same, and says why."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import environ

pytest.importorskip("setuptools", minversion="77")

CHECKOUT = Path(__file__).parents[2]

WHICH = """
import os, flaskprof
assert flaskprof.__file__.startswith(os.environ["PLACE"]), flaskprof.__file__
from flaskprof.capture.availability import why_no_calltree
print(why_no_calltree())
"""


@pytest.fixture
def build(tmp_path):
    """Return a function that builds a copy of the checkout and says what became of it."""
    if not (CHECKOUT / "setup.py").exists():
        pytest.skip("these tests run without a checkout")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(CHECKOUT / "flaskprof", source / "flaskprof", ignore=ignore)

    def built(**settings):
        place = tmp_path / "built"
        done = subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build", "--build-lib", place],
            env={**environ(), **settings},
            cwd=source,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        which = subprocess.run(
            [sys.executable, "-P", "-c", WHICH],
            env={**environ(), "PYTHONPATH": str(place), "PLACE": str(place)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert which.returncode == 0, which.stderr
        assert not list(place.rglob("*.c"))
        return list(place.rglob("*.so")), which.stdout.strip()

    return built


REASON = (
    "its extension was not built: flaskprof was installed without a C compiler, or for another "
    "interpreter"
)


@pytest.mark.parametrize("settings", [{"CC": "false"}, {"FLASKPROF_NO_EXTENSION": "1"}])
def test_without_a_compiler_the_rest_is_built_and_says_why(build, settings):
    assert build(**settings) == ([], REASON)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_with_a_compiler_all_is_built_without_a_warning(build):
    extensions, why = build(FLASKPROF_CFLAGS="-Wall -Wextra -Werror -std=c11")
    names = sorted(extension.name.partition(".")[0] for extension in extensions)
    assert names == ["_calltree", "_marshal", "_request"]
    assert why == "None"
