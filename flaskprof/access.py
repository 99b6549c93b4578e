"""Who may ask for a capture and who may look at the results.

Without a secret flaskprof answers only in development, and only to a peer on this very
machine that asked this machine by name. A loopback peer alone proves nothing: a reverse
proxy on the same host is one too, a bare nginx forwards without saying so in any header,
and a page in the developer's browser can reach loopback through DNS rebinding. With a
secret, whoever holds a signed, expiring token may ask and look. Where the application has users
of its own it may decide itself, beside both.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from itsdangerous import BadData, URLSafeSerializer
from werkzeug.http import parse_cookie

from flaskprof import log
from flaskprof.errors import ConfigError
from flaskprof.peer import is_local

__all__ = [
    "COOKIE",
    "AccessRules",
    "Token",
    "make_token",
    "read_token",
]

COOKIE = "flaskprof_token"

_TOKEN_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Token:
    """What a signed token allows: until when (Unix seconds), on which route, how often."""

    id: str
    expires: float
    route: str | None = None
    count: int | None = None


def make_token(
    secrets: Sequence[str],
    *,
    ttl_seconds: float,
    route: str | None = None,
    count: int | None = None,
    now: float | None = None,
) -> str:
    """Sign a token with the first of `secrets`; raises `ConfigError` where there is none."""
    if not secrets:
        raise ConfigError(
            "a token needs a secret: set FLASKPROF_SECRET, here and where the application "
            "runs, to the output of: python -c 'import secrets; print(secrets.token_hex())'"
        )
    if not 0 < ttl_seconds < math.inf:
        raise ConfigError(f"a token cannot live for {ttl_seconds} seconds")
    if count is not None and count < 1:
        raise ConfigError(f"a token cannot allow {count} captures")
    payload: dict[str, Any] = {
        "id": os.urandom(8).hex(),
        "exp": math.ceil((time.time() if now is None else now) + ttl_seconds),
    }
    if route is not None:
        payload["route"] = route
    if count is not None:
        payload["count"] = count
    text = _serializer(secrets).dumps(payload)
    return text if isinstance(text, str) else text.decode("ascii")


def read_token(secrets: Sequence[str], text: str, *, now: float | None = None) -> Token | None:
    """Return what the token allows; None if it is forged, damaged or expired."""
    if not secrets or not text or len(text) > _TOKEN_LIMIT:
        return None
    try:
        payload = _serializer(secrets).loads(text)
    except BadData:
        return None
    token = Token(payload["id"], payload["exp"], payload.get("route"), payload.get("count"))
    return token if token.expires > (time.time() if now is None else now) else None


def _serializer(secrets: Sequence[str]) -> URLSafeSerializer:
    # itsdangerous signs with the last key of a list and verifies with all of them.
    return URLSafeSerializer(
        list(reversed(secrets)),
        salt="flaskprof.token",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules of one application. `is_development` is asked anew at each request.

    `decide` is the application's own: called with what is wanted, "ask", "look" or "change",
    and the WSGI environ, it answers whether the sender may. Where it fails, nobody may.
    """

    secrets: tuple[str, ...]
    is_development: Callable[[], bool]
    decide: Callable[[str, dict[str, Any]], object] | None = None

    def is_at_home(self, environ: Mapping[str, Any]) -> bool:
        """Whether the development rule lets this request ask and look without a token."""
        return self.is_development() and is_local(environ)

    def token_in(self, text: str) -> Token | None:
        """Return the token that `text` holds, if it is valid."""
        return read_token(self.secrets, text)

    def may_look(self, environ: Mapping[str, Any]) -> bool:
        """Whether the viewer answers this request."""
        return self._has_right(environ) or self.allows("look", environ)

    def may_ask(self, environ: Mapping[str, Any]) -> bool:
        """Whether this request may ask for a capture, by a token or whose it is."""
        return self._has_right(environ) or self.allows("ask", environ)

    def may_change(self, environ: Mapping[str, Any]) -> bool:
        """Whether this request may change what is kept: never one that another site sent."""
        if _came_from_elsewhere(environ):
            return False
        return self._has_right(environ) or self.allows("change", environ)

    def allows(self, wanted: str, environ: Mapping[str, Any]) -> bool:
        """Whether the application itself allows what is wanted. Never raises."""
        if self.decide is None:
            return False
        try:
            return bool(self.decide(wanted, dict(environ)))
        except Exception:  # noqa: BLE001  not ours alone; who cannot be known may not
            log.once("access", "the access function failed: nobody may", exc_info=True)
            return False

    def _has_right(self, environ: Mapping[str, Any]) -> bool:
        if self.is_at_home(environ):
            return True
        return bool(self.secrets) and any(
            self.token_in(text) is not None for text in _offered_tokens(environ)
        )

    def explain(self) -> str:
        """Say in one phrase who may ask and look, for the line at start."""
        at_home = "anyone on this machine (X-Profile: 1)" if self.is_development() else ""
        holders = "holders of a token (flaskprof token)" if self.secrets else ""
        users = "whom the application's access function allows" if self.decide else ""
        return " and ".join(filter(None, (at_home, holders, users))) or (
            "nobody (set FLASKPROF_SECRET, or FLASKPROF_DEV=1 at home)"
        )


def _came_from_elsewhere(environ: Mapping[str, Any]) -> bool:
    """Whether a browser says that a page of another site sent this, with its user's cookies."""
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in {"none", "same-origin"}:
        return True
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and origin.partition("://")[2] != environ.get("HTTP_HOST", "")


def _offered_tokens(environ: Mapping[str, Any]) -> list[str]:
    """Tokens by header, by link and by the cookie that following such a link sets."""
    # Behind the token the header may say how to record.
    offered = [environ.get("HTTP_X_PROFILE", "").strip().partition(" ")[0]]
    scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        offered.append(credentials.strip())
    offered.append(token_in_query(environ))
    offered.append(parse_cookie(environ.get("HTTP_COOKIE", "")).get(COOKIE, ""))
    return [text for text in offered if text]


def token_in_query(environ: Mapping[str, Any]) -> str:
    """Return the value of ``?token=`` in the query, or nothing."""
    query = environ.get("QUERY_STRING", "")
    if "token=" not in query:
        return ""
    tokens: list[str] = parse_qs(query, max_num_fields=100).get("token", [""])
    return tokens[0]
