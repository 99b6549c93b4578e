"""The command line: one table of commands, one module each, imported when it is called."""

from __future__ import annotations

import sys

import click

from flaskprof.cli.program import Program

__all__ = ["COMMANDS", "main", "open_files"]

# Each is the module of that name in this package, whose `command` it is.
COMMANDS = {
    "serve": "Serve viewer and metrics of a data directory: the sidecar.",
    "demo": "Run the demo shop, with flaskprof in it.",
    "top": "Show the requests that are being answered, the oldest first.",
    "ls": "List captures, newest first.",
    "show": "Show where the time of a capture went.",
    "open": "Look at profiles in the browser.",
    "diff": "Show what changed from one profile to another.",
    "merge": "Add profiles up, and write the sum to a file.",
    "export": "Write the profile of a capture for another tool.",
    "snakeviz": "Look at a capture with snakeviz.",
    "doctor": "Say what works here, what does not, and what to do about it.",
    "token": "Make a token that lets its holder ask and look.",
}


@click.group(cls=Program, commands=COMMANDS, invoke_without_command=True)
@click.version_option(package_name="flaskprof", message="flaskprof %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """See where the time of a request went."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def open_files() -> None:
    """Run `flaskprof open` as a program of its own, ``pstats-viewer``."""
    main.main(args=["open", *sys.argv[1:]], prog_name="flaskprof")
