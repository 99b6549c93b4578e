"""Every profile that is shown can be had as a file in every format."""

import pytest
from captured import TREE, add_tree

from flaskprof.formats import FORMATS, read_file
from flaskprof.formats.pprof import read_pprof
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.sums import call_graph


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_a_sandboxed_attachment_in_its_format(client, store, name):
    record = add_tree(store)
    row = FORMATS[name]
    response = client.get(f"/c/{record.id}/export/{name}")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "sandbox"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == (
        f"attachment; filename={record.id}{row.suffix}"
    )
    assert response.content_type == row.media_type
    kept = store.files.get((record.id, row.suffix))
    profile = TREE if row.has_stacks else call_graph(TREE)
    assert response.data == (kept or row.write(profile, record))


@pytest.mark.parametrize("name", FORMATS)
def test_a_merge_is_exported_as_a_capture_is(client, store, name):
    ids = [add_tree(store, started=1e9 + number).id for number in range(2)]
    response = client.get(f"/merge/export/{name}?c={ids[0]}&c={ids[1]}")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == "sandbox"
    file_name = response.headers["Content-Disposition"].partition("filename=")[2]
    assert file_name == f"2-captures-of-GET-orders{FORMATS[name].suffix}"
    if name == "pprof":
        assert read_pprof(response.data).total_ns == 2 * TREE.total_ns
    if name == "prof":
        assert read_profile(response.data).total_calls == 2 * call_graph(TREE).total_calls


def test_what_is_shown_of_a_profile_is_what_is_exported(client, store):
    record = add_tree(store)
    whole = read_pprof(client.get(f"/c/{record.id}/export/pprof").data)
    own = read_pprof(client.get(f"/c/{record.id}/export/pprof?app=1").data)
    assert (whole.total_ns, len(whole)) == (own.total_ns, len(own) + 1)


def test_stacks_that_were_not_recorded_are_estimated_and_say_so(client, capture):
    data = client.get(f"/c/{capture.id}/export/collapsed").data
    assert b"<estimated" in data
    assert read_file("x.collapsed", data)


@pytest.mark.parametrize(
    "path", ["/c/{id}/export/exe", "/c/nothing/export/prof", "/merge/export/exe?c={id}"]
)
def test_what_is_no_format_and_no_capture_is_not_found(client, capture, path):
    assert client.get(path.format(id=capture.id)).status_code == 404


def test_the_page_offers_every_format(see, store):
    record = add_tree(store)
    links = see(f"/c/{record.id}?app=1").values("href")
    for name in FORMATS:
        assert f"/c/{record.id}/export/{name}?app=1" in links
