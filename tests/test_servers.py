"""On real servers every response is what it was without flaskprof."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from flaskprof.profiles.marshal_reader import read_profile
from needs import needs_program
from servers import COMMANDS, get, raw, serve, until

PATHS = ["/", "/work/5", "/stream/3", "/stream/0", "/file", "/empty", "/cached", "/nowhere"]
SERVERS = list(COMMANDS)


def counts(graph):
    """Calls per function and per edge."""
    return {
        function: (stats.total[:2], {f: edge[:2] for f, edge in stats.callers.items()})
        for function, stats in graph.functions.items()
    }


def profile_of(port, response):
    path = urlsplit(response.headers["X-Profile-Url"]).path + ".prof"

    def written():
        answer = get(port, path)
        return answer.body if answer.status == 200 else None

    return read_profile(until(written, f"the capture at {path}"))


def samples(port, name):
    text = get(port, "/metrics").body.decode()
    found = re.findall(rf"^{name}\{{(.*)\}} (.*)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


@pytest.mark.parametrize("server", SERVERS)
def test_the_bytes_on_the_wire_are_the_same(server, tmp_path):
    with serve(server, tmp_path, FLASKPROF_ENABLED="0") as bare:
        expected = {
            (method, path): raw(bare.port, path, method)
            for method in ("GET", "HEAD", "POST")
            for path in PATHS
        }
    with serve(server, tmp_path) as running:
        for (method, path), answer in expected.items():
            # A server puts its own address into some of its answers.
            address = str(bare.port).encode(), str(running.port).encode()
            assert raw(running.port, path, method) == answer.replace(*address), (method, path)


@pytest.mark.parametrize("server", SERVERS)
def test_a_captured_answer_has_the_same_body(server, tmp_path):
    with serve(server, tmp_path) as running:
        for path in PATHS:
            plain = get(running.port, path)
            asked = get(running.port, path, X_Profile="1")
            assert (asked.status, asked.body) == (plain.status, plain.body)
            assert asked.headers["Cache-Control"] == "no-store"
            assert profile_of(running.port, asked).total_calls > 5
            same = set(plain.headers.items()) - {
                ("Date", plain.headers["Date"]),
                ("Cache-Control", plain.headers["Cache-Control"]),
            }
            assert same <= set(asked.headers.items())


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_goes_away_leaves_nothing_active(server, tmp_path):
    with serve(server, tmp_path) as running:
        for header in ("", "X-Profile: 1\r\n"):
            with socket.create_connection(("127.0.0.1", running.port)) as connection:
                request = f"GET /forever HTTP/1.1\r\nHost: localhost\r\n{header}\r\n"
                connection.sendall(request.encode())
                assert connection.recv(1000)

        def is_over():
            ended = samples(running.port, "http_server_request_duration_seconds_count")
            labels = 'http_request_method="GET",http_response_status_code="200",'
            return ended.get(labels + 'http_route="/forever"') == 2

        until(is_over, "both requests counted")
        assert set(samples(running.port, "http_server_active_requests").values()) == {0.0}


@pytest.mark.parametrize("server", ["werkzeug", "gunicorn-gthread", "waitress"])
def test_requests_captured_at_the_same_time_hold_exactly_their_own_calls(server, tmp_path):
    numbers = range(8, 16)
    with serve(server, tmp_path) as running:

        def capture(n, **headers):
            return get(running.port, f"/work/{n}", X_Profile="1", **headers)

        # The first calls fill the caches of Flask, werkzeug and the server's threads.
        for n in numbers:
            capture(n)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: capture(n, X_Meet="1"), numbers))
        alone = {n: counts(profile_of(running.port, capture(n))) for n in numbers}
        for _ in range(3):
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda n: capture(n, X_Meet="1"), numbers))
            for n, answer in zip(numbers, answers, strict=True):
                assert counts(profile_of(running.port, answer)) == alone[n], n
        names = {function.name for function in alone[8]}
        assert {"fibonacci", "work", "<lambda>", "<built-in method builtins.sorted>"} <= names


@pytest.mark.parametrize(
    ("server", "options"),
    [("werkzeug", ()), ("gunicorn-gthread", ()), ("gunicorn-sync", ("-k", "gevent"))],
    ids=["werkzeug", "gthread", "gevent"],
)
def test_a_sampled_request_shows_where_its_own_time_went(server, options, tmp_path):
    with serve(server, tmp_path, *options) as running, ThreadPoolExecutor(1) as pool:
        # Its functions `work` and `<lambda>` are in no other request.
        other = pool.submit(lambda: [get(running.port, "/work/12") for _ in range(20)])

        def sampled():
            answer = get(running.port, "/long", X_Profile="sample")
            assert (answer.status, answer.body) == (200, b"long")
            graph = profile_of(running.port, answer)
            names = {function.name for function in graph.functions}
            assert not {"work", "<lambda>", "front"} & names
            # When samples are taken is up to the system.
            return {"long", "compute", "pause"} <= names and (answer, graph)

        answer, graph = until(sampled, "samples of all functions")
        other.result()
        assert graph.is_sampled
        path = urlsplit(answer.headers["X-Profile-Url"]).path
        record = json.loads(get(running.port, path + ".json").body)
        assert (record["engine"], record["exactness"]) == ("sampler", "sampled")
        assert 0.3 <= graph.total_seconds <= record["duration_seconds"]
        page = get(running.port, path, Accept="text/html").body.decode()
        assert "sampled: times are estimates" in page


def start_lines(running):
    return [line for line in running.output if "may ask and look" in line]


def test_a_preloading_master_starts_nothing_and_each_worker_its_own(tmp_path):
    with serve("gunicorn-sync", tmp_path, "--preload", "-w", "2") as running:
        assert start_lines(running) == []
        for _ in range(20):
            asked = get(running.port, "/", X_Profile="1")
            assert profile_of(running.port, asked).total_calls > 5
        assert len(start_lines(running)) in {1, 2}


def test_the_parent_of_a_reloader_starts_nothing(tmp_path):
    with serve("werkzeug", tmp_path, "--reload") as running:
        until(lambda: any("Restarting" in line for line in running.output), "the reloader")
        assert start_lines(running) == []
        until(lambda: answers(running.port), "the reloaded server")
        until(lambda: start_lines(running), "the line of the start")
        assert len(start_lines(running)) == 1


def answers(port):
    try:
        return get(port, "/").status == 200
    except OSError:
        return False


NGINX = """
daemon off; pid {directory}/nginx.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            {headers}
        }}
    }}
}}
"""
FORWARDING = """
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
"""


@pytest.fixture
def proxy(tmp_path):
    """Start nginx in front of a port, with further headers; returns its own port."""
    import subprocess

    nginx = needs_program("nginx")
    processes = []

    def start(upstream, headers=""):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        directory = tmp_path / f"nginx-{port}"
        directory.mkdir()
        config = directory / "nginx.conf"
        config.write_text(
            NGINX.format(directory=directory, port=port, upstream=upstream, headers=headers)
        )
        processes.append(subprocess.Popen([nginx, "-c", config, "-p", directory]))
        until(lambda: answers(port), "nginx")
        return port

    yield start
    for process in processes:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("server", ["gunicorn-gthread", "waitress"])
@pytest.mark.parametrize(
    ("dev", "headers"),
    [("0", ""), ("0", FORWARDING), ("1", FORWARDING)],
    ids=["bare proxy", "forwarding proxy", "forwarding proxy in development"],
)
def test_behind_a_proxy_the_defaults_refuse(server, dev, headers, proxy, tmp_path):
    with serve(server, tmp_path / "data", FLASKPROF_DEV=dev) as running:
        port = proxy(running.port, headers)
        public = {"Host": "shop.example.com"}
        answer = get(port, "/work/5", X_Profile="1", **public)
        assert answer.body == b"01234"
        assert not [name for name in answer.headers if name.startswith("X-Profile")]
        assert get(port, "/flaskprof/", **public).status == 404
        assert get(port, "/flaskprof/c/0", **public).status == 404
        # A proxy that says nothing of itself cannot be told from a local Prometheus, and
        # waitress drops what a proxy says that it was not told to trust.
        is_seen = headers and server != "waitress"
        assert get(port, "/metrics", **public).status == (404 if is_seen else 200)
    assert not (tmp_path / "data" / "captures").exists()


@pytest.mark.parametrize("server", ["gunicorn-gthread", "waitress"])
def test_behind_a_proxy_a_token_opens(server, proxy, tmp_path):
    from flaskprof.access import make_token

    secret = "a secret of sixteen or more"
    with serve(
        server, tmp_path / "data", FLASKPROF_DEV="0", FLASKPROF_SECRET=secret
    ) as running:
        port = proxy(running.port, FORWARDING)
        token = make_token([secret], ttl_seconds=60)
        answer = get(port, "/work/5", X_Profile=token)
        assert answer.headers["X-Profile-Url"].endswith(answer.headers["X-Profile-Id"])
        path = f"/flaskprof/c/{answer.headers['X-Profile-Id']}.prof"
        assert get(port, path).status == 404
        prof = until(
            lambda: (a := get(port, path, X_Profile=token)).status == 200 and a.body, "the file"
        )
        assert read_profile(prof).total_calls > 5
