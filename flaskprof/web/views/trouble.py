"""What is shown for what is not there, not yet there, or cannot be shown."""

from __future__ import annotations

from typing import NamedTuple

from flaskprof.web.problems import PROBLEM, problem
from flaskprof.web.visit import Page

__all__ = ["being_read", "being_written", "trouble"]


class BeingWrittenView(NamedTuple):
    """A capture that will be there in a moment."""

    capture_id: str


class TroubleView(NamedTuple):
    """An answer that is not what was asked for, and why."""

    title: str
    message: str
    profile_url: str = ""


def being_written(capture_id: str) -> Page:
    """Say that a capture is on its way; the page loads itself again."""
    return Page(
        "being_written.html",
        BeingWrittenView(capture_id),
        lambda: {"being_written": {"id": capture_id, "retry_after_seconds": 1}},
        status=202,
        headers={"Retry-After": "1", "Refresh": "1"},
    )


def being_read() -> Page:
    """Say that what is asked for needs all captures, which are not read yet."""
    return Page(
        "trouble.html",
        TroubleView(
            "The captures are being read",
            "What is looked for among all of them is found once all are read.",
        ),
        lambda: {"being_read": {"retry_after_seconds": 1}},
        status=202,
        headers={"Retry-After": "1"},
    )


def trouble(status: int, title: str, message: str, *, profile_url: str = "") -> Page:
    """Say what is wrong, to people on a page, to programs as problem details."""
    return Page(
        "trouble.html",
        TroubleView(title, message, profile_url),
        lambda: problem(status, title, message),
        status=status,
        json_type=PROBLEM,
    )
