"""Processes that count into a metrics directory, for tests that look at them or kill them.

Run as a program it forks a process for each line that it reads: a role and its arguments.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from flaskprof.metrics import worker_file
from flaskprof.metrics.cells import Cells, PythonCells
from flaskprof.metrics.folding import fold
from flaskprof.metrics.instruments import Metrics
from flaskprof.metrics.layout import FIXED_CELLS, bounds_in_ns
from flaskprof.metrics.worker_file import WorkerFile

BUCKETS = (0.1, 1.0)
# Both halves of every multiple change with each addition, so that half of an old value with
# half of a new one is no multiple of it.
STEP = (1 << 33) + 1
# Who reads them all reads them fast; an exemplar of each finds room.
ROUTES = 100
# What writes the words.
CELLS = {"python": PythonCells, "c": Cells}


def new_metrics(directory, buckets=BUCKETS, **options):
    """Return metrics that are placed in `directory`."""
    metrics = Metrics(buckets, directory=directory, **options)
    metrics.start()
    return metrics


def requests_in(reading):
    """Return the number of requests by label values."""
    rows = reading.totals.requests.values()
    counts = {row.labels: sum(row.cells[FIXED_CELLS:]) for row in rows}
    return {labels: count for labels, count in counts.items() if count}


def counters_in(reading):
    """Return the values of counters and gauges, by name and label values."""
    return {row.labels: row.cells[0] for row in reading.totals.counters.values()}


# What a process does; each says its process ID once it can be counted on.


def hold(directory, number):
    """Count so many requests and live on."""
    metrics = new_metrics(Path(directory))
    for _ in range(int(number)):
        metrics.observe("GET", "/held", "200", 1)
    say_pid()
    signal.pause()


def scrape(directory, number):
    """Count one request, read the sums of all so many times, and live on."""
    metrics = new_metrics(Path(directory))
    metrics.observe("GET", "/scraper", "200", 1)
    for _ in range(int(number)):
        list(metrics.registry.collect())
    say_pid()
    signal.pause()


def count(directory, progress):
    """Count requests for ever; the two words of `progress` say how many began and ended."""
    with Path(progress).open("r+b") as file:
        steps = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")
    say_pid()
    metrics = new_metrics(Path(directory))
    while True:
        steps[0] += 1
        metrics.observe("GET", "/counted", "200", 1)
        steps[1] += 1


def fold_all(directory):
    """Fold what dead processes left, for ever."""
    say_pid()
    while True:
        fold(Path(directory))


def write(directory, way):
    """Add up steps, and note exemplars that can be checked, for ever, as `CELLS` has it."""
    worker_file.Cells = CELLS[way]
    file = WorkerFile(bounds_in_ns(BUCKETS), ROUTES)
    places = [file.request_place(["GET", f"/{route}", "200"]) for route in range(ROUTES)]
    # All cells of a label set, each in a step of its own.
    steps = [
        [
            number
            for cell in range(file.layout.requests.width)
            for number in (place + cell, STEP)
        ]
        for place in places
    ]
    file.place(Path(directory))
    say_pid()
    number = 0
    while True:
        for place, pairs in zip(places, steps, strict=True):
            number += 1
            file.add(*pairs)
            file.add_exemplar(place, number, f"{number:032x}", f"{number:032x}")


ROLES = {"hold": hold, "scrape": scrape, "count": count, "fold": fold_all, "write": write}


def say_pid():
    os.write(1, f"{os.getpid()}\n".encode())


class Nursery:
    """Starts and ends such processes. They are forked, as those of a server are."""

    def __init__(self, program):
        self._program = program
        self._living = set()

    def start(self, role, *arguments):
        """Start a process; returns its ID once it says so."""
        pid = int(self._ask(role, *arguments))
        self._living.add(pid)
        return pid

    def kill(self, pid):
        """Kill a process; returns once it is dead."""
        self._living.remove(pid)
        assert self._ask("kill", pid) == "dead"

    def kill_all(self):
        for pid in list(self._living):
            self.kill(pid)

    def _ask(self, *words):
        self._program.stdin.write(" ".join(map(str, words)) + "\n")
        self._program.stdin.flush()
        answer = self._program.stdout.readline().strip()
        assert answer, "a process of the test failed"
        return answer


@contextmanager
def nursery():
    """Yield a nursery, all of whose processes end with it."""
    with subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        started = Nursery(program)
        try:
            yield started
        finally:
            started.kill_all()
            program.stdin.close()


def main():
    """Fork a process for each line, and kill those that are to be killed."""
    while line := sys.stdin.readline():
        role, *arguments = line.split()
        if role == "kill":
            os.kill(int(arguments[0]), signal.SIGKILL)
            os.waitpid(int(arguments[0]), 0)
            os.write(1, b"dead\n")
        elif os.fork() == 0:
            sys.stdin.close()
            try:
                ROLES[role](*arguments)
            finally:
                os._exit(1)


if __name__ == "__main__":
    main()
