"""``flaskprof demo``: the demo shop on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

import flaskprof
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.cli.serving import HOST, listen, serve
from flaskprof.errors import ConfigError

__all__ = ["command"]


@click.command(
    "demo",
    cls=Command,
    examples=["flaskprof demo --port 8000"],
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    metavar="PORT",
    help="The port to serve on; 0 stands for any that is free.",
)
@setting("dir", metavar="DIR")
def command(*, port: int, dir: str | None) -> None:
    """Run the demo shop, with flaskprof in it.

    An ordinary Flask application with a database, pages, an API, and endpoints that are
    slow, stream or fail, served on this machine alone. It prints what to try.
    """
    # The shop is configured as any application is: by its environment.
    os.environ.setdefault("FLASKPROF_DEV", "1")
    # What it shows first should lead to its lines, wherever it is started.
    os.environ.setdefault("FLASKPROF_SOURCE", f"auto,{Path(flaskprof.__file__).parent}")
    if dir is not None:
        os.environ["FLASKPROF_DIR"] = dir
    settings = load_settings()
    try:
        from flaskprof.demo.shop import create_app  # noqa: PLC0415  it may not be installed
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise ConfigError(
            "the demo shop needs SQLAlchemy: pip install 'flaskprof[demo]'"
        ) from error
    with listen(port) as listener:
        base = f"http://{HOST}:{listener.getsockname()[1]}"
        click.echo(f"The demo shop is at {base} until Control-C. In a second terminal, try:\n")
        click.echo(f'    curl -i -H "X-Profile: 1" {base}/heavy-computation\n')
        click.echo(f"What was captured: {base}{settings.prefix}/")
        click.echo(f"The metrics:       {base}{settings.metrics_path}")
        serve(create_app(), listener)
