"""The source of a function, its times at the line where it is defined.

Times are known of functions, not of lines: each function of the file that the profile saw
stands at the line of its definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flaskprof.profiles.kinds import is_builtin
from flaskprof.profiles.model import Function
from flaskprof.profiles.table import row_of
from flaskprof.web.panels import Panel
from flaskprof.web.rows import FunctionName, FunctionRow, function_name, function_row, row_data
from flaskprof.web.source import Block, SourceRefused, block_of, coloured, lines_of, read_source
from flaskprof.web.subject import Subject

__all__ = ["source"]

_MOST_LINES = 3_000
_LINES_AROUND = 3


class Line(NamedTuple):
    """A line of source: coloured pieces, and the functions that begin at it."""

    number: int
    pieces: Sequence[tuple[str, str]]
    functions: Sequence[FunctionRow]
    is_selected: bool
    is_around: bool


class SourceView(NamedTuple):
    """The lines of a function or of its whole file, or why there are none.

    Where more than can be shown were wanted, they are `of_lines`.
    """

    function: FunctionName | None
    lines: Sequence[Line] = ()
    of_lines: int = 0
    refused: str = ""
    is_sampled: bool = False
    whole_url: str = ""
    block_url: str = ""


def source(subject: Subject, function: Function | None) -> Panel:
    """Show where a function is defined; without a selection, the hottest one."""
    function = function or subject.overall.hottest
    if function is None:
        return Panel("_source.html", SourceView(None, refused="The profile is empty."), dict)
    name = function_name(function, url=subject.function_page(function), kinds=subject.kinds)
    try:
        text = _source_of(subject, function)
    except SourceRefused as error:
        reason = str(error)
        view = SourceView(name, refused=reason)
        return Panel("_source.html", view, lambda: {"source": {"refused": reason}})
    is_whole = subject.visit.query.get("whole", "") == "1"
    block = block_of(text, function.line)
    lines = _lines(subject, function, text, block, is_whole=is_whole)
    wanted = Block(1, len(lines_of(text))) if is_whole else block
    is_cut = lines and (lines[0].number > wanted.first or lines[-1].number < wanted.last)
    view = SourceView(
        name,
        lines=lines,
        of_lines=wanted.last - wanted.first + 1 if is_cut else 0,
        is_sampled=subject.truth == "sampled",
        whole_url="" if is_whole else _url(subject, function, whole="1"),
        block_url=_url(subject, function) if is_whole else "",
    )

    def data() -> Mapping[str, Any]:
        return {
            "source": {
                "file": function.file,
                "first_line": block.first,
                "last_line": block.last,
                "functions": [
                    row_data(
                        row_of(subject.graph, found),
                        url=subject.function_page(found),
                        kinds=subject.kinds,
                    )
                    for found in _functions_of(subject, function.file)
                ],
            }
        }

    return Panel("_source.html", view, data)


def _source_of(subject: Subject, function: Function) -> str:
    if is_builtin(function):
        raise SourceRefused("A builtin is written in C: there is no Python source of it.")
    # Names of what has none, as <lambda>, are not in its source.
    name = "" if function.name.startswith("<") else function.name.rpartition(".")[2]
    return read_source(function.file, subject.visit.source_roots(), name, function.line)


def _url(subject: Subject, function: Function, **query: str) -> str:
    fragment = f"#l{max(function.line - 5, 1)}" if query else ""
    return subject.page(view="source", fn=subject.key(function), **query) + fragment


def _functions_of(subject: Subject, file: str) -> list[Function]:
    return sorted(function for function in subject.graph.functions if function.file == file)


def _lines(
    subject: Subject, function: Function, text: str, block: Block, *, is_whole: bool
) -> list[Line]:
    """Show a block with a few lines around it, or as much of the file as is shown at all."""
    every = lines_of(text)
    first = 0 if is_whole else max(block.first - 1 - _LINES_AROUND, 0)
    last = len(every) if is_whole else min(block.last + _LINES_AROUND, len(every))
    if last - first > _MOST_LINES:
        first = max(min(block.first - 1 - _LINES_AROUND, last - _MOST_LINES), first)
        last = first + _MOST_LINES
    at: dict[int, list[FunctionRow]] = {}
    for found in _functions_of(subject, function.file):
        row = function_row(
            row_of(subject.graph, found),
            url=subject.function_page(found),
            kinds=subject.kinds,
            is_selected=found == function,
        )
        at.setdefault(max(found.line, 1), []).append(row)
    return [
        Line(
            number=number,
            pieces=pieces,
            functions=at.get(number, ()),
            is_selected=number == function.line,
            is_around=not is_whole and not block.first <= number <= block.last,
        )
        for number, pieces in enumerate(list(coloured(every))[first:last], first + 1)
    ]
