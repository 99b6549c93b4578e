"""What another stack recorded is called by the call that waited for it."""

from __future__ import annotations

import pytest

from flaskprof.capture.python_engine.graft import Waiting, graft
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums

VIEW, CALL, WAIT, WORK, LEAF = (
    Function("shop.py", line, name)
    for line, name in enumerate(("view", "call", "wait", "work", "leaf"), 1)
)

# view() calls call(), which holds for 5 of its 6 seconds.
GRAPH = CallGraph(
    {
        VIEW: FunctionStats(Sums(1, 1, 1.0, 7.0)),
        CALL: FunctionStats(Sums(1, 1, 6.0, 6.0), {VIEW: Sums(1, 1, 6.0, 6.0)}),
    }
)
PART = CallGraph(
    {
        WORK: FunctionStats(Sums(2, 2, 1.0, 3.0)),
        LEAF: FunctionStats(Sums(4, 4, 2.0, 2.0), {WORK: Sums(4, 4, 2.0, 2.0)}),
    }
)
WAITING = Waiting(WAIT, CALL, [CALL, VIEW], 5.0)


def test_the_waiting_call_takes_the_time_that_the_part_does_not_account_for():
    functions = graft(GRAPH, PART, WAITING).functions
    assert functions[WAIT] == FunctionStats(Sums(1, 1, 2.0, 5.0), {CALL: Sums(1, 1, 2.0, 5.0)})
    assert functions[WORK] == FunctionStats(Sums(2, 2, 1.0, 3.0), {WAIT: Sums(2, 2, 1.0, 3.0)})
    assert functions[LEAF] == PART.functions[LEAF]


def test_who_waited_in_its_stead_has_that_time_no_longer():
    grafted = graft(GRAPH, PART, WAITING)
    assert grafted.functions[CALL] == FunctionStats(
        Sums(1, 1, 1.0, 6.0), {VIEW: Sums(1, 1, 1.0, 6.0)}
    )
    assert grafted.functions[VIEW] == GRAPH.functions[VIEW]
    assert grafted.total_seconds == GRAPH.total_seconds == 7.0


def test_what_is_under_way_is_recursive_in_the_part():
    part = CallGraph({**PART.functions, VIEW: FunctionStats(Sums(1, 1, 0.5, 0.5))})
    view = graft(GRAPH, part, WAITING).functions[VIEW]
    assert view.total == Sums(2, 1, 1.5, 7.0)
    assert view.callers == {WAIT: Sums(1, 1, 0.5, 0.5)}


def test_an_edge_that_is_under_way_is_recursive_in_the_part():
    part = CallGraph({VIEW: GRAPH.functions[VIEW], CALL: GRAPH.functions[CALL]})
    call = graft(GRAPH, part, Waiting(WAIT, CALL, [CALL, VIEW], 8.0)).functions[CALL]
    # Six and six seconds of its own, of which eight were those of the call that waited.
    assert call.total == Sums(2, 1, 4.0, 6.0)
    assert call.callers == {VIEW: Sums(2, 1, 4.0, 6.0)}


def test_a_call_that_waits_within_itself_is_primitive_once():
    inner = graft(PART, PART, Waiting(WAIT, WORK, [WORK], 1.0))
    stats = graft(GRAPH, inner, WAITING).functions[WAIT]
    assert stats.total.calls == 2
    assert stats.total.primitive_calls == 1
    assert stats.total.cumulative_seconds == pytest.approx(5.0)


def test_a_caller_whose_own_call_has_not_ended_is_known_all_the_same():
    grafted = graft(CallGraph({}), PART, WAITING)
    assert grafted.functions[CALL] == FunctionStats(Sums(0, 0, 0.0, 0.0))
    assert grafted.functions[WAIT].callers == {CALL: Sums(1, 1, 2.0, 5.0)}
    known = set(grafted.functions)
    assert all(set(stats.callers) <= known for stats in grafted.functions.values())


def test_without_a_caller_the_waiting_call_is_a_root():
    assert (
        graft(CallGraph({}), PART, Waiting(WAIT, CALL, [], 5.0)).functions[WAIT].callers == {}
    )


def test_the_graphs_that_are_put_together_stay_as_they_were():
    before = dict(GRAPH.functions), dict(PART.functions)
    graft(GRAPH, PART, WAITING)
    assert (dict(GRAPH.functions), dict(PART.functions)) == before
