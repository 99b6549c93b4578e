"""`flaskprof open` and `flaskprof demo`: real servers, asked over HTTP."""

import http.client
import json
import marshal
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from needs import needs_module


@contextmanager
def running(tmp_path, *args, program=("-m", "flaskprof"), **environ):
    """Run a command that serves; yields its process, port and the lines before the port."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FLASKPROF_")
    }
    process = subprocess.Popen(
        [sys.executable, *program, *args],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
        | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell may have started the tests with Control-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(  # noqa: PLW1509  no lock is taken in between
            signal.SIGINT, signal.SIG_DFL
        ),
    )
    # Its lines are taken as they come, so that it never waits for room in the pipe.
    errors = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr))
    reader.start()
    try:
        said = ""
        found = None
        while found is None and (line := process.stdout.readline()):
            said += line
            found = re.search(r"http://127\.0\.0\.1:(\d+)(\S*)", line)
        assert found, said
        yield process, int(found[1]), found[2]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()
        reader.join()
        process.stderr.close()
    assert not any("Traceback" in line for line in errors), "".join(errors)


def get(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_file_whose_stacks_cannot_be_drawn_is_served_with_its_table(tmp_path):
    long = {("app.py", 1, "eternal"): (1, 1, 1e11, 1e11, {})}
    (tmp_path / "long.prof").write_bytes(marshal.dumps(long))
    with running(tmp_path, "open", "long.prof", "--no-browser") as (_, port, path):
        response, body = get(port, path + "?view=table")
        assert response.status == 200
        assert b"eternal" in body
        response, body = get(port, path + "/tree.json")
        assert response.status == 422
        assert b"292 years" in body


def test_one_file_is_opened_at_its_own_page(tmp_path, profile):
    (tmp_path / "my.prof").write_bytes(profile)
    with running(tmp_path, "open", "my.prof", "--no-browser") as (_, port, path):
        response, body = get(port, path)
        assert response.status == 200
        assert b"my.prof" in body
        assert b"builtins.abs" in body
        response, body = get(port, path + ".prof")
        assert (response.status, body) == (200, profile)


def test_several_files_are_opened_at_the_list(tmp_path, profile):
    (tmp_path / "one.prof").write_bytes(profile)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "two.prof").write_bytes(profile)
    with running(tmp_path, "open", "one.prof", "folder", "--no-browser") as (_, port, path):
        response, body = get(port, path)
        assert response.status == 200
        assert b"one.prof" in body
        assert b"two.prof" in body


def test_source_beside_a_profile_is_shown_as_a_script_that_was_recorded_names_it(tmp_path):
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    (recorded / "job.py").write_text("def work():\n    return sum(range(9))\n\n\nwork()\n")
    command = [sys.executable, "-m", "cProfile", "-o", "job.prof", "job.py"]
    subprocess.run(command, cwd=recorded, check=True)
    with running(tmp_path, "open", "recorded/job.prof", "--no-browser") as (_, port, path):
        table = get(port, f"{path}?view=table", Accept="application/json")[1]
        url = next(
            row["link"] for row in json.loads(table)["table"]["rows"] if row["name"] == "work"
        )
        source = url.replace("view=sandwich", "view=source")
        body = get(port, source, Accept="application/json")[1]
    assert json.loads(body)["source"]["first_line"] == 1
    assert json.loads(body)["source"]["last_line"] == 2


def test_two_files_are_opened_as_a_comparison_in_the_order_given(tmp_path, profile):
    for name in ("new.prof", "old.prof"):
        (tmp_path / name).write_bytes(profile)
    os.utime(tmp_path / "old.prof", (1, 1))
    with running(tmp_path, "open", "new.prof", "old.prof", "--no-browser") as (_, port, path):
        response, body = get(port, path, Accept="application/json")
        assert response.status == 200
        data = json.loads(body)
        assert [data[side]["name"] for side in ("before", "after")] == ["new.prof", "old.prof"]


def test_a_page_that_reached_loopback_by_another_name_is_refused(tmp_path, profile):
    (tmp_path / "my.prof").write_bytes(profile)
    with running(tmp_path, "open", "my.prof", "--no-browser") as (_, port, path):
        response, body = get(port, path, Host="rebound.example.com")
        assert response.status == 403
        assert b"my.prof" not in body


def test_pstats_viewer_is_open(tmp_path, profile):
    (tmp_path / "my.prof").write_bytes(profile)
    program = ("-c", "import sys; from flaskprof.cli import open_files; sys.exit(open_files())")
    with running(tmp_path, "my.prof", "--no-browser", program=program) as (_, port, path):
        assert get(port, path)[0].status == 200
    (tmp_path / "load test" / "monday").mkdir(parents=True)
    (tmp_path / "load test" / "monday" / "a.prof").write_bytes(profile)
    options = ("load test", "my.prof", "--no-browser")
    with running(tmp_path, *options, program=program) as (_, port, path):
        body = get(port, path)[1]
        assert b"a.prof" in body
        assert b"my.prof" in body


def test_the_browser_is_sent_to_the_page(tmp_path, profile):
    (tmp_path / "my.prof").write_bytes(profile)
    os.mkfifo(tmp_path / "opened")
    browser = f"sh -c 'echo %s >{tmp_path}/opened'"
    with running(tmp_path, "open", "my.prof", BROWSER=browser) as (_, port, path):
        assert (tmp_path / "opened").read_text() == f"http://127.0.0.1:{port}{path}\n"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_when_told_to(tmp_path, profile, ending):
    (tmp_path / "my.prof").write_bytes(profile)
    with running(tmp_path, "open", "my.prof", "--no-browser") as (process, port, path):
        assert get(port, path)[0].status == 200
        process.send_signal(ending)
        assert process.wait(20) == 0


@pytest.mark.parametrize("name", ["open", "demo"])
def test_a_port_that_is_taken_is_one_line(command, tmp_path, profile, name):
    (tmp_path / "my.prof").write_bytes(profile)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        files = ["my.prof", "--no-browser"] if name == "open" else []
        run = command(name, *files, "--port", str(port))
    assert (run.code, run.output) == (2, "")
    assert run.errors == (
        f"flaskprof: port {port} of 127.0.0.1 cannot be used: Address already in use; "
        "choose another with --port\n"
    )


def test_the_demo_shop_is_served_with_flaskprof_in_it(tmp_path):
    with running(tmp_path, "demo", "--port", "0") as (process, port, _):
        lines = [process.stdout.readline() for _ in range(5)]
        base = f"http://127.0.0.1:{port}"
        assert f'    curl -i -H "X-Profile: 1" {base}/heavy-computation\n' in lines
        assert f"What was captured: {base}/flaskprof/\n" in lines
        assert f"The metrics:       {base}/metrics\n" in lines
        response, _ = get(port, "/heavy-computation", **{"X-Profile": "1"})
        assert response.status == 200
        capture_id = response.headers["X-Profile-Id"]
        assert get(port, "/flaskprof/")[0].status == 200
        # Wherever it is started, its lines are shown.
        page = f"/flaskprof/c/{capture_id}"
        deadline = time.monotonic() + 20
        while get(port, page)[0].status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert b"deliveries.py" in get(port, f"{page}?view=source")[1]
        assert b"FLASKPROF_SOURCE" not in get(port, f"{page}?view=source")[1]
        response, metrics = get(port, "/metrics")
        assert b'http_route="/heavy-computation"' in metrics
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    # What was captured is on the disk, however soon the shop was stopped.
    (record,) = (tmp_path / ".flaskprof/captures").rglob("*.json")
    assert record.stem == capture_id


def test_without_sqlalchemy_the_demo_says_what_to_install(command):
    run = command("demo", "--port", "0", without="sqlalchemy")
    assert (run.code, run.output) == (2, "")
    assert run.errors == (
        "flaskprof: the demo shop needs SQLAlchemy: pip install 'flaskprof[demo]'\n"
    )


def test_snakeviz_is_started_on_a_capture_and_ended_with_us(tmp_path, profile):
    needs_module("snakeviz")
    (tmp_path / "my.prof").write_bytes(profile)
    (tmp_path / "tmp").mkdir()
    options = ("my.prof", "--no-browser", "--port", str(free_port()))
    with running(tmp_path, "snakeviz", *options, TMPDIR=str(tmp_path / "tmp")) as started:
        process, port, path = started
        response, body = get(port, path)
        assert response.status == 200
        assert b"builtins.abs" in body
        assert len(list((tmp_path / "tmp").glob("flaskprof-*/*.prof"))) == 1
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        with pytest.raises(ConnectionRefusedError):
            get(port, path)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_snakeviz_says_how_it_is_installed(command, tmp_path, profile):
    (tmp_path / "my.prof").write_bytes(profile)
    done = command("snakeviz", "my.prof", without="snakeviz")
    assert (done.code, done.errors) == (
        2,
        "flaskprof: snakeviz is not installed: pip install 'flaskprof[snakeviz]'\n",
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
