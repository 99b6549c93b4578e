"""What a profile comes to as a whole."""

from flaskprof.profiles.kinds import Kind, Kinds
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.overall import overall

BUILTIN = Function("~", 0, "<built-in method time.sleep>")
LIBRARY = Function("/srv/lib/python3.12/site-packages/requests/api.py", 5, "get")
FIRST, SECOND, THIRD = (Function("/srv/shop.py", line, "view") for line in (1, 2, 3))


def graph_of(**seconds):
    """A graph of these functions of this module, each called twice."""
    return CallGraph(
        {
            globals()[name]: FunctionStats(Sums(2, 2, self_seconds, self_seconds))
            for name, self_seconds in seconds.items()
        }
    )


def test_times_and_calls_are_added_up_by_kind():
    found = overall(graph_of(BUILTIN=4.0, FIRST=1.0, SECOND=2.0), Kinds())
    assert (found.seconds, found.calls) == (7.0, 6)
    assert list(found.own_seconds) == list(Kind)
    assert {kind: time for kind, time in found.own_seconds.items() if time} == {
        Kind.APPLICATION: 3.0,
        Kind.BUILTIN: 4.0,
    }


def test_the_hottest_function_is_the_applications_even_where_others_took_longer():
    assert overall(graph_of(BUILTIN=4.0, FIRST=1.0, SECOND=2.0), Kinds()).hottest == SECOND


def test_of_equally_hot_functions_the_first_is_named():
    assert overall(graph_of(FIRST=1.0, SECOND=2.0, THIRD=2.0), Kinds()).hottest == SECOND


def test_without_code_of_the_application_the_hottest_of_all_is_named():
    assert overall(graph_of(LIBRARY=1.0, BUILTIN=2.0), Kinds()).hottest == BUILTIN


def test_the_functions_with_the_most_time_of_their_own_come_first():
    found = overall(graph_of(BUILTIN=4.0, FIRST=1.0, SECOND=2.0), Kinds())
    assert found.first == (BUILTIN, SECOND, FIRST)


def test_a_profile_of_nothing_has_no_hottest_function():
    found = overall(CallGraph({}), Kinds())
    assert (found.seconds, found.calls, found.hottest, found.first) == (0.0, 0, None, ())
