"""What all commands share: how they are found, how they fail, how they take settings."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, TypeVar

import click

from flaskprof.config import Settings, options
from flaskprof.errors import ConfigError, FlaskprofError, StoreError
from flaskprof.web.figures import visible

__all__ = ["Application", "Command", "Program", "json_option", "load_settings", "setting"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_APPLICATION = "flaskprof.application"  # where the context of a command holds it
_INTERRUPTED = 130  # what a shell says of a program that Control-C ended
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Command(click.Command):
    """A command whose help ends with examples, one line each."""

    def __init__(self, *args: Any, examples: Sequence[str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = examples

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002  click's name
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the examples as they are, whatever the width."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Program(click.Group):
    """A group whose commands are modules, and whose errors are one line each.

    `commands` gives each command's name, which is that of its module, and summary. A
    module is imported when its command is called, not for the list of commands.
    """

    def __init__(self, *args: Any, commands: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._summaries = commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's name
        """Return the names of the commands in the order of the table."""
        return list(self._summaries)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  click's name
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._summaries:
            return None
        command: click.Command = import_module(f"flaskprof.cli.{cmd_name}").command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  click's name
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002  click's signature
        **extra: Any,
    ) -> Any:
        """Run a command line; whatever it refuses is one line on standard error.

        Wrong usage is the exit code 2; what flaskprof refuses has that of its error.
        """
        # A name in a foreign profile may hold what the terminal's encoding has not.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except FlaskprofError as error:
            _fail(str(error), error.exit_code)
        except click.Abort:
            sys.exit(_INTERRUPTED)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "flaskprof"
            _fail(f"{error.format_message()} (see: {path} --help)", error.exit_code)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except OSError as error:
            if error.filename is not None or error.errno not in _FULL:
                raise
            # What could not be written is not tried once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            message = f"standard output cannot be written: {error.strerror}"
            _fail(message, StoreError.exit_code)
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(f"flaskprof: {visible(' '.join(message.split()))}", err=True)
    sys.exit(exit_code)


def setting(
    name: str, flag: str = "", *, metavar: str, is_list: bool = False
) -> Callable[[Decorated], Decorated]:
    """Add an option for a setting, with its help from the table of settings.

    What is given is read by `load_settings`, which takes it by the name of the setting. The
    option of an `is_list` may be given several times, one item or some with commas each.
    """
    row = next(row for row in options() if row.name == name)
    return click.option(
        flag or "--" + name.replace("_", "-"),
        name,
        metavar=metavar,
        multiple=is_list,
        callback=_joined if is_list else None,
        help=f"{row.help} Takes {row.kind.allowed}. [{row.key}]",
    )


def _joined(
    ctx: click.Context,  # noqa: ARG001  click's name
    param: click.Parameter,  # noqa: ARG001  click's name
    value: tuple[str, ...],
) -> str | None:
    return ",".join(value) if value else None


@dataclass(frozen=True, slots=True)
class Application:
    """What the application itself sets, where a command is one of its own."""

    config: Mapping[str, Any]
    keywords: Mapping[str, Any]

    def note(self, context: click.Context) -> None:
        """Let `load_settings` know, in the commands of `context`."""
        context.meta[_APPLICATION] = self


def load_settings(**chosen: str | None) -> Settings:
    """Read the settings, of which those given on the command line have the last word.

    Where there is an `Application`, its own settings are what the environment changes. What
    is wrong with one that was given is said of its option.
    """
    context = click.get_current_context()
    rows = {row.name: row for row in options()}
    given = {}
    for name, value in chosen.items():
        if value is None:
            continue
        row = rows[name]
        given[row.key] = value
        try:
            row.read(value)
        except ConfigError:
            flag = next(param.opts[0] for param in context.command.params if param.name == name)
            raise ConfigError(f"{flag}: {value!r} is not {row.kind.allowed}") from None
    application = context.meta.get(_APPLICATION, Application({}, {}))
    return Settings.load(application.config, {**os.environ, **given}, **application.keywords)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with all digits of every number."
)
