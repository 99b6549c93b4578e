"""What flaskprof tells the application, as signals of blinker like Flask's own.

The sender of each is the Flask application, or what `ProfilerMiddleware` was put around::

    @request_profiled.connect_via(app)
    def profiled(sender, record, **extra): ...

- `request_profiled`: a captured request was answered; its capture is about to be written.
  `record` is its `CaptureRecord`, without what only writing tells.
- `slow_request`: a request took ``FLASKPROF_SLOW_SECONDS`` or longer, captured or not.
  `method`, `route`, `endpoint`, `status`, `duration_seconds`, `profile_id`, `trace_id`.
- `capture_stored`: a capture was written; `record` is what was. Sent by the thread that writes.
- `capture_failed`: a capture was lost; `record`, and `reason`: "failed" where it could not be
  converted or written, "dropped" for want of room. Sent by the thread that writes, or at the
  end of the request.

The first two are sent in the thread that answered, after the response. What a receiver raises
is logged once and counted, and harms nobody; what it returns is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blinker import NamedSignal, Namespace

from flaskprof import log

__all__ = ["capture_failed", "capture_stored", "request_profiled", "send", "slow_request"]

_signals = Namespace()

request_profiled = _signals.signal("request-profiled")
slow_request = _signals.signal("slow-request")
capture_stored = _signals.signal("capture-stored")
capture_failed = _signals.signal("capture-failed")


def send(
    signal: NamedSignal, sender: object, count_failure: Callable[[str], None], **arguments: Any
) -> None:
    """Call each receiver of a signal, whatever the others raise; never raises itself."""
    if not signal.receivers:
        return
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **arguments)
        except Exception:  # noqa: BLE001  the application's, which is told once
            count_failure("signal")
            log.once(
                f"receiver {receiver!r}",
                "a receiver of the signal %s failed",
                signal.name,
                exc_info=True,
            )
