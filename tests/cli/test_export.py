"""`flaskprof export`: the bytes of a profile, and nothing overwritten by accident."""

import pstats


def test_the_file_is_the_profile(command, save, profile, tmp_path):
    save()
    run = command("export", "latest", "-o", "out.prof")
    assert (run.code, run.output) == (0, "")
    assert run.errors == f"out.prof: {len(profile):,} bytes\n"
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
