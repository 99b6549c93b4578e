"""What a request pays for having its queries counted: 100 queries, with and without.

Each request goes through Flask, flaskprof and SQLAlchemy to an SQLite database in memory,
whose answers cost next to nothing: what is added shows most beside them. Requests with and
without alternate; the figure is the median of the ratios of neighbours, in CPU time.

::

    python benchmarks/queries.py
    python benchmarks/queries.py --rounds 400 --check
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from importlib.metadata import version
from time import process_time

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from flaskprof import FlaskProf
from flaskprof.integrations.sqlalchemy import unwatch, watch

QUERIES = 100
MOST = 1.05


class Base(DeclarativeBase):
    """What the table is a part of."""


class Item(Base):
    """A row of a small table."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]


def make_engine():
    engine = sa.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(Item(name=f"item {n}", price=n) for n in range(QUERIES))
        session.commit()
    return engine


def by_orm(engine):
    """Load objects one by one, as the N+1 of a page does."""
    with Session(engine) as session:
        for number in range(1, QUERIES + 1):
            assert session.get(Item, number).price == number - 1


def by_core(engine):
    """Select rows, without the ORM."""
    table = Item.__table__
    with engine.connect() as connection:
        for number in range(1, QUERIES + 1):
            row = connection.execute(sa.select(table).where(table.c.id == number)).one()
            assert row.price == number - 1


WAYS = {"ORM": by_orm, "Core": by_core}


def make_app(directory):
    app = Flask("queries")
    engine = make_engine()
    for name, way in WAYS.items():
        app.add_url_rule(
            f"/{name}", name, lambda way=way: way(engine) or "done", methods=["GET"]
        )
    FlaskProf(app, dir=directory)
    return app


def seconds(client, way):
    started = process_time()
    assert client.get(f"/{way}").status_code == 200
    return process_time() - started


def measure(app, way, rounds):
    """Return CPU seconds of a request without and with, for each round."""
    client = app.test_client()
    recorder = app.wsgi_app.recorder

    def without():
        unwatch()
        recorder.watches_queries = False
        return seconds(client, way)

    def counted():
        recorder.watches_queries = watch()
        assert recorder.watches_queries
        return seconds(client, way)

    times = []
    for number in range(-5, rounds):  # the first ones fill caches
        pair = (without(), counted()) if number % 2 else (counted(), without())[::-1]
        if number >= 0:
            times.append(pair)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="pairs of requests of a way")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--check", action="store_true", help=f"fail above {MOST:.2f}")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        app = make_app(directory)
        for way in WAYS:
            times = measure(app, way, arguments.rounds)
            ratios = [counted / without for without, counted in times]
            low, middle, high = statistics.quantiles(ratios, n=4)
            results[way] = {
                "without_ms": statistics.median(without for without, _ in times) * 1e3,
                "ratio": middle,
                "ratio_low": low,
                "ratio_high": high,
            }
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print(
            f"Python {platform.python_version()}, SQLAlchemy {version('sqlalchemy')}, ", end=""
        )
        print(f"{QUERIES} queries a request, {arguments.rounds} pairs\n")
        print(f"{'':6} {'without':>10} {'ratio':>7} {'quartiles':>16}")
        for way, row in results.items():
            quartiles = f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}"
            print(f"{way:6} {row['without_ms']:7.2f} ms {row['ratio']:7.3f} {quartiles:>16}")
    if arguments.check and any(row["ratio"] > MOST for row in results.values()):
        sys.exit(f"a request costs more than {MOST:.2f} times what it does without")


if __name__ == "__main__":
    main()
