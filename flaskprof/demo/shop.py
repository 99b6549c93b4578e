"""The demo shop: an ordinary Flask application with flaskprof in it.

::

    flask --app flaskprof.demo.shop run
    gunicorn 'flaskprof.demo.shop:create_app()'

The database is a temporary file of its own, or the file that ``DATABASE`` of the
configuration, or ``SHOP_DATABASE`` of the environment, names.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from flaskprof import FlaskProf
from flaskprof.demo.database import Order, OrderLine, Product, User, open_database
from flaskprof.demo.deliveries import plan_deliveries
from flaskprof.demo.session import database, engine, use_engine
from flaskprof.demo.users import api

__all__ = ["create_app"]

SUPPLIER_SECONDS = 1.2


class PaymentError(Exception):
    """The payment provider does not do what it should."""


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the shop, with `config` added to its configuration."""
    app = Flask(__name__)
    app.config.from_prefixed_env("SHOP")
    app.config.update(config or {})
    use_engine(app, open_database(_database_path(app)))

    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/products", view_func=products)
    app.add_url_rule("/orders/<int:order_id>", view_func=order)
    app.add_url_rule("/heavy-computation", view_func=heavy_computation)
    app.add_url_rule("/api/data", view_func=data)
    app.add_url_rule("/export.csv", view_func=export)
    app.add_url_rule("/slow", view_func=slow)
    app.add_url_rule("/fail", view_func=fail)
    app.add_url_rule("/health", view_func=health)
    app.register_blueprint(api)
    app.register_error_handler(HTTPException, error)
    app.add_template_filter(price)

    FlaskProf(app)
    return app


def index() -> str:
    """Say what there is to try, each with a line to copy."""
    return render_template("index.html", base=request.host_url.rstrip("/"))


def products() -> str:
    """List what is for sale, all of it or one category."""
    category = request.args.get("category")
    query = select(Product).order_by(Product.category, Product.name)
    if category:
        query = query.where(Product.category == category)
    categories = database().scalars(select(Product.category).distinct().order_by("category"))
    return render_template(
        "products.html",
        products=database().scalars(query).all(),
        categories=categories.all(),
        category=category,
    )


def order(order_id: int) -> str:
    """Show one order.

    Slow on purpose: the lines are one query, and then each line asks for its product by a
    query of its own, N+1 in all. `selectinload(Order.lines).joinedload(OrderLine.product)`
    would make it two.
    """
    found = database().get(Order, order_id) or abort(404, f"there is no order {order_id}")
    lines = [
        (line.product.name, line.quantity, line.quantity * line.product.price_cents)
        for line in found.lines
    ]
    total = sum(cents for _, _, cents in lines)
    return render_template("order.html", order=found, lines=lines, total=total)


def heavy_computation() -> ResponseReturnValue:
    """Plan the day's deliveries: tens of milliseconds of nothing but Python."""
    return asdict(plan_deliveries())


def data() -> ResponseReturnValue:
    """What was sold, by category, as the database sums it up."""
    sold = func.sum(OrderLine.quantity)
    taken = func.sum(OrderLine.quantity * Product.price_cents)
    query = (
        select(Product.category, sold, taken)
        .join(OrderLine.product)
        .group_by(Product.category)
        .order_by(taken.desc())
    )
    rows = database().execute(query)
    return {
        "categories": [
            {"category": category, "sold": sold, "cents": cents}
            for category, sold, cents in rows
        ]
    }


def export() -> Response:
    """Stream all order lines as CSV, without ever holding all of them."""
    filename = {"Content-Disposition": "attachment; filename=orders.csv"}
    return Response(_csv_lines(engine()), mimetype="text/csv", headers=filename)


def slow() -> ResponseReturnValue:
    """Wait for a supplier who takes more than a second to answer."""
    return {"answer": ask_supplier()}


def ask_supplier() -> str:
    """Stand for a call over the network that takes its time."""
    time.sleep(SUPPLIER_SECONDS)
    return "in stock"


def fail() -> ResponseReturnValue:
    """Fail as applications do: with an exception that nobody expected."""
    raise PaymentError("the payment provider did not answer")


def health() -> ResponseReturnValue:
    """Say that the shop is open."""
    return {"status": "ok"}


def error(problem: HTTPException) -> ResponseReturnValue:
    """Answer the API in JSON, and people with a page; what happened stays what it was."""
    if not request.path.startswith("/api/"):
        return problem
    body = {"error": problem.name, "description": problem.description}
    headers = [(name, value) for name, value in problem.get_headers() if name == "Allow"]
    return body, problem.code or 500, headers


def price(cents: int) -> str:
    """Write a sum of money for people."""
    return f"€ {cents // 100}.{cents % 100:02}"


def _csv_lines(source: Any) -> Iterator[str]:
    # The response outlives the request's own session, so this one is the stream's.
    query = (
        select(Order.id, Order.ordered, User.name, Product.name, OrderLine.quantity)
        .select_from(Order)
        .join(Order.user)
        .join(Order.lines)
        .join(OrderLine.product)
        .order_by(Order.id, OrderLine.id)
        .execution_options(yield_per=100)
    )
    yield _csv_line(["order", "ordered", "user", "product", "quantity"])
    with Session(source) as session:
        for number, ordered, *rest in session.execute(query):
            yield _csv_line([number, ordered.isoformat(), *rest])


def _csv_line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


def _database_path(app: Flask) -> Path:
    """The database that the configuration names, else one that goes when `app` goes."""
    if "DATABASE" in app.config:
        return Path(app.config["DATABASE"])
    directory = tempfile.mkdtemp(prefix="shop-")
    weakref.finalize(app, _remove, directory, os.getpid())
    return Path(directory) / "shop.sqlite"


def _remove(directory: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker that ends leaves it to the others
        shutil.rmtree(directory, ignore_errors=True)
