"""Numbers, moments and foreign names as text for a page; pure and without markup.

Values keep their full precision until here; each figure carries the exact value beside
its rounded text.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

__all__ = [
    "Figure",
    "Moment",
    "calls",
    "count",
    "in_words",
    "moment",
    "rate",
    "seconds",
    "share",
    "size",
    "visible",
]

_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B"))
_AGES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_ABSENT = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


class Figure(NamedTuple):
    """A number on a page: rounded `text` and `unit`, and the value itself.

    `exact` is a sentence for whoever wants to know; `value` is for machines.
    """

    text: str
    unit: str
    exact: str
    value: str


class Moment(NamedTuple):
    """A point in time: `iso` for machines, `text` in UTC, `ago` relative to the request."""

    iso: str
    text: str
    ago: str


def seconds(value: float | None) -> Figure:
    """Show a duration with three significant digits in the unit that suits it."""
    if value is None:
        return Figure(_ABSENT, "", "not known", "")
    exact = _signed(f"{value:.9f}".rstrip("0").rstrip("."))
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return Figure("0", "s", "0 s", "0")
    size = abs(rounded)
    # 0.9995 s rounds to 1.00 s, so the unit is chosen after rounding; the small factor
    # keeps a binary 0.001 from falling just below its decimal threshold.
    scale, unit = next((item for item in _SCALES if size * (1 + 1e-12) >= item[0]), _SCALES[-1])
    scaled = size / scale
    digits = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    text = f"{math.copysign(scaled, rounded):,.{digits}f}"
    return Figure(_signed(text), unit, f"{exact} s", repr(value))


def size(value: int) -> Figure:
    """Show a number of bytes with three significant digits in the unit that suits it."""
    rounded = float(f"{value:.3g}")
    scale, unit = next((item for item in _SIZES if rounded >= item[0]), _SIZES[-1])
    return Figure(f"{rounded / scale:,.3g}", unit, f"{value:,} bytes", str(value))


def share(value: float | None) -> Figure:
    """Show a fraction of one as a percentage with one decimal."""
    if value is None:
        return Figure(_ABSENT, "", "not known", "")
    percent = value * 100 + 0.0  # there is no share of minus nothing
    text = f"{percent:.1f}"
    if 0 < abs(percent) < 0.05:
        text = "<0.1" if percent > 0 else "-<0.1"
    return Figure(_signed(text), "%", _signed(f"{percent:.4f} %"), repr(value))


def rate(value: float) -> Figure:
    """Show how often something happens in a second, with three significant digits."""
    rounded = float(f"{value:.3g}")
    digits = 0 if rounded >= 99.95 else 1 if rounded >= 9.995 else 2
    text = f"{rounded:,.{digits}f}" if rounded >= 0.01 or not rounded else f"{rounded:.1g}"
    return Figure(text if rounded else "0", "/s", f"{value:.6g} per second", repr(value))


def in_words(length: float) -> str:
    """Say how long a span of so many seconds is: seconds, minutes from two on, hours."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        whole = length / size
        if abs(length - round(whole) * size) < size / 30 and round(whole) >= 1:
            return f"{round(whole)} {unit}"
    return f"{length / 60:.1f} min" if length >= 100 else f"{max(length, 0):.0f} s"


def count(value: float | None) -> Figure:
    """Show a number of things with its thousands set apart; a mean may be a broken one."""
    if value is None:
        return Figure(_ABSENT, "", "not known", "")
    if value == int(value):
        text = _signed(f"{int(value):,}")
        return Figure(text, "", text, str(int(value)))
    text = f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2g}"
    return Figure(_signed(text), "", _signed(f"{value:,}"), repr(value))


def _signed(text: str) -> str:
    """Return a number with a minus as it is printed, as wide as a plus."""
    return text.replace("-", _MINUS, 1) if text.startswith("-") else text


def calls(all_calls: int, primitive_calls: int) -> Figure:
    """Show calls as pstats does: all, and the primitive ones where they are fewer."""
    if all_calls == primitive_calls:
        return Figure(f"{all_calls:,}", "", f"{all_calls:,} calls", str(all_calls))
    return Figure(
        f"{all_calls:,}/{primitive_calls:,}",
        "",
        f"{all_calls:,} calls, {primitive_calls:,} of them primitive: "
        "not made from within another call of the same function",
        str(all_calls),
    )


def moment(unix_seconds: float, now: float) -> Moment:
    """Show a point in time, given as Unix seconds, as seen at `now`."""
    when = datetime.fromtimestamp(unix_seconds, UTC)
    iso = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Moment(iso, f"{when:%Y-%m-%d %H:%M:%S}", _ago(now - unix_seconds))


def _ago(age: float) -> str:
    if age < 1:
        return "just now"
    size, unit = next(item for item in _AGES if age >= item[0])
    return f"{int(age // size):,} {unit} ago"


def visible(text: str) -> str:
    r"""Return `text` with every character that cannot be seen as its Python escape.

    Names, paths and routes come from foreign files. Control characters, bidirectional
    controls, other invisible format characters and lone surrogates (which UTF-8 cannot
    hold) are shown for what they are, such as ``\u202e``; letters of every script stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
