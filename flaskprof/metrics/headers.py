"""What the headers of request and response tell: time waited at the proxy, body length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["QUEUE_STARTS", "content_length", "python_content_length", "queued_ns"]

# What proxies call the moment at which they got the request; the first that is there counts.
QUEUE_STARTS = ("HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START")

# Longer than any proxy waits: the clocks differ, or someone made it up.
_LONGEST_NS = 600 * 10**9

# Seconds since 1970 have ten digits until the year 2286, other units three more each.
_UNITS_NS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))

_LONGEST_NUMBER = 15


def queued_ns(environ: Mapping[str, Any], now_ns: int) -> int | None:
    """Return how long a request waited until `now_ns` (Unix); None if nobody can tell.

    The moment is a number of seconds, milliseconds or microseconds since 1970, with or
    without a ``t=`` before it, as nginx, HAProxy, Apache and Heroku's router write it. One
    that lies in the future or longer than ten minutes back is no moment of this request's.
    """
    for name in QUEUE_STARTS:
        text = environ.get(name)
        if text:
            waited_ns = _since(text.strip().removeprefix("t="), now_ns)
            return (
                waited_ns if waited_ns is not None and 0 <= waited_ns <= _LONGEST_NS else None
            )
    return None


def _since(text: str, now_ns: int) -> int | None:
    whole, _, fraction = text.partition(".")
    if not (text.isascii() and whole.isdecimal() and (fraction or "0").isdecimal()):
        return None
    if len(whole) > 2 * _LONGEST_NUMBER or len(fraction) > 2 * _LONGEST_NUMBER:
        return None
    number = int(whole)
    for below, unit_ns in _UNITS_NS:
        if number < below:
            return now_ns - number * unit_ns - int(float(f"0.{fraction or 0}") * unit_ns)
    return None


def python_content_length(headers: list[tuple[str, str]], /) -> int | None:
    """Return the Content-Length among response headers; None if there is none to use."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            is_number = value.isascii() and value.isdecimal() and len(value) <= _LONGEST_NUMBER
            return int(value) if is_number else None
    return None


try:
    from flaskprof.metrics._request import content_length
except ImportError:  # no compiler was there
    content_length = python_content_length
