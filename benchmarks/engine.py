"""What recording costs: slow-down factors of the engines beside cProfile, yappi, pyinstrument.

Every subject records the same four programs, in turns within each round, so that whatever
else the machine does meets all of them alike. A factor is the median, over all rounds, of the
thread's CPU time with the subject over that without one in the same round. Further: how much
slower a thread becomes that only runs beside a capture, what starting and stopping one costs
next to two bare calls of ``sys.monitoring.set_events``, and whether anything is left on when
nothing is captured. ``--check`` fails where a figure is over its bar.

::

    python benchmarks/engine.py --check
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import platform
import statistics
import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any

HAS_MONITORING = sys.version_info >= (3, 12)

# Slow-down (factor - 1) of ours as a share of cProfile's, and start + stop as a multiple of
# two bare set_events calls.
REQUEST_BAR = 0.6 if HAS_MONITORING else 0.75
BESIDE_BAR = 0.35
START_STOP_BAR = 3.0
# Where nothing is captured nothing is on; the rest is noise of this machine.
IDLE_BAR = 1.05


# ---- what is recorded


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def call_bound() -> None:
    fibonacci(17)


def builtin_bound() -> None:
    items: list[int] = []
    append = items.append
    for _ in range(4_000):
        append(len("x"))
        isinstance(items, list)


class Point:
    """Something with an attribute or two and a method."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def norm(self) -> int:
        """Return the sum of what it is away from zero."""
        return abs(self.x) + abs(self.y)


def mixed() -> None:
    total = 0
    for number in range(1_000):
        point = Point(number, -number)
        total += point.norm() + sum(value for value in (1, 2, 3))
        "-".join([str(number), "x"]).split("-")
    json.loads(json.dumps({"total": total, "rows": [{"n": n} for n in range(50)]}))


TEMPLATE = """<table>{% for order in orders %}<tr><td>{{ order.id }}</td>
<td>{{ order.customer | upper }}</td><td>{{ order.lines | sum(attribute="price") }}</td>
<td>{{ "%.2f" | format(order.lines | length / 3) }}</td></tr>{% endfor %}</table>"""


def make_request() -> Callable[[], None]:
    import flask
    import sqlalchemy
    from sqlalchemy import orm
    from sqlalchemy.pool import StaticPool
    from werkzeug.test import EnvironBuilder

    base: Any = orm.declarative_base()

    class Order(base):
        __tablename__ = "orders"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        customer = sqlalchemy.Column(sqlalchemy.String)
        lines = orm.relationship("Line", lazy="selectin")

    class Line(base):
        __tablename__ = "lines"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        order_id = sqlalchemy.Column(sqlalchemy.ForeignKey("orders.id"))
        price = sqlalchemy.Column(sqlalchemy.Integer)

    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all(
            Order(customer=f"customer {n}", lines=[Line(price=n + m) for m in range(4)])
            for n in range(40)
        )
        session.commit()
    app = flask.Flask("shop")

    @app.get("/orders/<int:limit>")
    def orders(limit: int) -> str:
        with orm.Session(engine) as session:
            found = session.scalars(
                sqlalchemy.select(Order).order_by(Order.id).limit(limit)
            ).all()
            return flask.render_template_string(TEMPLATE, orders=found)

    environ = EnvironBuilder("/orders/30").get_environ()

    def request() -> None:
        body = b"".join(app(dict(environ), lambda *_: None))
        assert body.count(b"CUSTOMER") == 30

    return request


# ---- what records


def with_engine(engine: Any) -> Callable[[Callable[[], None]], None]:
    def record(work: Callable[[], None]) -> None:
        recording = engine.start()
        recording.on()
        work()
        recording.off()
        recording.stop()

    return record


def nothing(work: Callable[[], None]) -> None:
    work()


def cprofile(work: Callable[[], None]) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    work()
    profiler.disable()


def yappi(work: Callable[[], None]) -> None:
    import yappi

    yappi.set_clock_type("wall")
    yappi.start(builtins=True, profile_threads=False)
    work()
    yappi.stop()
    yappi.clear_stats()


def pyinstrument(work: Callable[[], None]) -> None:
    from pyinstrument import Profiler

    profiler = Profiler()
    profiler.start()
    work()
    profiler.stop()


def subjects() -> dict[str, Callable[[Callable[[], None]], None]]:
    from flaskprof.capture.calltree import CallTreeEngine
    from flaskprof.capture.python_engine.engine import PythonEngine

    found = {
        "nothing": nothing,
        "cProfile": cprofile,
        "flaskprof": with_engine(CallTreeEngine()),
        "flaskprof, monotonic clock": with_engine(CallTreeEngine(clock="monotonic")),
        "flaskprof, engine in Python": with_engine(PythonEngine()),
    }
    for name, subject in (("yappi", yappi), ("pyinstrument", pyinstrument)):
        try:
            __import__(name)
        except ImportError:
            print(f"{name} is not installed and left out", file=sys.stderr)
        else:
            found[name] = subject
    return found


# ---- measuring


def cpu_ns(function: Callable[..., None], *arguments: Any) -> int:
    started = thread_time_ns()
    function(*arguments)
    return thread_time_ns() - started


def in_turns(calls: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[int]]:
    """Call all in each round, each round in another order; return what they returned."""
    names = list(calls)
    found: dict[str, list[int]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(calls[name]())
    return found


def factors(found: dict[str, list[int]], of: str = "nothing") -> dict[str, float]:
    return {
        name: statistics.median(a / b for a, b in zip(values, found[of], strict=True))
        for name, values in found.items()
    }


def slow_downs(work: Callable[[], None], rounds: int) -> dict[str, float]:
    calls = {
        name: (lambda subject=subject: cpu_ns(subject, work))
        for name, subject in subjects().items()
    }
    in_turns(calls, 2)
    return factors(in_turns(calls, rounds))


def beside(rounds: int) -> dict[str, float]:
    """Slow-down of a thread that runs while another thread is captured and waits."""

    def measured(subject: Callable[[Callable[[], None]], None]) -> int:
        times: list[int] = []

        def wait_for_other() -> None:
            thread = threading.Thread(target=lambda: times.append(cpu_ns(mixed)))
            thread.start()
            thread.join()

        subject(wait_for_other)
        return times[0]

    names = ("nothing", "cProfile", "flaskprof", "flaskprof, engine in Python")
    calls = {
        name: (lambda subject=subject: measured(subject))
        for name, subject in subjects().items()
        if name in names
    }
    in_turns(calls, 2)
    return factors(in_turns(calls, rounds))


def start_stop(rounds: int, threads: int) -> dict[str, float]:
    """Microseconds of one start, on, off and stop, and of two bare set_events calls."""
    from flaskprof.capture.calltree import CallTreeEngine

    engine = CallTreeEngine()
    events = sys.monitoring.events
    mask = events.PY_START | events.PY_RESUME | events.PY_THROW | events.PY_RETURN
    mask |= events.PY_YIELD | events.PY_UNWIND | events.CALL
    mask |= events.C_RETURN | events.C_RAISE
    set_events = sys.monitoring.set_events

    def bare() -> int:
        started = perf_counter_ns()
        set_events(4, mask)
        set_events(4, 0)
        return perf_counter_ns() - started

    def ours() -> int:
        started = perf_counter_ns()
        recording = engine.start()
        recording.on()
        recording.off()
        recording.stop()
        return perf_counter_ns() - started

    over = threading.Event()
    waiting = [threading.Thread(target=over.wait) for _ in range(threads)]
    for thread in waiting:
        thread.start()
    sys.monitoring.use_tool_id(4, "bare")
    try:
        found = in_turns({"bare": bare, "ours": ours}, rounds)
    finally:
        sys.monitoring.free_tool_id(4)
        over.set()
        for thread in waiting:
            thread.join()
    return {
        **{f"{name}_us": statistics.median(values) / 1e3 for name, values in found.items()},
        "factor": factors(found, of="bare")["ours"],
    }


def idle(rounds: int) -> float:
    """Return the time of the mixed program between captures over that before the first one.

    The least of many, since these two cannot be measured in turns.
    """
    from flaskprof.capture.calltree import CallTreeEngine

    record = with_engine(CallTreeEngine())
    before = [cpu_ns(mixed) for _ in range(5 * rounds)]
    after = []
    for _ in range(5 * rounds):
        record(call_bound)
        if HAS_MONITORING:
            assert [sys.monitoring.get_tool(tool) for tool in range(6)] == [None] * 6
        assert sys.getprofile() is None
        cpu_ns(mixed)  # code that was instrumented is mended when it runs next
        after.append(cpu_ns(mixed))
    return min(after) / min(before)


def measure(rounds: int) -> dict[str, Any]:
    request = make_request()
    for _ in range(20):
        request()
    gc.collect()
    gc.disable()
    results: dict[str, Any] = {"python": platform.python_version(), "idle": idle(rounds)}
    works = {
        "calls": call_bound,
        "builtins": builtin_bound,
        "mixed": mixed,
        "request": request,
    }
    results["slow_down"] = {name: slow_downs(work, rounds) for name, work in works.items()}
    results["beside"] = beside(rounds)
    if HAS_MONITORING:
        results["start_stop"] = start_stop(50 * rounds, threads=0)
        results["start_stop_beside_16_threads"] = start_stop(50 * rounds, threads=16)
    gc.enable()
    return results


def share(factors_: dict[str, float], name: str = "flaskprof") -> float:
    """Return the slow-down of `name` as a share of cProfile's."""
    return (factors_[name] - 1) / (factors_["cProfile"] - 1)


def failures(results: dict[str, Any]) -> list[str]:
    bars = [
        ("the whole request", share(results["slow_down"]["request"]), REQUEST_BAR),
        ("idle", results["idle"], IDLE_BAR),
    ]
    if HAS_MONITORING:
        bars.append(("a thread beside", share(results["beside"]), BESIDE_BAR))
        bars.append(("start and stop", results["start_stop"]["factor"], START_STOP_BAR))
    return [f"{name}: {found:.2f} is over {bar}" for name, found, bar in bars if found > bar]


def print_tables(results: dict[str, Any]) -> None:
    works = results["slow_down"]
    print(f"Python {results['python']}: slow-down factors (of cProfile's slow-down)\n")
    print(f"{'':28}" + "".join(f"{work:>16}" for work in works))
    for name in works["request"]:
        row = "".join(
            f"{works[work][name]:9.2f}{f' ({share(works[work], name):.2f})':>7}"
            for work in works
        )
        print(f"{name:28}{row}")
    print("\na thread beside a capture that waits:")
    for name, factor in results["beside"].items():
        print(f"{name:28}{factor:9.2f}")
    for key in ("start_stop", "start_stop_beside_16_threads"):
        if key in results:
            found = results[key]
            print(
                f"\n{key.replace('_', ' ')}: {found['ours_us']:.1f} us, two bare set_events "
                f"{found['bare_us']:.1f} us, factor {found['factor']:.2f}"
            )
    print(f"\nbetween captures, over before the first: {results['idle']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41, help="rounds of each measurement")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--check", action="store_true", help="fail where a bar is not reached")
    arguments = parser.parse_args()
    results = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print_tables(results)
    if arguments.check and (found := failures(results)):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
