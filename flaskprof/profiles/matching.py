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

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import Function
from flaskprof.profiles.paths import short_path

__all__ = ["matched"]


def matched(
    before: Iterable[Function], after: Iterable[Function]
) -> list[tuple[Function | None, Function | None]]:
    """Pair the functions of two profiles; whoever has no other is paired with None.

    Files are the same wherever they lie on each side (`_placed`). A function is itself,
    wherever its line is now, if it alone has its name in its file on both sides. Of several
    by one name those are the same that stand as far as before below the same function, or
    below the top of the file; where as many others are left on both sides, each in its turn.
    What has no name of its own, as lambdas, is the same only below the same function.
    """
    left = dict.fromkeys(before), dict.fromkeys(after)
    pairs: list[tuple[Function | None, Function | None]] = []

    def pair(keys: tuple[_Key, _Key], most: int) -> None:
        """Pair those of one key, from top to bottom, where both sides have as many."""
        groups, others = (_grouped(side, key) for side, key in zip(left, keys, strict=True))
        for key, group in groups.items():
            other = others.get(key, [])
            if key is not None and len(group) == len(other) <= most:
                for old, new in zip(sorted(group), sorted(other), strict=True):
                    pairs.append((old, new))
                    del left[0][old], left[1][new]

    places = _placed({f.file for f in left[0]}, {f.file for f in left[1]})
    pair((_named(places[0]), _named(places[1])), 1)
    if not (left[0] and left[1]):
        return [*pairs, *_alone(*left)]
    anchors = (
        {old: place for place, (old, _) in enumerate(pairs) if old},
        {new: place for place, (_, new) in enumerate(pairs) if new},
    )
    below = _Below(places[0], anchors[0]), _Below(places[1], anchors[1])
    pair((below[0].offset, below[1].offset), 1)
    pair((below[0].turn, below[1].turn), len(left[0]))
    return [*pairs, *_alone(*left)]


def _alone(
    old: Iterable[Function], new: Iterable[Function]
) -> list[tuple[Function | None, Function | None]]:
    """Return those that are on one side only."""
    return [*((function, None) for function in old), *((None, function) for function in new)]


_Key = Callable[[Function], Hashable]
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_SEPARATOR = re.compile(r"[/\\]")
_ANONYMOUS = frozenset({"<lambda>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"})
# What many folders have says nothing of which of them it is in.
_IN_EVERY_PACKAGE = frozenset({"__init__.py", "__main__.py"})
# An application that is installed is looked for where it is installed, as all that is.
_BY_PLACE = Kinds()
# Of a path this many parts are looked at, at either end: names come from anywhere.
_MOST_PARTS = 20


def _grouped(functions: Iterable[Function], key: _Key) -> dict[Hashable, list[Function]]:
    """Return the functions by their key."""
    groups: dict[Hashable, list[Function]] = {}
    for function in functions:
        groups.setdefault(key(function), []).append(function)
    return groups


def _named(places: Mapping[str, Hashable]) -> _Key:
    """Return what tells a function by its name; None of one that has none of its own."""

    def key(function: Function) -> Hashable:
        file, _, name = function
        return None if name in _ANONYMOUS else (places[file], _plain(name))

    return key


def _plain(name: str) -> str:
    """Return a name without the address in memory that is in those of some builtins."""
    return _ADDRESS.sub("", name) if " at 0x" in name else name


class _Below:
    """Tells functions by where they stand below those that are known already, the anchors."""

    def __init__(self, places: Mapping[str, Hashable], anchors: Mapping[Function, int]) -> None:
        self._places = places
        self._most = len(anchors)
        self._lines: dict[str, list[tuple[int, int]]] = {}
        for function, anchor in anchors.items():
            self._lines.setdefault(function.file, []).append((function.line, anchor))
        for lines in self._lines.values():
            lines.sort()

    def offset(self, function: Function) -> Hashable:
        """Return its name, and how far it is below which anchor."""
        line, anchor = self._above(function)
        return self._name(function), anchor, function.line - line

    def turn(self, function: Function) -> Hashable:
        """Return its name, and below which anchor it is if it has none of its own."""
        is_anonymous = function.name in _ANONYMOUS
        return self._name(function), self._above(function)[1] if is_anonymous else None

    def _name(self, function: Function) -> Hashable:
        return self._places[function.file], _plain(function.name)

    def _above(self, function: Function) -> tuple[int, int]:
        lines = self._lines.get(function.file, [])
        place = bisect_right(lines, (function.line, self._most))
        return lines[place - 1] if place else (0, -1)


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
    return _BY_PLACE.of(Function(file, 1, ""))


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
