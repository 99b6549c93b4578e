"""How true a sampled profile is: what it says of each function, beside what a clock says.

Each program stops the time of its own functions. It is sampled as a request is that asks for
it, and what the profile says is printed beside the truth, in per cent of the time: once as
the looks at the stack alone would have it, once with the clock of the thread's processor
time. *computing* is the share of all functions but the one that waits, *around* what was
given to the function that calls them all, and *wrong* what was given to one of them and was
another's. The truth is time of a clock on the wall: what other programs took from the
processor is in it.

::

    python benchmarks/samples.py
    python benchmarks/samples.py --seconds 5 --only "2 ms" --functions
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns, thread_time_ns

from flaskprof.capture.sampling.looks import Look
from flaskprof.capture.sampling.sampler import SamplingEngine, SamplingRecording
from flaskprof.capture.sampling.samples import Samples
from flaskprof.capture.sampling.watcher import Watcher
from flaskprof.metrics.instruments import Metrics
from flaskprof.profiles.model import CallTree
from flaskprof.profiles.sums import call_graph

DATA = random.Random(1).randbytes(1 << 22)


def computing(milliseconds: float) -> None:
    end = thread_time_ns() + milliseconds * 1e6
    while thread_time_ns() < end:
        for _ in range(20):
            pass


def waiting(milliseconds: float) -> None:
    time.sleep(milliseconds / 1e3)


def hashing() -> None:
    hashlib.sha256(DATA * 4).digest()


def deflating() -> None:
    zlib.compress(DATA, 1)


class Program:
    """Calls some functions again and again, and stops the time of each."""

    def __init__(self, *steps: tuple[Callable[..., None], float]) -> None:
        self.steps = steps
        self.truth_ns = {step.__name__: 0 for step, _ in steps}

    def run(self, seconds: float) -> None:
        """Do all steps in turn until so many seconds are over."""
        end = perf_counter_ns() + seconds * 1e9
        while perf_counter_ns() < end:
            for step, milliseconds in self.steps:
                started = perf_counter_ns()
                if milliseconds:
                    step(milliseconds)
                else:
                    step()
                self.truth_ns[step.__name__] += perf_counter_ns() - started


# Name, what is done in turn for so many milliseconds, how many threads compute beside.
Row = tuple[str, tuple[tuple[Callable[..., None], float], ...], int]
PROGRAMS: list[Row] = [
    ("computing", ((computing, 200),), 0),
    ("waiting", ((waiting, 200),), 0),
    *(
        (f"{busy} ms, wait {idle} ms", ((computing, busy), (waiting, idle)), 0)
        for busy in (1, 2, 5, 10)
        for idle in (1, 2, 5)
    ),
    ("in C, without the GIL", ((hashing, 0), (waiting, 20), (deflating, 0)), 0),
    ("two threads beside", ((computing, 100),), 2),
    ("2 ms, wait 2 ms; two beside", ((computing, 2), (waiting, 2)), 2),
    ("10 ms, wait 5 ms; two beside", ((computing, 10), (waiting, 5)), 2),
]


class _TwoSamples(Samples):
    """Counts what is seen a second time, as if nothing were known of processor time."""

    def __init__(self) -> None:
        super().__init__()
        self.of_looks_alone = Samples()

    def add(self, look: Look) -> None:
        super().add(look)
        self.of_looks_alone.add(look._replace(cpu_ns=None))


@contextmanager
def threads_beside(number: int) -> Iterator[None]:
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            computing(1)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def record(
    engine: SamplingEngine, program: Program, seconds: float
) -> tuple[CallTree, CallTree]:
    """Return the tree of the looks alone, and the one with the clock."""
    recording: SamplingRecording = engine.start()
    both = recording._samples = _TwoSamples()  # noqa: SLF001  the same looks for both
    recording.on()
    program.run(seconds)
    recording.off()
    tree = recording.finish()
    return both.of_looks_alone.tree(tree.total_ns), tree


def said(tree: CallTree, program: Program) -> dict[str, float]:
    """Return the share of each function that the program timed."""
    shares = dict.fromkeys(program.truth_ns, 0.0)
    for function, stats in call_graph(tree).functions.items():
        if function.name in shares:
            shares[function.name] += stats.total.cumulative_seconds * 1e9 / tree.total_ns
    return shares


def sums(shares: dict[str, float], truth: dict[str, float]) -> tuple[float, float, float]:
    """Return the shares of computing, of the time around, and of what is wrong."""
    busy = sum(share for name, share in shares.items() if name != waiting.__name__)
    around = max(0.0, 1 - sum(shares.values()))
    wrong = sum(max(0.0, share - truth[name]) for name, share in shares.items())
    return busy, around, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each program")
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--functions", action="store_true", help="print each function too")
    arguments = parser.parse_args()
    watcher = Watcher(Metrics([1.0]))
    engine = SamplingEngine(watcher)
    print(f"Python {platform.python_version()}; per cent of the time")
    heads = f"{'computing':>11}{'around':>8}{'wrong':>7}"
    print(f"{'':28}{'':>9}   {'looks alone':>26}   {'with the clock':>26}")
    print(f"{'':28}{'true':>9}   {heads}   {heads}")
    for name, steps, beside in PROGRAMS:
        if arguments.only not in name:
            continue
        program = Program(*steps)
        with threads_beside(beside):
            trees = record(engine, program, arguments.seconds)
        whole_ns = trees[0].total_ns
        truth = {name: spent / whole_ns for name, spent in program.truth_ns.items()}
        found = [said(tree, program) for tree in trees]
        cells = (sums(shares, truth) for shares in found)
        columns = (f"{busy:11.1%}{around:8.1%}{wrong:7.1%}" for busy, around, wrong in cells)
        print(f"{name:28}{sums(truth, truth)[0]:9.1%}   {'   '.join(columns)}")
        for function in program.truth_ns if arguments.functions else ():
            of_each = (f"{shares[function]:11.1%}{'':15}" for shares in found)
            print(f"    {function:24}{truth[function]:9.1%}   {'   '.join(of_each)}")
    watcher.close(10)


if __name__ == "__main__":
    main()
