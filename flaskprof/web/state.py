"""The state of the function table, which is a part of its URL: order, search and length."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from flaskprof.config import Settings, options
from flaskprof.errors import ConfigError

__all__ = [
    "MANY_ROWS",
    "ROWS_AT_FIRST",
    "Column",
    "Head",
    "TableState",
    "heads",
    "whole_number",
]

ROWS_AT_FIRST = 100
MANY_ROWS = 1000

_SORT = next(option for option in options() if option.name == "sort_by")


@dataclass(frozen=True, slots=True)
class TableState:
    """Which rows of the function table are shown and in which order: a part of the URL.

    Without a `limit` all are, `MANY_ROWS` on a `page`.
    """

    sort_by: tuple[str, ...]
    is_descending: bool | None
    search: str
    limit: int | None
    is_restricted: bool
    page: int = 1

    @classmethod
    def from_query(cls, query: MultiDict[str, str], settings: Settings) -> TableState:
        """Read the state from a query; what it leaves out the settings say."""
        order = query.get("order", "")
        if order not in ("", "asc", "desc"):
            raise BadRequest(f"order: {order!r} is neither asc nor desc")
        limit = query.get("rows", str(ROWS_AT_FIRST))
        try:
            sort_by = _SORT.read(query["sort"]) if query.get("sort") else settings.sort_by
        except ConfigError:
            raise BadRequest(f"sort: {query['sort']!r} is not {_SORT.kind.allowed}") from None
        return cls(
            sort_by=sort_by,
            is_descending=None if not order else order == "desc",
            search=query.get("search", "").strip(),
            limit=None if limit == "all" else whole_number(limit, "rows"),
            is_restricted=query.get("restricted", "yes") != "no",
            page=1 if limit != "all" else whole_number(query.get("page") or "1", "page"),
        )

    @property
    def window(self) -> slice:
        """Which of the rows are on the page."""
        if self.limit is not None:
            return slice(0, self.limit)
        return slice((self.page - 1) * MANY_ROWS, self.page * MANY_ROWS)

    def to_query(self, **changes: str) -> dict[str, str]:
        """Return the query that gives this state again, with `changes` made to it.

        It leads to the first page unless `changes` say otherwise.
        """
        order = {None: "", True: "desc", False: "asc"}[self.is_descending]
        query = {
            "sort": ",".join(self.sort_by),
            "order": order,
            "search": self.search,
            "rows": "all" if self.limit is None else str(self.limit),
            "restricted": "" if self.is_restricted else "no",
        } | changes
        if query["rows"] == str(ROWS_AT_FIRST):
            del query["rows"]
        return {name: value for name, value in query.items() if value}


class Head(NamedTuple):
    """The head of a column: a link that sorts by it, unless `url` is empty.

    `sorted` is what ``aria-sort`` says, or empty.
    """

    slug: str
    text: str
    hint: str
    url: str
    sorted: str


class Column(NamedTuple):
    """A column of a table: `sort` is what sorts by it, if anything does, falling at first."""

    slug: str
    text: str
    hint: str
    sort: str = ""
    falls: bool = True


_COLUMNS = (
    Column("function", "Function", "Name of the function", "name", falls=False),
    Column("self", "Self", "Time in the function itself, without what it called", "self"),
    Column(
        "cumulative", "Cumulative", "Time in the function and all that it called", "cumulative"
    ),
    Column("calls", "Calls", "All calls / those not made from within itself", "calls"),
    Column("per-call", "Self ÷ calls", "Self time of one call", "per_call"),
    Column("per-call", "Cum. ÷ calls", "Cumulative time of one primitive call"),
    Column("kind", "Kind", "Whose code it is, told by its path"),
    Column("where", "Where", "File and line of its definition", "file,line", falls=False),
)


def heads(state: TableState, here: Callable[..., str]) -> list[Head]:
    """Return the heads of the function table; `here` gives the URL of a changed state.

    The column that the table is sorted by turns the order round, the others begin with
    the order that suits them: the largest number or the first name on top.
    """
    return [_head(column, state, here) for column in _COLUMNS]


def _head(column: Column, state: TableState, here: Callable[..., str]) -> Head:
    is_sorted = column.sort.partition(",")[0] == state.sort_by[0]
    falls = column.falls if state.is_descending is None else state.is_descending
    return Head(
        slug=column.slug,
        text=column.text,
        hint=column.hint,
        url=here(sort=column.sort, order=_turned(falls) if is_sorted else "")
        if column.sort
        else "",
        sorted=("descending" if falls else "ascending") if is_sorted else "",
    )


def _turned(falls: bool) -> str:  # noqa: FBT001  the one argument is the whole question
    return "asc" if falls else "desc"


def whole_number(text: str, name: str) -> int:
    """Read a count from a query; raises `BadRequest` where it is none."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise BadRequest(f"{name}: {text!r} is not a whole number of one or more")
    return int(text)
