"""What a busy request pays for being recorded: how many times longer it takes.

The same computation, some forty calls deep, is asked for as a plain request, sampled
(``X-Profile: sample``), and with every call counted (``X-Profile: 1``), one after the other
in each round, so that whatever else the machine does meets all alike. The figures are the
medians, over all rounds, of time and of processor time (of all threads, the watcher's too,
and with the conversion of what was recorded), each divided by that of the plain request of
its round.

::

    python benchmarks/sampler.py
    python benchmarks/sampler.py --rounds 100 --json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from overhead import ask, environ_of

DEPTH = 40
HEADERS = {"plain": None, "sampled": "sample", "every call": "1"}


def application(calls: int):
    """Return a WSGI application that makes so many small calls, deep in its stack."""

    def small(number):
        return number + 1

    def compute():
        number = 0
        for _ in range(calls):
            number = small(number)

    def deep(depth):
        return deep(depth - 1) if depth else compute()

    def app(environ, start_response):  # noqa: ARG001  as servers have it
        deep(DEPTH)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    return app


def measure(calls: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return seconds, and processor seconds, of each way to ask, for each round."""
    from flaskprof import ProfilerMiddleware
    from flaskprof.capture.recorder import close_all, recorder_for
    from flaskprof.config import Settings

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in HEADERS}
    with tempfile.TemporaryDirectory() as directory:
        app = ProfilerMiddleware(application(calls), dir=directory, dev=True)
        recorder = recorder_for(Settings(dir=Path(directory)))
        for number in range(-1, rounds):
            for name, header in HEADERS.items():
                environ = {**environ_of("/"), "HTTP_HOST": "localhost"}
                if header is not None:
                    environ["HTTP_X_PROFILE"] = header
                cpu, wall = process_time(), perf_counter()
                assert ask(app, environ) == ("200 OK", b"done")
                wall = perf_counter() - wall
                assert recorder.flush()
                if number >= 0:  # the round before warms up
                    times[name].append((wall, process_time() - cpu))
        prove(recorder, rounds)
        close_all()
    return times


def prove(recorder, rounds: int) -> None:
    """Fail unless every request that was to be recorded was, in its own way."""
    from flaskprof.store import CaptureQuery

    records = recorder.store.list(CaptureQuery(limit=3 * (rounds + 1))).records
    found = sorted(record.exactness for record in records)
    assert found == ["exact"] * (rounds + 1) + ["sampled"] * (rounds + 1), found


def summarise(times: dict[str, list[tuple[float, float]]]) -> dict[str, dict[str, float]]:
    """Return the median seconds of each way to ask, and its ratios to the plain one."""
    result = {}
    for name, of_way in times.items():
        pairs = list(zip(of_way, times["plain"], strict=True))
        walls = [wall / plain for (wall, _), (plain, _) in pairs]
        low, middle, high = statistics.quantiles(walls, n=4)
        result[name] = {
            "seconds": statistics.median(wall for wall, _ in of_way),
            "ratio": middle,
            "ratio_low": low,
            "ratio_high": high,
            "cpu_ratio": statistics.median(cpu / plain for (_, cpu), (_, plain) in pairs),
        }
    return result


def print_table(results: dict[str, dict[str, float]]) -> None:
    print(f"Python {platform.python_version()}\n")
    print(f"{'':12} {'seconds':>8} {'ratio':>7} {'quartiles':>15} {'of CPU':>7}")
    for name, row in results.items():
        quartiles = f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}"
        print(
            f"{name:12} {row['seconds']:8.3f} {row['ratio']:7.3f} {quartiles:>15} "
            f"{row['cpu_ratio']:7.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=3_000_000, help="small calls a request")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    arguments = parser.parse_args()
    results = summarise(measure(arguments.calls, arguments.rounds))
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)


if __name__ == "__main__":
    main()
