"""Profiles that were parsed a moment ago, so that the next click need not parse again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b

from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph

__all__ = ["ParsedProfiles"]


class ParsedProfiles:
    """A small cache from the bytes of a ``.prof`` file to its call graph.

    Entries are found by a digest of the bytes, so that one can never be stale. At most
    `max_items` functions and edges are kept in all (some 300 bytes each); the profile that
    was used last is kept whatever its size.
    """

    def __init__(self, max_items: int = 200_000) -> None:
        self._max_items = max_items
        self._entries: OrderedDict[bytes, tuple[CallGraph, int]] = OrderedDict()
        self._items = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, data: bytes) -> CallGraph:
        """Return the call graph of a ``.prof`` file; raises `BadProfile`."""
        digest = blake2b(data, digest_size=16).digest()
        with self._lock:
            if digest in self._entries:
                self._entries.move_to_end(digest)
                return self._entries[digest][0]
        graph = read_profile(data)
        items = sum(1 + len(stats.callers) for stats in graph.functions.values())
        with self._lock:
            if digest not in self._entries:
                self._entries[digest] = graph, items
                self._items += items
            while self._items > self._max_items and len(self._entries) > 1:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._items -= dropped
        return graph
