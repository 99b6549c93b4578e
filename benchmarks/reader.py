"""How long the safe reader of .prof files takes, beside marshal, which trusts its input.

Reads a profile of 25,000 functions and 80,000 edges, about five megabytes, with both in
turns, and prints the medians of the CPU time.

    python benchmarks/reader.py
"""

from __future__ import annotations

import marshal
import random
import statistics
import sys
import time
from collections.abc import Callable

from flaskprof.profiles.marshal_reader import read_profile

FUNCTIONS = 25_000
EDGES = 80_000
ROUNDS = 15


def a_profile() -> bytes:
    """Return a profile as cProfile would write it of a very large application."""
    chance = random.Random(1)
    keys = [
        (
            f"/srv/shop/package{number % 300}/module{number % 997}.py",
            number,
            f"function_{number}",
        )
        for number in range(FUNCTIONS)
    ]
    callers: list[dict[object, object]] = [{} for _ in keys]
    edges = 0
    while edges < EDGES:
        of_function, caller = chance.choice(callers), chance.choice(keys)
        if caller not in of_function:
            calls = chance.randrange(1, 1000)
            of_function[caller] = (calls, calls, chance.random(), chance.random())
            edges += 1
    stats = {}
    for key, of_function in zip(keys, callers, strict=True):
        calls = chance.randrange(1, 5000)
        stats[key] = (calls, calls, chance.random(), chance.random(), of_function)
    return marshal.dumps(stats)


def cpu_seconds(work: Callable[[bytes], object], data: bytes) -> float:
    begin = time.thread_time()
    work(data)
    return time.thread_time() - begin


def main() -> None:
    data = a_profile()
    rounds = [
        (cpu_seconds(read_profile, data), cpu_seconds(marshal.loads, data))
        for _ in range(ROUNDS)
    ]
    ours, trusting = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"Python {sys.version.split()[0]}, {FUNCTIONS:,} functions, {EDGES:,} edges,")
    print(f"{len(data):,} bytes, medians of {ROUNDS} interleaved rounds")
    print(f"read_profile   {ours * 1000:7.1f} ms")
    print(f"marshal.loads  {trusting * 1000:7.1f} ms")
    print(f"ratio          {ours / trusting:7.1f}")


if __name__ == "__main__":
    main()
