"""Programs of the system that some tests need, and what brings them.

A test asks for its program by name and skips where it is not installed, saying which
Debian package brings it::

    nginx = needs_program("nginx")

``.ci/run`` installs them all (``python tests/needs.py`` prints the packages that are
missing) and sets ``REQUIRE_TEST_PROGRAMS=1``, under which a missing program fails the
test instead. A program that a test wants is a row of the table.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

# Programs by name, and the Debian package of each.
PACKAGES = {
    "callgrind_annotate": "valgrind",
    "chromium": "chromium",
    "curl": "curl",
    "go": "golang-go",
    "nginx": "nginx",
    "node": "nodejs",
    "npm": "npm",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}


def find_program(name: str) -> str | None:
    """The path of a program; Debian keeps some of them out of a user's search path."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=places)


def needs_program(name: str) -> str:
    """Return the path of the program; skips the test, or fails it in CI, without it."""
    import pytest

    package = PACKAGES[name]
    path = find_program(name)
    if path is None:
        missing = f"{name} is not installed: apt-get install {package}"
        give_up = pytest.fail if os.environ.get("REQUIRE_TEST_PROGRAMS") == "1" else pytest.skip
        give_up(missing)
    return path


def needs_module(name: str) -> None:
    """Skip the test, or the module that asks, where a module is not there; never import it.

    gevent changes what the engines do in a process by being imported.
    """
    import pytest

    if importlib.util.find_spec(name) is None:
        missing = f"{name} is not installed: pip install {name}"
        if os.environ.get("REQUIRE_TEST_PROGRAMS") == "1":
            pytest.fail(missing)
        pytest.skip(missing, allow_module_level=True)


if __name__ == "__main__":
    for program, its_package in PACKAGES.items():
        if find_program(program) is None:
            print(its_package)
