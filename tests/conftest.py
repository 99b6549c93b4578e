"""What holds for every test: nothing of flaskprof is left running behind it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from flaskprof.capture.recorder import close_all
from leftovers import running_parts

PATIENCE_SECONDS = 10.0

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("flaskprof", deadline=None)
settings.load_profile("flaskprof")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a profiler, a thread or a monitoring slot behind."""
    before = running_parts()
    yield
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := running_parts() - before) and time.monotonic() < deadline:
        time.sleep(0.01)  # a thread that was told to stop may still be on its way out
    assert not left, "left behind by this test: " + "; ".join(sorted(left))


@pytest.fixture(autouse=True)
def no_collection_of_itself() -> Iterator[None]:
    """Collect garbage only where a test asks for it.

    Hypothesis has a callback for it in Python, whose calls would be counted wherever a
    collection happens to fall.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def closed_recorders() -> Iterator[None]:
    """Let a test use recorders of this process, of which there are none before and after."""
    close_all()
    yield
    close_all()
