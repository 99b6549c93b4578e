"""The state of the function table, as a part of its URL."""

import pytest
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from flaskprof.config import Settings
from flaskprof.web.state import TableState, heads

QUERIES = [
    {"sort": "self"},
    {"sort": "calls", "order": "asc"},
    {"sort": "file,line", "order": "desc", "search": "a&b=c"},
    {"sort": "cumulative", "rows": "7"},
    {"sort": "self", "rows": "all", "restricted": "no"},
]


def state_of(query):
    return TableState.from_query(MultiDict(query), Settings())


@pytest.mark.parametrize("query", QUERIES)
def test_a_state_and_its_query_are_the_same_thing(query):
    assert state_of(query).to_query() == query
    assert state_of(state_of(query).to_query()) == state_of(query)


def test_what_the_query_leaves_out_the_settings_say():
    settings = Settings(sort_by=("calls", "name"))
    state = TableState.from_query(MultiDict(), settings)
    assert state.sort_by == ("calls", "name")
    assert state.to_query() == {"sort": "calls,name"}


def test_a_change_leaves_the_rest_of_the_state_alone():
    state = state_of({"sort": "calls", "order": "asc", "search": "x", "rows": "7"})
    assert state.to_query(search="") == {"sort": "calls", "order": "asc", "rows": "7"}
    assert state.to_query(sort="self", order="") == {
        "sort": "self",
        "search": "x",
        "rows": "7",
    }


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "nothing"},
        {"sort": "self,nothing"},
        {"order": "up"},
        {"rows": "0"},
        {"rows": "-1"},
        {"rows": "many"},
        {"rows": "١٢"},
        {"rows": "9" * 10},
    ],
)
def test_a_query_that_makes_no_sense_is_refused_with_what_is_allowed(query):
    with pytest.raises(BadRequest) as refused:
        state_of(query)
    (name,) = query
    assert refused.value.description.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("query", "slug", "direction"),
    [
        ({}, "self", "descending"),
        ({"order": "asc"}, "self", "ascending"),
        ({"sort": "name"}, "function", "ascending"),
        ({"sort": "file,line", "order": "desc"}, "where", "descending"),
        ({"sort": "filename"}, "where", "ascending"),
    ],
)
def test_one_head_says_how_the_table_is_sorted(query, slug, direction):
    state = state_of(query)
    found = heads(state, lambda **changes: str(state.to_query(**changes)))
    assert [(head.slug, head.sorted) for head in found if head.sorted] == [(slug, direction)]


def test_a_column_that_cannot_be_sorted_by_has_no_link():
    found = heads(state_of({}), lambda **changes: "/x")
    assert [head.text for head in found if not head.url] == ["Cum. ÷ calls", "Kind"]
