"""What is known of where a request comes from."""

from __future__ import annotations

import pytest

from flaskprof.peer import came_through_proxy, is_local

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:5000"}


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:5000", "LOCALHOST.", "shop.localhost", "127.0.0.1:80", "[::1]:80"],
)
def test_a_loopback_peer_that_asks_this_machine_by_name_is_local(peer, host):
    assert is_local({"REMOTE_ADDR": peer, "HTTP_HOST": host})


@pytest.mark.parametrize(
    "change",
    [
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "10.0.0.1"},
        {"REMOTE_ADDR": "unix:"},
        {"REMOTE_ADDR": "::ffff:10.0.0.1"},
        {"HTTP_HOST": ""},
        {"HTTP_HOST": "shop.example.com"},
        {"HTTP_HOST": "localhost.example.com"},
        {"HTTP_HOST": "127.0.0.1.example.com"},
        {"HTTP_HOST": "localhost:80@example.com"},
        {"HTTP_HOST": "[::1"[:3]},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": ""},
    ],
    ids=str,
)
def test_whatever_may_come_from_elsewhere_is_not_local(change):
    assert not is_local(LOCAL | change)


def test_a_request_without_peer_or_host_is_not_local():
    assert not is_local({})
    assert not is_local({"REMOTE_ADDR": "127.0.0.1"})
    assert not is_local({"HTTP_HOST": "localhost"})


def test_a_forwarding_header_is_seen_even_where_it_is_empty():
    assert came_through_proxy({"HTTP_X_FORWARDED_FOR": ""})
    assert not came_through_proxy(LOCAL)
