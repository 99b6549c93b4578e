"""The bounded background writer: turns finished recordings into stored captures.

A request hands its recording over and goes on. Conversion and writing happen on one
thread, which is started by the first capture and waits without polling. What does not
fit into the queue is dropped and counted, never waited for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from flaskprof import log
from flaskprof.capture.conversion import convert
from flaskprof.capture.engines import Recording
from flaskprof.metrics.instruments import Metrics
from flaskprof.queries.log import QueryLog
from flaskprof.record import CaptureRecord
from flaskprof.signals import capture_failed, capture_stored, send

__all__ = ["CaptureSink", "Spool"]

_LONGEST_QUEUE = 128
_LOOK_AGAIN_SECONDS = 5.0
# An ID tells when its capture began. Whoever looks for one that began just now is told to
# wait; one that began earlier is announced for as long as it is being written.
_LONG_SECONDS = 5.0


class CaptureSink(Protocol):
    """What the spool writes to."""

    def save(self, record: CaptureRecord, files: Mapping[str, bytes]) -> None:
        """Write one capture whole; raises `StoreError` if it cannot."""
        ...

    def announce(self, capture_id: str) -> None:
        """Note that a capture is about to be written; where that fails nothing is noted."""
        ...

    def withdraw(self, capture_id: str) -> None:
        """Forget what `announce` noted, if it noted anything."""
        ...

    def bytes_used(self) -> int:
        """Return how many bytes all captures take."""
        ...


class Spool:
    """Writes captures to a sink, up to `max_bytes` in all, from a thread of its own."""

    def __init__(
        self,
        sink: CaptureSink,
        metrics: Metrics,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: deque[tuple[CaptureRecord, Recording, QueryLog | None, object]] = deque()
        self._busy = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._full_since: float | None = None

    def is_full(self) -> bool:
        """Whether captures are refused for want of room, as far as was seen lately."""
        full_since = self._full_since
        return full_since is not None and self._clock() - full_since < _LOOK_AGAIN_SECONDS

    def is_behind(self) -> bool:
        """Whether so many captures wait that no more should be begun.

        The other half of the queue is for those that are under way.
        """
        return len(self._queue) >= _LONGEST_QUEUE // 2

    def put(
        self,
        record: CaptureRecord,
        recording: Recording,
        queries: QueryLog | None = None,
        sender: object = None,
    ) -> None:
        """Hand a finished recording over; never blocks, drops it where the queue is full."""
        is_announced = record.duration_seconds > _LONG_SECONDS
        if is_announced:
            self._sink.announce(record.id)
        with self._changed:
            if len(self._queue) < _LONGEST_QUEUE and not self._closing:
                self._queue.append((record, recording, queries, sender))
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="flaskprof-spool", daemon=True
                    )
                    self._thread.start()
                self._changed.notify_all()
                return
        if is_announced:
            self._sink.withdraw(record.id)
        self._metrics.count_capture(record.trigger, "dropped")
        self._tell(record, "dropped", sender)
        log.once("spool full", "captures come faster than they can be written: some are lost")

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was handed over is written; false if that took too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._queue and not self._busy, timeout_seconds
            )

    def close(self, timeout_seconds: float) -> None:
        """Write what is queued, for at most `timeout_seconds`, and end the thread."""
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                record, recording, queries, sender = self._queue.popleft()
                self._busy = True
            began_ns = time.thread_time_ns()
            stored, outcome = self._write(record, recording, queries)
            if record.duration_seconds > _LONG_SECONDS:
                self._sink.withdraw(record.id)
            self._metrics.count_own_time("captures", time.thread_time_ns() - began_ns)
            self._metrics.count_capture(record.trigger, outcome)
            self._tell(stored, outcome, sender)
            # The next capture may be long in coming; this one must not be kept until then.
            del record, recording, queries, stored, sender

    def _write(
        self, record: CaptureRecord, recording: Recording, queries: QueryLog | None
    ) -> tuple[CaptureRecord, str]:
        """Write one capture; return its record, and what became of it."""
        try:
            if self._sink.bytes_used() >= self._max_bytes:
                self._full_since = self._clock()
                log.once(
                    "store full",
                    "the captures reach %d bytes: no more are written; delete old ones or "
                    "raise FLASKPROF_MAX_BYTES",
                    self._max_bytes,
                )
                return record, "dropped"
            self._full_since = None
            record, files = convert(record, recording, queries)
            self._sink.save(record, files)
        except Exception as error:  # noqa: BLE001  one capture lost; the next may be written
            self._metrics.count_failure("spool")
            log.once(f"spool {type(error).__name__}", "a capture was not written: %s", error)
            return record, "failed"
        return record, "stored"

    def _tell(self, record: CaptureRecord, outcome: str, sender: object) -> None:
        count = self._metrics.count_failure
        if outcome == "stored":
            send(capture_stored, sender, count, record=record)
        else:
            send(capture_failed, sender, count, record=record, reason=outcome)
