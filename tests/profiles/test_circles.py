"""Circles are those functions that can be reached from themselves, and from each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.circles import circles, components

FUNCTIONS = range(7)
graphs = st.dictionaries(
    st.sampled_from(FUNCTIONS), st.lists(st.sampled_from(FUNCTIONS), max_size=4)
)


def reached(callees, start):
    found, waiting = set(), list(callees.get(start, ()))
    while waiting:
        function = waiting.pop()
        if function not in found:
            found.add(function)
            waiting += callees.get(function, ())
    return found


@settings(max_examples=300)
@given(graphs)
def test_functions_are_in_one_circle_if_each_can_be_reached_from_the_other(callees):
    below = {function: reached(callees, function) for function in FUNCTIONS}
    found = circles(callees)
    assert set(found) == {function for function in FUNCTIONS if function in below[function]}
    for one in found:
        for other in found:
            are_one = other in below[one] and one in below[other]
            assert (found[one] == found[other]) == are_one


@settings(max_examples=300)
@given(graphs)
def test_everyone_comes_once_and_after_all_that_they_lead_to(callees):
    found = list(components(callees))
    members = [one for component in found for one in component]
    assert sorted(members) == sorted(
        {*callees, *(one for to in callees.values() for one in to)}
    )
    place = {one: at for at, component in enumerate(found) for one in component}
    for one in members:
        assert all(place[other] <= place[one] for other in callees.get(one, ()))


def test_a_long_chain_needs_no_recursion():
    length = 100_000
    chain = {function: [function + 1] for function in range(length)}
    assert circles(chain) == {}
    chain[length] = [0]
    assert set(circles(chain).values()) == {0}
