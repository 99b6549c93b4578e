"""The one logger, and failures that are said once.

What fails inside flaskprof must not fill the log of the application that it serves:
`once` logs the first failure of each kind and stays silent about the rest, which are
counted in the metrics.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

__all__ = ["logger", "once", "start_line"]

logger = logging.getLogger("flaskprof")

_said: set[str] = set()
_lock = threading.Lock()


def once(kind: str, message: str, *args: object, exc_info: bool = False) -> bool:
    """Log `message` as a warning the first time `kind` is seen in this process."""
    with _lock:
        if kind in _said:
            return False
        _said.add(kind)
    logger.warning(message, *args, exc_info=exc_info)
    return True


def start_line(message: str, *args: object) -> None:
    """Log `message` as information, on standard error where no logging is set up.

    An application without a logging configuration shows warnings only; who may ask and
    look is something its owner must be able to see all the same.
    """
    if not logger.hasHandlers() and logger.level == logging.NOTSET:
        sys.stderr.write(f"flaskprof: {message % args}\n")
        return
    logger.info(message, *args)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  the thread that may have held it is not in this process
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
