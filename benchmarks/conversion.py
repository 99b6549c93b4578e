"""What turning a finished capture into its files costs, and how long it holds the GIL.

Converts a call tree of 5,000 nodes, 60 deep at most, into the bytes of ``.prof`` and
``.pb.gz``, as the background writer does, beside `marshal.dumps` of the same statistics,
which is what cProfile's own dump costs. The rows are medians of the
CPU time in interleaved rounds.

The GIL: a second thread asks for it once a millisecond. Its longest wait in a round is how
long others were kept from running in one piece. Python code lets go every switch interval
(5 ms); what exceeds that is a single call in C.

    python benchmarks/conversion.py
"""

from __future__ import annotations

import marshal
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable

from flaskprof.formats.pprof import write_pprof
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph

NODES = 5_000
FUNCTIONS = 900
DEEPEST = 60
ROUNDS = 40
LABELS = {
    "route": "/orders/<int:id>",
    "method": "GET",
    "status": "200",
    "service": "shop",
    "version": "1.4.2",
    "profile_id": "0190a5d2c0de7000800000000000cafe",
}


def a_tree() -> CallTree:
    """Return a tree in which each function calls few others, as in real programs."""
    chance = random.Random(7)
    functions = tuple(
        Function(
            f"/srv/shop/.venv/lib/python3.12/site-packages/package{number % 40}/module.py",
            number,
            f"function_{number}",
        )
        for number in range(FUNCTIONS)
    )
    callees = [chance.sample(range(FUNCTIONS), 6) for _ in functions]
    builder = TreeBuilder()
    stack = [(builder.node(-1, 0), 0)]
    while len(builder) < NODES:
        while len(stack) > 1 and (len(stack) >= DEEPEST or chance.random() < 0.48):
            stack.pop()
        above, caller = stack[-1]
        function = chance.choice(callees[caller])
        node = builder.node(above, function)
        builder.add(node, chance.randrange(1, 20), chance.randrange(10**6))
        stack.append((node, function))
    return builder.tree(functions)


def to_pprof(tree: CallTree) -> bytes:
    return write_pprof(
        tree, labels=LABELS, started=1_700_000_000.0, duration_seconds=0.5, cpu_seconds=0.4
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def longest_wait(work: Callable[[], object]) -> float:
    """Return by how many seconds a thread that wakes every millisecond was held up at most."""
    longest = 0.0
    is_ready, is_done = threading.Event(), threading.Event()

    def wait() -> None:
        nonlocal longest
        is_ready.set()
        while not is_done.is_set():
            begin = time.perf_counter()
            time.sleep(0.001)
            longest = max(longest, time.perf_counter() - begin - 0.001)

    thread = threading.Thread(target=wait)
    thread.start()
    is_ready.wait()
    work()
    is_done.set()
    thread.join()
    return longest


def main() -> None:
    tree = a_tree()
    graph = call_graph(tree)
    prof = write_profile(graph)
    stats = marshal.loads(prof)  # our own bytes
    assert read_profile(prof) == graph

    def both() -> None:
        write_profile(call_graph(tree))
        to_pprof(tree)

    parts: dict[str, Callable[[], object]] = {
        "marshal.dumps of the stats": lambda: marshal.dumps(stats),
        "call tree to call graph": lambda: call_graph(tree),
        "call graph to .prof": lambda: write_profile(graph),
        "call tree to .pb.gz": lambda: to_pprof(tree),
        "both files from the tree": both,
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    waits: dict[str, list[float]] = {name: [] for name in [*parts, "nothing"]}
    for _ in range(ROUNDS):
        for name, work in parts.items():
            times[name].append(cpu_seconds(work))
            waits[name].append(longest_wait(work))
        waits["nothing"].append(longest_wait(lambda: time.sleep(0.02)))
    base = statistics.median(times["marshal.dumps of the stats"])
    print(f"Python {sys.version.split()[0]}, {len(tree):,} nodes, {FUNCTIONS} functions")
    print(f".prof {len(prof):,} bytes, .pb.gz {len(to_pprof(tree)):,} bytes, {ROUNDS} rounds")
    print(f"{'':28}{'CPU':>10}{'ratio':>8}{'longest wait for the GIL':>30}")
    print(f"{'':46}{'median':>20}{'most':>10}")
    for name, of_name in waits.items():
        cost = " " * 18
        if name in times:
            median = statistics.median(times[name])
            cost = f"{median * 1000:7.2f} ms{median / base:8.1f}"
        wait = statistics.median(of_name) * 1000
        print(f"{name:28}{cost}{wait:17.2f} ms{max(of_name) * 1000:7.2f} ms")


if __name__ == "__main__":
    main()
