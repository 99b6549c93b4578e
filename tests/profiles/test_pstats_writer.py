"""What is written is read by `pstats` with the same numbers, and by the reader as it was."""

import io
import marshal
import pstats

from call_programs import programs, ticks, traced_as_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.marshal_reader import SAMPLED_MARK, read_profile
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph

F = Function("/srv/app.py", 1, "f")
G = Function("~", 0, "<built-in method builtins.len>")

functions = st.builds(
    Function, st.text(max_size=8), st.integers(-1, 10**6), st.text(max_size=8)
)
counts = st.integers(0, 2**40)
times = st.floats(-1e9, 1e9)
sums = st.builds(Sums, counts, counts, times, times)


@st.composite
def graphs(draw):
    keys = draw(st.lists(functions, max_size=6, unique=True))
    callers = st.dictionaries(st.sampled_from(keys), sums) if keys else st.just({})
    return CallGraph({key: FunctionStats(draw(sums), draw(callers)) for key in keys})


def load(data, tmp_path):
    path = tmp_path / "x.prof"
    path.write_bytes(data)
    return pstats.Stats(str(path), stream=io.StringIO())


@settings(max_examples=150)
@given(graphs())
def test_the_reader_gives_back_what_was_written(graph):
    assert read_profile(write_profile(graph)) == graph


@settings(max_examples=50)
@given(programs.filter(bool), ticks)
def test_pstats_reads_the_sums_of_a_tree(tmp_path_factory, program, steps):
    graph = call_graph(traced_as_tree(program, steps))
    stats = load(write_profile(graph), tmp_path_factory.mktemp("prof"))
    assert stats.total_calls == graph.total_calls
    assert abs(stats.total_tt - graph.total_seconds) <= 1e-9 * graph.total_seconds
    for function, of_function in graph.functions.items():
        primitive, calls, self_seconds, cumulative_seconds, callers = stats.stats[function]
        total = Sums(calls, primitive, self_seconds, cumulative_seconds)
        assert total == of_function.total
        assert callers == of_function.callers


def test_pstats_prints_it(tmp_path):
    edge = Sums(4, 2, 0.25, 0.5)
    graph = CallGraph(
        {F: FunctionStats(Sums(1, 1, 0.5, 0.75)), G: FunctionStats(edge, {F: edge})}
    )
    stats = load(write_profile(graph), tmp_path)
    stats.sort_stats("tottime").print_stats().print_callers().print_callees()
    printed = stats.stream.getvalue()
    assert "5 function calls (3 primitive calls) in 0.750 seconds" in printed
    assert "4/2    0.250    0.062    0.500    0.250 {built-in method builtins.len}" in printed


def test_functions_and_callers_are_in_order():
    total = Sums(1, 1, 0.0, 0.0)
    graph = CallGraph({G: FunctionStats(total, {G: total, F: total}), F: FunctionStats(total)})
    stats = marshal.loads(write_profile(graph))
    assert list(stats) == [F, G]
    assert list(stats[G][4]) == [F, G]


def test_a_name_with_lone_surrogates_is_kept(tmp_path):
    function = Function("/srv/\udcff.py", 1, "f\ud800")
    data = write_profile(CallGraph({function: FunctionStats(Sums(1, 1, 0.5, 0.5))}))
    assert list(load(data, tmp_path).stats) == [function]
    assert list(read_profile(data).functions) == [function]


def test_a_sampled_graph_is_written_so_that_every_pstats_reads_it(tmp_path):
    below = FunctionStats(Sums(3, 2, 0.5, 0.5), {G: Sums(0, 0, 0.0, 0.5)})
    graph = CallGraph({F: below, G: FunctionStats(Sums(0, 0, 0.0, 0.5))}, is_sampled=True)
    data = write_profile(graph)
    assert read_profile(data) == graph
    stats = load(data, tmp_path)
    assert stats.total_calls == 3
    assert stats.total_tt == 0.5
    stats.sort_stats("tottime").print_stats().print_callers().print_callees()
    assert "{sampled: calls are counts of samples}" in stats.stream.getvalue()


def test_a_graph_without_functions_may_be_sampled():
    graph = CallGraph({}, is_sampled=True)
    assert read_profile(write_profile(graph)) == graph


def test_a_function_of_that_name_that_was_called_is_a_function_like_any_other():
    graph = CallGraph({SAMPLED_MARK: FunctionStats(Sums(1, 1, 0.0, 0.0))})
    assert read_profile(write_profile(graph)) == graph


def test_an_empty_graph_is_an_empty_table():
    assert marshal.loads(write_profile(CallGraph({}))) == {}
