"""The table agrees with `pstats` in order and restrictions; callers and callees in content."""

import io
import pstats

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.errors import ConfigError
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.table import Edge, callees, callers, longest, ordered, rows

F = Function("/srv/App.py", 1, "f")
G = Function("/srv/app.py", 2, "g")
H = Function("~", 0, "<built-in method time.sleep>")
EDGE = Sums(2, 1, 0.25, 0.5)
GRAPH = CallGraph(
    {
        F: FunctionStats(Sums(1, 1, 0.5, 2.0)),
        G: FunctionStats(Sums(4, 2, 0.5, 1.5), {F: Sums(2, 2, 0.25, 0.5), G: EDGE}),
        H: FunctionStats(Sums(4, 4, 1.0, 1.0), {F: Sums(1, 1, 0.5, 0.5), G: EDGE}),
    }
)

PSTATS_NAMES = {
    "calls": "calls",
    "cumulative": "cumulative",
    "file": "filename",
    "line": "line",
    "name": "name",
    "primitive": "pcalls",
    "self": "time",
}

functions = st.builds(
    Function,
    st.sampled_from(["~", "/srv/app.py", "/srv/db.py", "a.py"]),
    st.integers(0, 3),
    st.sampled_from(["f", "view", "<built-in method f>", "<module>"]),
)
times = st.floats(-1.0, 1e6)
sums = st.builds(Sums, st.integers(0, 4), st.integers(0, 4), times, times)


@st.composite
def graphs(draw):
    keys = draw(st.lists(functions, min_size=1, max_size=8, unique=True))
    callers = st.dictionaries(st.sampled_from(keys), sums, max_size=4)
    return CallGraph({key: FunctionStats(draw(sums), draw(callers)) for key in keys})


class Stats(pstats.Stats):
    """The `pstats` of a graph."""

    def __init__(self, graph):
        self._graph = graph
        super().__init__(stream=io.StringIO())

    def load_stats(self, arg):
        self.stats = {
            tuple(function): (
                stats.total.primitive_calls,
                stats.total.calls,
                stats.total.self_seconds,
                stats.total.cumulative_seconds,
                dict(stats.callers),
            )
            for function, stats in sorted(self._graph.functions.items())
        }


@settings(max_examples=200)
@given(
    graphs(),
    st.lists(st.sampled_from(sorted(PSTATS_NAMES)), min_size=1, max_size=3),
    st.lists(
        st.one_of(
            st.integers(0, 10),
            st.floats(0.0, 1.0),
            st.sampled_from(["f", r"app\.py:\d", "^{", "(module)", "no such thing"]),
        ),
        max_size=3,
    ),
)
def test_order_and_restrictions_are_those_of_pstats(graph, sort_by, restrictions):
    stats = Stats(graph).sort_stats(*[PSTATS_NAMES[key] for key in sort_by])
    _, expected = stats.get_print_list(restrictions)
    assert [row.function for row in rows(graph, sort_by, restrictions)] == expected


@settings(max_examples=100)
@given(graphs(), st.integers(0, 9))
def test_the_longest_are_the_first_of_all_that_are_ordered(graph, most):
    assert longest(graph, most) == ordered(graph)[:most]


@settings(max_examples=100)
@given(graphs())
def test_callers_and_callees_are_those_of_pstats(graph):
    stats = Stats(graph)
    stats.calc_callees()
    for function, of_function in stats.stats.items():
        above = callers(graph, Function(*function))
        below = callees(graph, Function(*function))
        assert {edge.function: edge.sums for edge in above} == of_function[4]
        assert {edge.function: edge.sums for edge in below} == stats.all_callees[function]
        for edges in (above, below):
            order = [edge.sums.cumulative_seconds for edge in edges]
            assert order == sorted(order, reverse=True)


def test_a_row_has_shares_of_the_profile_and_times_per_call():
    row = rows(GRAPH, ("cumulative",))[1]
    assert row.function == G
    assert (row.calls, row.primitive_calls) == (4, 2)
    assert (row.self_seconds, row.cumulative_seconds) == (0.5, 1.5)
    assert (row.self_share, row.cumulative_share) == (0.25, 0.75)
    assert (row.self_per_call, row.cumulative_per_call) == (0.125, 0.75)


@pytest.mark.parametrize(
    ("sort_by", "descending", "order"),
    [
        (("self",), None, [H, F, G]),
        (("self",), False, [F, G, H]),
        (("self",), True, [H, F, G]),
        (("calls", "cumulative"), None, [G, H, F]),
        (("name",), None, [H, F, G]),
        (("name",), True, [G, F, H]),
        (("per_call",), None, [F, H, G]),
        ((), None, [F, G, H]),
    ],
)
def test_order_is_by_each_key_and_then_by_place(sort_by, descending, order):
    found = rows(GRAPH, sort_by, descending=descending)
    assert [row.function for row in found] == order


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", [H, F, G]),
        ("APP.py", [F, G]),
        ("app.PY:2(G)", [G]),
        ("{built-in", [H]),
        (".*", []),
    ],
)
def test_search_finds_text_in_labels_whatever_its_case(search, found):
    assert [row.function for row in rows(GRAPH, search=search)] == found


def test_search_comes_before_restrictions():
    assert [row.function for row in rows(GRAPH, (), [1], "g")] == [G]


def test_an_expression_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"'\(' is no regular expression: missing \)"):
        rows(GRAPH, restrictions=["("])


@pytest.mark.parametrize(
    "total",
    [
        Sums(0, 0, 0.0, 0.0),
        Sums(0, 0, -0.5, 0.5),
        Sums(1, 1, 5e-324, 1e12),
    ],
)
def test_ratios_are_always_finite(total):
    (row,) = rows(CallGraph({F: FunctionStats(total)}))
    assert 0.0 <= row.self_share <= 1.0
    assert row.cumulative_share == 0.0
    assert row.self_per_call in (0.0, 5e-324)


def test_callers_come_with_their_sums_the_longest_first():
    assert callers(GRAPH, H) == [Edge(F, Sums(1, 1, 0.5, 0.5)), Edge(G, EDGE)]
    assert callees(GRAPH, G) == [Edge(G, EDGE), Edge(H, EDGE)]
    assert callers(GRAPH, F) == []
    assert callees(GRAPH, H) == []


@pytest.mark.parametrize("look_up", [callers, callees])
def test_an_unknown_function_is_a_key_error(look_up):
    with pytest.raises(KeyError):
        look_up(GRAPH, Function("x", 1, "y"))
