"""How much of a tree that is drawn from a ``.prof`` file is false, by three algorithms.

Four programs are recorded as exact call trees, five times each, so that a moment in which the
machine did something else counts for little. From the pstats sums of each, which is all
that a ``.prof`` holds, trees are drawn by flaskprof, by the algorithm of snakeviz and by
that of flameprof, with the same cutoff of a thousandth of the whole. A box that is wider
than the time of its stack in the recording is false by as much; the figure is the part of
all area drawn that is false. *Shown* is the part of the recording's own area that is drawn
where it belongs.

snakeviz draws a function's callees with the cumulative time of the edge, scaled down where
they would be wider than their caller, and none twice on a stack. flameprof is asked itself
(``pip install flameprof``); where it is not installed its column is empty.

    python benchmarks/estimate.py --check

``--check`` fails where flaskprof draws more falsely than snakeviz on any program, or more
than 0.8 of it in the mean, or where a box that it calls exact is not. These bars are ratios
of areas, not times, so that they hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import io
import json
import statistics
import sys
import textwrap
import tokenize
import warnings
import xml.dom.minidom
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.profiles.estimate import ROOT, EstimatedTree, Mark, estimate
from flaskprof.profiles.merge import merge
from flaskprof.profiles.model import CallGraph, CallTree, Function
from flaskprof.profiles.sums import call_graph

CUTOFF = 0.001
RECORDINGS = 5
MOST_OF_SNAKEVIZ = 0.8

Path = tuple[Function, ...]
Boxes = dict[Path, float]
"""Of each stack, from the root to its last function, the seconds of a box."""


def flask_requests() -> Callable[[], None]:
    """Forty rounds of five kinds of requests to an application."""
    import flask

    app = flask.Flask("shop", static_folder=None)
    app.secret_key = "only here"

    @app.get("/list/<int:length>")
    def items(length: int) -> str:
        return flask.render_template_string(
            "{% for i in range(length) %}{{ i }}<br>{% endfor %}{{ url_for('data') }}",
            length=length,
        )

    @app.get("/data")
    def data() -> flask.Response:
        return flask.jsonify({"rows": [{"id": i} for i in range(300)]})

    @app.get("/visit")
    def visit() -> Any:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return flask.redirect(flask.url_for("items", length=3))

    @app.post("/echo")
    def echo() -> flask.Response:
        return flask.jsonify(flask.request.get_json())

    def run() -> None:
        client = app.test_client()
        for number in range(40):
            client.get(f"/list/{number * 5}")
            client.get("/data")
            client.get("/visit")
            client.get("/nowhere")
            client.post("/echo", json={"rows": list(range(500))})

    return run


def sqlalchemy_orm() -> Callable[[], None]:
    """Objects with their relations written, found and changed."""
    import sqlalchemy as sa
    from sqlalchemy import orm

    base: Any = orm.declarative_base()

    class Order(base):
        __tablename__ = "orders"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)
        lines = orm.relationship("Line", back_populates="order")

    class Line(base):
        __tablename__ = "lines"
        id = sa.Column(sa.Integer, primary_key=True)
        price = sa.Column(sa.Integer)
        order_id = sa.Column(sa.ForeignKey("orders.id"))
        order = orm.relationship(Order, back_populates="lines")

    def run() -> None:
        engine = sa.create_engine("sqlite://")
        base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            for number in range(60):
                lines = [Line(price=price) for price in range(5)]
                session.add(Order(name=f"order {number}", lines=lines))
            session.commit()
            for order in session.scalars(sa.select(Order).where(Order.id > 10)):
                order.name = f"{order.name}: {sum(line.price for line in order.lines)}"
            session.commit()
            session.query(Line).join(Order).filter(Order.name.like("%1%")).count()
        engine.dispose()

    return run


def jinja_templates() -> Callable[[], None]:
    """Templates compiled, with inheritance and macros, and rendered."""
    import jinja2

    sources = {
        "base": "<html>{% block title %}{% endblock %}<ul>{% block body %}{% endblock %}</ul>",
        "cell": "{% macro cell(x) %}<td>{{ x | upper | truncate(5) }}</td>{% endmacro %}",
        "page": (
            "{% extends 'base' %}{% from 'cell' import cell %}{% block title %}{{ title }}"
            "{% endblock %}{% block body %}{% for row in rows | sort(attribute='name') %}"
            "<li>{{ cell(row.name) }}{{ row.price | round(2) }}{% include 'note' %}</li>"
            "{% endfor %}{% endblock %}"
        ),
        "note": "{% if row.price > 5 %}{{ row.name | escape | wordwrap(9) }}{% endif %}",
    }

    def run() -> None:
        for _ in range(5):
            site = jinja2.Environment(autoescape=True, loader=jinja2.DictLoader(sources))
            rows = [{"name": f"<product {i}>", "price": i / 7} for i in range(100)]
            site.get_template("page").render(title="all", rows=rows)

    return run


def standard_library() -> Callable[[], None]:
    """Source code taken apart and copied, JSON, XML, text that is wrapped."""
    import inspect

    source = inspect.getsource(textwrap) + inspect.getsource(contextlib)

    def run() -> None:
        parsed = ast.parse(source)
        ast.unparse(parsed)
        copy.deepcopy(parsed.body[:15])
        list(tokenize.generate_tokens(io.StringIO(source).readline))
        textwrap.wrap(source)
        json.dumps(json.loads(json.dumps([{str(i): i} for i in range(2000)])), indent=1)
        document = xml.dom.minidom.parseString("<a>" + "<b c='1'>x</b>" * 300 + "</a>")
        document.toprettyxml()

    return run


PROGRAMS = (flask_requests, sqlalchemy_orm, jinja_templates, standard_library)


def recorded(run: Callable[[], None]) -> CallTree:
    """Return the exact call tree of a program, under one root."""

    def program() -> None:
        run()

    recording = CallTreeEngine().start()
    recording.on()
    try:
        program()
    finally:
        recording.off()
        recording.stop()
    return recording.finish()


def true_boxes(tree: CallTree) -> Boxes:
    boxes: Boxes = {}
    for path, total in zip(_paths(tree), tree.totals_ns(), strict=True):
        boxes[path] = boxes.get(path, 0) + total / 1e9
    return boxes


def our_boxes(tree: EstimatedTree) -> Boxes:
    boxes = dict(zip(_paths(tree), (total / 1e9 for total in tree.total_ns), strict=True))
    return {path[1:]: time for path, time in boxes.items() if path != (ROOT,)}


def _paths(tree: CallTree | EstimatedTree) -> Iterator[Path]:
    paths: list[Path] = []
    for above, function in zip(tree.parent, tree.function, strict=True):
        name = tree.functions[function]
        paths.append((*paths[above], name) if above >= 0 else (name,))
    return iter(paths)


def snakeviz_boxes(graph: CallGraph, root: Function) -> Boxes:
    callees: dict[Function, list[tuple[Function, float]]] = {}
    for function, stats in graph.functions.items():
        for caller, edge in stats.callers.items():
            callees.setdefault(caller, []).append((function, edge.cumulative_seconds))
    whole = graph.functions[root].total.cumulative_seconds
    boxes: Boxes = {}
    waiting = [((root,), whole)]
    while waiting:
        path, time = waiting.pop()
        boxes[path] = time
        below = [item for item in callees.get(path[-1], ()) if item[0] not in path]
        every = sum(of_edge for _, of_edge in below)
        scale = time / every if every > time else 1.0
        waiting += [
            ((*path, function), of_edge * scale)
            for function, of_edge in below
            if of_edge * scale >= CUTOFF * whole
        ]
    return boxes


def flameprof_boxes(graph: CallGraph) -> Boxes | None:
    if find_spec("flameprof") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flameprof

    stats = {
        tuple(function): (
            *(of.total.primitive_calls, of.total.calls),
            *of.total[2:],
            {tuple(caller): tuple(edge) for caller, edge in of.callers.items()},
        )
        for function, of in graph.functions.items()
    }
    with contextlib.redirect_stderr(io.StringIO()):  # what it says of roots
        blocks, _, _ = flameprof.prepare(*flameprof.calc_callers(stats), threshold=CUTOFF)
    boxes: Boxes = {}
    for block in blocks:
        path = tuple(Function(*key) for key in block["trace"])
        boxes[path] = boxes.get(path, 0) + block["w"]
    return boxes


def false_share(boxes: Boxes, true: Boxes) -> float:
    over = sum(max(0.0, time - true.get(path, 0.0)) for path, time in boxes.items())
    return over / sum(boxes.values())


def shown_share(boxes: Boxes, true: Boxes, whole: float) -> float:
    wide = {path: time for path, time in true.items() if time >= CUTOFF * whole}
    shown = sum(min(time, boxes.get(path, 0.0)) for path, time in wide.items())
    return shown / sum(wide.values())


def falsely_exact(tree: EstimatedTree, true: Boxes) -> int:
    """Count the boxes called exact that differ from the recording by a nanosecond."""
    return sum(
        bool(mark & Mark.EXACT) and round(true.get(path[1:], 0.0) * 1e9) != total
        for path, mark, total in zip(_paths(tree), tree.marks, tree.total_ns, strict=True)
        if path != (ROOT,)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    is_checked = parser.parse_args().check
    print(f"Python {sys.version.split()[0]}; per cent of area false (shown)")
    heads = ("functions", "stacks", "flaskprof", "snakeviz", "flameprof", "exact", "of them")
    print(f"{'':18}" + "".join(f"{head:>15}" for head in heads) + " false")
    ratios, wrong = [], 0
    for program in PROGRAMS:
        run = program()
        run()  # so that what is imported and cached once is not in the recording
        tree = merge(recorded(run) for _ in range(RECORDINGS))
        assert isinstance(tree, CallTree), "the sum of trees is one"
        graph, true = call_graph(tree), true_boxes(tree)
        whole = tree.total_ns / 1e9
        ours = estimate(graph, least_share=CUTOFF)
        root = max(
            (function for function, of in graph.functions.items() if not of.callers),
            key=lambda function: graph.functions[function].total.cumulative_seconds,
        )
        trees = (our_boxes(ours), snakeviz_boxes(graph, root), flameprof_boxes(graph))
        false = [false_share(boxes, true) if boxes else None for boxes in trees]
        cells = [f"{len(graph.functions):,}", f"{len(true):,}"]
        for share, boxes in zip(false, trees, strict=True):
            cells.append(
                f"{share:.1%} ({shown_share(boxes, true, whole):.0%})" if boxes else "-"
            )
        exact = sum(bool(mark & Mark.EXACT) for mark in ours.marks[1:])
        wrong += (untrue := falsely_exact(ours, true))
        area = sum(
            total
            for total, mark in zip(ours.total_ns[1:], ours.marks[1:], strict=True)
            if mark & Mark.EXACT
        ) / sum(ours.total_ns[1:])
        cells += [f"{exact}/{len(ours) - 1} ({area:.0%})", str(untrue)]
        print(f"{program.__name__:18}" + "".join(f"{cell:>15}" for cell in cells))
        ratios.append(false[0] / false[1])
    mean = statistics.fmean(ratios)
    print("of snakeviz's false area: " + ", ".join(f"{ratio:.2f}" for ratio in ratios), end="")
    print(f"; in the mean {mean:.2f}")
    if is_checked and (wrong or max(ratios) >= 1 or mean > MOST_OF_SNAKEVIZ):
        sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
