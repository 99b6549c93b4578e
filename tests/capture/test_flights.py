"""What is in flight is seen by others once it is old enough, and costs nothing before."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from flaskprof.capture.flights import InFlight
from flaskprof.capture.sampling.watcher import Watcher
from flaskprof.metrics.in_flight import Row
from flaskprof.metrics.instruments import Metrics
from flaskprof.routes import Match

MS = 1_000_000
PATIENCE_SECONDS = 20.0


class Table(InFlight):
    """One with a clock of the test's own."""

    def __init__(self, directory, **keywords):
        self.now = 10**12
        super().__init__(directory, clock=lambda: self.now, **keywords)

    def begin(self, method="GET", environ=None, match=None, thread=1):
        flight = [method, self.now, thread, environ, match]
        self.flights[id(flight)] = flight
        return flight

    def end(self, flight):
        del self.flights[id(flight)]

    def after(self, ms):
        """Let time pass, then the watcher look; returns what it shows."""
        self.now += ms * MS
        self.tick()
        return self.workers()[0].rows


@pytest.fixture
def table(tmp_path):
    table = Table(tmp_path / "inflight")
    yield table
    table.close()


def test_a_request_is_shown_once_it_is_old_enough_and_until_it_ends(table):
    flight = table.begin()
    started = table.now
    assert table.after(1) == ()
    assert table.after(100) == [Row(started, "GET", "", "1")]
    assert table.after(100) == [Row(started, "GET", "", "1")]
    table.end(flight)
    assert table.after(100) == []


def test_short_requests_write_nothing(table, tmp_path):
    for _ in range(100):
        flight = table.begin()
        assert not table.after(49)
        table.end(flight)
    assert list(tmp_path.iterdir()) == []


def test_it_is_looked_at_ten_times_a_second(table):
    table.begin()
    assert table.tick() == 0.1
    table.now += 40 * MS
    assert table.tick() == pytest.approx(0.06)
    table.now += 60 * MS
    assert table.tick() == 0.1


def test_after_a_quiet_second_nothing_is_done_until_a_request_wakes_the_watcher(table):
    pauses = []
    while not table.is_parked:
        pauses.append(table.tick())
        table.now += 100 * MS
    assert pauses == [0.1] * 10 + [-1.0]
    # It was woken: there is a whole second again before the next must do that.
    table.is_parked = False
    for _ in range(10):
        assert table.tick() == 0.1
        table.now += 100 * MS
    assert table.tick() == -1.0


def test_what_begins_while_it_parks_is_found(tmp_path):
    class Late(dict):
        """The flights as they are when one begins between two looks at them."""

        def values(self):
            found = list(super().values())
            if table.is_late:
                table.begin()
            return found

    table = Table(None)
    table.is_late = False
    table.flights = Late()
    for _ in range(10):
        table.tick()
        table.now += 100 * MS
    table.is_late = True
    assert table.tick() == 0.1


def test_the_route_is_shown_once_the_router_has_found_it_and_never_the_path(table):
    environ = {"PATH_INFO": "/shop/orders/7", "SCRIPT_NAME": "/shop"}
    flight = table.begin(environ=environ)
    assert [row.route for row in table.after(100)] == [""]
    rule = SimpleNamespace(rule="/orders/<int:id>", endpoint="order")
    environ["werkzeug.request"] = SimpleNamespace(url_rule=rule)
    assert [row.route for row in table.after(100)] == ["/shop/orders/<int:id>"]
    # Flask forgets its request when it returns; the match is there by then.
    environ["werkzeug.request"] = None
    flight[3:] = [None, Match("/shop/orders/<int:id>")]
    assert [row.route for row in table.after(100)] == ["/shop/orders/<int:id>"]


def test_what_has_no_utf_8_in_a_route_is_a_question_mark(table):
    table.begin(match=Match("/lone \udc80 surrogate"))
    assert [row.route for row in table.after(100)] == ["/lone ? surrogate"]


def test_methods_are_the_standard_ones_and_threads_have_their_names(table):
    table.begin("BREW", thread=threading.get_ident())
    (row,) = table.after(100)
    assert (row.method, row.thread) == ("_OTHER", threading.current_thread().name)


def test_of_very_many_the_oldest_are_shown_and_the_others_counted(table):
    for _ in range(600):
        table.begin()
        table.now += 1
    table.after(100)
    (worker,) = table.workers()
    assert (len(worker.rows), worker.more) == (500, 100)
    assert worker.rows[0].started_ns == 10**12


def test_what_is_over_is_settled_before_it_is_looked_at(tmp_path):
    over = []
    table = Table(None, settle=lambda: over and table.end(over.pop()))
    over.append(table.begin())
    assert table.after(100) == ()


def test_kept_apart_it_writes_nothing_and_shows_its_own(tmp_path):
    table = Table(tmp_path / "inflight")
    table.keep_apart()
    table.begin()
    assert len(table.after(100)) == 1
    assert list(tmp_path.iterdir()) == []


class Ticking:
    """Notes its ticks; wants the next only when it is woken."""

    def __init__(self, error=None):
        self.ticks = 0
        self.ticked = threading.Event()
        self.error = error

    def tick(self):
        self.ticks += 1
        self.ticked.set()
        if self.error is not None:
            raise self.error
        return -1.0

    def await_tick(self):
        assert self.ticked.wait(PATIENCE_SECONDS)
        self.ticked.clear()


@pytest.fixture
def watch():
    watchers = []

    def watch(table):
        metrics = Metrics([1.0])
        watchers.append(Watcher(metrics, table))
        watchers[-1].start()
        return watchers[-1], metrics

    yield watch
    for watcher in watchers:
        watcher.close(PATIENCE_SECONDS)


def test_a_table_has_a_tick_whenever_the_watcher_is_woken(watch):
    table = Ticking()
    watcher, _ = watch(table)
    for _ in range(3):
        table.await_tick()
        watcher.wake()
    table.await_tick()
    assert table.ticks == 4


def test_a_table_has_ticks_while_a_recording_is_looked_at(watch):
    class Target:
        def look(self, _late_seconds):
            pass

    table = Ticking()
    watcher, _ = watch(table)
    watcher.watch(Target())
    for _ in range(5):
        table.await_tick()


def test_a_table_that_fails_is_counted_and_asked_again(watch, monkeypatch):
    monkeypatch.setattr("flaskprof.log.once", lambda *_, **__: None)
    table = Ticking(ZeroDivisionError("on purpose"))
    watcher, metrics = watch(table)
    for _ in range(2):
        table.await_tick()
        watcher.wake()
    table.await_tick()
    watcher.close(PATIENCE_SECONDS)
    failures = metrics.registry.get_sample_value(
        "flaskprof_failures_total", {"place": "watcher"}
    )
    assert failures == table.ticks
