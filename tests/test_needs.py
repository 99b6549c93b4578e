"""A test never passes over a missing program in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import needs


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setitem(needs.PACKAGES, "no-such-program", "some-package")
    return "no-such-program"


def test_a_missing_program_skips_and_names_its_package(missing, monkeypatch):
    monkeypatch.delenv("REQUIRE_TEST_PROGRAMS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        needs.needs_program(missing)


def test_a_missing_program_fails_where_none_may_be_missing(missing, monkeypatch):
    monkeypatch.setenv("REQUIRE_TEST_PROGRAMS", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        needs.needs_program(missing)


def test_a_program_that_is_there_is_returned_as_a_path(monkeypatch):
    monkeypatch.setitem(needs.PACKAGES, "sh", "dash")
    assert Path(needs.needs_program("sh")).name == "sh"


def test_the_packages_of_missing_programs_are_printed_for_ci():
    done = subprocess.run(
        [sys.executable, needs.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    absent = {needs.PACKAGES[name] for name in needs.PACKAGES if not needs.find_program(name)}
    assert set(done.stdout.split()) == absent
