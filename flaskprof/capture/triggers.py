"""Who asked for a capture, and why one that was asked for is not made."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from flaskprof.access import AccessRules, Token

__all__ = ["HEADER", "Ask", "Skip", "TokenUses", "take_ask"]

HEADER = "HTTP_X_PROFILE"

_USES = re.compile(r"([0-9]{1,15})-[0-9a-f]+\Z")
_EXPIRED_SECONDS = 24 * 3600

# What the header says, at home and behind a token, and the exactness that this asks for.
_AT_HOME = {**dict.fromkeys(("1", "true", "yes", "on"), "exact"), "sample": "sampled"}
_WITH_TOKEN = {"": "exact", "sample": "sampled"}


@dataclass(frozen=True, slots=True)
class Ask:
    """A capture that was asked for by someone who may, or by the code of the application.

    `trigger` is "header", "token" or, where code asked, "api". `exactness` is that of
    the engine which is to make it: "exact" or "sampled".
    """

    trigger: str
    token: Token | None = None
    exactness: str = "exact"
    is_user: bool = False

    @property
    def is_at_home(self) -> bool:
        """Whether the development rule allowed it."""
        return self.token is None and not self.is_user and self.trigger == "header"


class Skip(Enum):
    """Why a capture is not made: the label of the metric is the name, the header the text."""

    asynchronous = "an event loop runs other tasks in the same thread"
    busy = "another profiler is active"
    excluded = "this route is excluded"
    full = "the data directory is full"
    no_engine = "no engine works on this interpreter"
    other_route = "the token is for another route"
    other_service = "the data directory belongs to another service"
    rate = "too many captures were asked for in a short time"
    stopped = "captures are stopped by the file 'stop' in the data directory"
    too_many = "too many requests are being captured"
    used_up = "the token is used up"
    writing = "too many captures wait to be written"


def take_ask(environ: dict[str, Any], rules: AccessRules) -> Ask | None:
    """Take the header out of `environ` and return what it asks for, if its sender may."""
    text = environ.pop(HEADER, None)
    if text is None:
        return None
    text = text.strip()
    exactness = _AT_HOME.get(text.lower())
    if exactness is not None:
        if rules.is_at_home(environ):
            return Ask("header", None, exactness)
        is_allowed = rules.allows("ask", environ)
        return Ask("header", None, exactness, is_user=True) if is_allowed else None
    token_text, _, rest = text.partition(" ")
    exactness = _WITH_TOKEN.get(rest.strip().lower())
    token = None if exactness is None else rules.token_in(token_text)
    return None if token is None or exactness is None else Ask("token", token, exactness)


class TokenUses:
    """Counts the uses of tokens that allow a number of captures, over all workers.

    Each use appends one byte to a file named by the token. The position after an append
    is the number of the use: the kernel gives no two appends the same one. The name begins
    with the second at which the token expires, after which its file is of no use.
    """

    def __init__(self, data_directory: Path) -> None:
        self._directory = data_directory / "tokens"

    def use(self, token: Token) -> bool:
        """Count one use; false where the token allows no more or uses cannot be counted."""
        if token.count is None:
            return True
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            path = self._directory / f"{int(token.expires)}-{token.id}"
            descriptor = os.open(path, flags, 0o600)
            try:
                os.write(descriptor, b".")
                return os.lseek(descriptor, 0, os.SEEK_CUR) <= token.count
            finally:
                os.close(descriptor)
        except OSError:
            return False

    def sweep(self, now: float) -> None:
        """Delete the files of tokens that expired a day before `now`, in Unix seconds.

        Clocks that differ a little do not give a token its uses back. Raises OSError
        where a file cannot be deleted.
        """
        with suppress(FileNotFoundError):  # no token has been used yet
            for path in self._directory.iterdir():
                expires = _USES.match(path.name)
                if expires and int(expires[1]) + _EXPIRED_SECONDS < now:
                    path.unlink(missing_ok=True)
