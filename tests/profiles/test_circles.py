"""Circles are those functions that can be reached from themselves, and from each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.circles import circles

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


@settings(max_examples=300, deadline=None)
@given(graphs)
def test_functions_are_in_one_circle_if_each_can_be_reached_from_the_other(callees):
    below = {function: reached(callees, function) for function in FUNCTIONS}
    found = circles(callees)
    assert set(found) == {function for function in FUNCTIONS if function in below[function]}
    for one in found:
        for other in found:
            are_one = other in below[one] and one in below[other]
            assert (found[one] == found[other]) == are_one


def test_a_long_chain_needs_no_recursion():
    length = 100_000
    chain = {function: [function + 1] for function in range(length)}
    assert circles(chain) == {}
    chain[length] = [0]
    assert set(circles(chain).values()) == {0}
