"""Two profiles are compared function by function, wherever the functions stand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.diff import alike, compare
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

F, G, H = (Function("/srv/app.py", line, name) for line, name in enumerate("fgh", 1))

sums = st.builds(
    Sums, st.integers(1, 9), st.integers(1, 9), st.floats(0, 100), st.floats(0, 100)
)
functions = st.builds(
    Function,
    st.sampled_from(["/a/x.py", "/b/x.py", "~"]),
    st.integers(0, 3),
    st.sampled_from("fg"),
)
graphs = st.builds(
    CallGraph, st.dictionaries(functions, st.builds(FunctionStats, sums), max_size=12)
)


def graph(**stats):
    named = {"f": F, "g": G, "h": H}
    return CallGraph(
        {
            named[name]: FunctionStats(Sums(calls, calls, time, time))
            for name, (calls, time) in stats.items()
        }
    )


@settings(max_examples=50)
@given(graphs)
def test_a_profile_does_not_differ_from_itself(profile):
    found = compare(profile, profile)
    assert (found.changes, found.seconds, found.greatest) == ((), 0.0, None)
    assert found.unchanged == len(profile.functions)


@settings(max_examples=50)
@given(graphs, graphs)
def test_there_and_back_again_is_the_opposite(before, after):
    there, back = compare(before, after), compare(after, before)
    assert there.seconds == -back.seconds
    assert {
        (change.before, change.after, change.calls, change.self_seconds)
        for change in there.changes
    } == {
        (change.after, change.before, -change.calls, -change.self_seconds)
        for change in back.changes
    }


@settings(max_examples=50)
@given(graphs, graphs)
def test_the_changes_add_up_to_the_difference_of_the_whole(before, after):
    found = compare(before, after)
    assert abs(sum(change.self_seconds for change in found.changes) - found.seconds) < 1e-9


def test_a_function_that_moved_is_the_same():
    moved = F._replace(line=70)
    after = CallGraph({moved: FunctionStats(Sums(1, 1, 2.0, 2.0))})
    assert compare(graph(f=(1, 2.0)), after).changes == ()
    after = CallGraph({moved: FunctionStats(Sums(4, 4, 3.0, 3.0))})
    (change,) = compare(graph(f=(1, 2.0)), after).changes
    assert (change.before, change.after, change.function) == (F, moved, moved)
    assert (change.calls, change.self_seconds, change.cumulative_seconds) == (3, 1.0, 1.0)


def test_the_greatest_change_goes_in_the_direction_of_the_whole():
    found = compare(graph(f=(1, 9.0), g=(1, 1.0)), graph(g=(1, 8.0), h=(1, 6.0)))
    assert [change.function for change in found.changes] == [F, G, H]
    assert found.seconds == 4.0
    assert found.greatest.function == G
    assert (found.changes[0].before, found.changes[0].after) == (F, None)
    same = compare(graph(f=(1, 1.0), g=(1, 4.0)), graph(f=(1, 4.0), g=(1, 1.0)))
    assert (same.seconds, same.greatest.function) == (0.0, F)


def test_samples_are_not_compared_with_calls():
    exact = graph(f=(1, 1.0))
    sampled = CallGraph(exact.functions, is_sampled=True)
    assert not compare(exact, sampled).has_like_counts
    assert compare(sampled, sampled).has_like_counts


def test_what_samples_cannot_see_is_folded_on_the_other_side():
    length = Function("~", 0, "<built-in method builtins.len>")
    exact = CallGraph(
        {
            F: FunctionStats(Sums(1, 1, 1.0, 3.0)),
            length: FunctionStats(Sums(5, 5, 2.0, 2.0), {F: Sums(5, 5, 2.0, 2.0)}),
        }
    )
    sampled = CallGraph({F: FunctionStats(Sums(300, 300, 3.0, 3.0))}, is_sampled=True)
    for before, after in ((exact, sampled), (sampled, exact)):
        found = compare(*alike(before, after))
        assert [change.self_seconds for change in found.changes] in ([], [0.0])
    seeing = CallGraph(exact.functions, is_sampled=True)
    assert alike(exact, seeing) == (exact, seeing)
    assert alike(exact, exact) == (exact, exact)
