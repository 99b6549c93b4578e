"""An application whose requests wait in the middle of their work: ``switching:app``.

Each of the functions from `work_0` on is the work of requests of its own alone.
"""

from __future__ import annotations

import socket
import threading
import time

from flask import Flask

from flaskprof import FlaskProf

app = Flask(__name__)
NUMBERS = range(8)
ROUNDS = 5


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def sleep_patched():
    time.sleep(0.002)


def sleep_in_the_hub():
    import gevent

    gevent.sleep(0.002)


def talk():
    with socket.create_connection(echo_address()) as connection:
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"


WAYS = {"sleep": sleep_patched, "hub": sleep_in_the_hub, "socket": talk}


def make_work(number):
    namespace = {"fibonacci": fibonacci, "ROUNDS": ROUNDS}
    lines = [
        f"def work_{number}(wait):",
        "    for _ in range(ROUNDS):",
        f"        fibonacci({number + 4})",
        "        wait()",
        f"    return sorted(range({number + 3}), key=lambda x: -x)",
    ]
    exec(compile("\n".join(lines), f"work_{number}.py", "exec"), namespace)
    return namespace[f"work_{number}"]


WORKS = [make_work(number) for number in NUMBERS]


@app.get("/work/<int:number>/<way>")
def work(number, way):
    return str(len(WORKS[number](WAYS[way])))


@app.get("/sleep/<float:seconds>")
def sleep(seconds):
    time.sleep(seconds)
    return "slept"


@app.get("/compute/<float:seconds>")
def compute(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        fibonacci(5)
        time.sleep(0)
    return "computed"


@app.get("/threads")
def threads():
    thread = threading.Thread(target=WORKS[0], args=(sleep_patched,))
    thread.start()
    thread.join()
    return "joined"


_echo = []


def echo_address():
    """Start, once, what answers with what it is sent."""
    if not _echo:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        _echo.append(listener.getsockname())
        threading.Thread(target=serve_echo, args=(listener,), daemon=True).start()
    return _echo[0]


def serve_echo(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    with connection:
        connection.sendall(connection.recv(5))


FlaskProf(app)


@app.get("/ready")
def ready():
    """Start what is started once, outside of any capture."""
    return str(echo_address()[1])
