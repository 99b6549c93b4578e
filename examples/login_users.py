"""A shop with users of Flask-Login, of whom administrators may profile and staff may look.

::

    pip install flaskprof Flask-Login
    flask --app examples/login_users run

    curl -c ada -d name=ada -d password='only for this example' http://127.0.0.1:5000/login
    curl -b ada -i -H 'X-Profile: 1' http://127.0.0.1:5000/orders/7

``ada`` is an administrator, ``bob`` is staff, ``eve`` neither.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from flask import Flask, abort, request
from flask_login import LoginManager, UserMixin, current_user, login_user
from werkzeug.security import check_password_hash, generate_password_hash

from flaskprof import FlaskProf


class User(UserMixin):
    """Someone who can log in."""

    def __init__(self, name: str, *, is_staff: bool, is_admin: bool) -> None:
        self.id = name
        self.is_staff = is_staff
        self.is_admin = is_admin


USERS = {
    user.id: user
    for user in (
        User("ada", is_staff=True, is_admin=True),
        User("bob", is_staff=True, is_admin=False),
        User("eve", is_staff=False, is_admin=False),
    )
}


def may_profile(wanted: str, _environ: dict[str, Any]) -> bool:
    """Let staff look, and administrators ask for captures and change what is kept."""
    if not current_user.is_authenticated:
        return False
    return current_user.is_admin or (wanted == "look" and current_user.is_staff)


def create_app(**config: Any) -> Flask:
    """Return the shop."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or secrets.token_hex()
    app.config.update(config)
    password = generate_password_hash(os.environ.get("PASSWORD", "only for this example"))
    LoginManager(app).user_loader(USERS.get)

    @app.post("/login")
    def login() -> str:
        user = USERS.get(request.form["name"])
        if user is None or not check_password_hash(password, request.form["password"]):
            abort(403)
        login_user(user)
        return "Welcome."

    @app.get("/orders/<int:order_id>")
    def order(order_id: int) -> dict[str, int]:
        return {"order": order_id}

    FlaskProf(app, access=may_profile)
    return app
