"""``flaskprof open``: the viewer over given files; also the program ``pstats-viewer``."""

from __future__ import annotations

import gc
import logging
import threading
import webbrowser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flaskprof.cli.named import named_file
from flaskprof.cli.program import Command, load_settings, setting
from flaskprof.cli.serving import HOST, listen, serve
from flaskprof.config import Settings
from flaskprof.errors import BadProfile
from flaskprof.peer import is_local
from flaskprof.store import CaptureQuery
from flaskprof.store.files import FileStore
from flaskprof.web.app import Viewer
from flaskprof.web.links import Links
from flaskprof.web.parsed import ParsedProfiles
from flaskprof.web.problems import problem_or_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["command"]


@click.command(
    "open",
    cls=Command,
    examples=[
        "flaskprof open before.prof after.prof",
        "flaskprof open profiles/",
        "pstats-viewer before.prof after.prof",
    ],
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="PORT",
    help="The port to serve on; 0 stands for any that is free.",
)
@setting("sort_by", "--sort", metavar="KEYS", is_list=True)
@setting("restrictions", "--limit", metavar="ROWS", is_list=True)
@setting("app_packages", metavar="PACKAGES", is_list=True)
def command(
    *,
    files: tuple[str, ...],
    no_browser: bool,
    port: int,
    sort_by: str | None,
    restrictions: str | None,
    app_packages: str | None,
) -> None:
    """Look at profiles in the browser.

    FILE is what cProfile or another profiler wrote, a pprof profile or collapsed stacks,
    whatever its name, - for one that is piped in, or a folder, which stands for every *.prof,
    *.pb.gz and *.collapsed file below it. One file is shown, two are compared, the first as
    before and the second as after; of more there is a list. They are served to this machine
    alone, until Control-C.
    """
    settings = load_settings(
        sort_by=sort_by, restrictions=restrictions, app_packages=app_packages
    )
    profiles = ParsedProfiles()
    with _without_collections():
        store = FileStore(map(named_file, files), reader=profiles.read)
        page = store.list(CaptureQuery(limit=2))
    links = Links("")
    is_one, is_pair = page.matching == 1, page.matching == len(store.named) == 2
    path = links.captures()
    if is_one:
        path = links.capture(page.records[0].id)
    elif is_pair:
        path = links.compare(a=store.named[0], b=store.named[1])
    with listen(port) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}{path}"
        click.echo(f"{url} (Control-C ends it)")
        if not no_browser:
            # A browser of the terminal returns when it is left, so it has its own thread.
            threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # no line for each request
        # Whoever looks reads these files anyway.
        viewer = Viewer(
            store,
            settings=_with_source_beside(settings, files),
            is_development=lambda: True,
            profiles=profiles,
        )
        if is_one:
            # While the browser starts; whoever is earlier waits no longer than without it.
            with _without_collections(), suppress(BadProfile):  # its page says what is wrong
                viewer.prepare(page.records[0].id)
        serve(_for_this_machine(viewer), listener)


def _with_source_beside(settings: Settings, files: Iterable[str]) -> Settings:
    """Allow the source beside the profiles, too: scripts are often recorded where they lie."""
    if "auto" not in settings.source:
        return settings
    given = [Path(file).absolute() for file in files]
    beside = [str(path if path.is_dir() else path.parent) for path in given]
    return replace(settings, source=(*settings.source, *dict.fromkeys(beside)))


@contextmanager
def _without_collections() -> Iterator[None]:
    """Read much that stays: looking through it for cycles would take half as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _for_this_machine(app: WSGIApplication) -> WSGIApplication:
    """Refuse pages of other sites that reach loopback under a name of theirs."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_local(environ):
            return app(environ, start_response)
        message = f"Only this machine may look, at http://{HOST}."
        status, headers, body = problem_or_text(environ, 403, message)
        start_response(status, headers)
        return [body]

    return guarded
