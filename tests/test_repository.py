"""The repository is the same on every machine and speaks of the product alone."""

from __future__ import annotations

import re

import pytest

from checkout import ROOT, files_of_checkout

# Written so that no pattern matches its own text here.
UNWANTED = {
    "a path of somebody's machine": rb"/[r]oot/|/work/[a-z]|/opt/(pypi|wheels)",
    "a registry by its host": rb"pypi\.org|pythonhosted\.|npmjs\.(com|org)|deb\.debian\.",
    "work left over": rb"\b(TODO|FIX[M]E)\b(?!\|)",
    "notes that are not part of the repository": rb"\b(DESIGN|STYLE|BRIEF)\.md|\.\./shared",
    "a conflict that was not resolved": rb"(?m)^(<{7}|>{7}) ",
}


@pytest.mark.parametrize("what", UNWANTED)
def test_no_file_holds(what):
    pattern = re.compile(UNWANTED[what])
    files = files_of_checkout()
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in files
        if (match := pattern.search(path.read_bytes()))
    ]
    assert found == []
