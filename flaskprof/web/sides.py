"""The two sides of a comparison, as the query of an address names them.

``a`` is before and ``b`` after: each an ID, or several with commas between them, which are
added up. Instead of IDs one side may be a word for captures of the same route as the other:
``previous``, ``median``, ``slowest``, or ``route`` for the newest ones added up. ``c``, twice,
names two captures of which the older is before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from werkzeug.exceptions import BadRequest, NotFound

from flaskprof.profiles.kinds import Kinds
from flaskprof.record import CaptureRecord
from flaskprof.store import CaptureQuery
from flaskprof.web.subject import MOST_OF_A_ROUTE, Subject, merged
from flaskprof.web.visit import Visit

__all__ = ["WORDS", "Sides", "ids_of", "of_one_kind", "sides"]


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared with what; `kinds` tells whose code a function of either is."""

    before: Subject
    after: Subject

    @property
    def is_mean(self) -> bool:
        """Whether a side is several captures, so that the mean of one is compared."""
        return self.captures != (1, 1)

    @property
    def captures(self) -> tuple[int, int]:
        """How many captures each side is."""
        return len(self.before.ids), len(self.after.ids)

    @property
    def query(self) -> dict[str, str]:
        """The query that names these sides."""
        return {"a": ",".join(self.before.ids), "b": ",".join(self.after.ids)}

    @property
    def kinds(self) -> Kinds:
        """The same of both, so that what is folded of one is folded of the other."""
        return self.before.kinds

    @property
    def turned(self) -> Sides:
        """The same the other way round."""
        return Sides(self.after, self.before)


def sides(visit: Visit) -> Sides:
    """Return the two sides that the query names by their IDs."""
    before, after = (merged(visit, _named(visit, name)) for name in ("a", "b"))
    kinds = before.kinds | after.kinds
    return Sides(replace(before, kinds=kinds), replace(after, kinds=kinds))


def ids_of(visit: Visit) -> dict[str, str]:
    """Return the query with IDs in the place of words, which stays true as captures come.

    Raises `BadRequest` where two sides are not named, and `NotFound` where there is nothing
    that a word stands for.
    """
    chosen = visit.query.getlist("c")
    if chosen:
        if len(set(chosen)) != 2:
            raise BadRequest(
                f"choose two captures to compare, not {len(set(chosen))}; of more, merge those "
                "of each side first"
            )
        # IDs are in the order of time.
        before, after = sorted(set(chosen))
        return {"a": before, "b": after}
    named = {name: _named(visit, name) for name in ("a", "b")}
    for name, other in (("a", "b"), ("b", "a")):
        (word,) = named[name] if len(named[name]) == 1 else ("",)
        if word in WORDS:
            if named[other][0] in WORDS:
                raise BadRequest(f"{name} and {other}: one of them has to be an ID")
            named[name] = _stands_for(visit, word, named[other])
    return {name: ",".join(ids) for name, ids in named.items()}


def of_one_kind(
    records: Sequence[CaptureRecord],
) -> tuple[Sequence[CaptureRecord], int]:
    """Return those that can be added up, and how many others there are.

    Exact and sampled ones cannot be added up; the more numerous are taken.
    """
    sampled = [record for record in records if record.exactness == "sampled"]
    exact = [record for record in records if record.exactness != "sampled"]
    return (exact, len(sampled)) if len(exact) >= len(sampled) else (sampled, len(exact))


def _named(visit: Visit, name: str) -> list[str]:
    ids = [part for text in visit.query.getlist(name) for part in text.split(",") if part]
    if not ids:
        raise BadRequest(f"{name}: name a capture to compare, as {name}=<id>")
    return ids


def _stands_for(visit: Visit, word: str, other: Sequence[str]) -> list[str]:
    record = visit.store.record(other[0])
    found = WORDS[word](visit, record)
    if not found:
        raise NotFound(f"There is no {word} capture of {record.name} to compare with.")
    return [of_route.id for of_route in found]


def _previous(visit: Visit, record: CaptureRecord) -> Sequence[CaptureRecord]:
    found = visit.store.previous(record)
    return [found] if found else []


def _median(visit: Visit, record: CaptureRecord) -> Sequence[CaptureRecord]:
    number = visit.store.list(_like(record, "duration", 1)).matching
    return visit.store.list(_like(record, "duration", 1, number // 2)).records


def _slowest(visit: Visit, record: CaptureRecord) -> Sequence[CaptureRecord]:
    return visit.store.list(_like(record, "duration", 1)).records


def _route(visit: Visit, record: CaptureRecord) -> Sequence[CaptureRecord]:
    newest = visit.store.list(_like(record, "started", MOST_OF_A_ROUTE)).records
    kind = [one for one in newest if one.exactness == record.exactness]
    return kind or of_one_kind(newest)[0]


def _like(record: CaptureRecord, sort: str, limit: int, offset: int = 0) -> CaptureQuery:
    return CaptureQuery(
        route=record.route, method=record.method, sort=sort, limit=limit, offset=offset
    )


WORDS: Mapping[str, Callable[[Visit, CaptureRecord], Sequence[CaptureRecord]]] = {
    "median": _median,
    "previous": _previous,
    "route": _route,
    "slowest": _slowest,
}
"""What a side can be instead of IDs: captures of the route of the other side."""
