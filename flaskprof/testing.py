"""Performance tests without a clock: how many calls and queries a function makes.

The counts are exact, and the same on every machine with the same Python minor version and the
same versions of what is called::

    counted = count(client.get, "/orders/7")
    assert counted.queries <= 3

`flaskprof.pytest_plugin` offers the same as a fixture and a marker. Only the calling thread is
counted; queries are those of SQLAlchemy.
"""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, Generic, TypeVar

from flaskprof.capture.choice import choose_engine
from flaskprof.capture.engines import Engine, EngineBusyError, Recording
from flaskprof.errors import ConfigError, FlaskprofError
from flaskprof.integrations import sqlalchemy
from flaskprof.profiles.kinds import Kind, Kinds, is_builtin
from flaskprof.profiles.model import CallGraph, CallTree, Function, Profile
from flaskprof.profiles.paths import short_path
from flaskprof.profiles.sums import call_graph
from flaskprof.queries.groups import QueryGroup, repetition
from flaskprof.queries.log import gather

__all__ = [
    "Budget",
    "CannotCount",
    "Counted",
    "count",
    "dotted_name",
    "overrun",
    "start",
    "warm_up",
]

T = TypeVar("T")

_MOST_CALLERS = 5
# What is installed has its dotted name from where it is installed, whosever it is.
_BY_PLACE = Kinds()


class CannotCount(FlaskprofError):
    """Calls cannot be counted here and now; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a function may do.

    `calls` has regular expressions, which the whole dotted name of a function must match
    (`dotted_name`), and how often each function that matches may be called. `max_calls` bounds
    the calls of all functions together, `queries` the statements that go to databases. None is
    without bound. `warmup` is how often the function is called before it counts.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    max_calls: int | None = None
    queries: int | None = None
    warmup: int = 1

    def __post_init__(self) -> None:
        for pattern in self.calls:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"{pattern!r} is no regular expression: {error}") from None


@dataclass(frozen=True)
class Counted(Generic[T]):
    """What one call of a function did: `result` is what it returned.

    `queries` is None where they are not known, as the call itself imported SQLAlchemy.
    """

    result: T
    seconds: float
    profile: Profile
    queries: int | None
    statements: tuple[QueryGroup, ...]

    @cached_property
    def graph(self) -> CallGraph:
        """The sums of the functions that were called, and of who called whom."""
        return call_graph(self.profile)

    @property
    def total_calls(self) -> int:
        """The calls of all functions, builtins included."""
        return self.graph.total_calls

    def calls(self, pattern: str) -> dict[str, int]:
        """Return the calls of each function whose whole dotted name matches `pattern`."""
        calls: Counter[str] = Counter()
        for function, stats in self.graph.functions.items():
            name = dotted_name(function)
            if re.fullmatch(pattern, name):
                calls[name] += stats.total.calls
        return dict(calls)


def warm_up(
    times: int, function: Callable[..., object], *arguments: Any, **keywords: Any
) -> None:
    """Call `function` so often, under the circumstances under which `count` calls it."""
    for _ in range(times):
        sqlalchemy.watch()
        log = gather()
        try:
            function(*arguments, **keywords)
        finally:
            log.end()


def count(function: Callable[..., T], *arguments: Any, **keywords: Any) -> Counted[T]:
    """Call `function` once and count what it does. What it raises passes.

    Garbage is not collected meanwhile, so that no finalizer is counted by chance. Raises
    `CannotCount` where another profiler is at work.
    """
    recording = start()
    watched = sqlalchemy.watch()
    log = gather()
    collects = gc.isenabled()
    gc.disable()
    started = perf_counter()
    recording.on()
    try:
        result = function(*arguments, **keywords)
    finally:
        recording.off()
        seconds = perf_counter() - started
        recording.stop()
        if collects:
            gc.enable()
        log.end()
    # Where it was imported only now, what it did went unseen.
    queries = None if not watched and sqlalchemy.watch() else log.count
    return Counted(result, seconds, recording.finish(), queries, log.groups())


def start() -> Recording:
    """Return a recording of this process's best engine; raises `CannotCount`."""
    engine, why = _engine()
    if engine is None:
        raise CannotCount(f"calls cannot be counted: {why}")
    try:
        return engine.start()
    except EngineBusyError as error:
        raise CannotCount(f"calls cannot be counted: {error}") from None


@lru_cache(maxsize=1)
def _engine() -> tuple[Engine | None, str]:
    return choose_engine()


def dotted_name(function: Function, root: Path | None = None) -> str:
    """Return the name that patterns are matched with.

    That is the module as it would be imported and the name of the function, without a class:
    ``sqlalchemy.engine.base.execute``; for a builtin its type or module and name:
    ``sqlite3.Cursor.execute``. Modules of the application are named from `root` on, by default
    the working directory, or by their file's name alone where they lie elsewhere.
    """
    if is_builtin(function):
        return _builtin_name(function.name)
    file = function.file
    if _BY_PLACE.of(function) is Kind.APPLICATION:
        root = root or Path.cwd()
        path = Path(file)
        file = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    else:
        file = short_path(file)
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{module}.{function.name}"


def _builtin_name(name: str) -> str:
    if method := re.fullmatch(r"<method '([^']+)' of '([^']+)' objects>", name):
        return f"{method[2]}.{method[1]}"
    if builtin := re.fullmatch(r"<built-in method (.+)>", name):
        return builtin[1]
    return name


def overrun(budget: Budget, counted: Counted[Any]) -> str:
    """Say what went over the budget, and who called it; nothing where it was kept."""
    lines: list[str] = []
    if budget.queries is not None:
        lines += _about_queries(counted, budget.queries)
    for pattern, most in budget.calls.items():
        lines += _about_calls(counted, pattern, most)
    if budget.max_calls is not None and counted.total_calls > budget.max_calls:
        lines += _about_all(counted, budget.max_calls)
    return "\n".join(lines)


def _about_queries(counted: Counted[Any], most: int) -> list[str]:
    if counted.queries is None:
        return ["the call imported SQLAlchemy, so that its queries were not seen: use warmup=1"]
    if counted.queries <= most:
        return []
    heading = f"{counted.queries:,} queries, of which the budget allows {most:,}:"
    by_runs = sorted(counted.statements, key=lambda group: group.runs, reverse=True)
    return [heading, *(f"  {repetition(group)}" for group in by_runs)]


def _about_calls(counted: Counted[Any], pattern: str, most: int) -> list[str]:
    lines = []
    for function, stats in counted.graph.functions.items():
        calls = stats.total.calls
        if calls > most and re.fullmatch(pattern, dotted_name(function)):
            name = dotted_name(function)
            lines.append(f"{calls:,} calls of {name}, of which the budget allows {most:,}:")
            lines += _callers(counted.profile, counted.graph, function)
    return lines


def _about_all(counted: Counted[Any], most: int) -> list[str]:
    heading = (
        f"{counted.total_calls:,} calls, of which the budget allows {most:,}; the most of:"
    )
    functions = counted.graph.functions
    top = sorted(functions, key=lambda each: functions[each].total.calls, reverse=True)
    return [
        heading,
        *(
            f"  {functions[function].total.calls:,} of {dotted_name(function)}"
            for function in top[:_MOST_CALLERS]
        ),
    ]


def _callers(profile: Profile, graph: CallGraph, function: Function) -> list[str]:
    """Say who called a function, and where stacks are known for which line of code."""
    calls: Counter[str] = Counter()
    if isinstance(profile, CallTree):
        for node, place in enumerate(profile.function):
            if profile.functions[place] == function:
                calls[_asked_by(profile, node)] += profile.calls[node]
    else:
        for caller, sums in graph.functions[function].callers.items():
            calls[dotted_name(caller)] += sums.calls
    lines = [f"  {number:,} by {who}" for who, number in calls.most_common(_MOST_CALLERS)]
    left = sum(calls.values()) - sum(number for _, number in calls.most_common(_MOST_CALLERS))
    return lines + ([f"  {left:,} by others"] if left else [])


def _asked_by(tree: CallTree, node: int) -> str:
    """Name the caller of a node and the function of the application that wanted it."""
    above = tree.parent[node]
    if above < 0:
        return "the test"
    caller = tree.functions[tree.function[above]]
    while above >= 0:
        wants = tree.functions[tree.function[above]]
        if not _BY_PLACE.is_foreign(wants):
            break
        above = tree.parent[above]
    else:
        return dotted_name(caller)
    place = f"{short_path(wants.file)}:{wants.line}({wants.name})"
    return place if wants == caller else f"{dotted_name(caller)}, for {place}"
