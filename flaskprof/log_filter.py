"""Adds to log records which request they belong to.

Usage::

    handler.addFilter(flaskprof.LogFilter())
    handler.setFormatter(logging.Formatter(
        "%(levelname)s %(route)s trace=%(trace_id)s profile=%(profile_id)s %(message)s"
    ))
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from flaskprof.middleware import EXCHANGE, Exchange
from flaskprof.tracing import active_span

__all__ = ["LogFilter"]


class LogFilter(logging.Filter):
    """Gives every record `profile_id`, `trace_id` and `route`, empty where there is none.

    Put it on a handler: filters of a logger do not see the records of its children. Within
    a request of Flask all three are known; elsewhere OpenTelemetry's active span is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; the record is always passed on."""
        record.profile_id = record.trace_id = record.route = ""
        with suppress(Exception):  # a log line must never fail, nor be a reason to log
            exchange = _exchange()
            if exchange is None:
                trace = active_span()
            else:
                capture = exchange.announced()
                record.profile_id = capture.id if capture else ""
                record.route = exchange.route()
                trace = exchange.trace()
            record.trace_id = trace.trace_id if trace else ""
        return True


def _exchange() -> Exchange | None:
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return None
    exchange: Exchange | None = flask.request.environ.get(EXCHANGE)
    return exchange
