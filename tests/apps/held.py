"""An application whose requests can be held: ``held:app``, with flaskprof in it."""

from __future__ import annotations

import socket

from flask import Flask, Response

from flaskprof import FlaskProf

app = Flask(__name__)


@app.get("/held/<int:port>")
def held(port):
    wait(port)
    return "held"


@app.get("/streamed/<int:port>")
def streamed(port):
    def chunks():
        yield "begun"
        wait(port)
        yield "ended"

    return Response(chunks(), mimetype="text/plain")


@app.get("/quick")
def quick():
    return "quick"


def wait(port):
    """Say at a port of the test that the request is there, and wait until that is closed."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)


FlaskProf(app)
