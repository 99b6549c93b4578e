"""`flaskprof top`: the requests in flight, once or again and again."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from flaskprof.metrics.in_flight import Row, in_flight_directory

PUBLISH = """
import sys
from pathlib import Path
from flaskprof.metrics.in_flight import Row, RowsFile
file = RowsFile(Path(sys.argv[1]))
for line in sys.stdin:
    file.publish([Row(*row) for row in eval(line)])
    print("published", flush=True)
"""
PATIENCE_SECONDS = 20.0


@pytest.fixture
def publish(tmp_path):
    """Have another process, whose ID is `publish.pid`, show rows."""
    (tmp_path / ".flaskprof").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISH, in_flight_directory(tmp_path / ".flaskprof")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    ) as process:

        def publish(*rows):
            process.stdin.write(repr([tuple(row) for row in rows]) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "published\n"

        publish.pid = process.pid
        yield publish
        process.stdin.close()


def row(age_seconds, method, route, thread="waitress-1"):
    return Row(time.perf_counter_ns() - int(age_seconds * 1e9), method, route, thread)


def test_without_a_terminal_it_prints_once_oldest_first(command, publish):
    publish(row(70, "GET", "/orders/<int:id>"), row(3000, "POST", "", "waitress-0"))
    for arguments in (("top",), ("top", "--once")):
        done = command(*arguments)
        assert (done.code, done.errors) == (0, "")
        head, columns, *rows = done.output.splitlines()
        assert re.fullmatch(r"\d\d:\d\d:\d\d  2 requests in flight in 1 worker", head)
        assert columns.split() == ["Age", "Method", "Route", "Worker", "Thread"]
        assert [line.split()[2:] for line in rows] == [
            ["POST", "(no", "route", "yet)", str(publish.pid), "waitress-0"],
            ["GET", "/orders/<int:id>", str(publish.pid), "waitress-1"],
        ]
        assert re.match(r"3,0\d\d s", rows[0].strip())


def test_json_has_every_digit(command, publish):
    publish(row(70, "GET", "/orders/<int:id>"))
    found = json.loads(command("top", "--json").output)
    (request,) = found.pop("requests")
    assert found == {"more": 0, "workers": 1}
    assert request.pop("age_seconds") > 70
    assert request == {
        "method": "GET",
        "route": "/orders/<int:id>",
        "pid": publish.pid,
        "thread": "waitress-1",
    }


def test_where_nothing_is_in_flight_it_says_so(command, tmp_path):
    done = command("top", "--dir", tmp_path / "nowhere")
    assert (done.code, done.output[10:], done.errors) == (
        0,
        "0 requests in flight in 0 workers\n",
        "",
    )


def test_names_of_others_do_not_reach_the_terminal_as_escape_sequences(command, publish):
    publish(row(70, "GET", "/\x1b[2J\u202e", "t\n"))
    output = command("top").output
    assert "/\\x1b[2J\\u202e" in output
    assert "\x1b" not in output


class Terminal:
    """`flaskprof top` in a terminal of 10 lines."""

    def __init__(self, tmp_path):
        self.screen, keyboard = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flaskprof", "top", "--interval", "0.1"],
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "COLUMNS": "80",
                "LINES": "10",
                "TERM": "xterm",
            },
            # A shell may have started the tests with Control-C ignored, which is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no lock
        )
        os.close(keyboard)
        self.text = ""

    def until(self, pattern):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not re.search(pattern, self.text, re.DOTALL):
            left = max(0, deadline - time.monotonic())
            assert select.select([self.screen], [], [], left)[0], self.text
            self.text += os.read(self.screen, 1 << 16).decode()

    def press(self, key):
        os.write(self.screen, key)

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self.screen)


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def test_in_a_terminal_it_shows_them_again_and_again_until_q(terminal, publish):
    publish(*(row(70, "GET", f"/route/{number}") for number in range(20)))
    clear = r"\x1b\[H\x1b\[J"
    # It may have drawn before there was anything to see.
    whole = clear + r"([^\x1b]*20 requests in flight[^\x1b]*)" + clear
    terminal.until(whole)
    screen = re.search(whole, terminal.text)[1]
    assert len(screen.splitlines()) == 9
    assert screen.splitlines()[-1] == "…"
    publish(row(70, "GET", "/other"))
    terminal.until(clear + r"[^\x1b]*1 request in flight[^\x1b]*/other")
    terminal.press(b"q")
    assert terminal.process.wait(PATIENCE_SECONDS) == 0


def test_control_c_ends_it_as_well(terminal):
    terminal.until("0 requests in flight")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(PATIENCE_SECONDS) == 0
