"""What is known of one capture beside its profile, as versioned JSON.

The JSON file is written last and so marks a capture as complete.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar

from flaskprof.errors import StoreError
from flaskprof.ids import new_capture_id
from flaskprof.queries.groups import QueryGroup

__all__ = ["RECORD_VERSION", "CaptureRecord", "added_up"]

RECORD_VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRecord:
    """Metadata of one capture. Bodies, cookies, tokens and query values are never in it.

    `started` is Unix seconds; `duration_seconds` runs from the call of the application to
    the end of ``close()``; `cpu_seconds` is the CPU time of the thread while the
    application's own code ran. `route` is the matched rule, never the raw path, and empty
    where nothing matched. `exactness` is "exact" or "sampled", and empty of a file that is no
    profile. `has_stacks` tells that the
    stacks themselves are kept too, in pprof's format.

    `overhead_seconds` estimates how much longer everything took for being recorded, at
    `python_call_ns` and `builtin_call_ns` for each call of a function of the kind;
    `events` are the calls and returns that were recorded, `clock` is what time was measured
    with. `overlaps` counts the other requests that ran in the process meanwhile. `notes`
    are sentences that limit what the profile shows.

    `app_packages` are the packages that are the application's own although they are installed
    where libraries are, by the names under which they are imported.

    `view` is the dotted name of the view function that ran, `view_file` and `view_line` are
    where it begins. `template_seconds` are what templates took to render, by name, without
    those that were rendered meanwhile. `trace_id` (32 hexadecimal digits) and `span_id` (16)
    are those of the request in a distributed trace, empty where there is none.

    `query_count` and `query_seconds` are of the database, None where queries were not watched;
    `queries` are the ones that took longest or were repeated, without any value.
    """

    id: str
    started: float
    duration_seconds: float
    cpu_seconds: float | None = None
    method: str = ""
    route: str = ""
    endpoint: str = ""
    status: int | None = None
    trigger: str = ""
    engine: str = ""
    exactness: str = "exact"
    has_stacks: bool = False
    host: str = ""
    pid: int | None = None
    service: str = ""
    service_version: str = ""
    title: str = ""
    app_packages: tuple[str, ...] = ()
    clock: str = ""
    events: int | None = None
    overhead_seconds: float | None = None
    python_call_ns: float | None = None
    builtin_call_ns: float | None = None
    overlaps: int | None = None
    view: str = ""
    view_file: str = ""
    view_line: int | None = None
    template_seconds: dict[str, float] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""
    query_count: int | None = None
    query_seconds: float | None = None
    queries: tuple[QueryGroup, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person calls this capture: its title, else method and route."""
        return self.title or f"{self.method} {self.route or '(no route)'}".strip()

    def to_json(self) -> str:
        """Return the record as a JSON object with its format version, as valid Unicode."""
        text = json.dumps({"version": RECORD_VERSION, **asdict(self)}, ensure_ascii=False)
        # What is not valid, a lone surrogate from a foreign name, is written as the escape
        # that JSON has for it.
        return text.encode("utf-8", "backslashreplace").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> CaptureRecord:
        """Read what `to_json` wrote; unknown keys of a later minor version are ignored.

        Raises `StoreError` where the text is not a record of a version that is known.
        """
        try:
            data: Any = json.loads(text)
            version = data.pop("version")
            if version != RECORD_VERSION:
                raise StoreError(
                    f"capture metadata of version {version}: this flaskprof reads version "
                    f"{RECORD_VERSION}; read it with the flaskprof that wrote it"
                )
            return _checked(cls, data)
        except _UNREADABLE as error:
            raise StoreError(f"capture metadata cannot be read: {error!r}") from error


def added_up(records: Sequence[CaptureRecord]) -> CaptureRecord:
    """Say of several captures what is the same of all, and how much they are together.

    It has an ID of its own, made anew, and begins with the first of them.
    """
    cpu = [record.cpu_seconds for record in records if record.cpu_seconds is not None]
    started = min(record.started for record in records)

    def common(values: set[str]) -> str:
        return values.pop() if len(values) == 1 else ""

    return CaptureRecord(
        id=new_capture_id(started),
        started=started,
        duration_seconds=sum(record.duration_seconds for record in records),
        cpu_seconds=sum(cpu) if len(cpu) == len(records) else None,
        method=common({record.method for record in records}),
        route=common({record.route for record in records}),
        exactness=common({record.exactness for record in records}),
        has_stacks=all(record.has_stacks for record in records),
        service=common({record.service for record in records}),
        service_version=common({record.service_version for record in records}),
        title=f"{len(records)} profiles added up",
        app_packages=tuple(
            sorted({name for record in records for name in record.app_packages})
        ),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of texts is expected")
    return tuple(_text(item) for item in value)


def _seconds(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise TypeError("an object of numbers is expected")
    return {_text(name): _number(seconds) for name, seconds in value.items()}


def _queries(value: Any) -> tuple[QueryGroup, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of queries is expected")
    return tuple(_checked(QueryGroup, item) for item in value)


def _checked(kind: type[T], data: Any) -> T:
    """Return the dataclass of this kind that `data` holds the fields of."""
    return kind(
        **{
            name: check(data[name])
            for name, check, is_required in _FIELDS[kind]
            if name in data or is_required
        }
    )


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number is expected")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("a number is expected")
    number = float(value)
    if not 0 <= number < _MAX_SECONDS or math.isnan(number):
        raise ValueError("a number of seconds is expected")
    return number


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


# What reading and checking foreign JSON can end in.
_UNREADABLE = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)

# The end of the year 9999, beyond which no moment can be shown.
_MAX_SECONDS = 253_402_300_800

# What each type of a field accepts, by the annotation that it has above.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "bool": _truth,
    "str": _text,
    "float": _number,
    "float | None": _optional(_number),
    "int": _whole,
    "int | None": _optional(_whole),
    "tuple[str, ...]": _texts,
    "dict[str, float]": _seconds,
    "tuple[QueryGroup, ...]": _queries,
}

# Of each field its name, what it accepts, and whether it has to be there.
_FIELDS: dict[type, tuple[tuple[str, Callable[[Any], Any], bool], ...]] = {
    kind: tuple(
        (row.name, _CHECKS[str(row.type)], row.default is row.default_factory is MISSING)
        for row in fields(kind)
    )
    for kind in (CaptureRecord, QueryGroup)
}
