"""Source is shown of files that a profile names and that lie where it is allowed, no others."""

import os
import sys
from pathlib import Path

import pytest

from flaskprof.web.source import (
    Block,
    SourceRefused,
    block_of,
    coloured,
    lines_of,
    read_source,
    roots_of,
)

TEXT = '''\
import functools


@functools.cache
def price(item):
    """What it costs."""
    return [n for n in range(item)]  # in all


class Cart:
    def add(self, item):
        def inner():
            return 1
        return inner() + len("x")


total = lambda: 3
'''


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "app"
    root.mkdir()
    (root / "shop.py").write_text(TEXT)
    (tmp_path / "secret.py").write_text("KEY = 1")
    return root


def test_a_file_below_an_allowed_folder_is_read(root):
    assert read_source(str(root / "shop.py"), [root]) == TEXT


def test_a_relative_path_is_looked_for_in_each_folder_and_has_to_hold_the_function(
    root, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "shop.py").write_text("def unlike():\n    pass\n")
    (other / "link.py").symlink_to(tmp_path / "secret.py")
    roots = [other, root]
    assert read_source("shop.py", roots, "price", 4) == TEXT
    assert read_source("shop.py", roots, "unlike", 1).startswith("def unlike")
    assert read_source("./shop.py", [root], "add", 11) == TEXT
    assert "FLASKPROF_SOURCE" in refused("shop.py", [other], "price", 4)
    assert "KEY" not in refused("link.py", roots)
    assert "KEY" not in refused("../secret.py", roots)


def refused(file, roots, *block):
    with pytest.raises(SourceRefused) as caught:
        read_source(str(file), roots, *block)
    return str(caught.value)


def test_nothing_is_read_where_no_folder_is_allowed(root):
    assert "FLASKPROF_SOURCE" in refused(root / "shop.py", [])


def test_what_lies_elsewhere_is_refused_whatever_leads_there(root, tmp_path):
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    (root / "folder").symlink_to(tmp_path)
    for file in (
        tmp_path / "secret.py",
        root / "link.py",
        root / "folder" / "secret.py",
        Path(f"{root}/../secret.py"),
        Path(f"{root}/x/../../secret.py"),
        tmp_path / "app-and-more" / "shop.py",
    ):
        assert "KEY" not in refused(file, [root])


@pytest.mark.parametrize(
    "file",
    ["", "~", "./nowhere.py", "<string>", "/nowhere/at.py", "\0.py", "/a\0.py",
     "/" + "x" * 5000 + ".py", "/lone\udc80.py", "/etc/passwd", "/proc/self/environ",
     "/dev/zero", "C:\\shop.py"],
)  # fmt: skip
def test_what_is_no_source_file_is_refused(root, file):
    assert refused(file, [root, Path("/etc"), Path("/dev"), Path("/proc")])


def test_a_device_a_folder_a_pipe_and_a_huge_file_are_refused_at_once(root):
    os.mkfifo(root / "pipe.py")
    (root / "folder.py").mkdir()
    (root / "zero.py").symlink_to("/dev/zero")
    with (root / "huge.py").open("wb") as file:
        file.truncate(3 * 2**20)
    assert "regular" in refused(root / "pipe.py", [root])
    assert refused(root / "folder.py", [root])
    assert refused(root / "zero.py", [root, Path("/dev")])
    assert "larger" in refused(root / "huge.py", [root])


def test_a_file_of_another_encoding_and_one_of_none_are_read(root):
    (root / "latin.py").write_bytes("# coding: latin-1\nname = 'ö'\n".encode("latin-1"))
    (root / "bad.py").write_bytes(b"# coding: nonsense\nx = '\xff'\n")
    assert "'ö'" in read_source(str(root / "latin.py"), [root])
    assert "x = '\N{REPLACEMENT CHARACTER}'" in read_source(str(root / "bad.py"), [root])


def test_development_allows_the_application_and_what_is_installed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    roots = roots_of(["auto"], is_development=True)
    assert tmp_path.resolve() in roots
    assert any(Path(os.__file__).resolve().is_relative_to(root) for root in roots)
    assert any(Path(pytest.__file__).resolve().is_relative_to(root) for root in roots)
    assert roots_of(["auto"], is_development=False) == ()
    assert roots_of(["off"], is_development=True) == ()
    assert roots_of([str(tmp_path)], is_development=False) == (tmp_path.resolve(),)


@pytest.mark.parametrize(
    ("line", "block"),
    [(4, (4, 7)), (7, (7, 7)), (11, (11, 14)), (12, (12, 13)), (10, (10, 14)), (17, (17, 17)),
     (0, (1, 18)), (2, (2, 18))],
)  # fmt: skip
def test_a_block_is_that_of_the_function_that_begins_at_the_line(line, block):
    assert block_of(TEXT, line) == Block(*block)


@pytest.mark.parametrize("text", ["def f(:\n" * 3, "x = " + "(" * 5000, "\0", "-" * 200_000])
def test_what_is_no_python_has_a_block_too(text):
    assert block_of(text, 1).first == 1


def test_each_line_comes_back_in_coloured_pieces():
    lines = lines_of(TEXT)
    found = list(coloured(lines))
    assert ["".join(text for _, text in pieces) for pieces in found] == lines
    assert ("keyword", "def") in found[4]
    assert ("name", "price") in found[4]
    assert found[5][-1] == ("string", '"""What it costs."""')
    assert ("comment", "# in all") in found[6]


def test_without_pygments_lines_are_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygments.lexers.python", None)
    assert list(coloured(["def f():", "\treturn 1"])) == [
        [("", "def f():")],
        [("", "    return 1")],
    ]


def test_what_cannot_be_seen_is_written_out_and_long_lines_are_cut():
    (rtl, long) = coloured(["x = '\u202e'", "y" * 10_000])
    assert "".join(text for _, text in rtl) == "x = '\\u202e'"
    assert "".join(text for _, text in long) == "y" * 400 + "…"
    ((whole,),) = coloured(["y" * 400])
    assert whole[1] == "y" * 400
