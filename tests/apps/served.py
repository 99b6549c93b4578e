"""An application for tests on real servers: ``served:app``, with flaskprof in it."""

from __future__ import annotations

import io
import threading
import time

from flask import Flask, Response, send_file

from flaskprof import FlaskProf

app = Flask(__name__)


@app.get("/")
def front():
    return "front"


@app.get("/work/<int:n>")
def work(n):
    fibonacci(n)
    time.sleep(0.02)
    sorted(range(n * 10), key=lambda x: -x)
    fibonacci(n)
    return "".join(str(i) for i in range(n))


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@app.get("/long")
def long():
    compute()
    pause()
    return "long"


def compute():
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        fibonacci(9)


def pause():
    time.sleep(0.15)


@app.get("/stream/<int:n>")
def stream(n):
    def chunks():
        for _ in range(n):
            yield b"x" * 1000

    return Response(chunks(), mimetype="text/plain")


@app.get("/forever")
def forever():
    def chunks():
        while True:
            yield b"x" * 100_000

    return Response(chunks(), mimetype="text/plain")


@app.get("/file")
def file():
    return send_file(io.BytesIO(b"f" * 50_000), mimetype="text/plain")


@app.get("/empty")
def empty():
    return "", 204


@app.get("/cached")
def cached():
    return "cached", {"Cache-Control": "max-age=60", "ETag": '"a"'}


@app.get("/fail")
def fail():
    raise ZeroDivisionError("on purpose")


FlaskProf(app)


class Meeting:
    """Holds requests that ask for it until eight of them are there.

    It stands outside flaskprof, so that waiting is in no capture.
    """

    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app
        self.barrier = threading.Barrier(8)

    def __call__(self, environ, start_response):
        if environ.pop("HTTP_X_MEET", None):
            self.barrier.wait(20)
        return self.wsgi_app(environ, start_response)


app.wsgi_app = Meeting(app.wsgi_app)
