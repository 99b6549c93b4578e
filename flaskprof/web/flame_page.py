"""The flame view as one page that needs neither a server nor a network.

Data, scripts and styles are in the page itself, and its policy allows these and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from flaskprof.profiles.estimate import estimate
from flaskprof.profiles.flame import FlameTree, flame_tree
from flaskprof.profiles.fold import folded
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.model import CallTree, Profile
from flaskprof.profiles.sums import call_graph
from flaskprof.profiles.table import ordered, rows_of
from flaskprof.record import CaptureRecord
from flaskprof.web.assets import assets, templates
from flaskprof.web.figures import Figure, Moment, count, moment, seconds, visible
from flaskprof.web.flame_data import flame_json
from flaskprof.web.rows import FunctionRow, function_row

__all__ = ["write_page"]

_ROWS = 200
_TRUTHS = {
    "exact": "exact: every call counted",
    "estimated": "stacks estimated, with bounds",
    "sampled": "sampled: times are estimates",
}


class PageView(NamedTuple):
    """What the page shows; texts that are Markup go into it as they are."""

    name: str
    started: Moment
    truth: str
    is_exact: bool
    is_sampled: bool
    wall: Figure
    total: Figure
    rows: list[FunctionRow]
    functions: Figure
    notes: Sequence[str]
    policy: str
    styles: Markup
    script: Markup
    data: Markup
    application_data: Markup


def write_page(profile: Profile, record: CaptureRecord) -> bytes:
    """Return a page with the flame view of a profile and a table of its functions."""
    is_sampled = record.exactness == "sampled"
    kinds = Kinds(frozenset(record.app_packages))
    tree = profile if isinstance(profile, CallTree) else estimate(profile)
    drawn = flame_tree(tree, is_sampled=is_sampled)
    own = flame_tree(folded(tree, kinds.is_foreign), is_sampled=is_sampled)
    graph = call_graph(profile)
    found = ordered(graph)
    styles, script = _asset("flame-view.css"), _asset("flame-view.js")
    policy = f"default-src 'none'; style-src {_hash(styles)}; script-src {_hash(script)}"
    view = PageView(
        name=record.name,
        started=moment(record.started, record.started),
        truth=_TRUTHS[drawn.truth],
        is_exact=drawn.truth == "exact",
        is_sampled=drawn.truth == "sampled",
        wall=seconds(record.duration_seconds),
        total=seconds(drawn.total_ns[0] / 10**9),
        rows=[function_row(row, url="", kinds=kinds) for row in rows_of(graph, found[:_ROWS])],
        functions=count(len(found)),
        notes=[visible(note) for note in record.notes],
        policy=policy,
        styles=styles,
        script=script,
        data=_data(drawn, kinds),
        application_data=_data(own, kinds),
    )
    text = templates().get_template("flame_page.html").render(view=view)
    return text.encode("utf-8")


def _asset(name: str) -> Markup:
    return Markup(assets()[name].body.decode())  # noqa: S704  our own file


def _data(tree: FlameTree, kinds: Kinds) -> Markup:
    return Markup(flame_json(tree, kinds).decode())  # noqa: S704  nothing in it ends its element


def _hash(text: str) -> str:
    """Return what a policy calls an element that holds `text`."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
