"""How long the safe readers of .prof files take, beside marshal, which trusts its input.

Reads a profile of 25,000 functions and 80,000 edges, about five megabytes, in turns with what
is in C, in Python alone, and with `marshal.loads`. Prints the medians of the CPU time, and
the most memory that one reading took, in a process of its own and without that of the file.

    python benchmarks/reader.py
"""

from __future__ import annotations

import marshal
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flaskprof.profiles.marshal_reader import python_read_profile, read_ordinary

FUNCTIONS = 25_000
EDGES = 80_000
ROUNDS = 15

READERS: dict[str, Callable[[bytes], object]] = {
    "ours in C": read_ordinary,
    "ours in Python": python_read_profile,
    "marshal.loads": marshal.loads,
}


def a_profile() -> bytes:
    """Return a profile as cProfile would write it of a very large application."""
    chance = random.Random(1)
    keys = [
        (
            f"/srv/shop/package{number % 40}/module{number % 1000}.py",
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


def peak_bytes(name: str, path: Path) -> int:
    """Return by how much a process grows at most while it reads."""
    done = subprocess.run(
        [sys.executable, __file__, name, path], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def read_alone(name: str, path: str) -> None:
    data = Path(path).read_bytes()
    before = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # forgets the peak so far
    result = READERS[name](data)
    status = Path("/proc/self/status").read_text("ascii")
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
    print(peak * 1024 - before * resource.getpagesize())
    del result


def main() -> None:
    if len(sys.argv) == 3:
        read_alone(*sys.argv[1:])
        return
    data = a_profile()
    if read_ordinary(data) is None:
        sys.exit("what reads in C was not built")
    rounds = [[cpu_seconds(read, data) for read in READERS.values()] for _ in range(ROUNDS)]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(f"Python {sys.version.split()[0]}, {FUNCTIONS:,} functions, {EDGES:,} edges,")
    print(f"{len(data):,} bytes, medians of {ROUNDS} interleaved rounds\n")
    print(f"{'':16}{'CPU, ms':>10}{'peak, MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.prof"
        path.write_bytes(data)
        for name, seconds in zip(READERS, medians, strict=True):
            print(f"{name:16}{seconds * 1e3:10.1f}{peak_bytes(name, path) / 1e6:10.1f}")


if __name__ == "__main__":
    main()
