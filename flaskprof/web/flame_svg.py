"""The flame view as a picture: SVG that looks right wherever it is opened, light or dark.

There is no script in it. Each box has a title that says what it is; boxes that are narrower
than a part of a pixel are not drawn, and have their place and their time all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from markupsafe import escape

from flaskprof.profiles.estimate import EstimatedTree
from flaskprof.profiles.flame import FlameTree, flame_tree
from flaskprof.profiles.kinds import Kind, Kinds, is_builtin
from flaskprof.profiles.model import Profile
from flaskprof.record import CaptureRecord
from flaskprof.web.assets import assets
from flaskprof.web.figures import seconds, share, visible

__all__ = ["write_svg"]

_WIDTH = 1200
_MARGIN = 10
_ROW = 18
_HEAD = 52
_FOOT = 34
_NARROWEST = 0.4  # of what is drawn, in pixels
_CHARACTER = 6.7  # pixels of one at 11 pixels of a font in which all are as wide

_NS_PER_SECOND = 10**9
_COLOURS = re.compile(r"--flame-([a-z-]+): (#[0-9a-f]+);")
_TRUTHS = {
    "exact": "exact",
    "estimated": "stacks estimated: what is hatched lies within the bounds that its title says",
    "sampled": "sampled: times are estimates",
}
_HATCH = """\
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" \
patternTransform="rotate(45)"><path class="line" d="M0 0V6"/></pattern></defs>"""
_STYLE = """
svg{{{light}background:var(--page);font:11px ui-monospace,Menlo,Consolas,monospace}}
@media(prefers-color-scheme:dark){{svg{{{dark}}}}}
text{{fill:var(--text)}}.muted{{fill:var(--muted)}}.title{{font:600 15px system-ui,sans-serif}}
.small{{font:11px system-ui,sans-serif}}.page{{fill:var(--page)}}.line{{stroke:var(--hatch)}}
{kinds}"""


def write_svg(profile: Profile | EstimatedTree, record: CaptureRecord) -> bytes:
    """Return the icicle of a profile as an SVG document, in UTF-8."""
    tree = flame_tree(profile, is_sampled=record.exactness == "sampled")
    kinds = [Kinds(frozenset(record.app_packages)).of(each) for each in tree.functions]
    boxes = list(_boxes(tree))
    deepest = max((box.depth for box in boxes), default=0)
    height = _HEAD + (deepest + 1) * _ROW + _FOOT
    heading = _text(record.name)
    whole = _time(tree.total_ns[0])
    about = "≈ " if tree.truth == "sampled" else ""
    when = datetime.fromtimestamp(record.started, UTC)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{heading}: {about}{whole}</title>",
        f"<style>{_style()}</style>",
        _HATCH,
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        f'<svg width="{_WIDTH - _MARGIN}" height="{_HEAD}">',
        f'<text class="title" x="{_MARGIN}" y="22">{heading}</text></svg>',
        f'<text class="small muted" x="{_MARGIN}" y="40">{about}{whole} on',
        f"{when:%Y-%m-%d %H:%M:%S} UTC, {_TRUTHS[tree.truth]}</text>",
        *(_drawn(tree, box, kinds[tree.function[box.node]]) for box in boxes),
        *_legend(tree, kinds, height - 12),
        "</svg>\n",
    ]
    return "\n".join(parts).encode("utf-8")


class _Box(NamedTuple):
    """A node that is wide enough: where it is, and how wide, in pixels."""

    node: int
    depth: int
    x: float
    width: float


def _boxes(tree: FlameTree) -> Iterator[_Box]:
    """Yield each box that is wide enough."""
    whole = tree.total_ns[0]
    if not whole:
        return
    scale = (_WIDTH - 2 * _MARGIN) / whole
    start: list[int] = []
    free: list[int] = []  # where the next callee of a node begins
    depth: list[int] = []
    for node, (above, total) in enumerate(zip(tree.parent, tree.total_ns, strict=True)):
        begin = free[above] if above >= 0 else 0
        depth.append(depth[above] + 1 if above >= 0 else 0)
        start.append(begin)
        free.append(begin)
        if above >= 0:
            free[above] += total
        if total * scale >= _NARROWEST:
            yield _Box(node, depth[node], _MARGIN + begin * scale, total * scale)


def _drawn(tree: FlameTree, box: _Box, kind: Kind) -> str:
    node, depth, x, width = box
    y = _HEAD + depth * _ROW
    name = _name(tree, node)
    style = "tiny" if not node or tree.folded[node] else _slug(kind)
    drawn = max(width - 0.6, 0.3)
    area = f'x="{x:.2f}" y="{y}" width="{drawn:.2f}" height="{_ROW - 1}"'
    parts = [f'<g class="{style}"><title>{_title(tree, node, name)}</title><rect {area}/>']
    if not _is_sure(tree, node):
        parts.append(f'<rect {area} fill="url(#hatch)"/>')
    fits = int((drawn - 6) / _CHARACTER)
    if fits >= 3:
        label = name if len(name) <= fits else name[: fits - 1] + "…"
        # What is within has a frame of its own, beyond which nothing of it is seen.
        parts.append(f'<svg {area}><text x="4" y="12.5">{_text(label)}</text></svg>')
    return "".join(parts) + "</g>"


def _name(tree: FlameTree, node: int) -> str:
    folded = tree.folded[node]
    if not node:
        return "all"
    if folded:
        return f"{folded:,} smaller calls" if folded > 0 else "calls that are not shown"
    mark = "↻ " if tree.recursive[node] else ""
    return mark + visible(tree.functions[tree.function[node]].name)[:400]


def _is_sure(tree: FlameTree, node: int) -> bool:
    """Whether the total time of a node is known, and what it consists of is shown."""
    if tree.truth == "sampled" or tree.folded[node]:
        return False
    if tree.low_ns is None or tree.high_ns is None:
        return tree.truth == "exact"
    return tree.low_ns[node] == tree.high_ns[node]


def _title(tree: FlameTree, node: int, name: str) -> str:
    function = tree.functions[tree.function[node]]
    total = tree.total_ns[node]
    is_sure = _is_sure(tree, node)
    lines = [name]
    if node and not is_builtin(function):
        lines.append(f"{visible(function.file)[:1000]}:{function.line}")
    bounds = ""
    if not is_sure and tree.low_ns is not None and tree.high_ns is not None:
        bounds = f" ({_time(tree.low_ns[node])} to {_time(tree.high_ns[node])})"
    part = share(total / (tree.total_ns[0] or 1))
    about = "" if is_sure else "≈ "
    lines.append(f"total {about}{_time(total)}{bounds}, {part.text} %")
    is_undivided = tree.undivided is not None and tree.undivided[node]
    about = "" if tree.truth == "exact" or is_undivided else "≈ "
    lines.append(f"self {about}{_time(tree.self_ns[node])}")
    if tree.calls[node]:
        counted = "samples" if tree.truth == "sampled" else "calls"
        lines.append(f"{counted} {about}{tree.calls[node]:,}")
    return _text("\n".join(lines))


def _legend(tree: FlameTree, kinds: Sequence[Kind], y: int) -> Iterator[str]:
    x = _MARGIN
    used = {kinds[number] for number in set(tree.function[1:])}
    for kind in (kind for kind in Kind if kind in used):
        yield f'<g class="{_slug(kind)}"><rect x="{x}" y="{y - 9}" width="14" height="10"/></g>'
        yield f'<text class="small" x="{x + 19}" y="{y}">{kind.value}</text>'
        x += 40 + len(kind.value) * 6
    yield (
        f'<text class="small muted" x="{_WIDTH - _MARGIN}" y="{y}" text-anchor="end">'
        "flaskprof; calls too short to be seen are not drawn</text>"
    )


@cache
def _style() -> str:
    """Return the style of a picture, in the colours of the flame view."""
    found = _COLOURS.findall(assets()["flame.css"].body.decode())
    light: dict[str, str] = {}
    dark: dict[str, str] = {}
    for name, colour in found:
        (dark if name in light else light)[name] = colour
    kinds = [*map(_slug, Kind), "tiny"]
    return _STYLE.format(
        light="".join(f"--{name}:{colour};" for name, colour in light.items()),
        dark="".join(f"--{name}:{colour};" for name, colour in dark.items()),
        kinds="".join(f".{kind} rect:first-of-type{{fill:var(--{kind})}}" for kind in kinds),
    )


def _slug(kind: Kind) -> str:
    return kind.value.partition(" ")[0]


def _time(ns: int) -> str:
    figure = seconds(ns / _NS_PER_SECOND)
    return f"{figure.text} {figure.unit}"


def _text(text: str) -> str:
    """Return text for a document; line breaks that we put in stay."""
    return str(escape("\n".join(visible(line) for line in text.split("\n"))))
