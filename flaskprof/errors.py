"""The exceptions that flaskprof raises to its users, each with its exit code.

The command line catches `FlaskprofError`, prints it as one line and returns its
``exit_code``; nothing else is caught there.
"""

from __future__ import annotations

__all__ = ["BadProfile", "CaptureNotFound", "ConfigError", "FlaskprofError", "StoreError"]


class FlaskprofError(Exception):
    """Whatever flaskprof refuses; the message says what to do about it."""

    exit_code = 1


class ConfigError(FlaskprofError):
    """A setting has a value that is not allowed."""

    exit_code = 2


class BadProfile(FlaskprofError):
    """The bytes are not a profile that can be read safely."""

    exit_code = 3


class CaptureNotFound(FlaskprofError):
    """No capture of that ID is in the store."""

    exit_code = 4


class StoreError(FlaskprofError):
    """The data directory cannot be read or written."""

    exit_code = 5
