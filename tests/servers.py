"""Real servers in subprocesses, on ports that the system chooses."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

APPS = Path(__file__).parent / "apps"
PATIENCE_SECONDS = 20.0

_WERKZEUG = (
    "import importlib, sys; from werkzeug.serving import run_simple;"
    "module, _, name = sys.argv[1].partition(':');"
    "app = getattr(importlib.import_module(module), name);"
    "run_simple('127.0.0.1', 0, app, threaded=True, use_reloader='--reload' in sys.argv)"
)

COMMANDS = {
    "werkzeug": lambda app: ["-c", _WERKZEUG, app],
    "gunicorn-sync": lambda app: ["-m", "gunicorn", "-b", "127.0.0.1:0", "-w", "1", app],
    "gunicorn-gthread": lambda app: [
        *("-m", "gunicorn", "-b", "127.0.0.1:0", "-k", "gthread"),
        *("--threads", "8", app),
    ],
    "gunicorn-gevent": lambda app: ["-m", "gunicorn", "-b", "127.0.0.1:0", "-k", "gevent", app],
    "waitress": lambda app: ["-m", "waitress", "--listen=127.0.0.1:0", "--threads=8", app],
}


@contextmanager
def serve(server, directory, *options, app="served:app", **environ):
    """Run an application of tests/apps on a server; yields its port, process and output."""
    command = [sys.executable, *COMMANDS[server](app), *options]
    process = subprocess.Popen(
        command,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(APPS), *sys.path]),
            "PYTHONUNBUFFERED": "1",
            # Flask lists the methods of an Allow header in the order of a set.
            "PYTHONHASHSEED": "0",
            "FLASKPROF_DIR": str(directory),
            "FLASKPROF_DEV": "1",
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: list[str] = []
    found = threading.Event()
    running = SimpleNamespace(process=process, output=output, port=0)

    def read():
        for line in process.stdout:
            output.append(line)
            address = re.search(r"https?://127\.0\.0\.1:(\d+)", line)
            if address and not running.port:
                running.port = int(address[1])
                found.set()
        found.set()

    reader = threading.Thread(target=read, name="output of the server")
    reader.start()
    try:
        assert found.wait(PATIENCE_SECONDS), "the server did not start"
        assert running.port, "".join(output)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(PATIENCE_SECONDS)
        process.stdout.close()


@contextmanager
def sidecar(directory, *before, **environ):
    """Run ``flaskprof serve`` over a data directory; yields its port and process.

    `before` is a program with its arguments that is to run it.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FLASKPROF_")
    }
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "flaskprof", "serve", "--bind", "127.0.0.1:0"],
        env={
            **inherited,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "FLASKPROF_DIR": str(directory),
            **environ,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        assert line.startswith("{"), line
        port = int(re.search(r":(\d+)/", json.loads(line)["viewer"])[1])
        yield SimpleNamespace(process=process, port=port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def get(port, path, method="GET", **headers):
    """Send one request; returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return SimpleNamespace(
            status=response.status, headers=response.headers, body=response.read()
        )
    finally:
        connection.close()


def raw(port, path, method="GET", **headers):
    """Send one request; returns the bytes of the response as they came over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while data := connection.recv(1 << 16):
            received += data
    return re.sub(rb"\r\nDate: [^\r]*", b"", received)


def until(condition, what):
    """Ask `condition` until it gives something; there is no event to await over HTTP."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")
