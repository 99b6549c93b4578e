"""``flaskprof token``: what to give to somebody who may ask and look."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime
from urllib.parse import urlsplit

import click

from flaskprof.access import make_token, read_token
from flaskprof.cli.program import Command, json_option, load_settings, setting
from flaskprof.config import Settings

__all__ = ["command"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """Read a span of time."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", value.strip())
    if match is None:
        raise click.BadParameter(
            f"{value!r} is not a span of time such as 90s, 30m, 1h or 7d", ctx, param
        )
    return int(match[1]) * _UNITS[match[2]]


def _address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check an address of the application, which may have a path and a query."""
    if not re.fullmatch(r"https?://[^\s/?#@]+([/?][!-~]*)?", value):
        raise click.BadParameter(f"{value!r} is not an http or https address", ctx, param)
    return value


@click.command(
    "token",
    cls=Command,
    examples=["flaskprof token --ttl 30m --url https://shop.example.com/orders/7"],
)
@click.option(
    "--ttl",
    callback=_seconds,
    default="1h",
    show_default=True,
    metavar="SPAN",
    help="How long it is valid, as 90s, 30m, 1h or 7d.",
)
@click.option("--route", metavar="ROUTE", help="Only for this route, as /orders/<int:id>.")
@click.option(
    "--count", type=click.IntRange(1), metavar="COUNT", help="Only for so many captures."
)
@click.option(
    "--url",
    "address",
    callback=_address,
    default="http://127.0.0.1:5000/",
    show_default=True,
    metavar="URL",
    help="What to ask for in the line that is printed.",
)
@setting("secret_file", metavar="FILE")
@json_option
def command(
    *,
    ttl: int,
    route: str | None,
    count: int | None,
    address: str,
    secret_file: str | None,
    as_json: bool,
) -> None:
    """Make a token that lets its holder ask and look.

    It is signed with the secret of FLASKPROF_SECRET or of a file, which has to be that of
    the application. Prints a command that asks for a capture, and a link to the viewer.

    Behind the token the header may hold the word sample, as in 'X-Profile: TOKEN sample':
    the request is then sampled and runs at full speed, where counting every call would slow
    it down too much.
    """
    settings = load_settings(secret_file=secret_file)
    token = make_token(settings.secrets, ttl_seconds=ttl, route=route, count=count)
    signed = read_token(settings.secrets, token)
    expires = signed.expires if signed else 0.0
    curl = f"curl -i -H {shlex.quote(f'X-Profile: {token}')} {shlex.quote(address)}"
    link = f"{_viewer(settings, address)}/?token={token}"
    if as_json:
        data = {"token": token, "expires": expires, "curl": curl, "viewer": link}
        click.echo(json.dumps(data, indent=2))
        return
    until = datetime.fromtimestamp(expires).astimezone()
    click.echo(f"Valid until {until:%Y-%m-%d %H:%M:%S %z}. To ask for a capture:\n")
    click.echo(f"    {curl}\n")
    click.echo("To have it sampled, at full speed, put the word sample behind the token.\n")
    click.echo("To look at what was captured:\n")
    click.echo(f"    {link}")


def _viewer(settings: Settings, address: str) -> str:
    parts = urlsplit(address)
    return settings.url or f"{parts.scheme}://{parts.netloc}{settings.prefix}"
