"""One engine for the application, one database session for each request."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app, g
from sqlalchemy import Engine
from sqlalchemy.orm import Session

__all__ = ["database", "engine", "use_engine"]


def use_engine(app: Flask, engine: Engine) -> None:
    """Let requests of `app` use `engine`, and close their sessions after them."""
    app.extensions["shop_engine"] = engine
    app.teardown_appcontext(_close)


def engine() -> Engine:
    """The engine of the current application."""
    return cast("Engine", current_app.extensions["shop_engine"])


def database() -> Session:
    """The session of the current request, opened when it is first asked for."""
    if "session" not in g:
        g.session = Session(engine())
    return cast("Session", g.session)


def _close(_error: BaseException | None) -> None:
    session = g.pop("session", None)
    if session is not None:
        session.close()
