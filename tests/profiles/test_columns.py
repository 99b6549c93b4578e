"""Columns are a mapping like any other, and hold what the mapping they were made of does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.columns import columns_of
from flaskprof.profiles.model import Function, FunctionStats, Sums

NAMES = tuple(Function("/srv/app.py", line, name) for line, name in enumerate("fgh", 1))
SUMS = st.builds(
    Sums,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.floats(-1e12, 1e12),
    st.floats(-1e12, 1e12),
)


@st.composite
def functions(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    callers = st.dictionaries(st.sampled_from(names or NAMES), SUMS)
    return {name: FunctionStats(draw(SUMS), draw(callers)) for name in names}


@settings(max_examples=50)
@given(functions())
def test_columns_are_equal_to_what_they_were_made_of(given_functions):
    columns = columns_of(given_functions)
    assert columns == given_functions
    assert list(columns) == list(given_functions)
    assert len(columns) == len(given_functions)
    for name, stats in columns.items():
        assert list(stats.callers) == list(given_functions[name].callers)
        assert all(type(value) is float for value in stats.total[2:])


@settings(max_examples=50)
@given(functions())
def test_what_is_not_in_columns_is_not_found(given_functions):
    columns = columns_of(given_functions)
    for name in NAMES:
        assert (name in columns) == (name in given_functions)
        assert columns.get(name) == given_functions.get(name)
    with pytest.raises(KeyError):
        columns[Function("~", 0, "nothing")]


@settings(max_examples=50)
@given(functions())
def test_items_and_values_are_those_of_a_mapping(given_functions):
    columns = columns_of(given_functions)
    assert list(columns.items()) == list(given_functions.items())
    assert list(columns.values()) == list(given_functions.values())
    assert list(columns.values()) == [columns[name] for name in columns]
    assert len(columns.items()) == len(columns.values()) == len(given_functions)
    assert all(item in columns.items() for item in given_functions.items())
    assert columns.items() == given_functions.items()


def test_columns_are_not_made_twice():
    columns = columns_of({NAMES[0]: FunctionStats(Sums(1, 1, 0.5, 0.5))})
    assert columns_of(columns) is columns
