"""What is answered instead of what was asked for: one shape, wherever it is answered.

Programs get problem details (RFC 9457) as ``application/problem+json``, people a sentence.
Neither ever holds a traceback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

__all__ = ["PROBLEM", "problem", "problem_or_text", "wants_json"]

PROBLEM = "application/problem+json"

_OFFERS = ("text/html", "application/json", PROBLEM)


def problem(status: int, title: str, message: str) -> dict[str, Any]:
    """Return the problem details of an error with that HTTP status.

    The kind of problem is that of the status and has its name; `title` goes before
    `message` in the detail where it says more.
    """
    phrase = HTTPStatus(status).phrase
    detail = message if title == phrase else f"{title}. {message[:1].upper()}{message[1:]}"
    return {"type": "about:blank", "title": phrase, "status": status, "detail": detail}


def wants_json(environ: Mapping[str, Any]) -> bool:
    """Whether a program asks, by its ``Accept`` header."""
    accepted = parse_accept_header(environ.get("HTTP_ACCEPT"), MIMEAccept)
    return accepted.best_match(_OFFERS, _OFFERS[0]) != _OFFERS[0]


def problem_or_text(
    environ: Mapping[str, Any], status: int, message: str
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status line, headers and body of an error where there is no page for it."""
    phrase = HTTPStatus(status).phrase
    if wants_json(environ):
        media_type, body = PROBLEM, json.dumps(problem(status, phrase, message)) + "\n"
    else:
        media_type, body = "text/plain; charset=utf-8", message + "\n"
    headers = [
        ("Content-Type", media_type),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return f"{status} {phrase}", headers, body.encode()
