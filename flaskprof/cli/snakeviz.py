"""``flaskprof snakeviz``: the user's own snakeviz on a capture."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from flaskprof.cli.captures import Reference, locate
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.cli.serving import HOST
from flaskprof.errors import ConfigError

__all__ = ["command"]

_PATIENCE_SECONDS = 5.0


@click.command(
    "snakeviz",
    cls=Command,
    examples=["flaskprof snakeviz latest", "flaskprof snakeviz before.prof --port 9000"],
)
@click.argument("reference", metavar="ID", type=Reference())
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    metavar="PORT",
    help="The port to serve on; snakeviz takes another where it is not free.",
)
@setting("dir", metavar="DIR")
def command(*, reference: str, no_browser: bool, port: int, dir: str | None) -> None:
    """Look at a capture with snakeviz.

    ID is a capture's ID, 8 or more of its first digits, 'latest', the path of a profile, or -
    for one that is piped in.
    snakeviz is a program of its own: pip install 'flaskprof[snakeviz]' brings it. It serves
    to this machine alone, until Control-C.
    """
    settings = load_settings(dir=dir)
    store, capture_id = locate(reference, settings)
    content = store.read(capture_id, ".prof")
    if importlib.util.find_spec("snakeviz") is None:
        raise ConfigError("snakeviz is not installed: pip install 'flaskprof[snakeviz]'")
    with tempfile.TemporaryDirectory(prefix="flaskprof-") as folder:
        path = Path(folder, f"{capture_id}.prof")
        path.write_bytes(content)
        options = ["--hostname", HOST, "--port", str(port), *["--server"] * no_browser]
        _run([sys.executable, "-m", "snakeviz", *options, str(path)])


def _run(arguments: list[str]) -> None:
    """Run a server until it or this process is told to end."""
    if threading.current_thread() is threading.main_thread():
        # Ends as with Control-C, so that the server ends and the file goes.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen(arguments) as server:  # noqa: S603  the arguments are our own
        try:
            server.wait()
        except KeyboardInterrupt:
            # Control-C in a terminal reaches both; what does not is passed on.
            server.terminate()
            try:
                server.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
            return
    if server.returncode:
        raise ConfigError(f"snakeviz failed, with exit code {server.returncode}")
