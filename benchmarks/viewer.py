"""How long a large profile takes to be seen, beside snakeviz, tuna and profiling-explorer.

The profile has 25,000 functions and 80,000 edges: the sums of a made-up program in which
functions call a few others further down, and builtins, each about as often. Each viewer is
started on that file as its user would, and opened in headless Chromium.

*Ready* is the time from the command until the flame view shows its boxes, *drawn* that part of
it after the server was there and the page was opened: up to the first frame that has them,
by the clock of the page. *Sorted* goes from the click on the
head of another column until the table is in that order. *Weight* is what the browser
receives for either page, *memory* what the server has once it was looked at, and *peak* the
most that it took. tuna has no table, and profiling-explorer no flame view: its *ready* is that
of the table. All are started as they are once they are installed, with their modules compiled.

    pip install snakeviz tuna profiling-explorer playwright
    python benchmarks/viewer.py --check

Who has nothing to show after 90 s, or takes more than 4 GB, is given up. ``--check`` fails
where flaskprof misses 2 s until it is drawn, 0.3 s until it is sorted, or 300 MB, or is not
ahead of every other in each column. Times are those of this machine at this moment: the
table is made of medians of ``--rounds`` rounds in turns, with the quartiles below each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.pstats_writer import write_profile
from flaskprof.profiles.sums import call_graph

FUNCTIONS = 25_000
EDGES = 80_000
LIMIT_SECONDS = 90
LIMIT_BYTES = 4 * 2**30
BARS = {"drawn": 2.0, "sorted": 0.3, "peak": 300.0}
COLUMNS = {
    "ready": ("ready, s", 2),
    "drawn": ("drawn, s", 2),
    "flame_weight": ("weight, MB", 2),
    "sorted": ("sorted, s", 2),
    "table_weight": ("weight, MB", 2),
    "memory": ("memory, MB", 0),
    "peak": ("peak, MB", 0),
}

# Notes when the first frame was made in which something is there that a selector finds. To
# ask from outside would be to ask now and then, up to a tenth of a second late.
NOTE_FIRST_FRAME = """selector => {
    const clock = () => (performance.timeOrigin + performance.now()) / 1000;
    const look = () => {
        if (!document.querySelector(selector)) return;
        observer.disconnect();
        requestAnimationFrame(() => {
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => { window.firstSeen = clock(); };
            port2.postMessage("after the frame");
        });
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true });
}"""

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu"]


def a_program() -> CallTree:
    """Return the exact tree of a program of `FUNCTIONS` and `EDGES`."""
    chance = random.Random(1)
    folders = (
        "/srv/shop",
        "/srv/lib/python3.12/site-packages/flask",
        "/srv/lib/python3.12/site-packages/sqlalchemy/orm",
        "/usr/lib/python3.12/json",
    )
    functions = tuple(
        Function("~", 0, f"<built-in method number_{number}>")
        if number % 5 == 4
        else Function(
            f"{folders[number % 4]}/module{number % 997}.py",
            number % 2_000,
            f"function_{number}",
        )
        for number in range(FUNCTIONS)
    )
    # Each function is called by one before it, and calls none that is.
    callees: list[list[int]] = [[] for _ in functions]
    edges = set()
    for number in range(1, FUNCTIONS):
        edges.add((chance.randrange(max(0, number - 3_000), number), number))
    while len(edges) < EDGES:
        callee = chance.randrange(1, FUNCTIONS)
        edges.add((chance.randrange(max(0, callee - 3_000), callee), callee))
    for caller, callee in sorted(edges):
        callees[caller].append(callee)
    parent, function, seen, waiting = [-1], [0], set(), [0]
    while waiting:
        node = waiting.pop()
        below = callees[function[node]]
        if function[node] in seen:
            below = [callee for callee in below if chance.random() < 0.15]
        seen.add(function[node])
        for callee in below:
            waiting.append(len(parent))
            parent.append(node)
            function.append(callee)
    calls = [chance.randrange(1, 50) for _ in parent]
    self_ns = [min(10**9, int(chance.paretovariate(0.9) * 1_000)) for _ in parent]
    columns = (parent, function, calls, self_ns)
    return CallTree(functions, *(array("q", column) for column in columns))


@dataclass(frozen=True)
class Viewer:
    """A program: how it is started on a file at a port, where it shows it, what is seen there.

    `path` is given the file and what the program printed. `drawn` and `table` select what is
    there when the flame view and the table are; None of what has none. `sort` clicks on the
    page and returns when the table is in another order.
    """

    name: str
    command: Callable[[str, int], list[str]]
    path: Callable[[str, str], str]
    drawn: str | None
    table: str | None
    sort: Callable[[Any], None] | None = None
    table_query: str = ""


@dataclass
class Figures:
    """What was measured of one viewer in each round; None where it was given up.

    Rounds after that are empty, and no part of a median.
    """

    rows: list[dict[str, float | None]] = field(default_factory=list)

    def known(self, column: str) -> list[float]:
        """The values of a column; none of them where a round has none."""
        values = [row.get(column) for row in self.rows if row]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else []

    def median(self, column: str) -> float | None:
        """The median of a column; None where a round has none."""
        return statistics.median(known) if (known := self.known(column)) else None

    def quartiles(self, column: str) -> tuple[float, float] | None:
        """Between which values half of a column lies; None where that cannot be told."""
        if len(known := self.known(column)) < 2:
            return None
        low, _, high = statistics.quantiles(known, n=4, method="inclusive")
        return low, high


def wait_for(page: Any, selector: str) -> None:
    """Wait for an element, looking for it at each frame."""
    page.wait_for_function("selector => document.querySelector(selector)", arg=selector)


def sort_ours(page: Any) -> None:
    page.click("th.cumulative a")
    wait_for(page, "th.cumulative[aria-sort]")


def sort_snakeviz(page: Any) -> None:
    page.click("#pstats-table th >> nth=3")
    wait_for(page, "#pstats-table th.sorting_asc")


def sort_explorer(page: Any) -> None:
    before = page.url
    page.click("thead th a >> nth=0")
    page.wait_for_function(
        "before => location.href !== before && document.readyState === 'complete'", arg=before
    )


VIEWERS = (
    Viewer(
        "flaskprof",
        lambda file, port: [
            *("flaskprof", "open", file, "--no-browser", "--port", str(port)),
        ],
        lambda _, printed: re.findall(r"http://[^/]*(\S*)", printed)[0],
        "canvas.flame[data-drawn]",
        "table.functions tbody tr",
        sort_ours,
        "?view=table",
    ),
    Viewer(
        "snakeviz",
        lambda file, port: ["snakeviz", "--server", "--port", str(port), file],
        lambda file, _: f"/snakeviz/{quote(file, safe='')}",
        "#chart svg rect, #chart svg path",
        "#pstats-table tbody tr",
        sort_snakeviz,
    ),
    Viewer(
        "tuna",
        lambda file, port: ["tuna", "--no-browser", "--port", str(port), file],
        lambda *_: "/",
        "svg g rect",
        None,
    ),
    Viewer(
        "profiling-explorer",
        lambda file, port: ["profiling-explorer", "--port", str(port), file],
        lambda *_: "/",
        None,
        "tbody tr",
        sort_explorer,
    ),
)


@dataclass(frozen=True)
class Place:
    """Where viewers are run: `programs` is a path of programs, `compiled` a folder."""

    file: str
    programs: str
    compiled: str

    @contextlib.contextmanager
    def running(self, viewer: Viewer) -> Iterator[tuple[int, str, float] | None]:
        """Start a viewer, and end it; give its process, address and seconds until it answers.

        It is nothing where it does not answer.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = viewer.command(self.file, port)
        command[0] = shutil.which(command[0], path=self.programs) or command[0]
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": self.compiled}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        with tempfile.TemporaryFile() as output:
            begin = time.perf_counter()
            process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, env=environ
            )
            resource.prlimit(process.pid, resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
            try:
                base = f"http://127.0.0.1:{port}"
                if answers(base, process, begin + LIMIT_SECONDS):
                    started = time.perf_counter() - begin
                    output.seek(0)
                    url = base + viewer.path(self.file, output.read().decode())
                    yield process.pid, url, started
                else:
                    yield None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def measured(viewer: Viewer, place: Place, browser: Any) -> dict[str, float | None]:
    """Start a viewer, look at its page, and end it."""
    found: dict[str, float | None] = {}
    with place.running(viewer) as run:
        if run:
            pid, url, started = run
            look(viewer, browser, url, found)
            first = found.get("drawn") if viewer.drawn else found.get("table")
            found["ready"] = None if first is None else started + first
            found["memory"] = megabytes(pid, "VmRSS")
            found["peak"] = megabytes(pid, "VmHWM")
    return found


def look(viewer: Viewer, browser: Any, url: str, found: dict[str, float | None]) -> None:
    """Open the flame view, then the table as a new visitor, and sort it."""
    if viewer.drawn:
        with opened(browser, url, viewer.drawn) as (_, drawn, weight):
            found |= {"drawn": drawn, "flame_weight": weight}
    if viewer.table and viewer.sort:
        with opened(browser, url + viewer.table_query, viewer.table) as (page, shown, weight):
            found |= {"table": shown, "table_weight": weight}
            begin = time.perf_counter()
            if page:
                viewer.sort(page)
                found["sorted"] = time.perf_counter() - begin


@contextlib.contextmanager
def opened(
    browser: Any, url: str, seen: str
) -> Iterator[tuple[Any, float | None, float | None]]:
    """Open a page; give it, the seconds until `seen` was seen and the megabytes received.

    All are None where that takes too long.
    """
    from playwright.sync_api import Error

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(f"({NOTE_FIRST_FRAME})({json.dumps(seen)})")
    page.set_default_timeout(LIMIT_SECONDS * 1_000)
    received: list[Any] = []

    def note(request: Any) -> None:
        received.append(request)

    page.on("requestfinished", note)
    begin = time.time()
    try:
        page.goto(url, wait_until="commit")
        page.wait_for_function("() => window.firstSeen")
    except Error:
        yield None, None, None
    else:
        seconds = page.evaluate("window.firstSeen") - begin
        page.wait_for_load_state("networkidle")  # what is fetched after the first sight, too
        weight = sum(request.sizes()["responseBodySize"] for request in received) / 1e6
        yield page, seconds, weight
    finally:
        context.close()


def answers(base: str, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait until a server answers, whatever it does."""
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(base + "/favicon.ico", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def megabytes(pid: int, which: str) -> float:
    """Return the memory that a process has, or the most that it had (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def spread(figures: Figures, column: str, digits: int) -> str:
    """Return the quartiles of a column as the table prints them."""
    found = figures.quartiles(column)
    return " to ".join(number(value, digits) for value in found) if found else ""


def cell(viewer: Viewer, column: str, value: float | None, digits: int) -> str:
    """Return a figure as the table prints it, or why there is none."""
    if value is not None:
        return number(value, digits)
    if column in {"drawn", "flame_weight"} and not viewer.drawn:
        return "no flame view"
    if column in {"sorted", "table_weight"} and not viewer.table:
        return "no table"
    return f"> {LIMIT_SECONDS}" if column in {"ready", "drawn", "sorted"} else "-"


def misses(figures: dict[str, Figures]) -> list[str]:
    """Say which bars flaskprof misses."""
    ours = figures["flaskprof"]
    found = [
        f"{column} is {value}, of {bar} allowed"
        for column, bar in BARS.items()
        if (value := ours.median(column)) is None or value > bar
    ]
    for name, theirs in figures.items():
        for column in COLUMNS:
            ours_now, theirs_now = ours.median(column), theirs.median(column)
            if name != "flaskprof" and ours_now and theirs_now and ours_now >= theirs_now:
                found.append(f"{column}: {name} is ahead")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[viewer.name for viewer in VIEWERS])
    parser.add_argument("--programs", default="", metavar="DIR", help="where the others are")
    parser.add_argument("--chromium", default=shutil.which("chromium"), metavar="PATH")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    places = (options.programs, str(Path(sys.executable).parent), os.environ["PATH"])
    programs = os.pathsep.join(place for place in places if place)
    chosen = []
    for viewer in VIEWERS:
        if options.only and viewer.name not in options.only:
            continue
        if shutil.which(viewer.command("", 0)[0], path=programs):
            chosen.append(viewer)
        else:
            print(f"{viewer.name} is not installed: pip install {viewer.name}")
    figures = {viewer.name: Figures() for viewer in chosen}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = str(Path(folder) / "large.prof")
        data = write_profile(call_graph(a_program()))
        Path(file).write_bytes(data)
        place = Place(file, programs, str(Path(folder) / "compiled"))
        for viewer in chosen:
            with place.running(viewer):
                pass  # its modules are compiled by that
        for _ in range(options.rounds):
            for viewer in chosen:
                browser = playwright.chromium.launch(
                    executable_path=options.chromium, args=ARGUMENTS
                )
                rows = figures[viewer.name].rows
                # What was given up once is not waited for again.
                rows.append(
                    measured(viewer, place, browser)
                    if not rows or rows[-1].get("ready") is not None
                    else {}
                )
                version = browser.version
                browser.close()
    print(
        f"Python {sys.version.split()[0]}, Chromium {version}; {FUNCTIONS:,} functions, "
        f"{EDGES:,} edges, {len(data) / 1e6:.1f} MB; medians of {options.rounds}"
    )
    print(f"{'':20}" + "".join(f"{head:>15}" for head, _ in COLUMNS.values()))
    for viewer in chosen:
        cells = [
            cell(viewer, column, figures[viewer.name].median(column), digits)
            for column, (_, digits) in COLUMNS.items()
        ]
        print(f"{viewer.name:20}" + "".join(f"{text:>15}" for text in cells))
        spreads = [
            spread(figures[viewer.name], column, digits)
            for column, (_, digits) in COLUMNS.items()
        ]
        print(f"{'':20}" + "".join(f"{text:>15}" for text in spreads))
    if found := misses(figures) if "flaskprof" in figures else []:
        print("\n".join(found))
        if options.check:
            sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
