"""What the page of a capture suggests to compare it with, and where its route is."""

NOW = 1_800_000_000.0


def test_a_capture_leads_to_comparisons_with_others_of_its_route(
    see, store, capture, flask_prof
):
    older = store.add(flask_prof, started=NOW - 900, route="/heavy-computation")
    page = see(f"/c/{capture.id}")
    link = next(url for text, url in page.links.items() if text.startswith("with the previous"))
    assert link == f"/compare?a=previous&b={capture.id}"
    words = [url.partition("?a=")[2].partition("&")[0] for url in page.values("href")
             if "/compare?a=" in url]  # fmt: skip
    assert words == ["previous", "median", "slowest", "route"]
    assert page.links["GET /heavy-computation"] == "/r/?route=/heavy-computation&method=GET"
    merge = see(f"/merge?c={capture.id}&c={older.id}")
    assert f"/compare?a=median&b={older.id},{capture.id}" in merge.values("href")
    assert "/r/?route=/heavy-computation&method=GET" in merge.values("href")


def test_captures_of_several_routes_are_compared_with_nothing(see, store, capture, flask_prof):
    other = store.add(flask_prof, route="/other")
    page = see(f"/merge?c={capture.id}&c={other.id}")
    assert not [url for url in page.values("href") if url.startswith(("/compare", "/r/"))]


def test_a_file_is_compared_with_the_one_before_it(see, store, flask_prof):
    file = store.add(flask_prof, trigger="file", title="load.prof", route="", method="")
    page = see(f"/c/{file.id}")
    found = [url for url in page.values("href") if url.startswith(("/compare", "/r/"))]
    assert found == [f"/compare?a=previous&b={file.id}"]
