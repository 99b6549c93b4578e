"""``flaskprof export``: the profile of a capture as a file of one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flaskprof.cli.captures import locate
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.errors import StoreError

__all__ = ["command"]


@click.command(
    "export",
    cls=Command,
    examples=["flaskprof export latest -o slow.prof", "python -m pstats slow.prof"],
)
@click.argument("reference", metavar="ID")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Where to write it; - is standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE where it exists.")
@setting("dir", metavar="DIR")
def command(*, reference: str, output: str, force: bool, dir: str | None) -> None:
    """Copy the profile of a capture to a file.

    ID is a capture's ID, 8 or more of its first digits, or 'latest'. The file is what
    pstats, snakeviz and other tools read.
    """
    store, capture_id = locate(reference, load_settings(dir=dir))
    profile = store.read(capture_id, ".prof")
    if output == "-":
        if sys.stdout.isatty():
            raise click.UsageError(
                "a profile is no text for a terminal: name a file or pipe it"
            )
        click.echo(profile, nl=False)
        return
    path = Path(output)
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(profile)
    except FileExistsError:
        raise StoreError(f"{path} exists already: --force overwrites it") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path}: {len(profile):,} bytes", err=True)
