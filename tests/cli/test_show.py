"""`flaskprof show`: which capture is meant, and where its time went."""

import json
import pstats
import time

import pytest

from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile


def test_the_functions_of_a_capture_are_shown(command, save):
    record = save(route="/orders", notes=("a note",))
    run = command("show", record.id)
    assert (run.code, run.errors) == (0, "")
    lines = run.output.splitlines()
    assert lines[0] == f"GET /orders  {record.id}"
    assert lines[1].endswith("status 200, 250 ms, trigger header, exact")
    assert lines[2] == "a note"
    assert lines[3].startswith("12 calls of 3 functions in ")
    per_call = ["%", "per", "call"]
    assert lines[5].split() == [
        *("Calls", "Self", *per_call),
        *("Cumulative", *per_call),
        "Function",
    ]
    (work,) = [line for line in lines if line.endswith("(work)")]
    assert work.split()[0] == "1"
    (builtin,) = [line for line in lines if line.endswith("{built-in method builtins.abs}")]
    assert builtin.split()[0] == "10"


def test_a_capture_is_named_by_id_prefix_uuid_latest_or_file(command, save, profile, tmp_path):
    old = save(time.time() - 3600)
    new = save()
    (tmp_path / "my.prof").write_bytes(profile)
    uuid = f"{old.id[:8]}-{old.id[8:12]}-{old.id[12:16]}-{old.id[16:20]}-{old.id[20:]}"
    for reference, expected in {
        old.id: old.id,
        old.id[:8]: old.id,
        old.id[:20].upper(): old.id,
        uuid: old.id,
        "latest": new.id,
    }.items():
        data = json.loads(command("show", reference, "--json").output)
        assert data["capture"]["id"] == expected
    data = json.loads(command("show", "my.prof", "--json").output)
    assert (data["capture"]["title"], data["capture"]["trigger"]) == ("my.prof", "file")


def test_a_prefix_of_several_captures_is_refused_with_their_ids(command, save):
    moment = time.time()
    first, second = sorted(save(moment).id for _ in range(2))
    run = command("show", first[:12])
    assert run.code == 4
    assert run.errors == (
        f"flaskprof: 2 captures begin with {first[:12]}: give more digits of one of "
        f"{first}, {second}\n"
    )


@pytest.mark.parametrize(
    "reference", ["0" * 8, "0123456", "0" * 32, "f" * 12 + "7fff8" + "f" * 15]
)
def test_a_capture_that_is_not_there_is_one_line(command, save, reference):
    save()
    run = command("show", reference)
    assert (run.code, run.output, run.errors.count("\n")) == (4, "", 1)


def test_order_and_rows_are_as_asked(command, save):
    save()
    run = command("show", "latest", "--sort", "calls", "--limit", "1")
    rows = run.output.split("Function\n")[1].splitlines()
    assert rows[0].endswith("{built-in method builtins.abs}")
    assert rows[1:] == [
        "",
        "1 of 3 functions by calls, limited to 1; --sort and --limit show others.",
    ]
    run = command("show", "latest", FLASKPROF_SORT_BY="calls", FLASKPROF_RESTRICTIONS="work")
    assert "(work)" in run.output
    assert "builtins.abs" not in run.output


def test_json_agrees_with_pstats_to_the_last_digit(command, save, profile, tmp_path):
    save()
    data = json.loads(command("show", "latest", "--json").output)
    path = tmp_path / "copy.prof"
    path.write_bytes(profile)
    expected = {
        key: (calls, primitive, self_seconds, cumulative)
        for key, (primitive, calls, self_seconds, cumulative, _) in (
            pstats.Stats(str(path)).stats.items()
        )
    }
    assert {
        (row["file"], row["line"], row["name"]): (
            row["calls"],
            row["primitive_calls"],
            row["self_seconds"],
            row["cumulative_seconds"],
        )
        for row in data["functions"]
    } == expected
    assert data["total_calls"] == 12
    assert data["total_seconds"] == read_profile(profile).total_seconds


def test_a_damaged_profile_is_one_line(command, save):
    record = save(content=b"no profile")
    run = command("show", record.id)
    assert (run.code, run.output, run.errors.count("\n")) == (3, "", 1)
    assert record.id in run.errors


def test_the_terminal_is_safe_from_the_names_in_a_profile(command):
    from pathlib import Path

    hostile = Path(__file__).parents[1] / "data/hostile/xss.prof"
    run = command("show", str(hostile), COLUMNS="80")
    assert run.code == 0
    assert all(line.isprintable() for line in run.output.splitlines())
    assert all(len(line) <= 80 for line in run.output.splitlines()[4:])


def test_callers_and_callees_stand_below_each_function(command, save):
    save()
    run = command("show", "latest", "--limit", "builtins.abs", "--callers")
    table = [line.split() for line in run.output.partition("Cumulative  ")[2].splitlines()]
    assert (table[1][0], table[1][-1]) == ("10", "builtins.abs}")
    assert (table[2][0], table[2][-2]) == ("10", "<-")
    assert table[2][-1].endswith("(work)")
    run = command("show", "latest", "--limit", r"\(work\)", "--callees")
    (edge,) = [line for line in run.output.splitlines() if " -> " in line]
    assert edge.split()[0] == "10"
    assert edge.endswith("-> {built-in method builtins.abs}")


def test_json_has_the_callers_that_pstats_has(command, save, profile, tmp_path):
    save()
    path = tmp_path / "copy.prof"
    path.write_bytes(profile)
    data = json.loads(command("show", "latest", "--json", "--callers").output)
    found = {
        (row["file"], row["line"], row["name"]): {
            (edge["file"], edge["line"], edge["name"]): (
                edge["calls"],
                edge["primitive_calls"],
                edge["self_seconds"],
                edge["cumulative_seconds"],
            )
            for edge in row["callers"]
        }
        for row in data["functions"]
    }
    assert found == {key: of[4] for key, of in pstats.Stats(str(path)).stats.items()}
    data = json.loads(command("show", "latest", "--json", "--callees").output)
    assert {row["name"]: len(row["callees"]) for row in data["functions"]}["work"] == 1


def test_folders_are_left_out_on_request(command, save):
    save()
    run = command("show", "latest", "--strip", "--json")
    files = {row["file"] for row in json.loads(run.output)["functions"]}
    assert files == {"~", "conftest.py"}


def test_limits_are_applied_in_the_order_in_which_they_are_given(command, save):
    save()
    for limits, left in {
        ("--limit", "work", "--limit", "1"): ["work"],
        ("--limit", "1", "--limit", r"\(nobody\)"): [],
        ("--limit", r"a{1,2}bs, 1"): ["<built-in method builtins.abs>"],
    }.items():
        data = json.loads(command("show", "latest", "--json", *limits).output)
        assert [row["name"] for row in data["functions"]] == left
    run = command("show", "latest", "--limit", "nobody", "--limit", "3")
    assert run.output.splitlines()[-1] == "None of 3 functions is left by the limit nobody, 3."


def test_the_beginning_of_a_sort_key_is_enough_where_it_tells(command, save):
    save()
    run = command("show", "latest", "--sort", "cum", "--sort", "nc")
    assert run.output.splitlines()[-1] == "All 3 functions by cumulative time, calls."
    run = command("show", "latest", "--sort", "c")
    assert run.code == 2
    assert run.errors.startswith("flaskprof: --sort: 'c' is not a list of cumtime, ")


def test_callers_and_callees_are_shown_together_on_request(command, save):
    save()
    run = command("show", "latest", "--sort", "calls", "--limit", "2", "--callers", "--callees")
    table = run.output.partition("Function\n")[2].splitlines()
    first, by, between, second, *of_second = (line.rpartition("  ")[2] for line in table[:6])
    assert (first, by[:3], between) == ("{built-in method builtins.abs}", "<- ", "")
    assert second
    assert all(line[:3] in ("<- ", "-> ", "") for line in of_second)
    data = json.loads(command("show", "latest", "--json", "--callers", "--callees").output)[
        "functions"
    ]
    (work,) = [row for row in data if row["name"] == "work"]
    assert (len(work["callers"]), len(work["callees"])) == (0, 1)


def test_columns_that_are_spare_are_left_out_of_a_narrow_terminal(command, save):
    save()
    narrow = command("show", "latest", COLUMNS="60").output.splitlines()
    wide = command("show", "latest", COLUMNS="120").output.splitlines()
    assert "per call" not in narrow[4]
    assert wide[4].count("per call") == 2
    assert max(map(len, narrow[4:8])) <= 60


def test_files_below_the_working_directory_are_shown_from_there(command, tmp_path):
    source = tmp_path / "shop" / "deep" / "er" / "cart.py"
    function = Function(str(source), 7, "price")
    graph = CallGraph({function: FunctionStats(Sums(1, 1, 1.0, 1.0))})
    (tmp_path / "my.prof").write_bytes(write_profile(graph))
    run = command("show", "my.prof")
    assert "  shop/deep/er/cart.py:7(price)" in run.output


def test_a_folder_or_a_device_is_no_file_and_is_called_what_it_is(command, tmp_path):
    (tmp_path / "night").mkdir()
    run = command("show", "night")
    assert (run.code, run.output) == (4, "")
    assert run.errors == (
        "flaskprof: night is a folder: name a file in it, or look at all of them with "
        "flaskprof open night\n"
    )
    run = command("show", "/dev/null")
    assert run.errors == (
        "flaskprof: /dev/null is no regular file: save its content as one first\n"
    )


def test_what_recording_took_is_said(command, save):
    save(overhead_seconds=0.05)
    run = command("show", "latest")
    assert "250 ms (≈ 50.0 ms of it recording), trigger header" in run.output.splitlines()[1]


def test_a_format_without_calls_does_not_count_them(command, tmp_path):
    (tmp_path / "my.folded").write_text("a;b 7\n")
    lines = command("show", "my.folded").output.splitlines()
    assert lines[0] == "my.folded"
    assert lines[1].startswith("changed ")
    assert lines[2] == "2 functions in 7.00 ns"
    assert "\N{EN DASH}" in lines[5]


def test_a_profile_can_be_piped_in(command, profile, tmp_path):
    run = command("show", "-", "--json", stdin=profile, TMPDIR=str(tmp_path))
    data = json.loads(run.output)
    assert (data["capture"]["title"], data["total_calls"]) == ("standard input", 12)
    assert list(tmp_path.glob("flaskprof-*")) == []
    run = command("show", "-", stdin=b"no profile")
    assert (run.code, run.output, run.errors.count("\n")) == (3, "", 1)
    run = command("diff", "-", "-", stdin=profile)
    assert "Nothing changed" in run.output
    run = command("export", "-", "-o", "-", "--format", "collapsed", stdin=profile)
    assert "work" in run.output
