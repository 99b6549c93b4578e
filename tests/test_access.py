"""Who may ask and look: the development rule and the signed token."""

from __future__ import annotations

import pytest

from flaskprof.access import (
    COOKIE,
    AccessRules,
    make_token,
    read_token,
)
from flaskprof.errors import ConfigError

SECRET = "a secret of sixteen or more"
OTHER = "another secret, just as long"
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:5000"}


def test_a_token_says_what_it_allows_until_it_expires():
    text = make_token([SECRET], ttl_seconds=60, route="/orders/<id>", count=3, now=1000)
    token = read_token([SECRET], text, now=1059)
    assert token is not None
    assert (token.route, token.count, token.expires) == ("/orders/<id>", 3, 1060)
    assert read_token([SECRET], text, now=1060) is None


def test_no_two_tokens_are_the_same():
    assert make_token([SECRET], ttl_seconds=60) != make_token([SECRET], ttl_seconds=60)


@pytest.mark.parametrize(
    "text",
    ["", "1", "x.y.z", "ä", "a" * 5000, make_token([OTHER], ttl_seconds=60)],
    ids=["empty", "digit", "noise", "not ascii", "long", "forged"],
)
def test_what_was_not_signed_with_the_secret_is_no_token(text):
    assert read_token([SECRET], text) is None


def test_a_token_is_no_token_where_there_is_no_secret():
    assert read_token([], make_token([SECRET], ttl_seconds=60)) is None


def test_each_changed_character_makes_a_token_invalid():
    text = make_token([SECRET], ttl_seconds=60)
    for place, letter in enumerate(text[:-1]):
        changed = text[:place] + ("A" if letter != "A" else "B") + text[place + 1 :]
        assert read_token([SECRET], changed) is None


def test_a_secret_can_be_replaced_without_a_gap():
    old = make_token([SECRET], ttl_seconds=60)
    assert read_token([OTHER, SECRET], old) is not None
    new = make_token([OTHER, SECRET], ttl_seconds=60)
    assert read_token([OTHER], new) is not None
    assert read_token([SECRET], new) is None


@pytest.mark.parametrize(
    ("secrets", "keywords"),
    [
        ([], {"ttl_seconds": 60}),
        ([SECRET], {"ttl_seconds": 0}),
        ([SECRET], {"ttl_seconds": float("inf")}),
        ([SECRET], {"ttl_seconds": 60, "count": 0}),
    ],
    ids=str,
)
def test_a_token_that_makes_no_sense_is_refused(secrets, keywords):
    with pytest.raises(ConfigError):
        make_token(secrets, **keywords)


def rules(*secrets, dev=False):
    return AccessRules(tuple(secrets), lambda: dev)


def test_without_a_secret_only_development_on_this_machine_may_look():
    assert rules(dev=True).may_look(LOCAL)
    assert not rules().may_look(LOCAL)
    assert not rules(dev=True).may_look(LOCAL | {"HTTP_X_FORWARDED_FOR": "127.0.0.1"})
    assert not rules(dev=True).may_look(LOCAL | {"REMOTE_ADDR": "10.0.0.1"})


def test_development_is_asked_at_each_request():
    state = {"debug": False}
    changing = AccessRules((), lambda: state["debug"])
    assert not changing.may_look(LOCAL)
    state["debug"] = True
    assert changing.may_look(LOCAL)


@pytest.mark.parametrize(
    "offer",
    [
        lambda token: {"HTTP_X_PROFILE": token},
        lambda token: {"HTTP_AUTHORIZATION": f"Bearer {token}"},
        lambda token: {"HTTP_COOKIE": f"session=1; {COOKIE}={token}"},
        lambda token: {"QUERY_STRING": f"route=x&token={token}"},
    ],
    ids=["header", "bearer", "cookie", "link"],
)
def test_whoever_holds_a_token_may_look_from_anywhere(offer):
    far = {"REMOTE_ADDR": "203.0.113.5", "HTTP_HOST": "shop.example.com"}
    token = make_token([SECRET], ttl_seconds=60)
    assert rules(SECRET).may_look(far | offer(token))
    assert not rules(SECRET).may_look(far | offer(token[:-3]))
    assert not rules(OTHER).may_look(far | offer(token))
    assert not rules().may_look(far | offer(token))


def test_the_line_at_start_says_who_may():
    assert "nobody" in rules().explain()
    assert "token" in rules(SECRET).explain()
    assert "this machine" in rules(dev=True).explain()
