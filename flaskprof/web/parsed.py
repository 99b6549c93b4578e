"""Profiles that were parsed a moment ago, so that the next click need not parse again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from flaskprof.formats import FORMATS, format_in, read_file
from flaskprof.profiles.estimate import EstimatedTree
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, CallTree, Profile
from flaskprof.profiles.overall import Overall

__all__ = ["Made", "ParsedProfiles"]

Made = TypeVar("Made", CallGraph, CallTree, EstimatedTree, Overall, bytes)

# About what the parts of a profile take in memory, in bytes.
_FUNCTION_BYTES = 300
_EDGE_BYTES = 36
_NODE_BYTES = 32
_ESTIMATED_NODE_BYTES = 72
_OVERALL_BYTES = 800


class ParsedProfiles:
    """A bounded cache of profiles and of what was made from them, for all threads.

    Keys must stand for the content that a value is made from, so that none can be stale. At
    most about `max_bytes` are kept in all; what was used last is kept whatever its size.
    """

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, stamp: Hashable, load: Callable[[], bytes]) -> CallGraph:
        """Return the call graph of a ``.prof`` file; raises `BadProfile`.

        `stamp` stands for its content, which `load` returns where it is not known yet.
        """
        return self.made((".prof", stamp), lambda: read_profile(load()))

    def read(self, file_name: str, stamp: Hashable, load: Callable[[], bytes]) -> Profile:
        """Return the profile in a file as `read_file` does; raises `BadProfile`."""
        data = load()
        is_prof = format_in(file_name, data) is FORMATS["prof"]
        return self.get(stamp, lambda: data) if is_prof else read_file(file_name, data)

    def made(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` returned for `key`, or returns now; what it raises passes."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                known: Made = self._entries[key][0]
                return known
        value = make()
        size = _size(value)
        with self._lock:
            if key not in self._entries:
                self._entries[key] = value, size
                self._bytes += size
            while self._bytes > self._max_bytes and len(self._entries) > 1:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped
        return value


def _size(value: CallGraph | CallTree | EstimatedTree | Overall | bytes) -> int:
    """Estimate the bytes that a value takes in memory."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Overall):
        return _OVERALL_BYTES
    if isinstance(value, CallGraph):
        columns = value.columns
        return _FUNCTION_BYTES * len(columns) + _EDGE_BYTES * len(columns.caller)
    if isinstance(value, EstimatedTree):
        return _ESTIMATED_NODE_BYTES * len(value)  # its functions are those of the graph
    return _NODE_BYTES * len(value) + _FUNCTION_BYTES * len(value.functions)
