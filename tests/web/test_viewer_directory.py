"""The viewer over a real data directory."""

import time

from werkzeug.test import Client

from flaskprof.config import Settings
from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore
from flaskprof.web.app import Viewer

JSON = {"Accept": "application/json"}


def test_what_an_application_saved_is_shown(tmp_path, flask_prof):
    store = DirectoryStore(tmp_path / "data")
    client = Client(Viewer(store, settings=Settings()))
    assert "Nothing has been captured yet" in client.get("/captures").text
    record = CaptureRecord(
        id=new_capture_id(),
        started=1_800_000_000.0,
        duration_seconds=0.25,
        method="GET",
        route="/orders/<int:id>",
        trigger="header",
        status=200,
    )
    assert client.get(f"/c/{record.id}").status_code == 202
    store.save(record, {".prof": flask_prof})
    assert client.get("/captures", headers=JSON).json["captures"][0]["id"] == record.id
    assert "/orders/&lt;int:id&gt;" in client.get("/captures").text
    assert "fibonacci" in client.get(f"/c/{record.id}").text
    assert client.get(f"/c/{record.id}.prof").data == flask_prof
    assert CaptureRecord.from_json(client.get(f"/c/{record.id}.json").data) == record


def test_what_has_not_been_read_yet_is_said_and_read_on_with_each_page(
    tmp_path, flask_prof, processes, monkeypatch
):
    monkeypatch.setattr("flaskprof.store.index._STEP", 40)
    monkeypatch.setattr("flaskprof.web.app._PATIENCE_SECONDS", 0)
    store = DirectoryStore(tmp_path / "data")
    begin = time.time() - 3600
    for number in range(100):
        started = begin + number
        record = CaptureRecord(
            id=new_capture_id(started),
            started=started,
            duration_seconds=0.25,
            route="/old" if number < 10 else "/new",
        )
        store.save(record, {".prof": flask_prof})
    client = Client(Viewer(store, settings=Settings(), live=processes.live()))
    page = client.get("/")
    assert "Not read yet, and missing here: 60 older captures." in page.text
    assert "This page loads itself again until all are read." in page.text
    assert "all 40" in page.text
    assert (page.status_code, page.headers["Refresh"]) == (200, "1")
    listed = client.get("/captures", headers=JSON)
    assert (listed.json["unread_captures"], listed.json["matching"]) == (20, 80)
    (store.path / "captures" / "index-v4.sqlite").unlink()
    # What is compared is never the median of a part.
    address = f"/compare?a=median&b={record.id}"
    compared = client.get(address)
    assert (compared.status_code, compared.headers["Refresh"]) == (202, "1")
    assert "60 older captures" in compared.text
    compared = client.get(address, headers=JSON)
    assert (compared.status_code, compared.json) == (
        202,
        {"unread_captures": 20, "being_read": {"retry_after_seconds": 1}},
    )
    assert client.get(address).status_code == 303
    # Of a route whose captures are all older there is nothing to be seen, but not for long.
    (store.path / "captures" / "index-v4.sqlite").unlink()
    assert client.get("/captures", headers=JSON).json["unread_captures"] == 60
    old = client.get("/r/?route=/old")
    assert (old.status_code, old.headers["Refresh"]) == (404, "1")
    assert "20 older captures" in old.text
    old = client.get("/r/?route=/old")
    assert (old.status_code, "Refresh" in old.headers) == (200, False)
    assert "Not read yet" not in old.text
    assert "unread_captures" not in client.get("/captures", headers=JSON).json


def test_no_id_leads_out_of_the_directory(tmp_path):
    (tmp_path / "secret.prof").write_bytes(b"secret")
    client = Client(Viewer(DirectoryStore(tmp_path / "data"), settings=Settings()))
    for name in ("..%2fsecret", "%2e%2e/secret", f"{tmp_path}/secret", "..%5csecret", "%00"):
        for suffix in ("", ".prof", ".json"):
            response = client.get(f"/c/{name}{suffix}")
            assert response.status_code == 404
            assert response.mimetype == "text/html"


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path):
    store = DirectoryStore(tmp_path)
    record = CaptureRecord(id=new_capture_id(), started=1.0, duration_seconds=0.1)
    store.save(record, {".prof": b""})
    (path,) = tmp_path.rglob("*.prof")
    path.unlink()
    path.mkdir()
    response = Client(Viewer(store, settings=Settings())).get(f"/c/{record.id}", headers=JSON)
    assert response.status_code == 503
    assert "Is a directory" in response.json["detail"]


def test_the_capture_of_a_long_request_is_being_written_when_it_ends(tmp_path, flask_prof):
    store = DirectoryStore(tmp_path)
    client = Client(Viewer(store, settings=Settings()))
    a_minute_ago = time.time() - 60
    record = CaptureRecord(
        id=new_capture_id(a_minute_ago), started=a_minute_ago, duration_seconds=60.0
    )
    assert client.get(f"/c/{record.id}").status_code == 404
    store.announce(record.id)
    for address in (f"/c/{record.id}", f"/c/{record.id}.prof"):
        response = client.get(address)
        assert (response.status_code, response.headers["Refresh"]) == (202, "1")
    store.save(record, {".prof": flask_prof})
    assert client.get(f"/c/{record.id}").status_code == 200
