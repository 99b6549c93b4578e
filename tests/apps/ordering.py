"""The served application with a page that has all that can be measured: ``ordering:app``.

A section, a template and a query of a database.
"""

from __future__ import annotations

import sqlalchemy
from flask import render_template
from jinja2 import DictLoader
from served import app

import flaskprof

app.jinja_loader = DictLoader({"order.html": "order {{ number }} for {{ price }}"})
database = sqlalchemy.create_engine("sqlite://")


@app.get("/orders/<int:number>")
def order(number):
    with flaskprof.profile("price"), database.connect() as connection:
        price = connection.scalar(sqlalchemy.text("SELECT 12 * :number"), {"number": number})
    return render_template("order.html", number=number, price=price)


__all__ = ["app"]
