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
"""

from __future__ import annotations

import re
import struct
from typing import Any, NoReturn

from flaskprof.errors import BadProfile
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

__all__ = [
    "MAX_BYTES",
    "MAX_EDGES",
    "MAX_FUNCTIONS",
    "MAX_NAME_BYTES",
    "MAX_SECONDS",
    "MAX_TEXT",
    "SAMPLED_MARK",
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
_UNFINISHED = object()
_ZERO = Sums(0, 0, 0.0, 0.0)


def read_profile(data: bytes) -> CallGraph:
    """Return the call graph that the bytes of a ``.prof`` file hold, as `pstats` reads it.

    A caller whose value is a plain count gives an edge of that many calls without times. A
    caller that is no function of the file becomes one, with sums of zero. Times may be
    negative, since clocks step back; calls may not. Raises `BadProfile`, with what is wrong
    and at which byte, for everything else: bytes that are no profile, times that are not
    finite or beyond `MAX_SECONDS`, bytes after the end, and more of anything than the
    limits of this module.
    """
    if len(data) > MAX_BYTES:
        raise BadProfile(
            f"the file has {len(data)} bytes; profiles of up to {MAX_BYTES} bytes are read"
        )
    reader = _Reader(data)
    try:
        return reader.graph()
    except (IndexError, struct.error):
        raise BadProfile(f"the file ends early, after {len(data)} bytes") from None


class _Reader:
    """A position in the bytes, what was remembered so far, and what was counted.

    Each method reads one part of the shape at the position and moves behind it. Reading
    past the end raises `IndexError` or `struct.error`.
    """

    __slots__ = ("_at", "_data", "_edges", "_known", "_text", "_values")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._values: list[Any] = []
        self._known: dict[Function, Function] = {}
        self._edges = 0
        self._text = 0

    def graph(self) -> CallGraph:
        """Read the whole file."""
        functions: dict[Function, FunctionStats] = {}
        is_sampled = False
        self._open_dict("a table of functions")
        while not self._is_end():
            function = self._key()
            if function is None:
                self._marker_value()
                is_sampled = True
            else:
                functions[function] = self._function_stats()
        if self._at != len(self._data):
            self._fail(self._at, "there are bytes after the end of the profile")
        for function in self._known:
            if function not in functions:
                functions[function] = FunctionStats(_ZERO)
        if functions.get(SAMPLED_MARK) == FunctionStats(_ZERO):
            del functions[SAMPLED_MARK]
            is_sampled = True
        return CallGraph(functions, is_sampled=is_sampled)

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

    def _referred(self, at: int, kind: type, expected: str) -> Any:
        """Read a reference, which must be to a finished value of this kind."""
        (index,) = _read_int(self._data, at + 1)
        self._at = at + 5
        if not 0 <= index < len(self._values):
            self._fail(at, f"a reference to value {index}, of {len(self._values)} so far")
        value = self._values[index]
        if value is _UNFINISHED:
            self._fail(at, "a value that holds itself")
        if type(value) is not kind:
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

    def _key(self) -> Function | None:
        """Read a function, or None for the mark of a sampled profile."""
        at = self._at
        expected = "a function (file, line, name)"
        if self._data[at] == _REFERENCE:
            known: Function = self._referred(at, Function, expected)
            return known
        length, number = self._open_tuple(expected)
        if length == 1 and self._name() == _SAMPLED:
            return None
        if length != 3:
            self._fail(at, f"expected {expected}, found a tuple of {length}")
        file = self._name()
        line = self._count(-_MAX_LINE, _MAX_LINE, "a line number")
        fresh = Function(file, line, self._name())
        function = self._known.setdefault(fresh, fresh)
        if function is fresh:
            self._count_function(at, fresh)
        if number >= 0:
            self._values[number] = function
        return function

    def _count_function(self, at: int, function: Function) -> None:
        self._text += len(function.file) + len(function.name)
        if len(self._known) > MAX_FUNCTIONS:
            self._fail(at, f"more than {MAX_FUNCTIONS} functions")
        if self._text > MAX_TEXT:
            self._fail(at, f"names of more than {MAX_TEXT} characters in all")

    def _count_edges(self, at: int, edges: int) -> None:
        self._edges += edges
        if self._edges > MAX_EDGES:
            self._fail(at, f"more than {MAX_EDGES} edges")

    def _function_stats(self) -> FunctionStats:
        at = self._at
        expected = "the sums of a function"
        if self._data[at] == _REFERENCE:
            stats: FunctionStats = self._referred(at, FunctionStats, expected)
            self._count_edges(at, len(stats.callers))
            return stats
        length, number = self._open_tuple(expected)
        if length != 5:
            self._fail(at, f"expected {expected}, found a tuple of {length}")
        primitive, calls, self_seconds, cumulative_seconds = self._sums()
        stats = FunctionStats(
            Sums(calls, primitive, self_seconds, cumulative_seconds), self._callers()
        )
        if number >= 0:
            self._values[number] = stats
        return stats

    def _callers(self) -> dict[Function, Sums]:
        at = self._at
        if self._data[at] == _REFERENCE:
            shared: dict[Function, Sums] = self._referred(at, dict, "a table of callers")
            self._count_edges(at, len(shared))
            return shared
        number = self._open_dict("a table of callers")
        callers: dict[Function, Sums] = {}
        while not self._is_end():
            at = self._at
            caller = self._key()
            if caller is None:
                self._fail(at, "expected a caller, found the mark of a sampled profile")
            callers[caller] = self._edge()
            self._count_edges(at, 1)
        if number >= 0:
            self._values[number] = callers
        return callers

    def _edge(self) -> Sums:
        """Read the sums of an edge, or the plain count that stands for them."""
        at = self._at
        code = self._data[at] & _CODE
        if code == _REFERENCE:
            (index,) = _read_int(self._data, at + 1)
            if 0 <= index < len(self._values) and type(self._values[index]) is Sums:
                edge: Sums = self._referred(at, Sums, "the sums of a caller")
                return edge
        if code not in (_TUPLE, _SHORT_TUPLE):
            count = self._count(0, _MAX_COUNT, "the sums of a caller")
            return Sums(count, count, 0.0, 0.0)
        length, number = self._open_tuple("the sums of a caller")
        if length != 4:
            self._fail(at, f"expected the sums of a caller, found a tuple of {length}")
        edge = Sums._make(self._sums())
        if number >= 0:
            self._values[number] = edge
        return edge

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
        if self._at + _SUMS_BYTES > len(self._data):
            return None
        code_1, count_1, code_2, count_2, code_3, time_1, code_4, time_2 = _read_sums(
            self._data, self._at
        )
        values = self._values
        if code_1 == _REFERENCE and 0 <= count_1 < len(values):
            code_1, count_1 = _INT, values[count_1]
        if code_2 == _REFERENCE and 0 <= count_2 < len(values):
            code_2, count_2 = _INT, values[count_2]
        if (
            code_1 & _CODE != _INT
            or code_2 & _CODE != _INT
            or code_3 & _CODE != _FLOAT
            or code_4 & _CODE != _FLOAT
            or type(count_1) is not int
            or type(count_2) is not int
            or not (count_1 >= 0 <= count_2)
            or not (-MAX_SECONDS <= time_1 <= MAX_SECONDS)
            or not (-MAX_SECONDS <= time_2 <= MAX_SECONDS)
        ):
            return None
        if code_1 & _REMEMBERED:
            values.append(count_1)
        if code_2 & _REMEMBERED:
            values.append(count_2)
        if code_3 & _REMEMBERED:
            values.append(time_1)
        if code_4 & _REMEMBERED:
            values.append(time_2)
        self._at += _SUMS_BYTES
        return count_1, count_2, time_1, time_2

    def _marker_value(self) -> None:
        if self._data[self._at] & _CODE != _TRUE:
            self._refuse(self._at, "True, as the mark of a sampled profile")
        self._at += 1

    def _count(self, least: int, most: int, expected: str) -> int:
        at = self._at
        code = self._data[at]
        if code == _REFERENCE:
            number: int = self._referred(at, int, expected)
        else:
            number = self._integer(code, expected)
            if code & _REMEMBERED:
                self._values.append(number)
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
            (index,) = _read_int(self._data, at + 1)
            is_integer = 0 <= index < len(self._values) and type(self._values[index]) is int
            number = self._referred(at, int if is_integer else float, "a time")
        elif code & _CODE == _TEXT_FLOAT:
            number = self._text_float()
        else:
            number = self._integer(code, "a time")
        if code & _REMEMBERED:
            self._values.append(number)
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
            text: str = self._referred(at, str, "text")
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
            self._values.append(text)
        return text

    def _name_length(self, at: int) -> int:
        length: int
        (length,) = _read_int(self._data, at + 1)
        if not 0 <= length <= MAX_NAME_BYTES:
            self._fail(at, f"a name of {length} bytes, of {MAX_NAME_BYTES} allowed")
        return length
