"""Whatever workers and folders do in whatever order, the sums are those of a plain count."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from counting_workers import new_metrics, requests_in
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flaskprof.metrics import folding
from flaskprof.metrics.folding import fold, read

ROUTES = ("/a", "/b", "/c", "/d", "/e")
ROOM = 3
BUCKETS = ((0.1, 1.0), (0.5,))


class Stopped(BaseException):
    """Stands for the death of whoever folds."""


def stop(*_):
    raise Stopped


class Workers(RuleBasedStateMachine):
    """Workers that come, count, go, and change their buckets in one directory."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.workers = []
        self.counted = 0
        self.buckets = BUCKETS[0]
        self.seen = (1, {})
        self.has_changed = False

    def teardown(self):
        for _, metrics in self.workers:
            metrics.close()
        shutil.rmtree(self.directory)

    @rule()
    def start(self):
        metrics = new_metrics(self.directory, buckets=self.buckets, max_series=ROOM)
        self.workers.append((self.buckets, metrics))

    @precondition(lambda self: self.workers)
    @rule(route=st.sampled_from(ROUTES), number=st.integers(0, 100))
    def count(self, route, number):
        _, metrics = self.workers[number % len(self.workers)]
        metrics.observe("GET", route, "200", 1)
        self.counted += 1

    @precondition(lambda self: self.workers)
    @rule(number=st.integers(0, 100))
    def end(self, number):
        self.workers.pop(number % len(self.workers))[1].close()

    @rule()
    def fold(self):
        fold(self.directory)

    @rule(step=st.sampled_from(["save_archive", "_remove", "begin_generation"]))
    def die_while_folding(self, step):
        real = getattr(folding, step)
        calls = []

        def second(*arguments):
            calls.append(None)
            if step != "_remove" or len(calls) == 2:
                raise Stopped
            return real(*arguments)

        setattr(folding, step, second)
        try:
            fold(self.directory)
        except Stopped:
            pass
        finally:
            setattr(folding, step, real)

    @precondition(lambda self: len(self.workers) < 3)
    @rule()
    def change_buckets(self):
        self.buckets = BUCKETS[self.buckets == BUCKETS[0]]
        self.has_changed = True
        self.start()
        # As a scrape does.
        fold(self.directory)

    @invariant()
    def nothing_is_lost_or_doubled(self):
        reading = read(self.directory)
        total = sum(requests_in(reading).values())
        if not self.has_changed:
            assert total == self.counted
        assert total <= self.counted
        assert len(requests_in(reading)) <= ROOM + 1

    @invariant()
    def nothing_falls_within_a_generation(self):
        reading = read(self.directory)
        now = requests_in(reading)
        generation, before = self.seen
        if reading.generation == generation:
            assert {k: (v, now.get(k, 0)) for k, v in before.items() if now.get(k, 0) < v} == {}
        self.seen = (reading.generation, now)
        assert all(value > 0 for value in now.values())


Workers.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestWorkers = Workers.TestCase
