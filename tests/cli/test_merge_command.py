"""`flaskprof merge`: the sum of files and captures, in whatever format."""

import pstats
from array import array

from flaskprof.formats import FORMATS
from flaskprof.formats.pprof import read_pprof
from flaskprof.ids import new_capture_id
from flaskprof.profiles.model import CallTree, Function
from flaskprof.record import CaptureRecord

TREE = CallTree((Function("/srv/a.py", 1, "f"),), *(array("q", [n]) for n in (-1, 0, 2, 7)))


def test_files_and_captures_are_added_up(command, save, profile, tmp_path):
    save()
    (tmp_path / "one.prof").write_bytes(profile)
    run = command("merge", "one.prof", "latest", "latest", "-o", "sum.prof")
    assert (run.code, run.output) == (0, "")
    found = pstats.Stats(str(tmp_path / "sum.prof"))
    expected = pstats.Stats(*[str(tmp_path / "one.prof")] * 3)
    assert found.total_calls == expected.total_calls == 36
    assert abs(found.total_tt - expected.total_tt) < 1e-12


def test_whole_stacks_stay_whole(command, tmp_path):
    row = FORMATS["pprof"]
    for number in (1, 2):
        record = CaptureRecord(
            id=new_capture_id(number), started=number, duration_seconds=1.0, route="/x"
        )
        (tmp_path / f"{number}.pb.gz").write_bytes(row.write(TREE, record))
    assert command("merge", "1.pb.gz", "2.pb.gz", "-o", "sum.pb.gz").code == 0
    read = read_pprof((tmp_path / "sum.pb.gz").read_bytes())
    assert (read.functions, list(read.calls), list(read.self_ns)) == (TREE.functions, [4], [14])


def test_exact_and_sampled_profiles_are_not_added_up(command, profile, tmp_path):
    (tmp_path / "one.prof").write_bytes(profile)
    (tmp_path / "two.collapsed").write_text("a;b 1\n")
    run = command("merge", "one.prof", "two.collapsed", "-o", "sum.prof")
    assert (run.code, run.errors.count("\n")) == (2, 1)
    assert "cannot be added up" in run.errors
    assert not (tmp_path / "sum.prof").exists()


def test_a_file_is_overwritten_only_by_force(command, profile, tmp_path):
    (tmp_path / "one.prof").write_bytes(profile)
    assert command("merge", "one.prof", "-o", "one.prof").code == 5
    assert (tmp_path / "one.prof").read_bytes() == profile
    assert command("merge", "one.prof", "one.prof", "-o", "one.prof", "--force").code == 0
    assert pstats.Stats(str(tmp_path / "one.prof")).total_calls == 24
