"""Performance tests without a clock, for pytest.

There are the marker `profile_budget`, the fixture `profiled` and ``--profile-slowest``. This
module is loaded into every run of pytest where flaskprof is installed; it imports the rest of
flaskprof only when it is used.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from flaskprof.testing import Budget, Counted

__all__ = ["Profiled", "profiled"]

MARKER = "profile_budget"

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("flaskprof").addoption(
        "--profile-slowest",
        type=int,
        default=0,
        metavar="N",
        help="profile every test and keep captures of the N slowest, in FLASKPROF_DIR",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and profile all tests where that is wanted."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(calls={{regex: n}}, max_calls=None, queries=None, warmup=1): fail the test "
        "where it makes more calls or database queries (flaskprof)",
    )
    slowest = config.getoption("profile_slowest")
    if slowest > 0:
        from flaskprof.slowest import SlowestTests  # noqa: PLC0415  only where it is used

        config.pluginmanager.register(SlowestTests(slowest), "flaskprof-slowest")


class Profiled:
    """Calls functions and counts what they do; `last` is what the latest call did.

    Where the test has the marker, each call must keep its budget.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._last: Counted[Any] | None = None

    def __call__(self, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """Call `function` to warm up, then once more and count; return what it returned."""
        from flaskprof.testing import count, warm_up  # noqa: PLC0415  only where it is used

        times = 1 if self._budget is None else self._budget.warmup
        warm_up(times, function, *arguments, **keywords)
        counted = count(function, *arguments, **keywords)
        self._last = counted
        if self._budget is not None:
            _check(self._budget, counted)
        return counted.result

    @property
    def last(self) -> Counted[Any]:
        """What the latest call did; raises RuntimeError where there was none."""
        if self._last is None:
            raise RuntimeError("nothing was counted yet: call profiled(function, …) first")
        return self._last

    @property
    def queries(self) -> int | None:
        """How many database queries the latest call made; None where they were not seen."""
        return self.last.queries

    @property
    def total_calls(self) -> int:
        """How many calls the latest call made in all."""
        return self.last.total_calls

    def calls(self, pattern: str) -> dict[str, int]:
        """Return the calls of each function whose whole dotted name matches `pattern`."""
        return self.last.calls(pattern)

    @property
    def was_called(self) -> bool:
        """Whether anything was counted."""
        return self._last is not None


@pytest.fixture
def profiled(request: pytest.FixtureRequest) -> Generator[Profiled]:
    """Call a function by it to count its calls and queries: ``profiled(client.get, "/")``."""
    budget = _budget_of(request.node)
    of_test = Profiled(budget)
    yield of_test
    if budget is not None and not of_test.was_called:
        pytest.fail(f"the {MARKER} of this test was never looked at: call profiled(…)", False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Hold the body of a test with the marker to its budget, unless it uses the fixture."""
    if pyfuncitem.get_closest_marker(MARKER) is None or "profiled" in pyfuncitem.fixturenames:
        return None
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        pytest.fail(f"{MARKER} on an async test: call what it is about by `profiled`", False)
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001  as pytest itself calls the test
    Profiled(_budget_of(pyfuncitem))(
        test, **{name: pyfuncitem.funcargs[name] for name in names}
    )
    return True


def _budget_of(node: pytest.Item) -> Budget | None:
    marker = node.get_closest_marker(MARKER)
    if marker is None:
        return None
    from flaskprof.errors import ConfigError  # noqa: PLC0415  only where it is used
    from flaskprof.testing import Budget  # noqa: PLC0415  as above

    taken = list(inspect.signature(Budget).parameters)
    if marker.args or not set(marker.kwargs) <= set(taken):
        given = [
            *map(repr, marker.args),
            *(name for name in marker.kwargs if name not in taken),
        ]
        pytest.fail(f"{MARKER} takes {', '.join(taken)}, and not {', '.join(given)}", False)
    if not marker.kwargs:
        pytest.fail(f"{MARKER} without a budget: give it queries, calls or max_calls", False)
    try:
        return Budget(**marker.kwargs)
    except ConfigError as error:
        pytest.fail(f"{MARKER}: {error}", False)


def _check(budget: Budget, counted: Counted[Any]) -> None:
    from flaskprof.testing import overrun  # noqa: PLC0415  only where it is used

    text = overrun(budget, counted)
    if text:
        pytest.fail(f"over the budget\n{text}", pytrace=False)
