"""Reads ``.prof`` files that nobody vouches for.

A ``.prof`` file is a marshalled dictionary, and the standard library reads it with
`marshal`, which trusts its input: a few bytes crash the interpreter or take gigabytes.
This reader knows only the one shape that profilers write, so that nothing nests deeper
than that shape does, and it checks each length, number and reference before it uses it::

    {(file, line, name): (primitive, calls, self, cumulative, callers), ...}
    callers = {(file, line, name): (calls, primitive, self, cumulative), ...}

A caller's value may be a plain count, as `profile` and the sampling profiler of Python 3.15
write it; the latter also adds the key ``("__sampled__",)``. That key makes `pstats` fail
before Python 3.15; `flaskprof.profiles.pstats_writer` adds the function `SAMPLED_MARK` in
its place, which `pstats` lists with no calls and no time. What the bytes mean is that of
``Python/marshal.c``, format versions 0 to 5.

What profilers ordinarily write is read in C where that was built. It refuses all else without
a word, and the reader in Python, which knows the whole shape, reads it or says what is wrong.
"""

from __future__ import annotations

import re
import struct
from array import array
from typing import Any, NamedTuple, NoReturn

from flaskprof.errors import BadProfile
from flaskprof.profiles.columns import Columns, SumsColumns
from flaskprof.profiles.model import CallGraph, Function, Sums

try:
    from flaskprof.profiles._marshal import read as _read
except ImportError:  # no compiler was there

    def _read(*_: object) -> None:  # type: ignore[misc]  # the same face, and refuses all
        pass


__all__ = [
    "MAX_BYTES",
    "MAX_EDGES",
    "MAX_FUNCTIONS",
    "MAX_NAME_BYTES",
    "MAX_SECONDS",
    "MAX_TEXT",
    "SAMPLED_MARK",
    "python_read_profile",
    "read_ordinary",
    "read_profile",
]

MAX_BYTES = 64 * 2**20
MAX_FUNCTIONS = 200_000
MAX_EDGES = 1_000_000
MAX_NAME_BYTES = 2**16
MAX_TEXT = 64 * 2**20
"""Characters of all functions' files and names together, however often they are shared."""
MAX_SECONDS = 1e12
"""Larger times, up to thirty thousand years, would make sums overflow."""

SAMPLED_MARK = Function("~", 0, "<sampled: calls are counts of samples>")
"""A function that was never called; its name says the same to readers of a print-out."""

_MAX_LINE = 2**31 - 1
_MAX_COUNT = 2**63 - 1
_MAX_DIGITS = 5  # of 15 bits each: enough for 64 bits

# The type codes of marshal that a profile may hold. The top bit of a code means that the
# value may be referred to later, by its number in the order of these marks.
_REMEMBERED = 0x80
_CODE = 0x7F
_END, _DICT, _REFERENCE = ord("0"), ord("{"), ord("r")
_TUPLE, _SHORT_TUPLE = ord("("), ord(")")
_INT, _INT64, _LONG = ord("i"), ord("I"), ord("l")
_FLOAT, _TEXT_FLOAT = ord("g"), ord("f")
_TRUE = ord("T")
_SHORT_TEXT = frozenset(b"zZ")
_ASCII_TEXT = frozenset(b"aA")
_UTF8_TEXT = frozenset(b"ut")

_KINDS = {
    "0": "the end of a dictionary",
    "N": "None",
    "F": "False",
    "T": "True",
    "S": "StopIteration",
    ".": "an ellipsis",
    "i": "an integer",
    "I": "an integer",
    "l": "an integer",
    "g": "a number",
    "f": "a number",
    "x": "a complex number",
    "y": "a complex number",
    "s": "bytes",
    "u": "text",
    "t": "text",
    "a": "text",
    "A": "text",
    "z": "text",
    "Z": "text",
    "r": "a reference",
    "(": "a tuple",
    ")": "a tuple",
    "[": "a list",
    "{": "a dictionary",
    "}": "a frozen dictionary",
    "<": "a set",
    ">": "a set",
    ":": "a slice",
    "c": "a code object",
}


_read_int = struct.Struct("<i").unpack_from
_read_int64 = struct.Struct("<q").unpack_from
_read_float = struct.Struct("<d").unpack_from
_read_sums = struct.Struct("<BiBiBdBd").unpack_from
_SUMS_BYTES = 28
_DECIMAL = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

_SAMPLED = "__sampled__"
_ZERO = Sums(0, 0, 0.0, 0.0)

# What was remembered is kept in a word each, since there may be more of it than of anything
# else: of which kind it is in the lowest bits, and in those above the integer itself, where
# in the file the bytes of the float are, the number of the function, or the place of any
# other object in a list of such.
_UNFINISHED, _INTEGER, _REAL, _FUNCTION, _OBJECT = range(5)
_KIND_BITS = 3
_KIND = (1 << _KIND_BITS) - 1
_MAX_WORD = 2**60 - 1


class _Number(int):
    """The number of a function, which no count is taken for."""

    __slots__ = ()


class _Stats(NamedTuple):
    """The sums of a function that may be referred to, and which edges are those to it."""

    total: Sums
    edges: range


def read_profile(data: bytes) -> CallGraph:
    """Return the call graph that the bytes of a ``.prof`` file hold, as `pstats` reads it.

    Its functions are `Columns`, in the order of the file. A caller whose value is a plain
    count gives an edge of that many calls without times. A caller that is no function of the
    file becomes one behind all others, with sums of zero. Times may be negative, since clocks
    step back; calls may not. Raises `BadProfile`, with what is wrong and at which byte, for
    everything else: bytes that are no profile, times that are not finite or beyond
    `MAX_SECONDS`, bytes after the end, and more of anything than the limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise BadProfile(
            f"the file has {len(data)} bytes; profiles of up to {MAX_BYTES} bytes are read"
        )
    return read_ordinary(data) or python_read_profile(data)


def read_ordinary(data: bytes) -> CallGraph | None:
    """Return what `python_read_profile` does, or None where that has to be asked.

    None stands for what is wrong, for what is rare, and for everything if what is in C was
    not built.
    """
    found = _read(
        data,
        Function,
        SAMPLED_MARK.name.encode(),
        MAX_FUNCTIONS,
        MAX_EDGES,
        MAX_NAME_BYTES,
        MAX_TEXT,
        MAX_SECONDS,
    )
    if found is None:
        return None
    names, total, first_edge, caller, edges = found
    return CallGraph(
        Columns(names, SumsColumns(*total), first_edge, caller, SumsColumns(*edges))
    )


def python_read_profile(data: bytes) -> CallGraph:
    """Return what `read_profile` does, of data of any size, without what is in C."""
    reader = _Reader(data)
    try:
        return reader.graph()
    except (IndexError, struct.error):
        raise BadProfile(f"the file ends early, after {len(data)} bytes") from None


class _Reader:
    """A position in the bytes, what was read and remembered so far, and what was counted.

    Each method reads one part of the shape at the position and moves behind it. Reading
    past the end raises `IndexError` or `struct.error`.

    Functions are numbered as they appear, be it as callers; `_row` has the row of each by
    that number, or -1. The edges to the function in a row begin and end as `_first` and
    `_end` say.
    """

    __slots__ = (
        "_at",
        "_caller",
        "_data",
        "_edge_count",
        "_edges",
        "_end",
        "_first",
        "_is_in_order",
        "_known",
        "_objects",
        "_row",
        "_text",
        "_total",
        "_values",
    )

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values = array("q")
        self._objects: list[Any] = []
        self._known: dict[Function, int] = {}
        self._row = array("i")
        self._total = SumsColumns.of(())
        self._first, self._end = array("i"), array("i")
        self._caller = array("i")
        self._edges = SumsColumns.of(())
        self._is_in_order = True
        self._edge_count = 0
        self._text = 0

    def graph(self) -> CallGraph:
        """Read the whole file."""
        is_sampled = False
        self._open_dict("a table of functions")
        while not self._is_end():
            number = self._key()
            if number is None:
                self._marker_value()
                is_sampled = True
            else:
                self._function(number)
        if self._at != len(self._data):
            self._fail(self._at, "there are bytes after the end of the profile")
        columns = self._columns()
        row = self._sampled_mark(columns)
        if row >= 0:
            columns = _without(columns, row)
            is_sampled = True
        return CallGraph(columns, is_sampled=is_sampled)

    def _columns(self) -> Columns:
        row = self._row
        names: list[Function] = list(self._known)
        for function, number in self._known.items():
            if row[number] < 0:
                row[number] = self._append_row(_ZERO, len(self._caller))
            names[row[number]] = function
        if not self._is_in_order:
            self._put_in_order()
        self._first.append(len(self._caller))
        caller = array("i", [row[number] for number in self._caller])
        return Columns(tuple(names), self._total, self._first, caller, self._edges)

    def _put_in_order(self) -> None:
        """Leave each edge once, those to a function where its row is."""
        edges = [
            edge
            for first, end in zip(self._first, self._end, strict=True)
            for edge in range(first, end)
        ]
        at = 0
        for row, (first, end) in enumerate(zip(self._first, self._end, strict=True)):
            self._first[row] = at
            at += end - first
        self._replace_edges(0, edges)

    def _replace_edges(self, start: int, edges: list[int]) -> None:
        """Put these edges in the place of all from `start` on."""
        columns: tuple[array[Any], ...] = (self._caller, *self._edges)
        for column in columns:
            column[start:] = array(column.typecode, [column[edge] for edge in edges])

    def _sampled_mark(self, columns: Columns) -> int:
        """Return the row of the function that marks a sampled profile, or -1."""
        number = self._known.get(SAMPLED_MARK)
        if number is None:
            return -1
        row = self._row[number]
        is_mark = (
            columns.total.row(row) == _ZERO
            and columns.first_edge[row] == columns.first_edge[row + 1]
            and row not in columns.caller
        )
        return row if is_mark else -1

    def _fail(self, at: int, what: str) -> NoReturn:
        raise BadProfile(f"{what}, at byte {at}")

    def _refuse(self, at: int, expected: str) -> NoReturn:
        code = chr(self._data[at] & _CODE)
        found = _KINDS.get(code, f"the unknown type {code!r}")
        self._fail(at, f"expected {expected}, found {found}")

    def _is_end(self) -> bool:
        """Step over the end of a dictionary if it is here."""
        if self._data[self._at] & _CODE != _END:
            return False
        self._at += 1
        return True

    def _reserve(self, code: int) -> int:
        """Give a container its number before those of its contents; -1 if it has none."""
        if not code & _REMEMBERED:
            return -1
        self._values.append(_UNFINISHED)
        return len(self._values) - 1

    def _word(self, value: object) -> int:
        """Return how an object is remembered that is neither a function nor a binary float."""
        if type(value) is int and -_MAX_WORD <= value <= _MAX_WORD:
            return value << _KIND_BITS | _INTEGER
        self._objects.append(value)
        return len(self._objects) - 1 << _KIND_BITS | _OBJECT

    def _recall(self, index: int) -> Any:
        """Return what was remembered by its index, None while it is not finished."""
        word = self._values[index]
        kind, word = word & _KIND, word >> _KIND_BITS
        if kind == _INTEGER:
            return word
        if kind == _REAL:
            return _read_float(self._data, word)[0]
        if kind == _FUNCTION:
            return _Number(word)
        return self._objects[word] if kind == _OBJECT else None

    def _referred(self, at: int, *kinds: type, expected: str) -> Any:
        """Read a reference, which must be to a finished value of one of these kinds."""
        (index,) = _read_int(self._data, at + 1)
        self._at = at + 5
        if not 0 <= index < len(self._values):
            self._fail(at, f"a reference to value {index}, of {len(self._values)} so far")
        value = self._recall(index)
        if value is None:
            self._fail(at, "a value that holds itself")
        if type(value) not in kinds:
            self._fail(at, f"expected {expected}, found a reference to something else")
        return value

    def _open_dict(self, expected: str) -> int:
        code = self._data[self._at]
        if code & _CODE != _DICT:
            self._refuse(self._at, expected)
        self._at += 1
        return self._reserve(code)

    def _open_tuple(self, expected: str) -> tuple[int, int]:
        """Step into a tuple; return how many items it announces and its number."""
        at = self._at
        code = self._data[at]
        if code & _CODE == _SHORT_TUPLE:
            length = self._data[at + 1]
            self._at = at + 2
        elif code & _CODE == _TUPLE:
            (length,) = _read_int(self._data, at + 1)
            self._at = at + 5
        else:
            self._refuse(at, expected)
        return length, self._reserve(code)

    def _key(self) -> int | None:
        """Read a function; return its number, or None for the mark of a sampled profile."""
        at = self._at
        expected = "a function (file, line, name)"
        if self._data[at] == _REFERENCE:
            known: int = self._referred(at, _Number, expected=expected)
            return known
        length, place = self._open_tuple(expected)
        if length == 1 and self._name() == _SAMPLED:
            return None
        if length != 3:
            self._fail(at, f"expected {expected}, found a tuple of {length}")
        file = self._name()
        line = self._count(-_MAX_LINE, _MAX_LINE, "a line number")
        function = Function(file, line, self._name())
        number = self._known.setdefault(function, len(self._known))
        if number == len(self._row):
            self._row.append(-1)
            self._count_function(at, function)
        if place >= 0:
            self._values[place] = number << _KIND_BITS | _FUNCTION
        return number

    def _count_function(self, at: int, function: Function) -> None:
        self._text += len(function.file) + len(function.name)
        if len(self._known) > MAX_FUNCTIONS:
            self._fail(at, f"more than {MAX_FUNCTIONS} functions")
        if self._text > MAX_TEXT:
            self._fail(at, f"names of more than {MAX_TEXT} characters in all")

    def _count_edges(self, at: int, edges: int) -> None:
        self._edge_count += edges
        if self._edge_count > MAX_EDGES:
            self._fail(at, f"more than {MAX_EDGES} edges")

    def _function(self, number: int) -> None:
        """Read what is said of a function; what is said last holds."""
        first = len(self._caller)
        total = self._function_stats()
        row = self._row[number]
        if row < 0:
            self._row[number] = self._append_row(total, first)
            return
        self._is_in_order = False
        self._first[row], self._end[row] = first, len(self._caller)
        columns: tuple[array[Any], ...] = self._total
        for column, value in zip(columns, total, strict=True):
            column[row] = value

    def _append_row(self, total: Sums, first: int) -> int:
        self._total.append(total)
        self._first.append(first)
        self._end.append(len(self._caller))
        return len(self._first) - 1

    def _function_stats(self) -> Sums:
        """Read the sums of a function and append the edges to it."""
        at = self._at
        expected = "the sums of a function"
        if self._data[at] == _REFERENCE:
            stats: _Stats = self._referred(at, _Stats, expected=expected)
            self._repeat(at, stats.edges)
            return stats.total
        length, place = self._open_tuple(expected)
        if length != 5:
            self._fail(at, f"expected {expected}, found a tuple of {length}")
        primitive, calls, self_seconds, cumulative_seconds = self._sums()
        total = Sums(calls, primitive, self_seconds, cumulative_seconds)
        edges = self._callers()
        if place >= 0:
            self._values[place] = self._word(_Stats(total, edges))
        return total

    def _repeat(self, at: int, edges: range) -> None:
        """Append edges once more that were read before."""
        self._count_edges(at, len(edges))
        columns: tuple[array[Any], ...] = (self._caller, *self._edges)
        for column in columns:
            column.extend(column[edges.start : edges.stop])

    def _callers(self) -> range:
        """Read a table of callers; return which edges they are."""
        at = self._at
        first = len(self._caller)
        if self._data[at] == _REFERENCE:
            self._repeat(at, self._referred(at, range, expected="a table of callers"))
            return range(first, len(self._caller))
        place = self._open_dict("a table of callers")
        while not self._is_end():
            at = self._at
            caller = self._key()
            if caller is None:
                self._fail(at, "expected a caller, found the mark of a sampled profile")
            edge = self._edge()
            self._count_edges(at, 1)
            self._caller.append(caller)
            self._edges.append(edge)
        self._drop_repeated(first)
        edges = range(first, len(self._caller))
        if place >= 0:
            self._values[place] = self._word(edges)
        return edges

    def _drop_repeated(self, first: int) -> None:
        """Of edges from the same caller leave the last, in the place of the first."""
        callers = self._caller[first:]
        if len(set(callers)) < len(callers):
            last = {caller: edge for edge, caller in enumerate(callers, first)}
            self._replace_edges(first, list(last.values()))

    def _edge(self) -> tuple[int, int, float, float]:
        """Read the sums of an edge, or the plain count that stands for them."""
        at = self._at
        code = self._data[at] & _CODE
        if code == _REFERENCE:
            (index,) = _read_int(self._data, at + 1)
            if 0 <= index < len(self._values) and type(self._recall(index)) is Sums:
                edge: Sums = self._referred(at, Sums, expected="the sums of a caller")
                return edge
        if code not in (_TUPLE, _SHORT_TUPLE):
            count = self._count(0, _MAX_COUNT, "the sums of a caller")
            return count, count, 0.0, 0.0
        length, place = self._open_tuple("the sums of a caller")
        if length != 4:
            self._fail(at, f"expected the sums of a caller, found a tuple of {length}")
        sums = self._sums()
        if place >= 0:
            self._values[place] = self._word(Sums._make(sums))
        return sums

    def _sums(self) -> tuple[int, int, float, float]:
        """Read two counts and two times."""
        sums = self._plain_sums()
        if sums is not None:
            return sums
        return (
            self._count(0, _MAX_COUNT, "a number of calls"),
            self._count(0, _MAX_COUNT, "a number of calls"),
            self._seconds(),
            self._seconds(),
        )

    def _plain_sums(self) -> tuple[int, int, float, float] | None:
        """Read sums in one step if they are spelt as nearly all are; else stay in place.

        That is: each count a short integer or a reference to one, each time a binary float.
        """
        at = self._at
        if at + _SUMS_BYTES > len(self._data):
            return None
        code_1, count_1, code_2, count_2, code_3, time_1, code_4, time_2 = _read_sums(
            self._data, at
        )
        values = self._values
        if code_1 == _REFERENCE and 0 <= count_1 < len(values):
            count_1 = values[count_1]
            code_1, count_1 = _INT if count_1 & _KIND == _INTEGER else 0, count_1 >> _KIND_BITS
        if code_2 == _REFERENCE and 0 <= count_2 < len(values):
            count_2 = values[count_2]
            code_2, count_2 = _INT if count_2 & _KIND == _INTEGER else 0, count_2 >> _KIND_BITS
        if (
            code_1 & _CODE != _INT
            or code_2 & _CODE != _INT
            or code_3 & _CODE != _FLOAT
            or code_4 & _CODE != _FLOAT
            or not (count_1 >= 0 <= count_2)
            or not (-MAX_SECONDS <= time_1 <= MAX_SECONDS)
            or not (-MAX_SECONDS <= time_2 <= MAX_SECONDS)
        ):
            return None
        if code_1 & _REMEMBERED:
            values.append(count_1 << _KIND_BITS | _INTEGER)
        if code_2 & _REMEMBERED:
            values.append(count_2 << _KIND_BITS | _INTEGER)
        if code_3 & _REMEMBERED:
            values.append(at + 11 << _KIND_BITS | _REAL)
        if code_4 & _REMEMBERED:
            values.append(at + 20 << _KIND_BITS | _REAL)
        self._at = at + _SUMS_BYTES
        return count_1, count_2, time_1, time_2

    def _marker_value(self) -> None:
        if self._data[self._at] & _CODE != _TRUE:
            self._refuse(self._at, "True, as the mark of a sampled profile")
        self._at += 1

    def _count(self, least: int, most: int, expected: str) -> int:
        at = self._at
        code = self._data[at]
        if code == _REFERENCE:
            number: int = self._referred(at, int, expected=expected)
        else:
            number = self._integer(code, expected)
            if code & _REMEMBERED:
                self._values.append(self._word(number))
        if not least <= number <= most:
            self._fail(at, f"{number} is not {expected}")
        return number

    def _integer(self, code: int, expected: str) -> int:
        at = self._at
        code &= _CODE
        number: int
        if code == _INT:
            (number,) = _read_int(self._data, at + 1)
            self._at = at + 5
        elif code == _INT64:
            (number,) = _read_int64(self._data, at + 1)
            self._at = at + 9
        elif code == _LONG:
            number = self._long()
        else:
            self._refuse(at, expected)
        return number

    def _long(self) -> int:
        """Read an integer that is spelt in digits of 15 bits, the lowest first."""
        at = self._at
        signed_length: int
        (signed_length,) = _read_int(self._data, at + 1)
        length = abs(signed_length)
        if length > _MAX_DIGITS:
            self._fail(at, f"an integer of {15 * length} bits")
        digits = struct.unpack_from(f"<{length}H", self._data, at + 5)
        self._at = at + 5 + 2 * length
        if any(digit >> 15 for digit in digits) or (digits and not digits[-1]):
            self._fail(at, "an integer that is spelt wrongly")
        number: int = sum(digit << 15 * place for place, digit in enumerate(digits))
        return -number if signed_length < 0 else number

    def _seconds(self) -> float:
        at = self._at
        code = self._data[at]
        number: Any
        if code & _CODE == _FLOAT:
            (number,) = _read_float(self._data, at + 1)
            self._at = at + 9
        elif code == _REFERENCE:
            number = self._referred(at, int, float, expected="a time")
        elif code & _CODE == _TEXT_FLOAT:
            number = self._text_float()
        else:
            number = self._integer(code, "a time")
        if code & _REMEMBERED:
            self._values.append(self._word(number))
        if not -MAX_SECONDS <= number <= MAX_SECONDS:  # which is false for a NaN too
            self._fail(at, f"{number} is not a time")
        return float(number)

    def _text_float(self) -> float:
        at = self._at
        text = self._bytes(at + 2, self._data[at + 1])
        if _DECIMAL.fullmatch(text) is None:
            self._fail(at, f"{text.decode('latin-1')!r} is not a time")
        return float(text)

    def _bytes(self, start: int, length: int) -> bytes:
        end = start + length
        if end > len(self._data):
            remaining = len(self._data) - start
            self._fail(start, f"a text of {length} bytes is announced, {remaining} follow")
        self._at = end
        return self._data[start:end]

    def _name(self) -> str:
        """Read the text of a file or a name."""
        at = self._at
        code = self._data[at]
        if code == _REFERENCE:
            text: str = self._referred(at, str, expected="text")
            return text
        kind = code & _CODE
        if kind in _SHORT_TEXT:
            # Not checked to be ASCII, as by marshal, to which such bytes are Latin-1.
            text = self._bytes(at + 2, self._data[at + 1]).decode("latin-1")
        elif kind in _ASCII_TEXT:
            text = self._bytes(at + 5, self._name_length(at)).decode("latin-1")
        elif kind in _UTF8_TEXT:
            try:
                text = self._bytes(at + 5, self._name_length(at)).decode(
                    "utf-8", "surrogatepass"
                )
            except UnicodeDecodeError:
                self._fail(at, "a text that is not UTF-8")
        else:
            self._refuse(at, "text")
        if code & _REMEMBERED:
            self._values.append(self._word(text))
        return text

    def _name_length(self, at: int) -> int:
        length: int
        (length,) = _read_int(self._data, at + 1)
        if not 0 <= length <= MAX_NAME_BYTES:
            self._fail(at, f"a name of {length} bytes, of {MAX_NAME_BYTES} allowed")
        return length


def _without(columns: Columns, row: int) -> Columns:
    """Return columns without a function that has no edges."""
    for column in columns.total:
        del column[row]
    del columns.first_edge[row]
    caller = array("i", [number - (number > row) for number in columns.caller])
    names = columns.names[:row] + columns.names[row + 1 :]
    return Columns(names, columns.total, columns.first_edge, caller, columns.edges)
