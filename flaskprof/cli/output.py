"""Writes what a command made to the file that its user named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flaskprof.errors import StoreError
from flaskprof.formats import Format
from flaskprof.web.exports import EXPORTS, export_of

__all__ = ["chosen_format", "output_options", "write_output"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        type=click.Path(),
        help="Where to write it; - is standard output.",
    ),
    click.option(
        "--format",
        "format",
        type=click.Choice(list(EXPORTS)),
        help="The format of FILE; else the end of its name says it ("
        + ", ".join(row.suffix for row in EXPORTS.values())
        + "), and prof is written where that says nothing.",
    ),
    click.option("--force", is_flag=True, help="Overwrite FILE where it exists."),
)


def output_options(command: Decorated) -> Decorated:
    """Add the options of a command that writes a profile: `output`, `format`, `force`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_format(name: str | None, output: str) -> Format:
    """Return the format that is asked for, by its name or by that of the file."""
    return EXPORTS[name] if name else export_of(output) or EXPORTS["prof"]


def write_output(content: bytes, output: str, row: Format, *, force: bool) -> None:
    """Write a file, and its size to standard error; raises `StoreError`.

    What is no text is not written to a terminal.
    """
    if output == "-":
        if sys.stdout.isatty() and row.media_type == "application/octet-stream":
            raise click.UsageError(
                "a profile is no text for a terminal: name a file or pipe it"
            )
        click.echo(content, nl=False)
        return
    path = Path(output)
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise StoreError(f"{path} exists already: --force overwrites it") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path}: {len(content):,} bytes, for {row.summary}", err=True)
