"""What changed between two profiles, in words and signed figures; pure."""

from __future__ import annotations

from flaskprof.profiles.diff import Change, Comparison
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import label, short_path
from flaskprof.web.figures import Figure, count, seconds, share, visible

__all__ = ["count_difference", "seconds_difference", "sentence", "share_difference"]

_MANY_TIMES = 10


def seconds_difference(value: float) -> Figure:
    """Show a difference in time with its sign."""
    return _signed(seconds(value), value)


def share_difference(value: float) -> Figure:
    """Show by which part something became more or less, with its sign."""
    return _signed(share(value), value)


def count_difference(value: float) -> Figure:
    """Show a difference in calls with its sign."""
    return _signed(count(value), value)


def sentence(comparison: Comparison) -> str:
    """Say in one sentence by how much the time changed, and what did most of it."""
    greatest = comparison.greatest
    if greatest is None:
        return "Nothing changed: the same functions with the same calls and times."
    contrary = comparison.contrary
    but = ""
    if contrary and contrary is not greatest:
        more = "more" if contrary.self_seconds > 0 else "less"
        but = f", while {_where(contrary)} took {_time(abs(contrary.self_seconds))} {more}"
    return f"{_whole(comparison)}; {_part(greatest, comparison)}{but}."


def _whole(comparison: Comparison) -> str:
    before, after = comparison.seconds_before, comparison.seconds_after
    if not comparison.seconds:
        return f"Both took {_time(after)}"
    whole = f"{_time(before)} became {_time(after)}"
    if before <= 0:
        return whole
    if after >= _MANY_TIMES * before:
        return f"{whole} ({after / before:,.0f} times as much)"
    change = share_difference(comparison.seconds / before)
    return f"{whole} ({change.text} {change.unit})"


def _part(change: Change, comparison: Comparison) -> str:
    where = _where(change)
    old, new = change.sums_before, change.sums_after
    calls = ""
    if comparison.has_like_counts:
        calls = f" in {_calls(new.calls)}"
        if change.before and change.after and change.calls:
            calls += f" instead of {count(old.calls).text}"
    has_presence = comparison.has_like_counts
    if change.before is None and has_presence:
        return f"most is new in {where}: {_time(new.self_seconds)} of its own{calls}"
    if change.after is None and has_presence:
        return f"most went with {where}: {_time(old.self_seconds)} of its own"
    if not change.self_seconds:
        return (
            "no function took more or less time of its own, but "
            f"{where} was called {count(new.calls).text} times instead of "
            f"{count(old.calls).text}"
        )
    more = "more" if change.self_seconds > 0 else "less"
    by = _time(abs(change.self_seconds))
    return f"most changed in {where}: {by} {more} of its own{calls}"


def _where(change: Change) -> str:
    function = change.function
    return visible(label(Function(short_path(function.file), function.line, function.name)))


def _calls(number: float) -> str:
    return f"{count(number).text} call{'' if number == 1 else 's'}"


def _time(value: float) -> str:
    figure = seconds(value)
    return f"{figure.text} {figure.unit}"


def _signed(figure: Figure, value: float) -> Figure:
    return figure._replace(text=f"+{figure.text}") if value > 0 else figure
