"""Follows a response body part by part: the one way to see how it was taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns

from flaskprof.metrics.layout import Cell

__all__ = ["Stream", "followed"]


class Stream:
    """What was seen of one body so far; `started_ns` is when its request began."""

    __slots__ = ("_first_byte_ns", "_is_over", "_sent_bytes", "_started_ns")

    def __init__(self, started_ns: int) -> None:
        self._started_ns = started_ns
        self._first_byte_ns: int | None = None
        self._sent_bytes = 0
        self._is_over = False

    def part(self, data: bytes) -> None:
        """Note a part that is handed to the server."""
        if self._first_byte_ns is None and data:
            self._first_byte_ns = perf_counter_ns() - self._started_ns
        self._sent_bytes += len(data)

    def whole(self, body: object) -> None:
        """Note a body that is handed to the server at once, if its parts can be counted."""
        if isinstance(body, list | tuple):
            for data in body:
                self.part(data)
        self.over()

    def over(self) -> None:
        """Note that the application has no more: it ended, or failed."""
        self._is_over = True

    def count(self, add: Callable[..., None], place: int, length: int | None) -> None:
        """Add to the cells of a label set; `length` is what the body was said to have."""
        # Servers need not ask for a part behind the last.
        is_whole = self._is_over or (length is not None and self._sent_bytes >= length)
        add(
            *(place + Cell.SENT_COUNT, 1),
            *(place + Cell.SENT, self._sent_bytes),
            *(place + Cell.DISCONNECTS, int(not is_whole)),
        )
        if self._first_byte_ns is not None:
            first_byte = place + Cell.FIRST_BYTE
            add(place + Cell.FIRST_BYTE_COUNT, 1, first_byte, self._first_byte_ns)


def followed(body: Iterable[bytes], stream: Stream) -> Iterable[bytes]:
    """Return `body`, which has ``close()``, with each of its parts noted in `stream`."""
    return (_SizedBody if hasattr(body, "__len__") else _Body)(body, stream)


class _Body:
    __slots__ = ("_body", "_iterator", "_stream")

    def __init__(self, body: Iterable[bytes], stream: Stream) -> None:
        self._body = body
        self._stream = stream
        self._iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._iterator = iter(self._body)
        return self

    def __next__(self) -> bytes:
        if self._iterator is None:
            self._iterator = iter(self._body)
        try:
            data = next(self._iterator)
        except BaseException:
            self._stream.over()
            raise
        self._stream.part(data)
        return data

    def close(self) -> None:
        self._body.close()  # type: ignore[attr-defined]  # it has one


class _SizedBody(_Body):
    """One whose length a server may ask for."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # chosen for having a length
