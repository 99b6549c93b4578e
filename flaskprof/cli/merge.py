"""``flaskprof merge``: many profiles added up to one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flaskprof.cli.captures import Loaded, load
from flaskprof.cli.output import chosen_format, output_options, write_output
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.ids import new_capture_id
from flaskprof.profiles.merge import merge
from flaskprof.record import CaptureRecord

__all__ = ["command"]


@click.command(
    "merge",
    cls=Command,
    examples=[
        "flaskprof merge monday.prof tuesday.prof -o week.prof",
        "flaskprof merge 019aa8ce77f2 019aa8d01b3c -o both.pb.gz",
    ],
)
@click.argument("references", nargs=-1, required=True, metavar="ID...")
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

    Each ID is a capture's ID, 8 or more of its first digits, 'latest', or the path of a
    profile. The sum has whole stacks if all of them have. Sampled profiles and exact ones
    cannot be added up.
    """
    settings = load_settings(dir=dir)
    row = chosen_format(format, output)
    parts = [load(reference, settings) for reference in references]
    total = merge(part.profile for part in parts)
    write_output(row.write(total, _record(parts)), output, row, force=force)


def _record(parts: Sequence[Loaded]) -> CaptureRecord:
    """Say of the sum what is the same of all parts, and how much they are together."""
    records = [part.record for part in parts]
    cpu = [record.cpu_seconds for record in records if record.cpu_seconds is not None]
    started = min(record.started for record in records)

    def common(values: set[str]) -> str:
        return values.pop() if len(values) == 1 else ""

    return CaptureRecord(
        id=new_capture_id(started),
        started=started,
        duration_seconds=sum(record.duration_seconds for record in records),
        cpu_seconds=sum(cpu) if len(cpu) == len(records) else None,
        method=common({record.method for record in records}),
        route=common({record.route for record in records}),
        service=common({record.service for record in records}),
        service_version=common({record.service_version for record in records}),
        title=f"{len(records)} profiles added up",
    )
