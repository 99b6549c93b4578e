"""``flask prof``: every command, with the settings of the current Flask application."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import ScriptInfo

from flaskprof.cli import COMMANDS
from flaskprof.cli.program import Application, Program
from flaskprof.errors import FlaskprofError
from flaskprof.extension import FlaskProf
from flaskprof.web.figures import visible

__all__ = ["prof"]


class _FlaskProgram(Program):
    """The commands, as a group among those of ``flask``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it refuses is one line, with the exit code of its error."""
        try:
            return super().invoke(ctx)
        except FlaskprofError as error:
            click.echo(f"Error: {visible(' '.join(str(error).split()))}", err=True)
            ctx.exit(error.exit_code)


@click.group("prof", cls=_FlaskProgram, commands=COMMANDS)
@click.pass_context
def prof(context: click.Context) -> None:
    """See where the time of a request went."""
    app = context.ensure_object(ScriptInfo).load_app()
    extension = app.extensions.get("flaskprof")
    keywords = extension.keywords if isinstance(extension, FlaskProf) else {}
    Application(app.config, keywords).note(context)
