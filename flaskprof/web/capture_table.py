"""A list of captures as a table: its order and page are a part of the URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from flaskprof.store import CapturePage, CaptureQuery
from flaskprof.web.figures import Figure, count
from flaskprof.web.links import Links
from flaskprof.web.rows import CaptureRow, capture_row
from flaskprof.web.state import Head, whole_number

__all__ = ["CaptureTable", "ListState", "capture_table"]

CAPTURES_A_PAGE = 50


class _Column(NamedTuple):
    slug: str
    text: str
    hint: str = ""
    sort: str = ""
    falls: bool = True
    order: str = ""


_COLUMNS = (
    _Column("function", "Request", "Method and route", "route", falls=False, order="by route"),
    _Column("", "Status", "Status of the response", "status", order="by status"),
    _Column(
        "timing",
        "Wall time",
        "From the call of the application to the end of its response",
        "duration",
        order="by wall time",
    ),
    _Column(
        "number",
        "CPU",
        "CPU time of the thread; the dark part of the bar",
        "cpu",
        order="by CPU time",
    ),
    _Column("", "Started", "When the application was called", "started"),
    _Column("", "Trigger", "Why it was captured", "trigger", falls=False, order="by trigger"),
    _Column("", "Exactness"),
    _Column("where", "Service"),
)
_BY_SORT = {column.sort: column for column in _COLUMNS if column.sort}
_OF_FILES = (
    _Column("function", "File", "Name of the file", "route", falls=False),
    _Column("timing", "Time", "The time that the profile covers", "duration"),
    _Column("", "Changed", "When the file was changed last", "started"),
    _Column("", "Exactness"),
)


@dataclass(frozen=True, slots=True)
class ListState:
    """Which page of a list of captures is shown, and in which order."""

    sort: str = "started"
    is_descending: bool = True
    page: int = 1

    @classmethod
    def from_query(cls, query: MultiDict[str, str]) -> ListState:
        """Read the state from a query; raises `BadRequest` where it makes no sense."""
        sort, order = query.get("sort") or "started", query.get("order", "")
        if sort not in _BY_SORT:
            raise BadRequest(f"sort: {sort!r} is not one of {', '.join(sorted(_BY_SORT))}")
        if order not in ("", "asc", "desc"):
            raise BadRequest(f"order: {order!r} is neither asc nor desc")
        falls = order == "desc" if order else _BY_SORT[sort].falls
        return cls(sort, falls, whole_number(query.get("page") or "1", "page"))

    def to_query(self) -> dict[str, str]:
        """Return the query that gives this state again."""
        query = {}
        if self.sort != "started":
            query["sort"] = self.sort
        if self.is_descending != _BY_SORT[self.sort].falls:
            query["order"] = "desc" if self.is_descending else "asc"
        if self.page > 1:
            query["page"] = str(self.page)
        return query

    def applied(self, query: CaptureQuery) -> CaptureQuery:
        """Return the query for this page of what `query` matches."""
        return replace(
            query,
            sort=self.sort,
            is_descending=self.is_descending,
            limit=CAPTURES_A_PAGE,
            offset=(self.page - 1) * CAPTURES_A_PAGE,
        )

    def in_words(self, *, is_files: bool) -> str:
        """Say in which order the captures or files are, as "newest first"."""
        order = _BY_SORT[self.sort].order
        if is_files:
            order = order.replace("route", "name").replace("wall ", "")
        if not order:
            return "newest first" if self.is_descending else "oldest first"
        if _BY_SORT[self.sort].falls:
            return f"{order}, {'largest' if self.is_descending else 'smallest'} first"
        return f"{order}, {'backwards' if self.is_descending else 'in alphabetical order'}"


class CaptureTable(NamedTuple):
    """One page of captures; the links lead to the pages before and behind it."""

    is_files: bool
    heads: Sequence[Head]
    rows: Sequence[CaptureRow]
    matching: Figure
    first: int
    last: int
    order: str
    is_by_time: bool
    previous_url: str
    next_url: str


def capture_table(
    found: CapturePage,
    state: ListState,
    *,
    links: Links,
    here: Callable[..., str],
    now: float,
    is_files: bool,
) -> CaptureTable:
    """Show a page of captures or files; `here` gives the URL of a state, from its query."""

    def url(changed: ListState) -> str:
        return here(**changed.to_query())

    def head(column: _Column) -> Head:
        is_sorted = column.sort == state.sort
        falls = not state.is_descending if is_sorted else column.falls
        sorted_ = "descending" if state.is_descending else "ascending"
        return Head(
            column.slug,
            column.text,
            column.hint,
            url(ListState(column.sort, falls)) if column.sort else "",
            sorted_ if is_sorted else "",
        )

    before = (state.page - 1) * CAPTURES_A_PAGE
    last = before + len(found.records)
    has_more = last < found.matching and found.records
    longest = max((record.duration_seconds for record in found.records), default=0.0)
    return CaptureTable(
        is_files=is_files,
        heads=[head(column) for column in (_OF_FILES if is_files else _COLUMNS)],
        rows=[
            capture_row(record, links=links, now=now, longest_seconds=longest)
            for record in found.records
        ],
        matching=count(found.matching),
        first=before + 1,
        last=last,
        order=state.in_words(is_files=is_files),
        is_by_time=state.sort == "started" and state.is_descending,
        previous_url=url(replace(state, page=state.page - 1)) if state.page > 1 else "",
        next_url=url(replace(state, page=state.page + 1)) if has_more else "",
    )
