"""Flask's own tests, with flaskprof in every application that they make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile

import pytest

from flaskprof.store import CaptureQuery
from flaskprof.store.directory import DirectoryStore
from servers import APPS

pytestmark = pytest.mark.timeout(600)

FLASK = "flask==3.1.3"
PYTEST = "pytest==8.4.2"  # what these tests of Flask were written for
TESTS = 450  # at least so many of them run
# And so many captures are made where each request asks for one: tests that leave responses
# open, or come faster than captures are written, get none.
CAPTURES = 100

# What does not pass, and why.
EXCEPTIONS = {
    # An application whose `wsgi_app` is wrapped, as Flask's documentation shows it, holds
    # a wrapper that holds the application: it is freed when garbage is collected, not as
    # soon as nobody else holds it.
    "tests/test_basic.py::test_app_freed_on_zero_refcount",
}


# What is not run where each request is captured, and why.
UNCAPTURED = (
    # It compares Cache-Control: the answer to a captured request must not be kept.
    "tests/test_blueprints.py::test_templates_and_static",
)


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Flask's source distribution, and a directory with that Flask and its pytest."""
    directory = tmp_path_factory.mktemp("flask")
    pip("download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(directory), FLASK)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    site = directory / "site"
    pip("install", "-q", "--no-deps", "--target", str(site), FLASK, PYTEST)
    return archive.with_suffix("").with_suffix(""), site


@pytest.fixture(scope="module")
def run(suite, tmp_path_factory):
    """Run the tests in a mode of `everywhere`; gives their outcomes and the data directory."""
    source, site = suite

    def run(mode):
        place = tmp_path_factory.mktemp(mode)
        outcomes = place / "outcomes.json"
        known = {key: value for key, value in os.environ.items() if "FLASK" not in key}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "everywhere"),
                *("-p", "no:cacheprovider", "tests"),
                *(f"--deselect={test}" for test in UNCAPTURED if mode == "captured"),
            ],
            capture_output=True,
            cwd=source,
            env={
                **known,
                "EVERYWHERE": mode,
                "FLASKPROF_DIR": str(place / "data"),
                "OUTCOMES": str(outcomes),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": os.pathsep.join(map(str, [site, APPS, *sys.path])),
            },
            text=True,
            timeout=500,
        )
        assert outcomes.exists(), done.stdout + done.stderr
        return json.loads(outcomes.read_text()), place / "data"

    return run


@pytest.fixture(scope="module")
def bare(run):
    outcomes, data = run("bare")
    assert not data.exists()
    assert list(outcomes.values()).count("passed") >= TESTS
    return outcomes


@pytest.mark.parametrize("mode", ["installed", "captured"])
def test_the_same_tests_pass_as_without_flaskprof(bare, run, mode):
    outcomes, data = run(mode)
    left_out = UNCAPTURED if mode == "captured" else ()
    assert list(outcomes) == [name for name in bare if name not in left_out]
    differing = {name for name, outcome in outcomes.items() if outcome != bare[name]}
    assert differing == EXCEPTIONS
    assert (data / "metrics").is_dir()
    captures = DirectoryStore(data).list(CaptureQuery(limit=1)).matching
    if mode == "captured":
        assert captures >= CAPTURES
    else:
        assert captures == 0
