r"""A shop with users of Flask-Security, of whom those with the role `profiler` may profile.

::

    pip install flaskprof 'Flask-Security-Too[common]' Flask-SQLAlchemy
    flask --app examples/security_roles run

``ada@example.com`` has the role, ``bob@example.com`` does not. After a login at ``/login`` in a
browser, or with ``curl``, whose form needs the token that Flask-Security gives out::

    token=$(curl -s -c ada -H 'Content-Type: application/json' http://127.0.0.1:5000/login \
        | python -c 'import json, sys; print(json.load(sys.stdin)["response"]["csrf_token"])')
    curl -b ada -c ada -d email=ada@example.com -d password='only for this example' \
        -d csrf_token=$token http://127.0.0.1:5000/login
    curl -b ada -i -H 'X-Profile: 1' http://127.0.0.1:5000/orders/7
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, current_user, hash_password
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy

from flaskprof import FlaskProf

database = SQLAlchemy()
fsqla_v3.FsModels.set_db_info(database)


class Role(database.Model, fsqla_v3.FsRoleMixin):
    """What a user may do."""


class User(database.Model, fsqla_v3.FsUserMixin):
    """Someone who can log in."""


def may_profile(_wanted: str, _environ: dict[str, Any]) -> bool:
    """Let users with the role ask for captures, look at them and change what is kept."""
    return current_user.has_role("profiler")


def create_app(**config: Any) -> Flask:
    """Return the shop, with two users if it is new: one with the role and one without."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or secrets.token_hex()
    app.config["SECURITY_PASSWORD_SALT"] = os.environ.get("PASSWORD_SALT") or "salt of the shop"
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///users.sqlite"
    app.config.update(config)
    database.init_app(app)
    users = SQLAlchemyUserDatastore(database, User, Role)
    Security(app, users)

    @app.get("/orders/<int:order_id>")
    def order(order_id: int) -> dict[str, int]:
        return {"order": order_id}

    with app.app_context():
        database.create_all()
        if not users.find_role("profiler"):
            users.create_role(name="profiler", permissions=set())
            password = hash_password(os.environ.get("PASSWORD", "only for this example"))
            users.create_user(email="ada@example.com", password=password, roles=["profiler"])
            users.create_user(email="bob@example.com", password=password)
            database.session.commit()

    FlaskProf(app, access=may_profile)
    return app
