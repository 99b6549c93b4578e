"""Call trees as collapsed stacks, the text that ``flamegraph.pl`` made common.

Each line is a stack and a number: ``first;second;third 1200``. As other profilers of Python
do, we call a frame ``name (file:line)``. The number is the self time in nanoseconds; the
format has no place for a unit, nor for calls.
"""

from __future__ import annotations

import re

from flaskprof.errors import BadProfile
from flaskprof.formats.depth import bounded
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.marshal_reader import MAX_BYTES, MAX_FUNCTIONS, MAX_NAME_BYTES
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.walk import steps

__all__ = ["MAX_NODES", "MAX_STEPS", "is_collapsed", "read_collapsed", "write_collapsed"]

MAX_NODES = 1_000_000
MAX_STEPS = 2**21
"""Frames of all lines together that are written."""

_BUILTIN = "~"
_LINE = re.compile(r"(.*\S)[ \t]+([0-9]{1,18})(?:\.[0-9]*)?[ \t]*\Z")
_LINE_NUMBER = re.compile(r"[0-9]{1,9}\)\Z")
_MAX_INT = 2**63 - 1
_BEGINNING_BYTES = 2**16


def is_collapsed(data: bytes) -> bool:
    """Whether a file may be collapsed stacks: its first line is one, and it is text."""
    lines = data[:_BEGINNING_BYTES].decode("utf-8", "replace").split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    first = first.rstrip("\r")
    return first.isprintable() and _LINE.match(first) is not None


def write_collapsed(tree: CallTree) -> bytes:
    """Return a line for each stack on which time was spent, callers before callees.

    What would end a frame or a line in a name is written as something else: a semicolon as
    a colon, and what cannot be seen as its Python escape.
    """
    tree = bounded(tree, MAX_STEPS)
    names = [_frame(function) for function in tree.functions]
    lines = []
    stacks: list[str] = []
    for step in steps(tree.parent):
        if step < 0:
            stacks.pop()
            continue
        name = names[tree.function[step]]
        stacks.append(f"{stacks[-1]};{name}" if stacks else name)
        if tree.self_ns[step]:
            lines.append(f"{stacks[-1]} {tree.self_ns[step]}\n")
    return "".join(lines).encode("utf-8", "backslashreplace")


def read_collapsed(data: bytes) -> CallTree:
    """Return the call tree of collapsed stacks, in UTF-8.

    A number is taken for nanoseconds, since nothing tells its unit: shares are right, and
    times are if we wrote it. Calls are not known, and none; so it is called sampled. Frames
    that are not called as we call them become functions without a file. Raises `BadProfile`
    for other text, and for more of anything than the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise BadProfile(f"larger than {MAX_BYTES // 2**20} MiB, too large to be read")
    reader = _Reader()
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            reader.add(line, number)
    return reader.tree()


class _Reader:
    """The tree of the lines that were added."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self._functions: dict[Function, int] = {}
        self._places: dict[str, int] = {}
        self._total = 0

    def add(self, line: str, number: int) -> None:
        found = _LINE.match(line.rstrip("\r"))
        if found is None:
            raise BadProfile(f"line {number} is no stack with a number after it")
        node = -1
        for frame in found[1].split(";"):
            node = self._builder.node(node, self._place(frame, number))
            if len(self._builder) > MAX_NODES:
                raise BadProfile(f"the profile has more than {MAX_NODES} different stacks")
        self._total += int(found[2])
        if self._total > _MAX_INT:
            raise BadProfile("the numbers of the stacks have more than 64 bits together")
        self._builder.add(node, 0, int(found[2]))

    def tree(self) -> CallTree:
        if not len(self._builder):
            raise BadProfile("there is no stack in it")
        return self._builder.tree(tuple(self._functions), is_sampled=True)

    def _place(self, frame: str, number: int) -> int:
        place = self._places.get(frame)
        if place is None:
            if len(frame) > MAX_NAME_BYTES:
                raise BadProfile(f"line {number} has a name of {len(frame)} characters")
            if len(self._places) == MAX_FUNCTIONS:
                raise BadProfile(f"the profile has more than {MAX_FUNCTIONS} functions")
            function = _function(frame)
            place = self._functions.setdefault(function, len(self._functions))
            self._places[frame] = place
        return place


def _frame(function: Function) -> str:
    file, line, name = function
    text = name if file == _BUILTIN and not line else f"{name} ({file}:{line})"
    text = text.replace(";", ":")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _function(frame: str) -> Function:
    """Return the function of a frame; the first bracket ends its name, files may have more."""
    name, _, rest = frame.partition(" (")
    file, _, line = rest.rpartition(":")
    if name and file and _LINE_NUMBER.match(line):
        return Function(file, int(line[:-1]), name)
    return Function(_BUILTIN, 0, frame)
