"""One function between its callers and its callees, beside pstats."""

import pstats

import pytest

from flaskprof.profiles.model import Function
from flaskprof.web.links import function_key


@pytest.fixture
def stats(flask_prof, tmp_path):
    path = tmp_path / "request.prof"
    path.write_bytes(flask_prof)
    return pstats.Stats(str(path)).stats


def named(stats, name):
    return next(function for function in stats if function[2] == name)


def path_of(capture, function):
    return f"/c/{capture.id}/f/{function_key(Function(*function))}"


def edges(rows):
    return {
        (row["file"], row["line"], row["name"]): (
            row["calls"],
            row["primitive_calls"],
            row["self_seconds"],
            row["cumulative_seconds"],
        )
        for row in rows
    }


@pytest.mark.parametrize("name", ["fibonacci", "price", "heavy", "loads", "dispatch_request"])
def test_callers_and_callees_are_those_of_pstats(ask, capture, stats, name):
    function = named(stats, name)
    data = ask(path_of(capture, function))
    assert data["function"]["name"] == name
    assert edges(data["callers"]) == stats[function][4]
    assert edges(data["callees"]) == {
        callee: sums[4][function] for callee, sums in stats.items() if function in sums[4]
    }
    times = [row["cumulative_seconds"] for row in data["callees"]]
    assert times == sorted(times, reverse=True)


def test_the_page_shows_the_sums_and_where_the_function_is(see, capture, stats):
    function = named(stats, "fibonacci")
    all_calls, primitive_calls = stats[function][1], stats[function][0]
    page = see(path_of(capture, function))
    text = " ".join(page.text.split())
    assert f"Calls {all_calls:,}/{primitive_calls:,}" in text
    assert f"application {function[0]}:{function[1]}" in text
    assert "This function calls itself" in text
    assert "exact: every call counted" in text
    assert "This function calls itself" not in see(path_of(capture, named(stats, "heavy"))).text


def test_every_function_leads_on_to_its_neighbours_and_back(see, capture, stats):
    page = see(f"/c/{capture.id}")
    link = page.links["fibonacci"]
    page = see(link)
    assert page.links["Table"].startswith(f"/c/{capture.id}?view=table&fn=")
    assert page.links["Captures"] == "/captures"
    above = see(page.links["<genexpr>"])
    assert "fibonacci" in above.links
    assert above.links["fibonacci"] == link


def test_a_function_without_neighbours_says_so(see, store):
    import marshal

    record = store.add(marshal.dumps({("a.py", 1, "alone"): (1, 1, 0.5, 0.5, {})}))
    text = see(path_of(record, ("a.py", 1, "alone"))).text
    assert "Nothing in this profile called it" in text
    assert "It called nothing that the profile saw." in text
