"""speedscope's release, served beside the viewer and opened on a profile."""

import json
import re
from urllib.parse import parse_qs

import pytest
from captured import add_tree

from flaskprof.web.assets import speedscope


def test_its_page_and_all_that_it_names_are_there(client):
    page = client.get("/speedscope/")
    assert page.mimetype == "text/html"
    for name in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        assert client.get(f"/speedscope/{name}").status_code == 200
    for name in re.findall(r'url\("\./([^"]+)"\)', client.get(_style(page)).text):
        assert client.get(f"/speedscope/{name}").mimetype == "font/woff2"


def _style(page):
    return "/speedscope/" + re.search(r'stylesheet" href="([^"]+)"', page.text)[1]


@pytest.mark.parametrize("name", ["", *(speedscope().keys() - {"index.html"})])
def test_its_policy_allows_no_host_and_no_inline_script(client, name):
    response = client.get(f"/speedscope/{name}")
    policy = dict(
        part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    empty = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    assert policy["style-src"] == f"'self' {empty}"
    assert policy["connect-src"] == policy["font-src"] == "'self'"
    is_page = name in ("", "index.html")
    assert ("immutable" in response.headers["Cache-Control"]) is not is_page


@pytest.mark.parametrize("name", ["LICENSE", "source-code-pro.LICENSE.md", "..%2fapp.py", "x"])
def test_nothing_else_is_served(client, name):
    assert client.get(f"/speedscope/{name}").status_code == 404


def test_a_page_opens_it_on_its_own_profile_heaviest_first(client, see, store):
    record = add_tree(store, route="/a&b=<c>#\udc80")
    links = see(f"/c/{record.id}?app=1").values("href")
    (link,) = [link for link in links if link.startswith("/speedscope/")]
    path, _, fragment = link.partition("#")
    assert client.get(path).status_code == 200
    of = {name: value for name, (value,) in parse_qs(fragment).items()}
    assert of["view"] == "left-heavy"
    assert of["title"] == "GET /a&b=<c>#\\udc80"
    assert of["profileURL"] == f"/c/{record.id}/export/speedscope?app=1"
    assert json.loads(client.get(of["profileURL"]).data)["exporter"] == "flaskprof"
