"""Where a request stands in distributed tracing: its trace and span.

That is what OpenTelemetry's active span says, in an application that uses it; else the
``traceparent`` header of W3C Trace Context. OpenTelemetry is never imported here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TRACEPARENT", "Trace", "active_span", "sees_spans", "trace_of"]

TRACEPARENT = "HTTP_TRACEPARENT"

# Versions after 00 may have more behind what is known.
_HEADER = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z"
)
_API = "opentelemetry.trace"
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """IDs of 32 and 16 hexadecimal digits; whether the trace is kept by whoever began it."""

    trace_id: str
    span_id: str
    is_sampled: bool


def sees_spans() -> bool:
    """Whether the application has imported OpenTelemetry's API."""
    return _API in sys.modules


def active_span() -> Trace | None:
    """Return OpenTelemetry's span that is active where the code runs; None without one."""
    api = sys.modules.get(_API)
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return Trace(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        bool(context.trace_flags & _SAMPLED),
    )


def trace_of(environ: Mapping[str, Any]) -> Trace | None:
    """Return the trace of the request that is being answered; None if it has none."""
    return active_span() or _from_header(environ.get(TRACEPARENT, ""))


def _from_header(text: str) -> Trace | None:
    found = _HEADER.match(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if more and version == "00":
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
