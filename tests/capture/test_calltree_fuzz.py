"""Made-up programs are counted as a tracer in plain Python counts them.

FLASKPROF_FUZZ_PROGRAMS says how many programs are made; `make fuzz` makes 10,000.
"""

import contextlib
import functools
import os
import sys
import threading

from counts import Reference, differences, in_threads, of_tree, quiet, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flaskprof.capture.calltree import CallTreeEngine

PROGRAMS = int(os.environ.get("FLASKPROF_FUZZ_PROGRAMS", "60"))
CLOCK = os.environ.get("FLASKPROF_CLOCK", "auto")
FUNCTIONS = 6


class Failure(Exception):
    pass


class Machine:
    """Runs a program: each of its functions is a list of steps, which may call others.

    A call goes through a function, generator, coroutine or builtin of its own code object,
    so that the shape of a program is the shape of its call tree. Calls are limited in number.
    """

    def __init__(self, program, budget):
        self.program = program
        self.budget = budget
        self.suspended = []
        self.functions = [_make(f"function{number}") for number in range(FUNCTIONS)]
        self.generators = [_make_generator(f"generator{number}") for number in range(FUNCTIONS)]

    def call(self, number):
        if self.budget > 0:
            self.budget -= 1
            self.functions[number](self, number)

    def perform(self, step):
        kind, number = step
        getattr(self, kind)(number)

    def step_call(self, number):
        self.call(number)

    def step_raise(self, number):
        raise Failure(number)

    def step_catch(self, number):
        try:
            self.call(number)
        except Failure:
            len("caught")
        finally:
            self.budget -= 1

    def step_builtin(self, number):
        [divmod(3, 2), str(number).rjust(3), isinstance(number, int)]

    def step_builtin_raises(self, number):
        with contextlib.suppress(ValueError):
            [].index(number)

    def step_callback(self, number):
        sorted([2, 1], key=lambda _: self.call(number) or 0)

    def step_partial(self, number):
        functools.partial(self.call, number)()

    def step_generate(self, number):
        if self.budget > 0:
            self.budget -= 1
            for _ in self.generators[number](self, number):
                len("item")

    def step_suspend(self, number):
        if self.budget > 0:
            self.budget -= 1
            generator = self.generators[number](self, number)
            self.suspended.append(generator)
            next(generator, None)

    def step_resume(self, number):
        if self.suspended:
            generator = self.suspended.pop(number % len(self.suspended))
            if not generator.gi_running:
                next(generator, None)
                self.suspended.append(generator)

    def step_throw(self, number):
        if self.suspended:
            generator = self.suspended.pop(number % len(self.suspended))
            if not generator.gi_running:
                with contextlib.suppress(Failure, StopIteration):
                    generator.throw(Failure(number))

    def step_close(self, number):
        if self.suspended:
            generator = self.suspended.pop(number % len(self.suspended))
            if not generator.gi_running:
                generator.close()

    def step_await(self, number):
        async def inner():
            self.call(number)

        async def outer():
            await inner()
            await inner()

        coroutine = outer()
        with contextlib.suppress(StopIteration):
            coroutine.send(None)

    def step_comprehend(self, number):
        [self.call(each) for each in (number, (number + 1) % FUNCTIONS)]

    def run(self):
        with contextlib.suppress(Failure):
            self.call(0)
        for generator in self.suspended:
            generator.close()
        self.suspended.clear()


def _renamed(function, name):
    function.__code__ = function.__code__.replace(co_name=name)
    return function


def _make(name):
    def body(machine, number):
        for step in machine.program[number]:
            machine.perform(step)

    return _renamed(body, name)


def _make_generator(name):
    def body(machine, number):
        for step in machine.program[number]:
            try:
                yield step
            except Failure:
                yield None
            machine.perform(step)
        yield from ()

    return _renamed(body, name)


STEPS = sorted(name for name in vars(Machine) if name.startswith("step_"))
programs = st.lists(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, FUNCTIONS - 1)), max_size=6),
    min_size=FUNCTIONS,
    max_size=FUNCTIONS,
)
many = settings(
    max_examples=PROGRAMS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def run(program):
    Machine(program, 60).run()


def reference(program):
    with quiet(), Reference() as found:
        run(program)
    return found.counts


def engine_counts(program):
    return of_tree(recorded(CallTreeEngine(clock=CLOCK), functools.partial(run, program)))


@many
@given(programs)
def test_made_up_programs_are_counted_exactly(program):
    assert differences(reference(program), engine_counts(program)) == []


@settings(many, max_examples=max(10, PROGRAMS // 10))
@given(st.lists(programs, min_size=2, max_size=4))
def test_made_up_programs_in_threads_are_counted_apart(several):
    wanted = [reference(program) for program in several]
    found = [None] * len(several)
    together = threading.Barrier(len(several))
    engine = CallTreeEngine(clock=CLOCK)

    def capture(index):
        recording = engine.start()
        together.wait()
        recording.on()
        run(several[index])
        recording.off()
        recording.stop()
        found[index] = of_tree(recording.finish())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with quiet():
            in_threads([functools.partial(capture, i) for i in range(len(several))])
    finally:
        sys.setswitchinterval(interval)
    for index, counts in enumerate(wanted):
        assert differences(counts, found[index]) == []


@settings(many, max_examples=max(10, PROGRAMS // 10))
@given(programs, st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_made_up_programs_over_the_node_limit_keep_their_number_of_calls(program, limits):
    wanted = sum(calls for key, calls in reference(program).items() if len(key) == 3)
    for limit in limits:
        engine = CallTreeEngine(max_nodes=limit, clock=CLOCK)
        assert sum(recorded(engine, functools.partial(run, program)).calls) == wanted
