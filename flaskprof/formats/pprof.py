"""Call trees in pprof's format, which `go tool pprof`, speedscope, Pyroscope and Parca read.

The format is https://github.com/google/pprof/blob/main/proto/profile.proto, gzipped. A
node of the tree is a sample: its stack, the calls made on it and the nanoseconds spent in
them without callees. Few of protobuf's features are needed, so they are spelt out here
rather than brought in with a dependency.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from flaskprof.errors import BadProfile
from flaskprof.formats.depth import DEEPER, bounded
from flaskprof.formats.protobuf import (
    fields,
    message,
    number,
    numbers,
    read_varint,
    signed,
    tag,
    varint,
)
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.marshal_reader import MAX_FUNCTIONS, MAX_NAME_BYTES, MAX_TEXT
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.walk import steps

__all__ = [
    "DEEPER",
    "MAX_NODES",
    "MAX_PLAIN_BYTES",
    "MAX_STEPS",
    "is_gzipped",
    "read_pprof",
    "write_pprof",
]

MAX_PLAIN_BYTES = 128 * 2**20
"""What a file may hold when it is unpacked."""
MAX_NODES = 1_000_000
MAX_STEPS = 2**24
"""Entries of all stacks together: each sample spells its whole stack out."""

# The numbers of the fields in profile.proto, by message.
_SAMPLE_TYPE, _SAMPLE, _LOCATION, _FUNCTION, _STRING = 1, 2, 4, 5, 6
_TIME_NS, _DURATION_NS, _PERIOD_TYPE, _PERIOD, _COMMENT, _DEFAULT_TYPE = 9, 10, 11, 12, 13, 14
_TYPE_NAME, _TYPE_UNIT = 1, 2
_SAMPLE_LOCATIONS, _SAMPLE_VALUES, _SAMPLE_LABEL = 1, 2, 3
_LABEL_KEY, _LABEL_TEXT = 1, 2
_LOCATION_ID, _LOCATION_LINE = 1, 4
_LINE_FUNCTION, _LINE_NUMBER = 1, 2
_FUNCTION_ID, _FUNCTION_NAME, _FUNCTION_FILE, _FUNCTION_LINE = 1, 2, 4, 5

# How many of each part are read; names for what is said of more.
_LIMITS = {
    _SAMPLE_TYPE: (64, "types of values"),
    _SAMPLE: (2**20, "samples"),
    _LOCATION: (2**20, "locations"),
    _FUNCTION: (MAX_FUNCTIONS, "functions"),
    _STRING: (2**20, "texts"),
}
_MAX_FIELD = 15  # profile.proto has none of a greater number
_CONTINUED = bytes(range(0x80, 0x100))  # bytes of a number that are not its last

_MAX_INT = 2**63 - 1
_MAX_LINE = 2**31 - 1

# Level 1 takes a fifth of the time of the default and leaves files that are little larger.
_GZIP_LEVEL = 1


def write_pprof(
    tree: CallTree,
    *,
    labels: Mapping[str, str],
    started: float,
    duration_seconds: float,
    cpu_seconds: float | None = None,
) -> bytes:
    """Return `tree` as a gzipped pprof profile.

    `labels` are put on each sample, but for empty ones. `started` is Unix seconds. CPU time
    is known of the whole only and becomes a comment. Lone surrogates in names are written
    as their escapes, since the format's texts are UTF-8. Where recursion is so deep that
    the stacks would take more than `MAX_STEPS` entries, calls below a depth are summed up
    as calls of `DEEPER`.
    """
    tree = bounded(tree, MAX_STEPS)
    strings = _Strings()
    of_samples = b"".join(
        message(
            _SAMPLE_LABEL,
            number(_LABEL_KEY, strings[key]) + number(_LABEL_TEXT, strings[text]),
        )
        for key, text in labels.items()
        if text
    )
    counted = "samples" if tree.is_sampled else "calls"
    count_type = _value_type(strings[counted], strings["count"])
    time_type = _value_type(strings["self"], strings["nanoseconds"])
    parts = [
        message(_SAMPLE_TYPE, count_type),
        message(_SAMPLE_TYPE, time_type),
        message(_PERIOD_TYPE, time_type),
        number(_PERIOD, 1),
        # A float holds the time since 1970 to the microsecond, not to the nanosecond.
        number(_TIME_NS, round(started * 10**6) * 1000),
        number(_DURATION_NS, round(duration_seconds * 10**9)),
        number(_DEFAULT_TYPE, strings["self"]),
    ]
    if cpu_seconds is not None:
        parts.append(number(_COMMENT, strings[f"CPU time: {cpu_seconds:.9f} s"]))
    parts += _functions(tree.functions, strings)
    parts += _samples(tree, of_samples)
    parts += [message(_STRING, text) for text in strings.encoded()]
    return gzip.compress(b"".join(parts), _GZIP_LEVEL, mtime=0)


class _Strings(dict[str, int]):
    """The indices of texts in the profile's table of texts, of which the first is empty."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        self[text] = index = len(self)
        return index

    def encoded(self) -> Iterator[bytes]:
        return (text.encode("utf-8", "backslashreplace") for text in self)


def _value_type(name: int, unit: int) -> bytes:
    return number(_TYPE_NAME, name) + number(_TYPE_UNIT, unit)


def _functions(functions: tuple[Function, ...], strings: _Strings) -> Iterator[bytes]:
    """Yield each function, and the one location in it; the IDs of both begin at 1.

    The system name stays empty: pprof takes a name that equals it for one of C++ and drops
    what stands in angle brackets.
    """
    for key, (file, line, name) in enumerate(functions, 1):
        yield message(
            _FUNCTION,
            number(_FUNCTION_ID, key)
            + number(_FUNCTION_NAME, strings[name])
            + number(_FUNCTION_FILE, strings[file])
            + number(_FUNCTION_LINE, line),
        )
        position = number(_LINE_FUNCTION, key) + number(_LINE_NUMBER, line)
        yield message(_LOCATION, number(_LOCATION_ID, key) + message(_LOCATION_LINE, position))


def _samples(tree: CallTree, labels: bytes) -> Iterator[bytes]:
    """Yield each node, callers before callees."""
    location = [varint(key) for key in range(1, len(tree.functions) + 1)]
    function_of, calls, self_ns = tree.function, tree.calls, tree.self_ns
    in_sample, in_stack, in_values = tag(_SAMPLE), tag(_SAMPLE_LOCATIONS), tag(_SAMPLE_VALUES)
    # Most numbers of calls and most lengths are small.
    small = [varint(value) for value in range(256)]
    stacks = [b""]
    for step in steps(tree.parent):
        if step < 0:
            stacks.pop()
            continue
        stack = location[function_of[step]] + stacks[-1]
        stacks.append(stack)
        count = calls[step]
        values = (small[count] if 0 <= count < 256 else varint(count)) + varint(self_ns[step])
        size = len(stack)
        body = b"%b%b%b%b%b%b%b" % (
            in_stack,
            small[size] if size < 256 else varint(size),
            stack,
            in_values,
            small[len(values)],
            values,
            labels,
        )
        size = len(body)
        yield b"%b%b%b" % (in_sample, small[size] if size < 256 else varint(size), body)


def is_gzipped(data: bytes) -> bool:
    """Whether a file may be a pprof profile: no other of ours is gzipped."""
    return data.startswith(b"\x1f\x8b")


def read_pprof(data: bytes) -> CallTree:
    """Return the call tree that the bytes of a gzipped pprof profile hold.

    Of the values of a sample the first that is a count becomes the calls, and the default
    one the self time if it is in nanoseconds, else the last that is. A profile whose counts
    are not named calls is taken as sampled. The line of a function is the one that it
    starts on. Labels, addresses and mappings are not kept. Raises `BadProfile` for bytes
    that are no such profile, and for more of anything than the limits of this module.
    """
    return _Reader(_unpacked(data)).tree()


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(data, MAX_PLAIN_BYTES)
    except zlib.error:
        raise BadProfile("the file is not gzipped, or damaged") from None
    if unpacking.unconsumed_tail:
        raise BadProfile(f"the file unpacks to more than {MAX_PLAIN_BYTES} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise BadProfile("the file ends early, or has something after its end")
    return plain


class _Reader:
    """The parts of a profile by what they are, and the tree that is made of them."""

    def __init__(self, plain: bytes) -> None:
        parts: dict[int, list[bytes]] = {of: [] for of in _LIMITS}
        self._default_type = 0
        for of, value in fields(plain):
            if isinstance(value, int):
                if of == _DEFAULT_TYPE:
                    self._default_type = value
            elif of in parts:
                parts[of].append(value)
                limit, what = _LIMITS[of]
                if len(parts[of]) > limit:
                    raise BadProfile(f"the profile has more than {limit} {what}")
        self._strings = parts[_STRING]
        self._types = [_fields_of(part) for part in parts[_SAMPLE_TYPE]]
        self._samples = parts[_SAMPLE]
        self._functions: dict[Function, int] = {}
        self._index_of_id: dict[int, int] = {}
        self._read_functions(parts[_FUNCTION])
        # Of each location its functions, a caller before what was inlined into it.
        self._locations = dict(map(self._location, parts[_LOCATION]))
        self._builder = TreeBuilder()
        self._steps = 0

    def tree(self) -> CallTree:
        """Count all samples into one tree."""
        calls_at, time_at, is_sampled = self._columns()
        # A stack is spelt from the callee to the root, so that the rest of its bytes are
        # those of its caller's stack.
        nodes: dict[bytes, int] = {b"": -1}
        calls = self_ns = 0
        for sample in self._samples:
            stack, values = _stack_and_values(sample)
            node = nodes.get(stack)
            if node is None:
                node = nodes[stack] = self._node(stack, nodes)
            if node < 0:
                raise BadProfile("a sample of the profile has no stack")
            if len(values) != len(self._types):
                raise BadProfile("a sample of the profile has too few or too many values")
            of_sample = values[calls_at] if calls_at is not None else 0
            if of_sample < 0 or values[time_at] < 0:
                raise BadProfile("a sample of the profile has a negative value")
            calls += of_sample
            self_ns += values[time_at]
            if max(calls, self_ns) > _MAX_INT:
                raise BadProfile("the values of the profile have more than 64 bits")
            self._builder.add(node, of_sample, values[time_at])
        return self._builder.tree(tuple(self._functions), is_sampled=is_sampled)

    def _node(self, stack: bytes, nodes: dict[bytes, int]) -> int:
        location, at = read_varint(stack, 0)
        node = nodes.get(stack[at:])
        if node is not None:
            return self._below(node, location)
        if len(stack.translate(None, _CONTINUED)) > MAX_NODES:
            raise BadProfile(f"the profile has more than {MAX_NODES} different stacks")
        node = -1
        for caller in reversed(list(numbers(stack))):
            node = self._below(node, caller)
        return node

    def _below(self, node: int, location: int) -> int:
        functions = self._locations.get(location)
        if functions is None:
            raise BadProfile(f"the profile has no location {location}")
        self._steps += len(functions)
        if self._steps > MAX_STEPS:
            raise BadProfile(f"the stacks of the profile have more than {MAX_STEPS} entries")
        for function in functions:
            node = self._builder.node(node, function)
        if len(self._builder) > MAX_NODES:
            raise BadProfile(f"the profile has more than {MAX_NODES} different stacks")
        return node

    def _columns(self) -> tuple[int | None, int, bool]:
        """Return which values are calls and self times, and whether calls are samples."""
        units = [self._text(of_type.get(_TYPE_UNIT, 0)) for of_type in self._types]
        names = [of_type.get(_TYPE_NAME, 0) for of_type in self._types]
        times = [at for at, unit in enumerate(units) if unit == "nanoseconds"]
        if not times:
            raise BadProfile("the profile has no values in nanoseconds")
        default = [at for at in times if names[at] == self._default_type]
        counts = [at for at, unit in enumerate(units) if unit == "count"]
        calls_at = counts[0] if counts else None
        is_exact = calls_at is not None and self._text(names[calls_at]) == "calls"
        return calls_at, (default or times)[-1], not is_exact

    def _read_functions(self, parts: Sequence[bytes]) -> None:
        length = 0
        for part in parts:
            of_function = _fields_of(part)
            function = Function(
                self._text(of_function.get(_FUNCTION_FILE, 0)),
                signed(of_function.get(_FUNCTION_LINE, 0)),
                self._text(of_function.get(_FUNCTION_NAME, 0)),
            )
            if abs(function.line) > _MAX_LINE:
                raise BadProfile(f"{function.line} is not the number of a line")
            length += len(function.file) + len(function.name)
            if length > MAX_TEXT:
                raise BadProfile(f"the names have more than {MAX_TEXT} characters in all")
            index = self._functions.setdefault(function, len(self._functions))
            self._index_of_id[of_function.get(_FUNCTION_ID, 0)] = index

    def _location(self, part: bytes) -> tuple[int, list[int]]:
        key = 0
        functions = []
        for of, value in fields(part):
            if of == _LOCATION_ID and isinstance(value, int):
                key = value
            elif of == _LOCATION_LINE and isinstance(value, bytes):
                function = _fields_of(value).get(_LINE_FUNCTION, 0)
                if function not in self._index_of_id:
                    raise BadProfile(f"the profile has no function {function}")
                functions.append(self._index_of_id[function])
        if not functions:
            raise BadProfile(f"location {key} of the profile names no function")
        return key, functions[::-1]

    def _text(self, index: int) -> str:
        if index >= len(self._strings):
            raise BadProfile(f"the profile has no text {index}")
        text = self._strings[index]
        if len(text) > MAX_NAME_BYTES:
            raise BadProfile(f"a name of {len(text)} bytes, of {MAX_NAME_BYTES} allowed")
        return text.decode("utf-8", "replace")


def _fields_of(part: bytes) -> dict[int, int]:
    """Return the numbers in a message, by field."""
    return {
        of: value for of, value in fields(part) if isinstance(value, int) and of <= _MAX_FIELD
    }


def _stack_and_values(sample: bytes) -> tuple[bytes, list[int]]:
    """Return the packed locations of a sample, and its values."""
    stack: list[bytes] = []
    values: list[int] = []
    most, _ = _LIMITS[_SAMPLE_TYPE]
    for of, value in fields(sample):
        if of == _SAMPLE_LOCATIONS:
            stack.append(value if isinstance(value, bytes) else varint(value))
        elif of == _SAMPLE_VALUES and len(values) <= most:
            values.extend(signed(item) for item in islice(numbers(value), most + 1))
    return b"".join(stack), values
