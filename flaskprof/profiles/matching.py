"""Which functions of two profiles are the same, also where the source has moved in between.

Lines move with every change, and files with every deploy. What tells a function is its name
and its place among the others::

    for old, new in matched(before.functions, after.functions):
        ...
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from itertools import accumulate

from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import Kind, kind_of, short_path

__all__ = ["matched"]


def matched(
    before: Iterable[Function], after: Iterable[Function]
) -> list[tuple[Function | None, Function | None]]:
    """Pair the functions of two profiles; whoever has no other is paired with None.

    Files are the same wherever they lie on each side (`_placed`). A function is itself,
    wherever its line is now, if it alone has its name in its file on both sides. Of several
    by one name those are the same that stand as far as before below the same function, or
    below the top of the file; where as many others are left on both sides, each in its turn.
    """
    left = dict.fromkeys(before), dict.fromkeys(after)
    pairs: list[tuple[Function | None, Function | None]] = []

    def pair(keys: tuple[_Key, _Key], most: int) -> None:
        """Pair those of one key, from top to bottom, where both sides have as many."""
        groups, others = (_grouped(side, key) for side, key in zip(left, keys, strict=True))
        for key, group in groups.items():
            other = others.get(key, [])
            if len(group) == len(other) <= most:
                for old, new in zip(sorted(group), sorted(other), strict=True):
                    pairs.append((old, new))
                    del left[0][old], left[1][new]

    places = _placed({f.file for f in left[0]}, {f.file for f in left[1]})
    by_name = _named(places[0]), _named(places[1])
    pair(by_name, 1)
    anchors = (
        {old: place for place, (old, _) in enumerate(pairs) if old},
        {new: place for place, (_, new) in enumerate(pairs) if new},
    )
    below = _below(anchors[0], by_name[0]), _below(anchors[1], by_name[1])
    pair(below, 1)
    pair(by_name, len(left[0]))
    pairs += [(function, None) for function in left[0]]
    pairs += [(None, function) for function in left[1]]
    return pairs


_Key = Callable[[Function], Hashable]
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_SEPARATOR = re.compile(r"[/\\]")
# What many folders have says nothing of which of them it is in.
_IN_EVERY_PACKAGE = frozenset({"__init__.py", "__main__.py"})
# Of a path this many parts are looked at, at either end: names come from anywhere.
_MOST_PARTS = 20


def _grouped(functions: Iterable[Function], key: _Key) -> dict[Hashable, list[Function]]:
    """Return the functions by their key."""
    groups: dict[Hashable, list[Function]] = {}
    for function in functions:
        groups.setdefault(key(function), []).append(function)
    return groups


def _named(places: Mapping[str, Hashable]) -> _Key:
    """Return what tells a function by its name, of a builtin without the address in it."""

    def key(function: Function) -> Hashable:
        name = function.name
        return places[function.file], _ADDRESS.sub("", name) if " at 0x" in name else name

    return key


def _below(anchors: Mapping[Function, int], by_name: _Key) -> _Key:
    """Return what tells a function by how far it stands below the anchor above it."""
    lines: dict[str, list[tuple[int, int]]] = {}
    for function, anchor in anchors.items():
        lines.setdefault(function.file, []).append((function.line, anchor))
    for found in lines.values():
        found.sort()

    def key(function: Function) -> Hashable:
        above = lines.get(function.file, [])
        place = bisect_right(above, (function.line, len(anchors)))
        line, anchor = above[place - 1] if place else (0, -1)
        return by_name(function), anchor, function.line - line

    return key


def _placed(
    before: Iterable[str], after: Iterable[str]
) -> tuple[dict[str, Hashable], dict[str, Hashable]]:
    """Say of the files of both sides which are the same: those that have the same place.

    A file is itself where it lies at the same path. Else it is the one that has its path
    below ``site-packages`` or the standard library; and of the application's own the one
    whose path ends alike, the longer the end the better, if there is one such on both sides.
    That is not so within a folder of which other files lie where they did: there two files
    are two files.
    """
    left = set(before), set(after)
    places: tuple[dict[str, Hashable], dict[str, Hashable]] = ({}, {})
    stayed = {
        folder for file in left[0] & left[1] if _is_own(file) for folder in _folders(file)
    }
    keys: list[Callable[[str], Hashable]] = [lambda file: file, _installed]
    keys += [partial(_end, parts=parts) for parts in range(_MOST_PARTS, 0, -1)]
    for key in keys:
        found, others = (_only(side, key) for side in left)
        for place, file in found.items():
            other = others.get(place)
            if place is None or file is None or other is None:
                continue
            if file == other or _is_apart(file, other, stayed):
                places[0][file] = places[1][other] = len(places[0])
                left[0].remove(file)
                left[1].remove(other)
    for side, rest in zip(places, left, strict=True):
        side.update((file, file) for file in rest)
    return places


def _is_own(file: str) -> bool:
    return not file.startswith("<") and _kind(file) is Kind.APPLICATION


def _installed(file: str) -> str | None:
    is_elsewhere = file.startswith("<") or _kind(file) in (Kind.APPLICATION, Kind.BUILTIN)
    return None if is_elsewhere else short_path(file)


def _kind(file: str) -> Kind:
    return kind_of(Function(file, 1, ""))


def _end(file: str, *, parts: int) -> tuple[str, ...] | None:
    if not _is_own(file):
        return None
    end = tuple(_SEPARATOR.split(file)[-parts:])
    return None if len(end) < parts or (parts == 1 and end[0] in _IN_EVERY_PACKAGE) else end


def _folders(file: str) -> list[str]:
    """Return the folders that a file is in, the outermost first, without the root."""
    parts = _SEPARATOR.split(file, _MOST_PARTS)[:-1]
    return [folder for folder in accumulate(parts, "{}/{}".format) if folder]


def _is_apart(file: str, other: str, stayed: set[str]) -> bool:
    """Whether no folder in which files stayed where they were holds both of these."""
    return stayed.isdisjoint({*_folders(file)} & {*_folders(other)})


def _only(files: Iterable[str], key: Callable[[str], Hashable]) -> dict[Hashable, str | None]:
    """Return the file of each key; None where that is not one alone."""
    found: dict[Hashable, str | None] = {}
    for file in files:
        place = key(file)
        found[place] = None if place in found else file
    return found
