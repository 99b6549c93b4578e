"""The viewer as a WSGI application: addresses, headers, negotiation and errors."""

import gzip
import io
import re
from http import HTTPStatus
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, EnvironBuilder

from flaskprof import log
from flaskprof.errors import StoreError
from flaskprof.ids import new_capture_id
from flaskprof.web.app import Viewer
from flaskprof.web.parsed import ParsedProfiles

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
JSON = {"Accept": "application/json"}


def now_of(viewer):
    return viewer._clock()


@pytest.mark.parametrize(
    "path", ["/", "/c/{id}", "/nothing", "/static/viewer.css", "", "/c/0", "/c/{id}/f/0"]
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_page_has_the_security_headers(client, capture, path, accept):
    response = client.get(path.format(id=capture.id), headers={"Accept": accept})
    assert response.headers["Content-Security-Policy"] == CSP
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("suffix", "mimetype"), [("prof", "application/octet-stream"), ("json", "application/json")]
)
def test_a_download_is_a_sandboxed_attachment(client, store, capture, suffix, mimetype):
    response = client.get(f"/c/{capture.id}.{suffix}")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Disposition"] == (
        f"attachment; filename={capture.id}.{suffix}"
    )
    assert response.mimetype == mimetype
    content = {"prof": store.files[capture.id, ".prof"], "json": capture.to_json().encode()}
    assert response.data == content[suffix]


def test_static_files_are_kept_for_ever_in_their_own_version_only(client, see):
    page = see("/")
    urls = [url for url in page.values("href") + page.values("src") if "/static/" in url]
    assert len(urls) >= 3
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        for other in (url.partition("?")[0], url + "0"):
            assert client.get(other).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["nothing.css", "..", "..%2fapp.py", "%2e%2e%2fapp.py"])
def test_no_other_file_is_served(client, name):
    assert client.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("query", ["", "?page=2"])
def test_the_bare_prefix_leads_to_the_list(viewer, query):
    response = Client(viewer).get(f"/{query}", base_url="http://localhost/app/flaskprof")
    assert response.status_code == 200
    environ = EnvironBuilder(
        "/" + query, base_url="http://localhost/app/flaskprof/"
    ).get_environ()
    environ["PATH_INFO"] = ""
    seen = []
    viewer(environ, lambda status, headers: seen.append((status, dict(headers))))
    assert seen[0][0] == "308 PERMANENT REDIRECT"
    assert seen[0][1]["Location"] == f"/app/flaskprof/{query}"
    environ["REQUEST_METHOD"] = "POST"
    viewer(environ, lambda status, headers: seen.append((status, dict(headers))))
    assert seen[1][0] == "405 METHOD NOT ALLOWED"


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("application/json;q=0.9, text/html;q=0.1", "application/json"),
        ("application/json;q=0.1, text/html;q=0.9", "text/html"),
        ("application/problem+json", "application/json"),
        ("image/png", "text/html"),
    ],
)
def test_the_client_has_html_or_json_as_it_asks(client, capture, accept, mimetype):
    response = client.get(f"/c/{capture.id}", headers={"Accept": accept})
    assert response.mimetype == mimetype
    assert "Accept" in response.vary


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(client, capture, method):
    response = client.open(f"/c/{capture.id}", method=method)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.headers["Content-Security-Policy"] == CSP


@pytest.mark.parametrize("path", ["/", "/c/{id}", "/c/{id}.prof", "/static/viewer.css", "/no"])
def test_head_answers_as_get_without_a_body(client, capture, path):
    path = path.format(id=capture.id)
    got, headed = client.get(path), client.head(path)
    assert headed.data == b""
    assert headed.status_code == got.status_code
    assert dict(headed.headers) == dict(got.headers)
    assert int(headed.headers["Content-Length"]) == len(got.data)


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/nothing", 404, "Not Found"),
        ("/c/nothing", 404, "No such capture"),
        ("/c/{id}/f/nothing", 404, "Not Found"),
        ("/c/nothing.prof", 404, "No such capture"),
        ("/c/nothing.json", 404, "No such capture"),
        ("/?page=0", 400, "Bad Request"),
        ("/?page=" + "9" * 5000, 400, "Bad Request"),
        ("/c/{id}?sort=<script>", 400, "Bad Request"),
        ("/c/{id}?order=up", 400, "Bad Request"),
        ("/c/{id}?rows=-1", 400, "Bad Request"),
    ],
)
def test_an_error_has_one_shape_for_people_and_for_programs(
    ask, see, capture, path, status, title
):
    path = path.format(id=capture.id)
    error = ask(path, status=status)
    assert list(error) == ["type", "title", "status", "detail"]
    phrase = HTTPStatus(status).phrase
    assert (error["type"], error["title"], error["status"]) == ("about:blank", phrase, status)
    page = see(path, status=status)
    assert title in page.text
    assert title in (error["title"], error["detail"].partition(".")[0])
    assert error["detail"].removeprefix(f"{title}. ") in page.text
    assert "script" not in page.tags[page.tags.index("body") :]


def test_a_young_capture_that_is_not_there_yet_is_being_written(client, see, viewer):
    young = new_capture_id(now_of(viewer) - 9.5)
    page = see(f"/c/{young}", status=202)
    assert "being written" in page.text
    response = client.get(f"/c/{young}")
    assert response.headers["Refresh"] == "1"
    response = client.get(f"/c/{young}", headers=JSON)
    assert (response.status_code, response.headers["Retry-After"]) == (202, "1")
    assert response.json == {"being_written": {"id": young, "retry_after_seconds": 1}}
    assert client.get(f"/c/{young}.prof").status_code == 202


@pytest.mark.parametrize("age", [10.5, 86_400, -3600])
def test_an_older_capture_that_is_not_there_is_missed(client, viewer, age):
    missing = new_capture_id(now_of(viewer) - age)
    response = client.get(f"/c/{missing}")
    assert response.status_code == 404
    assert "Refresh" not in response.headers


def test_a_capture_appears_where_its_waiting_page_was(client, store, flask_prof, viewer):
    record = store.add(flask_prof, started=now_of(viewer) - 1)
    waiting = store.records.pop(record.id)
    assert client.get(f"/c/{record.id}").status_code == 202
    store.records[record.id] = waiting
    assert client.get(f"/c/{record.id}").status_code == 200


@pytest.mark.parametrize("bad", [b"", b"\xe9\x00", b"GIF89a", b"{" * 100])
def test_a_profile_that_cannot_be_read_is_said_to_be_so(client, store, ask, see, bad):
    record = store.add(bad)
    page = see(f"/c/{record.id}", status=422)
    assert "This profile cannot be read" in page.text
    assert page.links["Download the file as it is"] == f"/c/{record.id}.prof"
    for path in (f"/c/{record.id}", f"/c/{record.id}/f/0"):
        assert ask(path, status=422)["detail"].startswith("This profile cannot be read. ")
    assert client.get(f"/c/{record.id}.prof").data == bad


def test_a_store_that_cannot_be_read_is_an_answer_too(ask, see, store, monkeypatch):
    def fail(query):
        raise StoreError("captures: permission denied")

    monkeypatch.setattr(store, "list", fail)
    assert ask("/", status=503)["detail"] == (
        "The captures cannot be read. Captures: permission denied"
    )
    assert "The captures cannot be read" in see("/", status=503).text


def test_a_fault_of_our_own_shows_no_traceback_and_is_logged_once(
    see, store, monkeypatch, caplog
):
    def fail(query):
        raise ZeroDivisionError("a secret of the house")

    monkeypatch.setattr(store, "list", fail)
    monkeypatch.setattr(log, "_said", set())
    for _ in range(3):
        page = see("/", status=500)
        assert "ZeroDivisionError" not in page.text
        assert "secret" not in page.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("path", ["/", "/c/{id}", "/c/{id}.prof", "/static/viewer.css", "/no"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("script_name", ["", "/flaskprof"])
@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_the_viewer_keeps_to_the_wsgi_specification(viewer, capture, path, method, script_name):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path.format(id=capture.id),
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(),
    }
    setup_testing_defaults(environ)
    started = []

    def start_response(status, headers, exc_info=None):
        started.append(status)
        return lambda data: None

    result = validator(viewer)(environ, start_response)
    body = b"".join(result)
    result.close()
    assert len(started) == 1
    assert bool(body) == (method != "HEAD")


def test_the_host_does_not_find_the_viewers_request_in_its_environ(viewer):
    environ = EnvironBuilder("/").get_environ()
    viewer(environ, lambda status, headers: None)
    assert "werkzeug.request" not in environ


def test_every_link_works_where_the_viewer_is_mounted_deeper(viewer, capture):
    client = Client(viewer)
    base = "http://localhost/größe/flaskprof"
    root = "/gr%C3%B6%C3%9Fe/flaskprof"
    todo, done = [f"{root}/"], set()
    while todo:
        url = todo.pop()
        path = url.removeprefix(root)
        done.add(url)
        response = client.get(path, base_url=base)
        if response.status_code == 303:
            assert response.headers["Location"].startswith(f"{root}/"), url
            todo.append(response.headers["Location"])
            continue
        # The only capture of its route has none before it.
        assert response.status_code == (404 if "a=previous" in url else 200), url
        if response.mimetype != "text/html" or len(done) > 40:
            continue
        for part in response.text.split('href="')[1:] + response.text.split('src="')[1:]:
            link = part.partition('"')[0].replace("&amp;", "&")
            if link.startswith(("#", "data:image/png;base64,")):
                continue
            assert link.startswith(f"{root}/"), link
            if link not in done and link not in todo:
                todo.append(link)
    assert f"{root}/c/{capture.id}" in done
    assert any("view=sandwich&fn=" in url for url in done)
    assert any(url.endswith("/export/prof") for url in done)


def test_what_is_shown_is_sent_compressed_to_whoever_takes_that(client, capture):
    url = f"/c/{capture.id}?view=table"
    plain = client.get(url)
    small = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data
    assert {"Accept", "Accept-Encoding"} <= {name.title() for name in small.vary}
    saved = client.get(f"/c/{capture.id}.prof", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in saved.headers


@pytest.mark.parametrize("view", ["flame", "table"])
def test_the_header_names_the_files_that_the_page_needs(client, see, capture, view):
    path = f"/c/{capture.id}?view={view}"
    header = client.get(path, headers={"Accept": "text/html"}).headers["Link"]
    ahead = dict(re.findall(r"<([^>]*)>; rel=preload; as=(\w+)", header))
    page = see(path)
    sheets = [url for url in page.values("href") if ".css?" in url]
    assert ahead == dict.fromkeys(sheets, "style") | dict.fromkeys(page.values("src"), "script")
    assert all(client.get(url).status_code == 200 for url in ahead)


def test_a_capture_is_read_before_it_is_asked_for(store, settings, capture):
    profiles = ParsedProfiles()
    viewer = Viewer(store, settings=settings, profiles=profiles)
    viewer.prepare(capture.id)
    kept = len(profiles)
    assert kept > 0
    assert Client(viewer).get(f"/c/{capture.id}").status_code == 200
    assert len(profiles) == kept
