"""The sidecar as an application: who may look at what, and whether all is well."""

from __future__ import annotations

import os
import time

import pytest
from werkzeug.test import Client

from flaskprof.access import make_token
from flaskprof.config import Settings
from flaskprof.errors import ConfigError, StoreError
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.sidecar import Sidecar, check_bind
from flaskprof.store.directory import DirectoryStore

SECRET = "a secret of sixteen or more"
# Address of the peer, and the name by which it asks.
LOCAL = ("127.0.0.1", "127.0.0.1:9180")
FAR = ("10.1.2.3", "10.1.2.4:9180")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def make(data):
    made = []

    def make(*, is_loopback=True, **settings):
        loaded = Settings.load(environ={}, dir=data, **settings)
        made.append(Sidecar(loaded, is_loopback=is_loopback))
        return made[-1]

    yield make
    for sidecar in made:
        sidecar.close()


def get(sidecar, path, peer=LOCAL, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    address, host = peer
    return Client(sidecar).get(
        path,
        base_url=f"http://{host}",
        environ_base={"REMOTE_ADDR": address},
        headers=named,
    )


def save(data, **fields):
    started = time.time()
    record = CaptureRecord(
        id=new_capture_id(started), started=started, duration_seconds=0.25, **fields
    )
    DirectoryStore(data).save(record, {".prof": b"profile"})
    return record


# Where things are


def test_the_viewer_and_the_metrics_are_where_they_are_inside_the_application(make, data):
    record = save(data, route="/orders/<int:id>")
    sidecar = make()
    assert "/orders/&lt;int:id&gt;" in get(sidecar, "/flaskprof/").text
    assert get(sidecar, f"/flaskprof/c/{record.id}.prof").data == b"profile"
    assert get(sidecar, "/metrics").status_code == 200
    moved = make(prefix="/profiles", metrics_path="/m")
    assert get(moved, f"/profiles/c/{record.id}.prof").data == b"profile"
    assert get(moved, "/m").status_code == 200
    assert get(moved, "/metrics").status_code == 404


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/flaskprof/"),
        ("/c/0123?sort=calls", "/flaskprof/c/0123?sort=calls"),
        ("/r/käse", "/flaskprof/r/k%C3%A4se"),
        ("/c//evil.example.com/", "/flaskprof/c//evil.example.com/"),
    ],
)
def test_addresses_without_the_prefix_lead_to_the_viewer(make, path, target):
    answer = get(make(), path)
    assert (answer.status_code, answer.headers["Location"]) == (307, target)


def test_anything_else_is_nowhere(make):
    answer = get(make(), "/elsewhere")
    assert (answer.status_code, answer.text) == (404, "The viewer is at /flaskprof/.\n")
    assert get(make(metrics="off"), "/metrics").status_code == 404


def test_a_program_gets_what_is_wrong_as_problem_details(make):
    sidecar = make(secret=SECRET, is_loopback=False)
    for path, status, title, detail in (
        ("/elsewhere", 404, "Not Found", "The viewer is at /flaskprof/."),
        ("/flaskprof/", 403, "Forbidden", "Only holders of a token may look: "),
    ):
        answer = get(sidecar, path, FAR, Accept="application/json")
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        assert answer.headers["Cache-Control"] == "no-store"
        told = answer.json
        assert (told["type"], told["title"], told["status"]) == ("about:blank", title, status)
        assert told["detail"].startswith(detail)


# Who may look


def test_without_a_secret_only_this_machine_may_look(make):
    sidecar = make()
    assert get(sidecar, "/flaskprof/").status_code == 200
    rebound = ("127.0.0.1", "rebound.example.com")
    answer = get(sidecar, "/flaskprof/", rebound)
    assert (answer.status_code, answer.text[:27]) == (403, "Only this machine may look,")
    assert get(sidecar, "/flaskprof/", FAR).status_code == 403
    assert get(sidecar, "/flaskprof/", X_Forwarded_For="10.0.0.1").status_code == 403


@pytest.mark.parametrize("is_loopback", [True, False])
def test_with_a_secret_whoever_holds_a_token_may_look(make, is_loopback):
    sidecar = make(secret=SECRET, is_loopback=is_loopback)
    assert get(sidecar, "/flaskprof/").status_code == 403
    answer = get(sidecar, "/flaskprof/", FAR)
    assert (answer.status_code, answer.text[:33]) == (403, "Only holders of a token may look:")
    token = make_token([SECRET], ttl_seconds=60)
    assert get(sidecar, "/flaskprof/", FAR, Authorization=f"Bearer {token}").status_code == 200
    link = get(sidecar, f"/flaskprof/?token={token}", FAR)
    assert (link.status_code, link.headers["Location"]) == (
        303,
        "http://10.1.2.4:9180/flaskprof/",
    )
    expired = make_token([SECRET], ttl_seconds=1, now=0)
    assert get(sidecar, "/flaskprof/", FAR, X_Profile=expired).status_code == 403


def test_metrics_are_open_to_prometheus_and_closed_to_proxies(make):
    sidecar = make(secret=SECRET, is_loopback=False)
    assert get(sidecar, "/metrics", FAR).status_code == 200
    assert get(sidecar, "/metrics", FAR, X_Forwarded_For="10.0.0.1").status_code == 403
    closed = make(secret=SECRET, metrics="token")
    assert get(closed, "/metrics", FAR).status_code == 403
    token = make_token([SECRET], ttl_seconds=60)
    assert get(closed, "/metrics", FAR, Authorization=f"Bearer {token}").status_code == 200


def test_metrics_that_cannot_be_read_are_a_problem_like_any_other(make, data):
    sidecar = make()
    data.write_text("a file where the data directory should be")
    answer = get(sidecar, "/metrics", Accept="application/json")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.json["detail"] == "The metrics cannot be read; the log says why."
    assert get(sidecar, "/metrics").text == answer.json["detail"] + "\n"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_needs_no_secret(address):
    assert check_bind(address, Settings()) is True


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0"])
def test_what_others_reach_needs_a_secret(address):
    with pytest.raises(ConfigError, match=f"^FLASKPROF_BIND: {address} can be reached by"):
        check_bind(address, Settings())
    assert check_bind(address, Settings.load(environ={}, secret=SECRET)) is False


# Whether all is well


def test_it_is_healthy_while_upkeep_runs_and_the_directory_can_be_used(make, data):
    sidecar = make()
    answer = get(sidecar, "/healthz", FAR)
    assert answer.status_code == 503
    assert answer.json == {"status": "failing", "problems": ["upkeep does not run"]}
    sidecar.start()
    answer = get(sidecar, "/healthz", FAR)  # nothing has been written yet
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "problems": []})
    data.mkdir()
    assert get(sidecar, "/healthz").status_code == 200
    sidecar.close()
    assert get(sidecar, "/healthz").status_code == 503


def test_a_directory_that_cannot_be_used_is_a_problem(make, data, monkeypatch):
    data.mkdir()
    sidecar = make()
    sidecar.start()
    # The user that runs the tests may be root, whom no mode keeps out.
    monkeypatch.setattr(os, "access", lambda path, mode: path != data)
    assert get(sidecar, "/healthz").json["problems"] == [
        f"the data directory {data} cannot be read and written"
    ]


# Whose directory it is


def test_it_serves_the_service_that_owns_the_directory(make, data):
    data.mkdir()
    (data / "service").write_text("shop\n")
    assert make().service == "shop"
    assert make(service_name="shop").service == "shop"
    with pytest.raises(ConfigError, match="belongs to the service 'shop', not to 'billing'"):
        make(service_name="billing")


def test_a_directory_that_is_nobodys_becomes_that_of_the_named_service(make, data):
    assert make(service_name="shop").service == "shop"
    assert not data.exists()
    data.mkdir()
    assert make(service_name="shop").service == "shop"
    assert (data / "service").read_text() == "shop\n"


def test_a_directory_that_cannot_be_read_is_refused_at_the_start(make, data):
    data.mkdir()
    (data / "service").mkdir()
    with pytest.raises(StoreError, match="run the sidecar as the user of the application"):
        make()


# What it counts of itself


def test_its_own_failures_are_counted(make, data):
    sidecar = make()
    name = 'flaskprof_failures_total{place="sidecar"}'
    assert f"{name} 0.0" in get(sidecar, "/metrics").text
    DirectoryStore(data).save(
        CaptureRecord(id=new_capture_id(time.time()), started=0, duration_seconds=1),
        {".prof": b"profile"},
    )
    (data / "tokens").write_text("not a directory")
    assert sidecar.upkeep.do_round()
    assert f"{name} 1.0" in get(sidecar, "/metrics").text
