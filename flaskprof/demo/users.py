"""The user API of the shop, as method views: JSON in, JSON out, errors as JSON too."""

from __future__ import annotations

from typing import Any, TypedDict

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from flaskprof.demo.database import User
from flaskprof.demo.session import database

__all__ = ["api"]

api = Blueprint("api", __name__, url_prefix="/api/users")


class UserData(TypedDict):
    """A user as JSON."""

    id: int
    name: str
    email: str


class UserList(MethodView):
    """All users: ``/api/users``."""

    def get(self) -> ResponseReturnValue:
        """List them by name."""
        users = database().scalars(select(User).order_by(User.name))
        return {"users": [_to_json(user) for user in users]}

    def post(self) -> ResponseReturnValue:
        """Add one; needs name and email."""
        user = User(**_fields(needed={"name", "email"}))
        database().add(user)
        _commit()
        return _to_json(user), 201, {"Location": url_for("api.user", user_id=user.id)}


class OneUser(MethodView):
    """One user: ``/api/users/<id>``."""

    def get(self, user_id: int) -> ResponseReturnValue:
        """Return the user."""
        return _to_json(_find(user_id))

    def put(self, user_id: int) -> ResponseReturnValue:
        """Replace all that is known of the user; needs name and email."""
        return self._change(user_id, _fields(needed={"name", "email"}))

    def patch(self, user_id: int) -> ResponseReturnValue:
        """Change what is given and nothing else."""
        return self._change(user_id, _fields(needed=set()))

    def delete(self, user_id: int) -> ResponseReturnValue:
        """Remove the user, and the user's orders."""
        database().delete(_find(user_id))
        _commit()
        return "", 204

    def _change(self, user_id: int, changes: dict[str, str]) -> ResponseReturnValue:
        user = _find(user_id)
        for name, value in changes.items():
            setattr(user, name, value)
        _commit()
        return _to_json(user)


api.add_url_rule("", view_func=UserList.as_view("users"))
api.add_url_rule("/<int:user_id>", view_func=OneUser.as_view("user"))


def _find(user_id: int) -> User:
    return database().get(User, user_id) or abort(404, f"there is no user {user_id}")


def _fields(needed: set[str]) -> dict[str, str]:
    """Return the fields of the request's JSON, checked."""
    body: Any = request.get_json()
    if not isinstance(body, dict):
        abort(400, "a user is a JSON object")
    known = {"name", "email"}
    if unknown := body.keys() - known:
        abort(400, f"a user has no {min(unknown)!r}")
    if missing := needed - body.keys():
        abort(400, f"{min(missing)!r} is missing")
    for name, value in body.items():
        if not isinstance(value, str) or not 0 < len(value.strip()) <= 80:
            abort(400, f"{name!r} is a text of 1 to 80 characters")
    if "@" not in body.get("email", "@"):
        abort(400, "'email' has no @")
    return {name: value.strip() for name, value in body.items()}


def _commit() -> None:
    try:
        database().commit()
    except IntegrityError:
        database().rollback()
        abort(409, "another user has this email")


def _to_json(user: User) -> UserData:
    return {"id": user.id, "name": user.name, "email": user.email}
