"""``flaskprof export``: the profile of a capture as a file of one's own."""

from __future__ import annotations

import click

from flaskprof.cli.captures import Reference, load, locate
from flaskprof.cli.output import chosen_format, output_options, write_output
from flaskprof.cli.program import Command, load_settings, setting

__all__ = ["command"]


@click.command(
    "export",
    cls=Command,
    examples=[
        "flaskprof export latest -o slow.prof",
        "flaskprof export latest -o slow.speedscope.json",
        "flaskprof export 019aa8ce77f2 --format callgrind -o callgrind.out.slow",
    ],
)
@click.argument("reference", metavar="ID", type=Reference())
@output_options
@setting("dir", metavar="DIR")
def command(
    *, reference: str, output: str, format: str | None, force: bool, dir: str | None
) -> None:
    """Write the profile of a capture for another tool.

    ID is a capture's ID, 8 or more of its first digits, 'latest', the path of a profile, or -
    for one that is piped in.
    pstats and snakeviz read prof, go tool pprof reads pprof (with -filefunctions it tells
    functions of one name apart), KCachegrind callgrind. Formats that consist of whole stacks
    have them estimated where they were not recorded, and say so in the topmost frame.
    """
    settings = load_settings(dir=dir)
    row = chosen_format(format, output)
    store, capture_id = locate(reference, settings)
    if row.name == "prof":
        content = store.read(capture_id, ".prof")
    else:
        loaded = load(reference, settings)
        content = row.write(loaded.profile, loaded.record)
    write_output(content, output, row, force=force)
