"""Two captures, or several on either side, and what changed from one to the other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from werkzeug.exceptions import BadRequest, NotFound

from flaskprof.profiles.diff import (
    Change,
    Comparison,
    Mean,
    alike,
    compare,
    sees_more,
)
from flaskprof.profiles.flame.difference import difference
from flaskprof.profiles.fold import folded
from flaskprof.profiles.kinds import Kinds, is_builtin
from flaskprof.profiles.mean import mean
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import label
from flaskprof.web.differences import (
    count_difference,
    seconds_difference,
    sentence,
    share_difference,
)
from flaskprof.web.figures import Figure, Moment, count, moment, seconds
from flaskprof.web.flame_data import packed
from flaskprof.web.links import function_key
from flaskprof.web.panels.flame import elsewhere
from flaskprof.web.rows import FunctionName, function_name
from flaskprof.web.sides import Sides, ids_of, sides
from flaskprof.web.state import Head, whole_number
from flaskprof.web.subject import Subject
from flaskprof.web.visit import Data, Download, Page, Redirect, Visit

__all__ = ["compare_export", "compare_page", "compare_tree"]

ROWS_A_PAGE = 100


class Side(NamedTuple):
    """One side of a comparison."""

    role: str
    url: str
    method: str
    name: str
    started: Moment | None
    captures: int
    total: Figure


class ChangeRow(NamedTuple):
    """A function with what it was before and is after.

    `bar` is how long the bar of the difference is, of 50; `presence` is "new", "gone" or "".
    """

    function: FunctionName
    presence: str
    calls: Sequence[Figure]
    self_time: Sequence[Figure]
    cumulative: Sequence[Figure]
    bar: float
    is_slower: bool


class CompareView(NamedTuple):
    """What changed, in a sentence, as a flame view and as a table."""

    title: str
    sides: Sequence[Side]
    sentence: str
    change: Figure
    change_share: Figure | None
    changed: Figure
    unchanged: Figure
    notes: Sequence[str]
    has_calls: bool
    tree_url: str
    first_tree_url: str
    elsewhere: Mapping[str, str]
    turned_url: str
    app_url: str
    is_application_only: bool
    csv_url: str
    json_url: str
    search: str
    hidden: Mapping[str, str]
    clear_url: str
    heads: Sequence[Head]
    rows: Sequence[ChangeRow]
    matching: Figure
    first: int
    last: int
    previous_url: str
    next_url: str


class _Column(NamedTuple):
    slug: str
    text: str
    hint: str
    sort: str
    key: Callable[[Change], Any]
    falls: bool = True


_COLUMNS = (
    _Column(
        "function",
        "Function",
        "Name of the function, wherever its line is now",
        "name",
        lambda change: (change.function.name, change.function),
        falls=False,
    ),
    _Column("number", "Self before", "", "self_before", lambda c: c.sums_before.self_seconds),
    _Column("number", "Self after", "", "self_after", lambda c: c.sums_after.self_seconds),
    _Column("timing", "Self ±", "Difference in self time", "self", lambda c: c.self_seconds),
    _Column(
        "number",
        "Cumulative before",
        "",
        "cumulative_before",
        lambda c: c.sums_before.cumulative_seconds,
    ),
    _Column(
        "number",
        "Cumulative after",
        "",
        "cumulative_after",
        lambda c: c.sums_after.cumulative_seconds,
    ),
    _Column(
        "number",
        "Cumulative ±",
        "Difference in cumulative time",
        "cumulative",
        lambda c: c.cumulative_seconds,
    ),
    _Column("number", "Calls before", "", "calls_before", lambda c: c.sums_before.calls),
    _Column("number", "Calls after", "", "calls_after", lambda c: c.sums_after.calls),
    _Column("number", "Calls ±", "Difference in calls", "calls", lambda c: c.calls),
)
_BY_SORT = {column.sort: column for column in _COLUMNS}
_OF_CALLS = ("calls_before", "calls_after", "calls")
_GREATEST = ""
"""The order at first: the greatest difference in self time, in either direction."""


@dataclass(frozen=True, slots=True)
class _State:
    sort: str
    is_descending: bool
    search: str
    page: int

    @classmethod
    def of(cls, visit: Visit) -> _State:
        sort, order = visit.query.get("sort", _GREATEST), visit.query.get("order", "")
        if sort not in (_GREATEST, *_BY_SORT):
            raise BadRequest(f"sort: {sort!r} is not one of {', '.join(sorted(_BY_SORT))}")
        if order not in ("", "asc", "desc"):
            raise BadRequest(f"order: {order!r} is neither asc nor desc")
        falls = _BY_SORT[sort].falls if sort else True
        return cls(
            sort,
            order == "desc" if order else falls,
            visit.query.get("search", "").strip(),
            whole_number(visit.query.get("page") or "1", "page"),
        )

    def to_query(self, **changes: str) -> dict[str, str]:
        """Return the query of this state with changes; another order begins at its top."""
        falls = _BY_SORT[self.sort].falls if self.sort else True
        order = "" if self.is_descending == falls else ("desc" if self.is_descending else "asc")
        query = {"sort": self.sort, "order": order, "search": self.search} | changes
        return {name: value for name, value in query.items() if value}

    def found(self, changes: Sequence[Change]) -> list[Change]:
        text = self.search.casefold()
        found = [c for c in changes if text in label(c.function).casefold()]
        if self.sort:
            found.sort(key=_BY_SORT[self.sort].key, reverse=self.is_descending)
        return found


def compare_page(visit: Visit) -> Page | Redirect:
    """Show what changed; where the query names captures by words, lead on to their IDs."""
    names = ids_of(visit)
    if visit.query.getlist("c") or any(visit.query.getlist(k) != [v] for k, v in names.items()):
        kept = {k: v for k, v in visit.query.items() if k not in ("a", "b", "c") and v}
        return Redirect(visit.links.compare(**names, **kept))
    both, state = sides(visit), _State.of(visit)
    found = _compared(both)
    matching = state.found(found.changes)
    start = (state.page - 1) * ROWS_A_PAGE
    shown = matching[start : start + ROWS_A_PAGE]
    app = {"app": "1"} if both.after.is_application_only else {}

    def here(**changes: str) -> str:
        return visit.links.compare(**both.query, **app, **state.to_query(**changes))

    longest = max((abs(change.self_seconds) for change in found.changes), default=0.0)
    has_calls = found.has_like_counts
    last = start + len(shown)
    view = CompareView(
        title=" → ".join(dict.fromkeys((both.before.title, both.after.title))),
        sides=[
            _side("Before", both.before, found.seconds_before, visit.now),
            _side("After", both.after, found.seconds_after, visit.now),
        ],
        sentence=sentence(found),
        change=seconds_difference(found.seconds),
        change_share=share_difference(found.seconds / found.seconds_before)
        if found.seconds_before > 0
        else None,
        changed=count(len(found.changes)),
        unchanged=count(found.unchanged),
        notes=_notes(both, found),
        has_calls=has_calls,
        # The flame view adds what of the page's query it honours.
        tree_url=visit.links.compare_tree(**both.query),
        first_tree_url=visit.links.compare_tree(**both.query, **app),
        elsewhere=elsewhere(both.after),
        turned_url=visit.links.compare(**both.turned.query, **app, **state.to_query()),
        app_url=visit.links.compare(
            **both.query, **({} if app else {"app": "1"}), **state.to_query()
        ),
        is_application_only=bool(app),
        csv_url=visit.links.compare_export("csv", **both.query, **app),
        json_url=visit.links.compare_export("json", **both.query, **app),
        search=state.search,
        hidden={**both.query, **app, **state.to_query(search="")},
        clear_url=here(search=""),
        heads=[
            _head(column, state, here, is_sampled=both.after.graph.is_sampled)
            for column in _COLUMNS
            if has_calls or column.sort not in _OF_CALLS
        ],
        rows=[_row(change, both, longest, has_like_counts=has_calls) for change in shown],
        matching=count(len(matching)),
        first=start + 1,
        last=last,
        previous_url=here(page=str(state.page - 1)) if state.page > 1 else "",
        next_url=here(page=str(state.page + 1)) if last < len(matching) and shown else "",
    )
    return Page("compare.html", view, lambda: _data(both, found, matching), is_drawn=True)


def compare_tree(visit: Visit) -> Data:
    """Send the stacks of both sides as one tree, for the flame view."""
    both = sides(visit)
    before, after = (
        side.tree if len(side.ids) == 1 else mean(side.profile, len(side.ids))
        for side in (both.before, both.after)
    )
    if sees_more(both.before.graph, both.after.graph):
        before = folded(before, is_builtin)
    elif sees_more(both.after.graph, both.before.graph):
        after = folded(after, is_builtin)
    is_sampled = "sampled" in (both.before.truth, both.after.truth)
    return Data(packed(difference(before, after, is_sampled=is_sampled), both.kinds))


def compare_export(visit: Visit, name: str) -> Download:
    """Write every function that changed, as CSV or JSON."""
    both = sides(visit)
    found = _compared(both)
    if name == "json":
        data = _data(both, found, found.changes)
        return Download(json.dumps(data, indent=2).encode("ascii"), "comparison.json", _JSON)
    if name == "csv":
        return Download(_csv(found, both.kinds), "comparison.csv", "text/csv; charset=utf-8")
    raise NotFound(f"There is no format {name!r}, but csv and json.")


_JSON = "application/json"


def _compared(both: Sides) -> Comparison:
    return compare(*alike(both.before.graph, both.after.graph), captures=both.captures)


def _side(role: str, subject: Subject, total: float, now: float) -> Side:
    record = subject.record
    whole = subject.whole_record
    return Side(
        role=role,
        url=subject.page(),
        method=record.method if record and not record.title else "",
        name=(record.title or record.route or "(no route)") if record else subject.title,
        started=moment(whole.started, now) if record else None,
        captures=len(subject.ids),
        total=seconds(total),
    )


def _notes(both: Sides, found: Comparison) -> list[str]:
    notes = []
    if both.before.ids == both.after.ids:
        notes.append("Both sides are the same: there is nothing to compare.")
    if both.is_mean:
        first, second = both.captures
        notes.append(
            "All figures are means per capture: the sums of a side are divided by the number "
            f"of its captures, {first} before and {second} after."
        )
    if not found.has_like_counts:
        notes.append(
            "One side counts calls and the other samples: calls are not compared, and times "
            "of the one are exact and of the other estimates. A function that is on one side "
            "only may have been called on both, too shortly to be sampled."
        )
        graphs = both.before.graph, both.after.graph
        if sees_more(*graphs) or sees_more(*graphs[::-1]):
            notes.append(
                "Samples do not see builtins: what these took is the time of their callers, "
                "on both sides."
            )
    elif "sampled" in (both.before.truth, both.after.truth):
        notes.append(
            "Both sides are sampled: times are estimates, calls are counts of samples."
        )
    elif "estimated" in (both.before.truth, both.after.truth):
        notes.append(
            "The stacks of at least one side were not recorded: in the flame view they are "
            "estimated from sums. The table is exact."
        )
    return notes


def _head(
    column: _Column, state: _State, here: Callable[..., str], *, is_sampled: bool
) -> Head:
    is_sorted = column.sort == state.sort
    falls = not state.is_descending if is_sorted else column.falls
    order = "" if falls == column.falls else ("desc" if falls else "asc")
    return Head(
        column.slug,
        column.text.replace("Calls", "Samples") if is_sampled else column.text,
        column.hint,
        here(sort=column.sort, order=order),
        ("descending" if state.is_descending else "ascending") if is_sorted else "",
    )


def _presence(change: Change) -> str:
    return "new" if change.before is None else "gone" if change.after is None else ""


def _row(change: Change, both: Sides, longest: float, *, has_like_counts: bool) -> ChangeRow:
    function, subject = (
        (change.after, both.after) if change.after else (change.before, both.before)
    )
    assert function is not None, "a change is one of a function"  # noqa: S101  for mypy
    # Where it was never called there is nothing, which is not the same as no time.
    old = change.sums_before if change.before else None
    new = change.sums_after if change.after else None
    return ChangeRow(
        function=function_name(
            function,
            url=subject.page(view="sandwich", fn=function_key(function)),
            kinds=both.kinds,
        ),
        presence=_presence(change) if has_like_counts else "",
        calls=(
            count(old and old.calls),
            count(new and new.calls),
            count_difference(change.calls),
        ),
        self_time=(
            seconds(old and old.self_seconds),
            seconds(new and new.self_seconds),
            seconds_difference(change.self_seconds),
        ),
        cumulative=(
            seconds(old and old.cumulative_seconds),
            seconds(new and new.cumulative_seconds),
            seconds_difference(change.cumulative_seconds),
        ),
        bar=round(50 * abs(change.self_seconds) / longest, 2) if longest else 0.0,
        is_slower=change.self_seconds > 0,
    )


def _data(both: Sides, found: Comparison, changes: Sequence[Change]) -> Mapping[str, Any]:
    def side(function: Function | None, sums: Mean) -> Mapping[str, Any] | None:
        return None if function is None else {**function._asdict(), **sums._asdict()}

    return {
        "before": {"captures": list(both.before.ids), "name": both.before.title},
        "after": {"captures": list(both.after.ids), "name": both.after.title},
        "summary": sentence(found),
        "is_mean_per_capture": both.is_mean,
        "total_seconds_before": found.seconds_before,
        "total_seconds_after": found.seconds_after,
        "total_seconds_difference": found.seconds,
        "has_like_counts": found.has_like_counts,
        "unchanged": found.unchanged,
        "functions": [
            {
                "function": label(change.function),
                "kind": both.kinds.of(change.function).value,
                "before": side(change.before, change.sums_before),
                "after": side(change.after, change.sums_after),
                "calls_difference": change.calls,
                "self_seconds_difference": change.self_seconds,
                "cumulative_seconds_difference": change.cumulative_seconds,
            }
            for change in changes
        ],
    }


_FORMULA = tuple("=+-@\t\r")


def _csv(found: Comparison, kinds: Kinds) -> bytes:
    """Return a row for each function that changed; text that a sheet would run is quoted."""

    def safe(text: str) -> str:
        return f"'{text}" if text.startswith(_FORMULA) else text

    text = io.StringIO()
    writer = csv.writer(text)
    fields = ("calls", "self_seconds", "cumulative_seconds")
    writer.writerow(
        ["function", "file", "line", "kind"]
        + [f"{field}_{when}" for field in fields for when in ("before", "after", "difference")]
    )
    for change in found.changes:
        function = change.function
        writer.writerow(
            [safe(function.name), safe(function.file), function.line, kinds.of(function).value]
            + [
                value
                for field in fields
                for value in (
                    getattr(change.sums_before, field),
                    getattr(change.sums_after, field),
                    getattr(change, field),
                )
            ]
        )
    # A lone surrogate of a foreign name, which UTF-8 cannot hold, is written as an escape.
    return text.getvalue().encode("utf-8", "backslashreplace")
