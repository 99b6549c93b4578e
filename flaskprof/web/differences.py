"""What changed between two profiles, in words and signed figures; pure."""

from __future__ import annotations

from flaskprof.profiles.diff import Change, Comparison
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import label, short_path
from flaskprof.web.figures import Figure, count, seconds, visible

__all__ = ["count_difference", "seconds_difference", "sentence"]


def seconds_difference(value: float) -> Figure:
    """Show a difference in time with its sign."""
    return _signed(seconds(value), value)


def count_difference(value: float) -> Figure:
    """Show a difference in calls with its sign."""
    return _signed(count(value), value)


def sentence(comparison: Comparison) -> str:
    """Say in one sentence by how much the time changed, and what did most of it."""
    greatest = comparison.greatest
    if greatest is None:
        return "Nothing changed: the same functions with the same calls and times."
    whole = f"{_time(comparison.seconds_before)} became {_time(comparison.seconds_after)}"
    if comparison.seconds_before > 0 and comparison.seconds:
        whole += f" ({100 * comparison.seconds / comparison.seconds_before:+.1f} %)"
    return f"{whole}; {_part(greatest, comparison)}."


def _part(change: Change, comparison: Comparison) -> str:
    function = change.function
    where = visible(label(Function(short_path(function.file), function.line, function.name)))
    old, new = change.sums_before, change.sums_after
    calls = ""
    if comparison.has_like_counts:
        calls = f" in {_calls(new.calls)}"
        if change.before and change.after and change.calls:
            calls += f" instead of {count(old.calls).text}"
    if change.before is None:
        return f"most is new in {where}: {_time(new.self_seconds)} of its own{calls}"
    if change.after is None:
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


def _calls(number: float) -> str:
    return f"{count(number).text} call{'' if number == 1 else 's'}"


def _time(value: float) -> str:
    figure = seconds(value)
    return f"{figure.text} {figure.unit}"


def _signed(figure: Figure, value: float) -> Figure:
    return figure._replace(text=f"+{figure.text}") if value > 0 else figure
