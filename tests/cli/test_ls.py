"""`flaskprof ls`: the list, its filters, and what other programs read of it."""

import json
import time


def columns(run):
    return [line.split() for line in run.output.splitlines()]


def test_captures_are_listed_newest_first(command, save):
    old = save(time.time() - 7 * 24 * 3600, route="/old", duration_seconds=1.5)
    new = save(route="/new", method="POST", status=500, duration_seconds=0.0123)
    heading, *rows = columns(command("ls"))
    assert heading == ["ID", "Started", "Method", "Route", "Status", "Duration", "Trigger"]
    assert [row[0] for row in rows] == [new.id[:12], old.id[:12]]
    assert rows[0][2:] == ["POST", "/new", "500", "12.3", "ms", "header"]
    assert rows[1][3:] == ["GET", "/old", "200", "1.50", "s", "header"]


def test_the_digits_that_are_shown_name_one_capture(command, save):
    moment = time.time()
    records = [save(moment, route=f"/{number}") for number in range(5)]
    rows = columns(command("ls"))[1:]
    assert len({row[0] for row in rows}) == 5
    by_route = {f"/{number}": record.id for number, record in enumerate(records)}
    for row in rows:
        assert by_route[row[3]].startswith(row[0])


def test_filters_are_exact_and_the_rest_is_counted(command, save):
    for number in range(3):
        save(route="/a", trigger="slow")
        save(route="/b", method="POST", title=f"title {number}")
    assert len(columns(command("ls", "--route", "/a"))) == 4
    assert len(columns(command("ls", "--method", "POST"))) == 4
    assert len(columns(command("ls", "--trigger", "slow", "--route", "/b"))) == 0
    run = command("ls", "--limit", "2")
    assert run.output.splitlines()[-1] == "The newest 2 of 6: --limit shows more."


def test_json_has_the_whole_records(command, save):
    record = save(duration_seconds=0.123456789, notes=("a note",))
    data = json.loads(command("ls", "--json").output)
    assert data["matching"] == 1
    (capture,) = data["captures"]
    assert capture["id"] == record.id
    assert capture["duration_seconds"] == 0.123456789
    assert capture["notes"] == ["a note"]


def test_where_there_is_nothing_it_says_so_beside_the_output(command, save, tmp_path):
    run = command("ls")
    assert (run.code, run.output) == (0, "")
    assert run.errors == f"There is no capture in {tmp_path / '.flaskprof'} yet.\n"
    assert not (tmp_path / ".flaskprof").exists()
    save()
    run = command("ls", "--route", "/other")
    assert run.errors == f"No capture in {tmp_path / '.flaskprof'} matches.\n"


def test_the_table_fits_the_terminal(command, save):
    save(route="/" + "long" * 50)
    lines = command("ls", COLUMNS="80").output.splitlines()
    assert max(len(line) for line in lines) == 80
    assert any("long" * 50 in line for line in command("ls").output.splitlines())


def test_a_hostile_route_is_shown_harmless(command, save):
    save(route="/\x1b[2J\n\u202e")
    run = command("ls")
    assert r"/\x1b[2J\n\u202e" in run.output
    assert len(run.output.splitlines()) == 2
