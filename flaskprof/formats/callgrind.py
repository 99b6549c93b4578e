"""Call graphs in callgrind's format, which KCachegrind and ``callgrind_annotate`` read.

The format is https://valgrind.org/docs/manual/cl-format.html. It knows what pstats knows:
self costs of functions, and calls with their inclusive costs between two of them.
"""

from __future__ import annotations

from collections import Counter

from flaskprof.profiles.function import nanoseconds
from flaskprof.profiles.model import CallGraph, Function

__all__ = ["write_callgrind"]

_HEADER = """\
# callgrind format
version: 1
creator: flaskprof
positions: line
event: ns : {measured}
events: ns
summary: {total}
"""


def write_callgrind(graph: CallGraph) -> bytes:
    """Return `graph` as text, times in nanoseconds, functions in sorted order.

    Functions of one name in one file have their line after it, since the format knows them
    by their names alone. Costs stand on the line where a function begins. Where calls were not
    counted, as in samples, there is one.
    """
    columns = graph.columns
    callees: dict[int, list[tuple[Function, int]]] = {}
    for number in columns.by_name:
        for edge in range(columns.first_edge[number], columns.first_edge[number + 1]):
            of_caller = callees.setdefault(columns.caller[edge], [])
            of_caller.append((columns.names[number], edge))
    names = _Names(graph)
    total = sum(map(nanoseconds, columns.total.self_seconds))
    measured = "Nanoseconds, of samples" if graph.is_sampled else "Nanoseconds"
    lines = [_HEADER.format(total=total, measured=measured)]
    for number in columns.by_name:
        function = columns.names[number]
        lines.append(f"fl={names.file(function)}\nfn={names.function(function)}\n")
        lines.append(f"{function.line} {nanoseconds(columns.total.self_seconds[number])}\n")
        for callee, edge in callees.get(number, ()):
            lines.append(f"cfi={names.file(callee)}\ncfn={names.function(callee)}\n")
            # Samples may be of callees alone. Readers take the costs of no call at all for
            # the caller's own.
            lines.append(f"calls={max(1, columns.edges.calls[edge])} {callee.line}\n")
            lines.append(
                f"{function.line} {nanoseconds(columns.edges.cumulative_seconds[edge])}\n"
            )
        lines.append("\n")
    return "".join(lines).encode("utf-8", "backslashreplace")


class _Names:
    """Names as the format has them: a number, and the first time what it stands for."""

    def __init__(self, graph: CallGraph) -> None:
        self._namesakes = Counter(
            (function.file, function.name) for function in graph.functions
        )
        self._files: dict[str, int] = {}
        self._functions: dict[Function, int] = {}

    def file(self, function: Function) -> str:
        known = function.file in self._files
        number = self._files.setdefault(function.file, len(self._files) + 1)
        return f"({number})" if known else f"({number}) {_visible(function.file)}"

    def function(self, function: Function) -> str:
        known = function in self._functions
        number = self._functions.setdefault(function, len(self._functions) + 1)
        if known:
            return f"({number})"
        name = function.name
        if self._namesakes[function.file, name] > 1:
            name = f"{name}:{function.line}"
        return f"({number}) {_visible(name)}"


def _visible(name: str) -> str:
    """Return a name on one line, and not empty, which would be a reference to itself."""
    if not name.isprintable():
        name = name.encode("unicode_escape").decode()
    return name.strip() or "?"
