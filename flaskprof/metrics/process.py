"""What this process uses, as the system tells."""

from __future__ import annotations

import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import resource

__all__ = ["cpu_ns", "resident_bytes", "shares_threads"]


def cpu_ns() -> int:
    """Return the processor time of this process so far, of all its threads."""
    return time.process_time_ns()


def resident_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not tell.

    Outside Linux it is the largest that it ever was.
    """
    if sys.platform == "win32":
        return 0
    try:
        with Path("/proc/self/statm").open("rb", buffering=0) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


def shares_threads() -> bool:
    """Whether requests share a thread as greenlets, so that its time is nobody's own."""
    for name in ("gevent.monkey", "eventlet.patcher"):
        module = sys.modules.get(name)
        is_patched = getattr(module, "is_module_patched", None) or getattr(
            module, "is_monkey_patched", None
        )
        if is_patched is not None and is_patched("thread"):
            return True
    return False
