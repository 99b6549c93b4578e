"""A pytest plugin that puts flaskprof into every Flask application that is made.

``EVERYWHERE`` says how: ``bare`` (not at all), ``installed``, or ``captured``, where each
request asks for a capture too and all that can be switched on is. What became of each test
is written to ``OUTCOMES``.
"""

import json
import os
from functools import wraps
from pathlib import Path

from flask import Flask

from flaskprof import FlaskProf

MODE = os.environ["EVERYWHERE"]
SETTINGS = {
    "captured": {
        "context_processor": True,
        "dev": True,
        "measure": [
            "cpu",
            "length",
            "own",
            "queue",
            "stream",
            "templates",
            "traces",
            "workers",
        ],
        "server_timing": True,
    }
}

outcomes = {}


def install(app):
    FlaskProf(app, **SETTINGS.get(MODE, {}))
    if MODE == "captured":
        wrapped = app.wsgi_app

        def asking(environ, start_response):
            environ["HTTP_X_PROFILE"] = "1"
            return wrapped(environ, start_response)

        app.wsgi_app = asking


if MODE != "bare":
    initialize = Flask.__init__

    @wraps(initialize)
    def initialize_with_flaskprof(self, *args, **keywords):
        initialize(self, *args, **keywords)
        install(self)

    Flask.__init__ = initialize_with_flaskprof


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish():
    Path(os.environ["OUTCOMES"]).write_text(json.dumps(outcomes))
