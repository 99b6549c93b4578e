"""What a page of the viewer is about: one capture or file, or several of them added up.

All pages of a profile take a `Subject` and do not care which it is::

    subject = subject_of(visit, capture_id)     # a capture, or a file
    subject = merged(visit, capture_ids)        # several as one

With ``app=1`` in the query of the visit its profile is that of the application's own code:
everything else is folded into its caller, with its time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from werkzeug.exceptions import BadRequest

from flaskprof.errors import CaptureNotFound, ConfigError
from flaskprof.formats import stacks
from flaskprof.formats.pprof import read_pprof
from flaskprof.profiles.estimate import ESTIMATED, EstimatedTree, estimate
from flaskprof.profiles.flame import flame_tree
from flaskprof.profiles.fold import folded
from flaskprof.profiles.kinds import Kinds, is_builtin
from flaskprof.profiles.merge import merge
from flaskprof.profiles.model import CallGraph, CallTree, Function, Profile
from flaskprof.profiles.overall import Overall, overall
from flaskprof.profiles.sums import call_graph
from flaskprof.record import CaptureRecord, added_up
from flaskprof.web.flame_data import WIDEST, flame_json, packed
from flaskprof.web.links import function_key
from flaskprof.web.parsed import Made
from flaskprof.web.visit import Visit

__all__ = ["MOST_MERGED", "MOST_OF_A_ROUTE", "Subject", "merged", "subject_of"]

MOST_MERGED = 100
"""How many captures are added up for one page."""

MOST_OF_A_ROUTE = 25
"""How many captures, the newest, stand for a route where its profile is added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A profile that is shown, where it comes from and where its pages are.

    `records` are those of the captures, of which `ids` are the IDs. `truth` is "exact"
    where whole stacks were recorded, "sampled", or "estimated" where stacks are estimated
    from sums. `kinds` tells whose code its functions are: the viewer's settings and what was
    recorded name the packages that are the application's own. Figures come from `graph`,
    stacks from `tree`; both are parsed when they are first asked for, which may raise
    `BadProfile`.
    """

    ids: tuple[str, ...]
    records: tuple[CaptureRecord, ...]
    is_application_only: bool
    visit: Visit
    kinds: Kinds
    _stamps: dict[str, tuple[Hashable, ...]] = field(default_factory=dict, repr=False)
    _found: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def record(self) -> CaptureRecord | None:
        """What is known of the one capture; None where several are added up."""
        return self.records[0] if len(self.records) == 1 else None

    @property
    def whole_record(self) -> CaptureRecord:
        """The record of one capture, or what can be said of several together."""
        return self.record or added_up(self.records)

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.record:
            return self.record.name
        names = {record.name for record in self.records}
        same = f" of {names.pop()}" if len(names) == 1 else ""
        return f"{len(self.records)} captures{same}"

    @property
    def has_stacks(self) -> bool:
        """Whether the stacks themselves were recorded, and are still there."""
        return all(record.has_stacks for record in self.records)

    @property
    def truth(self) -> str:
        """How true the stacks are: "exact", "estimated" or "sampled"."""
        if self.graph.is_sampled or any(r.exactness == "sampled" for r in self.records):
            return "sampled"
        # What was estimated before it was written to a file says so in a frame.
        was_recorded = self.has_stacks and ESTIMATED not in self.graph.functions
        return "exact" if was_recorded else "estimated"

    @property
    def graph(self) -> CallGraph:
        """The sums of each function and edge, from which every figure comes."""
        if self.is_application_only and self.has_stacks:
            return self._made("graph", ".pb.gz", lambda: call_graph(self.profile))
        if self.is_application_only or not self.record:
            return self._made("graph", ".prof", self._graph)
        return self._once("graph", lambda: self._graphs()[0])

    @property
    def profile(self) -> Profile:
        """The call tree where stacks were recorded, else the graph."""
        if not self.has_stacks:
            return self.graph
        return self._made("tree", ".pb.gz", self._tree)

    @property
    def tree(self) -> CallTree | EstimatedTree:
        """The call tree, estimated with bounds where stacks were not recorded."""
        profile = self.profile
        if isinstance(profile, CallTree):
            return profile
        return self._made("estimate", ".prof", self._estimate)

    @property
    def stacks(self) -> CallTree:
        """The call tree for other tools, which know of no bounds."""
        profile = self.profile
        if isinstance(profile, CallTree):
            return profile
        return self._made("stacks", ".prof", lambda: stacks(profile))

    def function(self, key: str) -> Function | None:
        """Return the function that `key` stands for in addresses, if it is in the profile."""
        return next(
            (known for known in self.graph.functions if function_key(known) == key), None
        )

    @property
    def overall(self) -> Overall:
        """What the graph comes to as a whole."""
        return self._made("overall", ".prof", lambda: overall(self.graph, self.kinds))

    @property
    def flame(self) -> bytes:
        """The data of its flame view, packed as `flaskprof.web.flame_data` describes."""
        return self._drawn(
            "flame",
            lambda is_sampled: packed(flame_tree(self.tree, is_sampled=is_sampled), self.kinds),
        )

    @property
    def widest(self) -> bytes:
        """The same of its widest boxes alone, as JSON that a page may hold."""
        return self._drawn(
            "widest",
            lambda is_sampled: flame_json(
                flame_tree(self.tree, is_sampled=is_sampled, max_nodes=WIDEST), self.kinds
            ),
        )

    def recording_ns(self, function: Function) -> float | None:
        """How much longer a call of a function took for being recorded, if that is known."""
        costs = [
            record.builtin_call_ns if is_builtin(function) else record.python_call_ns
            for record in self.records
        ]
        known = [cost for cost in costs if cost is not None]
        return sum(known) / len(known) if known else None

    def key(self, function: Function | None) -> str:
        """Return what stands for a function in an address; nothing for none."""
        return "" if function is None else function_key(function)

    def function_page(self, function: Function, view: str = "sandwich") -> str:
        """The address of a view in which `function` is selected."""
        return self.page(view=view, fn=function_key(function))

    def hidden(self, **query: str) -> list[tuple[str, str]]:
        """The fields that a form needs for its answer to be of this subject."""
        several = [] if self.record else [("c", capture_id) for capture_id in self.ids]
        return several + list(self._with_app(query).items())

    def file(self, suffix: str) -> bytes | None:
        """Return a file of one capture as it was written, if that is what is shown."""
        if not self.record or self.is_application_only:
            return None
        try:
            return self.visit.store.read(self.record.id, suffix)
        except CaptureNotFound:
            return None

    def page(self, **query: Any) -> str:
        """The address of its page; `view`, `fn` and whatever else are its query.

        What restricts the profile to the application's own code is kept unless `app` says
        otherwise.
        """
        return self.visit.links.subject(self.ids, **self._with_app(query))

    def tree_data(self, **query: Any) -> str:
        """The address of the data of its flame view."""
        return self.visit.links.subject_tree(self.ids, **self._with_app(query))

    def export(self, name: str) -> str:
        """The address of its download in one of the formats."""
        return self.visit.links.subject_export(self.ids, name, **self._with_app({}))

    def _with_app(self, query: dict[str, Any]) -> dict[str, Any]:
        query = {"app": "1" if self.is_application_only else ""} | query
        return {name: value for name, value in query.items() if value not in ("", None)}

    def _graph(self) -> CallGraph:
        if self.is_application_only:
            return folded(self.unfolded().graph, self.kinds.is_foreign)
        graph = _merged(self._graphs())
        assert isinstance(graph, CallGraph)  # noqa: S101  graphs add up to one; for mypy
        return graph

    def _graphs(self) -> list[CallGraph]:
        known = self.visit.profiles
        return [known.get(stamp, load) for stamp, load in self._files(".prof")]

    def _tree(self) -> CallTree:
        made = self.visit.profiles.made
        parts = [
            made(("tree", stamp), partial(_stacks, load))
            for stamp, load in self._files(".pb.gz")
        ]
        tree = parts[0] if len(parts) == 1 else _merged(parts)
        assert isinstance(tree, CallTree)  # noqa: S101  trees add up to one; for mypy
        return folded(tree, self.kinds.is_foreign) if self.is_application_only else tree

    def _estimate(self) -> EstimatedTree:
        if not self.is_application_only:
            return estimate(self.graph)
        # Bounds hold for what was summed up, which a graph that was folded is not.
        whole = self.unfolded().tree
        assert isinstance(whole, EstimatedTree)  # noqa: S101  as there are no stacks; for mypy
        return folded(whole, self.kinds.is_foreign)

    def unfolded(self) -> Subject:
        """The same, with the code of others too."""
        return replace(self, is_application_only=False)

    def _files(self, suffix: str) -> Iterator[tuple[Hashable, Callable[[], bytes]]]:
        """Yield of each capture the stamp of a file, and what reads it."""
        read = self.visit.store.read
        for capture_id, stamp in zip(self.ids, self._stamps_of(suffix), strict=True):
            yield stamp, partial(read, capture_id, suffix)

    def _drawn(self, what: str, make: Callable[[bool], bytes]) -> bytes:
        is_sampled = self.truth == "sampled"
        suffix = ".pb.gz" if self.has_stacks else ".prof"
        return self._made((what, is_sampled), suffix, lambda: make(is_sampled))

    def _made(self, what: Hashable, suffix: str, make: Callable[[], Made]) -> Made:
        def find() -> Made:
            key = (what, self.is_application_only, self.kinds, self._stamps_of(suffix))
            return self.visit.profiles.made(key, make)

        return self._once(what, find)

    def _stamps_of(self, suffix: str) -> tuple[Hashable, ...]:
        if suffix not in self._stamps:
            stamp = self.visit.store.stamp
            self._stamps[suffix] = tuple(stamp(capture_id, suffix) for capture_id in self.ids)
        return self._stamps[suffix]

    def _once(self, what: Hashable, find: Callable[[], Made]) -> Made:
        """Return what was found before: a page makes nothing twice, however little is kept."""
        key = what, self.is_application_only, self.kinds
        if key not in self._found:
            self._found[key] = find()
        found: Made = self._found[key]
        return found


def subject_of(visit: Visit, capture_id: str) -> Subject:
    """Return what a page shows of one capture; raises `CaptureNotFound`."""
    return _subject(visit, [capture_id])


def merged(visit: Visit, capture_ids: Sequence[str]) -> Subject:
    """Return several captures as one subject; the same one twice counts once.

    Raises `CaptureNotFound` for any that is not there, and `BadRequest` for none, for more
    than `MOST_MERGED`, and where exact and sampled ones are to be added up.
    """
    ids = sorted(set(capture_ids))
    if not ids:
        raise BadRequest("c: name the captures to add up, each as c=<id>")
    if len(ids) > MOST_MERGED:
        raise BadRequest(f"c: {len(ids)} captures, of which {MOST_MERGED} can be added up")
    return _subject(visit, ids)


def _subject(visit: Visit, ids: Sequence[str]) -> Subject:
    records = tuple(_record(visit, capture_id) for capture_id in ids)
    packages = (visit.settings.app_packages, *(record.app_packages for record in records))
    subject = Subject(
        ids=tuple(ids),
        records=records,
        is_application_only=visit.query.get("app", "") in ("1", "yes", "on"),
        visit=visit,
        kinds=Kinds(frozenset().union(*packages)),
    )
    if len({record.exactness == "sampled" for record in subject.records}) > 1:
        raise BadRequest(_MIXED)
    return subject


def _stacks(load: Callable[[], bytes]) -> CallTree:
    return read_pprof(load())


def _record(visit: Visit, capture_id: str) -> CaptureRecord:
    """Return what is known of a capture; the file of its stacks alone may have been removed."""
    record = visit.store.record(capture_id)
    if record.has_stacks:
        try:
            visit.store.stamp(capture_id, ".pb.gz")
        except CaptureNotFound:
            return replace(record, has_stacks=False)
    return record


_MIXED = "sampled captures and exact ones cannot be added up: choose those of one kind"


def _merged(parts: Sequence[Profile]) -> Profile:
    try:
        return merge(parts)
    except ConfigError:
        raise BadRequest(_MIXED) from None
