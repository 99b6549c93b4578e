"""Between two looks some calls were under way all the time, and no other is said to be."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest

from flaskprof.capture.sampling.looks import (
    Look,
    Loops,
    may_be_running,
    steady_depth,
    unseen_ns,
)


def look(at_ns, cpu_ns, *, is_running=False):
    return Look((), at_ns, cpu_ns, is_running)


@pytest.mark.parametrize(
    ("before", "now", "unseen"),
    [
        (look(0, 0), look(10, 0), 0),
        (look(0, 0), look(10, 4), 4),
        (look(5, 3), look(10, 7), 4),
        # A clock that was late before is ahead later.
        (look(5, 0), look(10, 9), 5),
        (look(5, 9), look(10, 8), 0),
        # What was seen to compute has its time by the looks.
        (look(0, 0, is_running=True), look(10, 4), 0),
        (look(0, 0), look(10, 4, is_running=True), 0),
        # The clock is not known.
        (look(0, None), look(10, 4), 0),
        (look(0, 0), look(10, None), 0),
    ],
)
def test_unseen_is_the_computing_between_two_looks_that_saw_waiting(before, now, unseen):
    assert unseen_ns(before, now) == unseen


@pytest.mark.parametrize(
    ("before", "now", "may_be"),
    [
        (look(0, 0), look(10, 5), False),
        (look(0, 0), look(10, 6), True),
        (look(0, 0, is_running=True), look(10, 6), True),
        (look(0, 0), look(10, 6, is_running=True), False),
        (look(0, None), look(10, 6), False),
    ],
)
def test_what_computed_most_of_the_time_may_be_running(before, now, may_be):
    assert may_be_running(before, now) is may_be


def straight(callee):
    callee()
    callee()


def looping(callee):
    callee()
    for _ in range(2):
        callee()
    callee()


def calls_from(function):
    """The stacks of `function` and what it calls, innermost first, one for each call."""
    stacks = []

    def callee():
        frame, calls = sys._getframe(), []
        while frame is not None:
            calls.append((frame.f_code, frame.f_lasti))
            if frame.f_code is function.__code__:
                break
            frame = frame.f_back
        stacks.append(calls)

    function(callee)
    return stacks


def test_a_call_at_the_same_instruction_outside_a_loop_is_the_same_one():
    first, second = calls_from(straight)
    assert steady_depth(first, first, Loops()) == 2
    assert steady_depth(first, second, Loops()) == 1


def test_a_call_in_a_loop_may_be_another_one():
    before, first, second, after = calls_from(looping)
    assert first == second
    assert steady_depth(first, second, Loops()) == 1
    assert steady_depth(before, before, Loops()) == 2
    assert steady_depth(after, after, Loops()) == 2


def test_stacks_that_begin_with_another_function_share_nothing():
    (one, _), (other, *_) = calls_from(straight), calls_from(looping)
    assert steady_depth(one, other, Loops()) == 0
    assert steady_depth([], one, Loops()) == 0


def test_deeper_calls_of_one_stack_are_steady_up_to_where_they_part():
    (calls, _) = calls_from(straight)
    deeper = [(looping.__code__, 0), *calls]
    assert steady_depth(calls, deeper, Loops()) == 2


def while_with_breaks(n):
    while True:
        n -= 1
        if n == 3:
            continue
        try:
            if n < 0:
                break
            int("x" if n == 2 else "1")
        except ValueError:
            continue
        finally:
            abs(n)
    return n


def retried(n):
    for attempt in range(n):
        try:
            int("x" if attempt < 2 else "1")
        except ValueError:
            if attempt == n:
                raise
        else:
            break
    with suppress(ValueError):
        int("x")


def comprehended(n):
    kept = [a for a in range(n) if a % 2]
    return {a: [b for b in kept if b > a] for a in kept}


def generated(n):
    def inner():
        yield from range(n)

    return sum(value for value in inner() if value)


# Its jump back is so long that it takes a prefix.
LONG = {}
exec("def long_loop(n):\n while n:\n  n -= 1\n" + "  abs(n); str(n)\n" * 300, LONG)


@pytest.mark.parametrize(
    "function",
    [while_with_breaks, retried, comprehended, generated, LONG["long_loop"]],
    ids=lambda function: function.__name__,
)
def test_no_instruction_that_ran_twice_in_a_call_is_taken_for_one_outside_a_loop(function):
    loops, repeated, seen = Loops(), set(), {}

    def trace(frame, event, _argument):
        frame.f_trace_opcodes = True
        if event == "opcode":
            # The frames are kept, or another would have the identity of one that is gone.
            _, places = seen.setdefault(id(frame), (frame, set()))
            if frame.f_lasti in places:
                repeated.add((frame.f_code, frame.f_lasti))
            places.add(frame.f_lasti)
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # without a frame that has it 3.12 shows none
    sys.settrace(trace)
    try:
        function(6)
    finally:
        sys.settrace(before)
    assert repeated
    assert all(any(at in loop for loop in loops.of(code)) for code, at in repeated)


def test_what_is_known_of_functions_is_bounded():
    loops = Loops(most=2)
    for function in (straight, looping, retried, looping):
        assert bool(loops.of(function.__code__)) == (function is not straight)
        assert len(loops._known) <= 2
