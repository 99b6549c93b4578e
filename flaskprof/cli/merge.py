"""``flaskprof merge``: many profiles added up to one."""

from __future__ import annotations

import click

from flaskprof.cli.captures import Reference, load
from flaskprof.cli.output import chosen_format, output_options, write_output
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.profiles.merge import merge
from flaskprof.record import added_up

__all__ = ["command"]


@click.command(
    "merge",
    cls=Command,
    examples=[
        "flaskprof merge monday.prof tuesday.prof -o week.prof",
        "flaskprof merge 019aa8ce77f2 019aa8d01b3c -o both.pb.gz",
    ],
)
@click.argument("references", nargs=-1, required=True, metavar="ID...", type=Reference())
@output_options
@setting("dir", metavar="DIR")
def command(
    *,
    references: tuple[str, ...],
    output: str,
    format: str | None,
    force: bool,
    dir: str | None,
) -> None:
    """Add profiles up, and write the sum to a file.

    Each ID is a capture's ID, 8 or more of its first digits, 'latest', the path of a profile,
    or - for one that is piped in. The sum has whole stacks if all of them have. Sampled
    profiles and exact ones cannot be added up.
    """
    settings = load_settings(dir=dir)
    row = chosen_format(format, output)
    parts = [load(reference, settings) for reference in references]
    total = merge(part.profile for part in parts)
    write_output(
        row.write(total, added_up([part.record for part in parts])), output, row, force=force
    )
