"""`flaskprof export`: the bytes of a profile, and nothing overwritten by accident."""

import pstats
from array import array

import pytest

from flaskprof.formats import FORMATS
from flaskprof.profiles.estimate import ESTIMATED
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.sums import call_graph
from flaskprof.store.directory import DirectoryStore


def test_the_file_is_the_profile(command, save, profile, tmp_path):
    save()
    run = command("export", "latest", "-o", "out.prof")
    assert (run.code, run.output) == (0, "")
    assert run.errors == (
        f"out.prof: {len(profile):,} bytes, for pstats, snakeviz and gprof2dot\n"
    )
    assert (tmp_path / "out.prof").read_bytes() == profile
    assert pstats.Stats(str(tmp_path / "out.prof")).total_calls == 12


def test_a_dash_is_standard_output(command, save, profile):
    save()
    run = command("export", "latest", "-o", "-", encoding=None)
    assert (run.code, run.output, run.errors) == (0, profile, "")


def test_a_file_is_overwritten_only_by_force(command, save, profile, tmp_path):
    save()
    (tmp_path / "out.prof").write_text("mine")
    run = command("export", "latest", "-o", "out.prof")
    assert (run.code, run.output) == (5, "")
    assert run.errors == "flaskprof: out.prof exists already: --force overwrites it\n"
    assert (tmp_path / "out.prof").read_text() == "mine"
    assert command("export", "latest", "-o", "out.prof", "--force").code == 0
    assert (tmp_path / "out.prof").read_bytes() == profile


def test_where_it_cannot_be_written_is_one_line(command, save):
    save()
    run = command("export", "latest", "-o", "no/such/folder.prof")
    assert run.code == 5
    assert run.errors == (
        "flaskprof: no/such/folder.prof cannot be written: No such file or directory\n"
    )


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_the_end_of_the_name_says_the_format(command, save, tmp_path, row):
    save()
    path = f"out{row.suffix}"
    assert command("export", "latest", "-o", path).code == 0
    assert command("export", "latest", "-o", "same", "--format", row.name).code == 0
    written = (tmp_path / path).read_bytes()
    assert written == (tmp_path / "same").read_bytes()
    if row.read is not None:
        assert any(f.name == "work" for f in call_graph(row.read(written)).functions)
    else:
        assert b"work" in written


def test_whole_stacks_are_exported_as_they_were_recorded(command, save, tmp_path):
    record = save(has_stacks=True)
    tree = CallTree(
        (Function("/srv/a.py", 1, "f"),), *(array("q", [value]) for value in (-1, 0, 1, 7))
    )
    DirectoryStore(tmp_path / ".flaskprof").save(
        record, {".prof": b"", ".pb.gz": FORMATS["pprof"].write(tree, record)}
    )
    run = command("export", record.id, "-o", "-", "--format", "collapsed")
    assert (run.code, run.output) == (0, "f (/srv/a.py:1) 7\n")


def test_stacks_that_were_not_recorded_are_called_estimated(command, save):
    save()
    run = command("export", "latest", "-o", "-", "--format", "collapsed")
    assert run.code == 0
    assert {line.split(";")[0] for line in run.output.splitlines()} == {ESTIMATED.name}


def test_another_format_of_a_damaged_profile_is_one_line(command, save):
    record = save(content=b"no profile")
    run = command("export", record.id, "-o", "x.callgrind")
    assert (run.code, run.output, run.errors.count("\n")) == (3, "", 1)
    assert record.id in run.errors
