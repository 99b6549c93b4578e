"""A data directory belongs to one service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from flaskprof.store.owner import claim, owner_of


def test_the_first_service_with_a_name_owns_the_directory(tmp_path):
    data = tmp_path / "data"
    assert owner_of(data) == ""
    assert claim(data, "") == ""
    assert not data.exists()
    assert claim(data, "shop") == ""
    assert claim(data, "billing") == "shop"
    assert claim(data, "") == claim(data, "shop") == ""
    assert owner_of(data) == "shop"
    assert sorted(path.name for path in data.iterdir()) == [".gitignore", "service"]
    assert data.stat().st_mode & 0o777 == 0o700


def test_of_many_that_claim_at_once_one_owns_it(tmp_path):
    names = [f"service {number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        rivals = set(pool.map(lambda name: claim(tmp_path / "data", name), names))
    owner = owner_of(tmp_path / "data")
    assert owner in names
    assert rivals == {"", owner}
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        ".gitignore",
        "service",
    ]


def test_a_name_may_be_any_text(tmp_path):
    name = "käse-\udcff"
    assert claim(tmp_path, name) == claim(tmp_path, name) == ""
    assert claim(tmp_path, "other") == "käse-?"


def test_where_it_cannot_be_written_that_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        claim(tmp_path / "file" / "data", "shop")
