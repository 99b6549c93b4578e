"""What a scrape over many workers costs, and one observation, beside prometheus_client.

Both sides have files of so many workers, each with 200 label sets of a histogram with 15
buckets: flaskprof's worker files, locked as those of living processes are, and the files
of prometheus_client's multiprocess mode. Each scrape makes the whole page of text, in a
process of its own that measures its CPU time (nothing waits: the files were just written)
and the most memory that it ever had; both sides take turns, the figures are medians, and the
totals on both pages must be equal.

::

    python benchmarks/metrics.py --check
    python benchmarks/metrics.py --files 1,100 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import product
from pathlib import Path
from time import process_time
from typing import Any

LABEL_SETS = 200
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# One in each bucket, and the last beyond all bounds.
VALUES = (*BOUNDS, 11.0)
PROFILE = "0123456789abcdef" * 2
NAME = "http_server_request_duration_seconds"
LABELS = ("http_request_method", "http_route", "http_response_status_code")
OTHER = "prometheus_client"
SIDES = ("flaskprof", OTHER)
MB = 1_000_000

Figures = dict[str, Any]


def label_sets() -> list[tuple[str, str, str]]:
    """Return method, route and status of each label set."""
    return [("GET", f"/api/v1/things/{number}/<int:id>", "200") for number in range(LABEL_SETS)]


def our_metrics(directory: Path) -> Any:
    """Return what a worker counts with, beside others in `directory`."""
    from flaskprof.metrics.instruments import Metrics

    metrics = Metrics(BOUNDS, directory=directory)
    metrics.start()
    return metrics


def their_histogram() -> Any:
    from prometheus_client import Histogram

    return Histogram(NAME, "Durations.", LABELS, buckets=BOUNDS, registry=None)


# What each process of a measurement does; it prints its figures as JSON.


def fill_ours(directory: Path) -> None:
    """Leave the file of one worker, with an observation in each bucket of each label set.

    One in a hundred has an exemplar, which files of prometheus_client cannot hold.
    """
    metrics = our_metrics(directory)
    for number, (labels, value) in enumerate(product(label_sets(), VALUES)):
        profile = None if number % 100 else f"{number:032x}"
        metrics.observe(*labels, round(value * 1e9), profile)
    metrics.close()


def fill_theirs(_: Path) -> None:
    histogram = their_histogram()
    for labels, value in product(label_sets(), VALUES):
        histogram.labels(*labels).observe(value)


def hold(directory: Path) -> None:
    """Keep all worker files locked, as their processes do, until standard input ends."""
    import fcntl
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = [path.open("r+b") for path in directory.glob("*.worker")]
    for file in files:
        fcntl.lockf(file, fcntl.LOCK_EX)
    print("all are locked", flush=True)
    sys.stdin.read()


def scrape_ours(directory: Path) -> Figures:
    from flaskprof.metrics.exposition import sidecar_registry

    return scraped(sidecar_registry(directory))


def scrape_theirs(directory: Path) -> Figures:
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))
    return scraped(registry)


def scraped(registry: Any) -> Figures:
    """Make the page once; the first scrape of a process is what its users wait for."""
    from prometheus_client import generate_latest

    before = memory("VmRSS")
    began = process_time()
    page = generate_latest(registry)
    seconds = process_time() - began
    counts = re.findall(rf"^{NAME}_count{{.*}} (\S+)$", page.decode(), re.MULTILINE)
    return {
        "seconds": seconds,
        "peak": memory("VmHWM"),
        "grown": memory("VmHWM") - before,
        "requests": sum(map(float, counts)),
        "series": len(counts),
    }


def memory(field: str) -> int:
    """Return a size of this process; not getrusage, which remembers that of its parent."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def observe_ours(directory: Path) -> Figures:
    metrics = our_metrics(directory)
    labels = label_sets()[7]
    figures = {
        "plain": each(lambda: metrics.observe(*labels, 30_000_000)),
        "exemplar": each(lambda: metrics.observe(*labels, 30_000_000, PROFILE)),
    }
    metrics.close()
    return figures


def observe_theirs(_: Path) -> Figures:
    histogram = their_histogram().labels(*label_sets()[7])
    exemplar = {"profile_id": PROFILE}
    return {
        "plain": each(lambda: histogram.observe(0.03)),
        "exemplar": each(lambda: histogram.observe(0.03, exemplar)),
    }


def each(work: Any, batches: int = 15, calls: int = 2000) -> float:
    """Return the seconds of CPU that one call takes, in the median of many batches."""
    work()
    found = []
    for _ in range(batches):
        began = process_time()
        for _ in range(calls):
            work()
        found.append((process_time() - began) / calls)
    return statistics.median(found)


WORK = {
    "fill": {"flaskprof": fill_ours, OTHER: fill_theirs},
    "hold": {"flaskprof": hold},
    "scrape": {"flaskprof": scrape_ours, OTHER: scrape_theirs},
    "observe": {"flaskprof": observe_ours, OTHER: observe_theirs},
}


def command(work: str, side: str, directory: Path) -> dict[str, Any]:
    """Return how to start a process of a measurement."""
    environ = {name: text for name, text in os.environ.items() if "PROMETHEUS" not in name}
    if side == OTHER:
        environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    arguments = [sys.executable, __file__, "--work", work, side, str(directory)]
    return {"args": arguments, "env": environ, "stdout": subprocess.PIPE}


def run(work: str, side: str, directory: Path) -> Figures:
    done = subprocess.run(**command(work, side, directory), check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


@contextmanager
def workers(ours: Path, theirs: Path, number: int) -> Iterator[None]:
    """Make the files of so many workers, which live meanwhile."""
    for side, directory in zip(SIDES, (ours, theirs), strict=True):
        directory.mkdir()
        run("fill", side, directory)
    (filled,) = ours.glob("*.worker")
    (histogram,) = theirs.glob("histogram_*.db")
    for worker in range(1, number):
        shutil.copyfile(filled, ours / f"{worker:032x}.worker")
        shutil.copyfile(histogram, theirs / f"histogram_{1_000_000 + worker}.db")
    with subprocess.Popen(
        **command("hold", "flaskprof", ours), stdin=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.communicate()


def scrapes(number: int, rounds: int) -> Figures:
    """Return medians, by side, of scrapes over the files of so many workers."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as temporary:
        directories = dict(zip(SIDES, map(Path(temporary).joinpath, SIDES), strict=True))
        with workers(*directories.values(), number):
            for _ in range(rounds):
                for side, directory in directories.items():
                    found[side].append(run("scrape", side, directory))
    for figures in (figures for of_side in found.values() for figures in of_side):
        wanted = number * LABEL_SETS * len(VALUES)
        if (figures["requests"], figures["series"]) != (wanted, LABEL_SETS):
            raise SystemExit(f"not {wanted} requests in {LABEL_SETS} series: {figures}")
    return {
        side: {name: statistics.median(one[name] for one in of_side) for name in of_side[0]}
        for side, of_side in found.items()
    }


def observations(rounds: int) -> Figures:
    """Return the median seconds, by side, of one observation with and without exemplar."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            with tempfile.TemporaryDirectory() as directory:
                found[side].append(run("observe", side, Path(directory)))
    return {
        side: {name: statistics.median(one[name] for one in of_side) for name in of_side[0]}
        for side, of_side in found.items()
    }


def bars(figures: Figures) -> Iterator[tuple[str, float, float]]:
    """Yield what is demanded, the figure, and the most that it may be."""
    for number, times in ((100, 10), (1000, 40)):
        if of_number := figures["scrapes"].get(str(number)):
            ours, theirs = (of_number[side] for side in SIDES)
            name = f"{number:,} files: "
            yield name + "time, of theirs", ours["seconds"] / theirs["seconds"], 1 / times
            yield name + "memory taken, of theirs", ours["grown"] / theirs["grown"], 1 / 4
            if number == 1000:
                yield name + "seconds", ours["seconds"], 1.0
    ours, theirs = (figures["observations"][side] for side in SIDES)
    for kind in ("plain", "exemplar"):
        yield f"an observation ({kind}), of theirs", ours[kind] / theirs[kind], 0.4


def show(figures: Figures) -> None:
    print(f"Python {platform.python_version()}, {OTHER} {version(OTHER)}, ", end="")
    print(f"{LABEL_SETS} label sets of {len(VALUES)} buckets\n")
    print(f"{'':20}{'scrape, ms':>26}{'':8}{'memory taken, MB':>26}{'peak, MB':>26}")
    print(f"{'files':20}{'ours':>13}{'theirs':>13}{'':8}" + f"{'ours':>13}{'theirs':>13}" * 2)
    for number, of_number in figures["scrapes"].items():
        ours, theirs = (of_number[side] for side in SIDES)
        times = theirs["seconds"] / ours["seconds"]
        print(
            f"{int(number):<20,}{ours['seconds'] * 1e3:13.1f}{theirs['seconds'] * 1e3:13.1f}"
            f"{times:7.1f}x{ours['grown'] / MB:13.1f}{theirs['grown'] / MB:13.1f}"
            f"{ours['peak'] / MB:13.1f}{theirs['peak'] / MB:13.1f}"
        )
    print("\none observation, microseconds")
    for kind in ("plain", "exemplar"):
        ours, theirs = (figures["observations"][side][kind] for side in SIDES)
        share = ours / theirs
        print(f"{kind:20}{ours * 1e6:13.2f}{theirs * 1e6:13.2f}{share:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--files", default="1,10,100,1000", help="numbers of workers' files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work, side, directory = arguments.work
        print(json.dumps(WORK[work][side](Path(directory))))
        return
    figures: Figures = {
        "scrapes": {
            number: scrapes(int(number), arguments.rounds)
            for number in arguments.files.split(",")
        },
        "observations": observations(arguments.rounds),
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)
    if arguments.check:
        missed = 0
        print()
        for name, figure, most in bars(figures):
            missed += figure > most
            verdict = "missed" if figure > most else "holds"
            print(f"{verdict:8}{name:45}{figure:8.4f} <= {most:.4f}")
        sys.exit(missed > 0)


_AsWritten = argparse.RawDescriptionHelpFormatter


if __name__ == "__main__":
    main()
