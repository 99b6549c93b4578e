"""What a capture is worth comparing with: links for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flaskprof.web.subject import MOST_OF_A_ROUTE, Subject

__all__ = ["Suggestion", "route_of", "suggestions"]


class Suggestion(NamedTuple):
    """A comparison: what with, what for, and its address."""

    text: str
    hint: str
    url: str


_WORDS = (
    ("previous", "the previous capture", "the one before it of the same route"),
    ("median", "the median", "the capture of its route that is in the middle by wall time"),
    ("slowest", "the slowest", "the slowest capture of its route"),
    (
        "route",
        "its route",
        f"the newest captures of its route added up, up to {MOST_OF_A_ROUTE}",
    ),
)
_OF_FILES = (("previous", "the previous file", "the one that was changed before it"),)


def suggestions(subject: Subject) -> Sequence[Suggestion]:
    """Return what to compare a capture with; it is after, what it is compared with before.

    Which captures these are is found out when a link is followed. There is nothing for
    several captures of different routes.
    """
    if not _is_of_one_route(subject):
        return ()
    ids = ",".join(subject.ids)
    link = subject.visit.links.compare
    words = _OF_FILES if subject.records[0].trigger == "file" else _WORDS
    return [Suggestion(text, hint, link(a=word, b=ids)) for word, text, hint in words]


def route_of(subject: Subject) -> tuple[str, str] | None:
    """Return the name of its route and the address of that one's page, if it has one."""
    record = subject.records[0]
    if not _is_of_one_route(subject) or not record.route:
        return None
    name = f"{record.method} {record.route}".strip()
    return name, subject.visit.links.route(record.route, record.method)


def _is_of_one_route(subject: Subject) -> bool:
    return len({(record.method, record.route) for record in subject.records}) == 1
