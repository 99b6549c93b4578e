"""On a real server with several workers, each of them serves the totals of all."""

from __future__ import annotations

import random
import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flaskprof.metrics import table
from servers import get, serve, until

WORKERS = 4
REQUESTS = 120
COUNT = f"{table.DURATION.name}_count"


def samples(port):
    text = get(port, "/metrics").body.decode()
    return [s for family in text_string_to_metric_families(text) for s in family.samples]


def counts(port):
    """Return the requests counted, by method, route and status."""
    return {
        tuple(s.labels[name] for name in table.DURATION.labels): s.value
        for s in samples(port)
        if s.name == COUNT
    }


@pytest.mark.parametrize(("workers", "is_served"), [(1, True), (2, False)])
def test_metrics_of_one_process_are_served_where_it_is_the_only_one(
    workers, is_served, tmp_path
):
    """Even before others have answered; prometheus_client has some from its start."""
    with serve("gunicorn-gthread", tmp_path, "-w", str(workers)) as running:
        found = samples(running.port)
    assert ("python_info" in {sample.name for sample in found}) == is_served
    assert [s.value for s in found if s.name == table.LIVE_WORKERS.name] == [1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    with serve("gunicorn-gthread", directory, "--preload", "-w", str(WORKERS)) as running:
        yield running


def live_workers(port):
    (sample,) = [s for s in samples(port) if s.name == table.LIVE_WORKERS.name]
    return sample.value


def test_any_worker_says_exactly_how_many_requests_all_have_answered(server):
    def several_at_once():
        with ThreadPoolExecutor(16) as clients:
            list(clients.map(lambda _: get(server.port, "/long"), range(16)))
        return live_workers(server.port) >= 2

    until(several_at_once, "more than one worker to answer")
    for _ in range(REQUESTS):
        assert get(server.port, "/empty").status == 204

    def counted():
        return counts(server.port)["GET", "/empty", "204"]

    # A request counts once its response is closed, which is after the client has it.
    until(lambda: counted() == REQUESTS, "the last request to be counted")
    assert [counted() for _ in range(40)] == [REQUESTS] * 40
    assert live_workers(server.port) <= WORKERS


def test_a_scan_of_random_urls_and_methods_adds_the_empty_route_only(server):
    chance = random.Random(7)

    def word():
        return "".join(chance.choices(string.ascii_letters, k=12))

    routes = {labels[1] for labels in counts(server.port)}
    for _ in range(2000):
        answer = get(server.port, f"/{word()}/{word()}", method=word().upper())
        assert answer.status in {404, 405}

    def scanned():
        return sum(n for labels, n in counts(server.port).items() if labels[1] == "")

    until(lambda: scanned() >= 2000, "the last request to be counted")
    after = counts(server.port)
    assert {labels[1] for labels in after} - routes == {""}
    assert {labels[0] for labels in after if labels[1] == ""} == {"_OTHER"}
    assert scanned() == 2000
