"""Tables of plain text that fit a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from flaskprof.web.figures import Figure, visible

__all__ = ["Column", "figure", "layout"]

_GAP = "  "
_SHORTEST = 12
_READABLE = 32


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, which side it leans to, and whether it gives way.

    Of a column that gives way, texts that are too long lose their end, or their beginning
    where the end says more (`keeps_end`). Where those that give way would be left with less
    than is readable, columns that are `spare` are left out, those with the greatest number
    first, and those with the same one together.
    """

    heading: str
    is_number: bool = False
    gives_way: bool = False
    keeps_end: bool = False
    spare: int = 0


def layout(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> list[str]:
    """Return the lines of a table, of at most `width` cells where that is given.

    What the texts hold that cannot be seen, control characters and escape sequences among
    them, is shown as its Python escape.
    """
    texts = [[column.heading for column in columns]]
    texts += [[visible(text) for text in row] for row in rows]
    widths = [max(_cells(text) for text in column) for column in zip_longest(*texts)]
    if width is not None:
        kept = _kept(columns, widths, width)
        columns = [columns[number] for number in kept]
        widths = [widths[number] for number in kept]
        texts = [[line[number] for number in kept] for line in texts]
        over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        for number, column in enumerate(columns):
            if column.gives_way and over > 0:
                cut = min(over, max(0, widths[number] - _SHORTEST))
                widths[number] -= cut
                over -= cut
    return [
        _GAP.join(
            _fitted(text, column, cells)
            for text, column, cells in zip(line, columns, widths, strict=True)
        ).rstrip()
        for line in texts
    ]


def _kept(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the numbers of the columns that there is room for."""
    kept = list(range(len(columns)))
    for spare in sorted({column.spare for column in columns} - {0}, reverse=True):
        needed = sum(
            min(widths[number], _READABLE) if columns[number].gives_way else widths[number]
            for number in kept
        )
        if needed + len(_GAP) * (len(kept) - 1) <= width:
            break
        kept = [number for number in kept if columns[number].spare != spare]
    return kept


def figure(value: Figure) -> str:
    """Return a figure with its unit."""
    return f"{value.text} {value.unit}".rstrip()


def _fitted(text: str, column: Column, cells: int) -> str:
    spare = cells - _cells(text)
    if spare < 0:
        text = _cut(text, cells, keeps_end=column.keeps_end)
        spare = cells - _cells(text)
    return " " * spare + text if column.is_number else text + " " * spare


def _cut(text: str, cells: int, *, keeps_end: bool) -> str:
    kept: list[str] = []
    room = cells - 1
    for char in reversed(text) if keeps_end else text:
        room -= _cells(char)
        if room < 0:
            break
        kept.append(char)
    return "…" + "".join(reversed(kept)) if keeps_end else "".join(kept) + "…"


def _cells(text: str) -> int:
    """Count the cells that a terminal gives to `text`."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )
