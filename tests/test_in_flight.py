"""Requests in flight on real servers: all workers', by route, for as long as they last."""

from __future__ import annotations

import os
import signal
import sys
from json import loads

import pytest

from flaskprof.metrics.in_flight import in_flight_directory, read_workers
from holding import holder
from needs import needs_module
from servers import get, serve, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")


def rows(directory):
    """What any other process sees, as (worker, row)."""
    workers = read_workers(in_flight_directory(directory))
    return [(worker.pid, row) for worker in workers for row in worker.rows]


def see(directory, number):
    """Wait until so many rows are seen, and return them."""
    until(lambda: len(rows(directory)) == number, f"{number} requests in flight")
    return rows(directory)


def test_held_requests_of_two_workers_are_seen_by_route_and_vanish_with_a_killed_worker(
    tmp_path,
):
    # A worker of that kind serves one request at a time, so that two are in two workers.
    with (
        serve("gunicorn-sync", tmp_path, "-w", "2", "-t", "60", app="held:app") as server,
        holder(server.port) as place,
    ):
        assert get(server.port, "/quick").body == b"quick"
        place.hold("held")
        place.hold("streamed")
        seen = see(tmp_path, 2)
        assert {row.route for _, row in seen} == {"/held/<int:port>", "/streamed/<int:port>"}
        assert {row[1:2] + row[3:] for _, row in seen} == {("GET", "MainThread")}
        workers = {pid for pid, _ in seen}
        assert len(workers) == 2
        killed = workers.pop()
        os.kill(killed, signal.SIGKILL)
        ((left, _),) = see(tmp_path, 1)
        assert {left} == workers
        place.let_go()
        see(tmp_path, 0)


def test_every_worker_shows_them_on_its_front_page(tmp_path):
    json = {"Accept": "application/json"}
    with (
        serve("gunicorn-gthread", tmp_path, "-w", "2", app="held:app") as server,
        holder(server.port) as place,
    ):

        def front():
            return loads(get(server.port, "/flaskprof/", **json).body)

        def counted():
            # Each of them may be answered by either worker.
            return {row["route"]: row["requests"] for row in front()["routes"]}

        get(server.port, "/quick")
        until(lambda: front()["known_seconds"] is not None, "the first totals to be noted")
        for _ in range(10):
            assert get(server.port, "/quick").status == 200
        place.hold()
        see(tmp_path, 1)
        for _ in range(8):
            (request,) = front()["in_flight"]["requests"]
            assert request["route"] == "/held/<int:port>"
        assert counted()["/quick"] in {10, 11}  # the first may have come before the totals
        assert front()["workers"] in {1, 2}
        page = get(server.port, "/flaskprof/").body.decode()
        assert "/held/&lt;int:port&gt;" in page
        place.let_go()
        see(tmp_path, 0)
        assert front()["in_flight"]["requests"] == []


def test_each_thread_of_a_worker_is_seen(tmp_path):
    with (
        serve("gunicorn-gthread", tmp_path, app="held:app") as server,
        holder(server.port) as place,
    ):
        for _ in range(3):
            place.hold()
        seen = see(tmp_path, 3)
        assert len({row.thread for _, row in seen}) == 3
        assert all(row.thread.startswith("ThreadPoolExecutor") for _, row in seen)
        place.let_go()
        see(tmp_path, 0)


def test_each_greenlet_is_seen(tmp_path):
    needs_module("gevent")
    with (
        serve("gunicorn-gevent", tmp_path, app="held:app") as server,
        holder(server.port) as place,
    ):
        for kind in ("held", "held", "streamed"):
            place.hold(kind)
        seen = see(tmp_path, 3)
        assert len({row.thread for _, row in seen}) == 3
        assert sorted(row.route for _, row in seen) == [
            "/held/<int:port>",
            "/held/<int:port>",
            "/streamed/<int:port>",
        ]
        place.let_go()
        see(tmp_path, 0)
