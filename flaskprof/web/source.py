"""Source files that a profile names, read with care and coloured.

A profile may come from anywhere and name any file. So a file is only read if it lies, after
all links are followed, below a folder that is allowed, is called ``*.py``, is a regular file
and not large. Whoever asks names a function of a profile, never a path. A script that was
recorded as ``python -m cProfile app.py`` is named so: it is looked for in all allowed folders.
"""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import sys
import sysconfig
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flaskprof.errors import FlaskprofError
from flaskprof.web.figures import visible

__all__ = [
    "Block",
    "SourceRefused",
    "block_of",
    "coloured",
    "lines_of",
    "read_source",
    "roots_of",
]

_LINE_END = re.compile(r"\r\n|\r|\n")
_MOST_BYTES = 2 * 2**20
_MOST_COLOURED = 300_000  # characters; what is longer is shown plain
_MOST_IN_LINE = 400
_LINES_WITHOUT_BLOCK = 40


class SourceRefused(FlaskprofError):
    """A source file is not shown; the message says why."""


class Block(NamedTuple):
    """The first and last line of a function, counted from one."""

    first: int
    last: int


def roots_of(setting: Sequence[str], *, is_development: bool) -> tuple[Path, ...]:
    """Return the folders whose files may be shown.

    "auto" stands for the working directory and for what Python has installed, and for
    nothing outside development; "off" for nothing; anything else is a folder.
    """
    roots: list[str] = []
    for item in setting:
        if item == "auto" and is_development:
            paths = sysconfig.get_paths()
            roots += [
                str(Path.cwd()),
                *(paths[name] for name in ("purelib", "platlib", "stdlib")),
            ]
            roots += [path for path in sys.path if path.endswith("site-packages")]
        elif item not in ("auto", "off"):
            roots.append(str(Path(item).expanduser()))
    return tuple(dict.fromkeys(Path(os.path.realpath(root)) for root in roots))


def read_source(file: str, roots: Sequence[Path], names: str = "", line: int = 0) -> str:
    """Return the text of a source file below one of `roots`; raises `SourceRefused`.

    A relative path is that of the first of `roots` where there is such a file; it has to have
    what `names` says in the block that begins at `line`, as another file may be called so.
    """
    if not roots:
        raise SourceRefused(
            "Source is not shown here. In development it is; elsewhere the setting "
            "FLASKPROF_SOURCE names the folders whose files may be shown."
        )
    path = Path(file)
    if "\0" in file or ".." in path.parts:
        raise SourceRefused("The profile names no file that could be found here.")
    if path.suffix != ".py":
        raise SourceRefused("Only files of Python source, *.py, are shown.")
    if path.is_absolute():
        return _read(path, roots)
    for root in roots:
        try:
            text = _read(root / path, roots)
        except SourceRefused:
            continue
        block = block_of(text, line)
        if names in "\n".join(lines_of(text)[block.first - 1 : block.last]):
            return text
    raise SourceRefused(
        "The profile names this file without the folder where it was recorded, and it is in "
        "none of those whose files may be shown: start the viewer there, or let the setting "
        "FLASKPROF_SOURCE name it."
    )


def _read(path: Path, roots: Sequence[Path]) -> str:
    try:
        real = Path(os.path.realpath(path, strict=True))
    except (OSError, ValueError):
        raise SourceRefused("There is no such file on this machine.") from None
    if real.suffix != ".py" or not any(real.is_relative_to(root) for root in roots):
        raise SourceRefused(
            "This file lies outside of the folders whose files may be shown; the setting "
            "FLASKPROF_SOURCE names them."
        )
    return _text(_content(real))


def _content(real: Path) -> bytes:
    """Read a regular file, which must not have become a link or a device meanwhile."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(real, flags), "rb") as file:  # noqa: PTH123  of a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceRefused("This is not a regular file.")
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SourceRefused(f"The file cannot be read: {error.strerror}.") from error
    if len(content) > _MOST_BYTES:
        raise SourceRefused(f"The file is larger than {_MOST_BYTES // 2**20} MiB.")
    return content


def _text(content: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding, "replace")
    except (LookupError, SyntaxError, UnicodeError):
        return content.decode("utf-8", "replace")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as Python counts them."""
    return _LINE_END.split(text)


def block_of(text: str, line: int) -> Block:
    """Return the lines of the function that begins at `line`; a line below 1 is the file."""
    count = len(lines_of(text))
    if line < 1:
        return Block(1, max(count, 1))
    last = min(count, line + _LINES_WITHOUT_BLOCK)
    try:
        # What is deeply nested, or no Python, has no block that we know of.
        parsed = ast.parse(text)
        ends = [
            node.end_lineno or line
            for node in ast.walk(parsed)
            if isinstance(node, _BLOCKS) and _first_line(node) == line
        ]
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return Block(line, last)
    return Block(line, max(ends) if ends else last)


_BLOCKS = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.Lambda
    | ast.GeneratorExp
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
)


def _first_line(node: ast.AST) -> int:
    """Return the line that code of `node` says it begins at: that of its first decorator."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first: int = getattr(node, "lineno", 0)
    return min([first, *(decorator.lineno for decorator in decorators)])


def coloured(lines: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    """Yield for each line its pieces: a class for its colour, or nothing, and a text.

    Without Pygments, and of very long texts, a line is one piece without a colour.
    """
    lines = [visible(_cut(line.expandtabs(4))) for line in lines]
    text = "\n".join(lines)
    try:
        from pygments.lexers.python import PythonLexer  # noqa: PLC0415  an extra
    except ImportError:
        text = ""
    if not text or len(text) > _MOST_COLOURED:
        yield from ([("", line)] for line in lines)
        return
    pieces: list[tuple[str, str]] = []
    for _, token, value in PythonLexer().get_tokens_unprocessed(text):
        colour = next((name for kind, name in _COLOURS if kind in str(token)), "")
        first, *rest = value.split("\n")
        if first:
            pieces.append((colour, first))
        for part in rest:
            yield pieces
            pieces = [(colour, part)] if part else []
    yield pieces


def _cut(line: str) -> str:
    return line if len(line) <= _MOST_IN_LINE else line[:_MOST_IN_LINE] + "…"


# What a kind of token of Pygments is called in the style sheet; the first that fits.
_COLOURS = (
    ("Token.Comment", "comment"),
    ("Token.Literal.String", "string"),
    ("Token.Literal.Number", "literal"),
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Decorator", "decorator"),
    ("Token.Name.Builtin", "known"),
)
