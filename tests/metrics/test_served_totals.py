"""On a real server with several workers, each of them serves the totals of all."""

from __future__ import annotations

import random
import string

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flaskprof.metrics import table
from servers import get, serve

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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    with serve("gunicorn-gthread", directory, "--preload", "-w", "4") as running:
        yield running


def test_any_worker_says_exactly_how_many_requests_all_have_answered(server):
    for _ in range(REQUESTS):
        assert get(server.port, "/empty").status == 204
    for _ in range(20):
        found = {
            labels: count for labels, count in counts(server.port).items() if "/empty" in labels
        }
        assert found == {("GET", "/empty", "204"): REQUESTS}
    workers = [s.value for s in samples(server.port) if s.name == table.LIVE_WORKERS.name]
    assert workers == [4]


def test_a_scan_of_random_urls_and_methods_adds_the_empty_route_only(server):
    chance = random.Random(7)

    def word():
        return "".join(chance.choices(string.ascii_letters, k=12))

    routes = {labels[1] for labels in counts(server.port)}
    for _ in range(2000):
        answer = get(server.port, f"/{word()}/{word()}", method=word().upper())
        assert answer.status in {404, 405}
    after = counts(server.port)
    assert {labels[1] for labels in after} - routes == {""}
    assert {labels[0] for labels in after if labels[1] == ""} == {"_OTHER"}
    assert sum(count for labels, count in after.items() if labels[1] == "") == 2000
