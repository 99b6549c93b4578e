"""Who asked for a capture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from flaskprof.access import AccessRules, Token, make_token
from flaskprof.capture.triggers import Ask, TokenUses, take_ask

SECRET = "a secret of sixteen or more"
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
FAR = {"REMOTE_ADDR": "203.0.113.5", "HTTP_HOST": "shop.example.com"}


def ask(value, environ=LOCAL, secrets=(), *, dev=True):
    environ = {**environ, "HTTP_X_PROFILE": value}
    asked = take_ask(environ, AccessRules(secrets, lambda: dev))
    assert "HTTP_X_PROFILE" not in environ
    return asked


@pytest.mark.parametrize("value", ["1", "true", "Yes", " on "])
def test_at_home_a_yes_is_enough(value):
    assert ask(value) == Ask("header")


@pytest.mark.parametrize("value", ["sample", " Sample "])
def test_at_home_a_sampled_profile_is_asked_for_by_a_word(value):
    assert ask(value) == Ask("header", exactness="sampled")
    assert ask(value, FAR) is None
    assert ask(value, LOCAL, dev=False) is None


@pytest.mark.parametrize("value", ["", "0", "no", "something", "1 sample", "sample 1"])
def test_anything_else_is_not_an_ask(value):
    assert ask(value) is None


def test_a_yes_from_elsewhere_is_not_an_ask():
    assert ask("1", FAR) is None
    assert ask("1", LOCAL, dev=False) is None
    assert ask("1", FAR, (SECRET,), dev=True) is None


def test_a_token_asks_from_anywhere():
    text = make_token([SECRET], ttl_seconds=60, count=2)
    asked = ask(text, FAR, (SECRET,), dev=False)
    assert asked.trigger == "token"
    assert asked.token.count == 2
    assert not asked.is_at_home


@pytest.mark.parametrize(
    ("behind", "exactness"), [("", "exact"), (" sample", "sampled"), ("  SAMPLE ", "sampled")]
)
def test_a_word_behind_the_token_asks_for_a_sampled_profile(behind, exactness):
    text = make_token([SECRET], ttl_seconds=60)
    asked = ask(text + behind, FAR, (SECRET,), dev=False)
    assert (asked.trigger, asked.exactness) == ("token", exactness)


@pytest.mark.parametrize("behind", [" 1", " exact", " sample sample"])
def test_another_word_behind_the_token_is_not_an_ask(behind):
    text = make_token([SECRET], ttl_seconds=60)
    assert ask(text + behind, FAR, (SECRET,), dev=False) is None


def test_the_secret_itself_is_not_a_token():
    assert ask(SECRET, FAR, (SECRET,)) is None


def test_a_token_is_used_as_often_as_it_allows_and_no_more(tmp_path):
    uses = TokenUses(tmp_path)
    token = Token("a" * 16, 0, count=3)
    assert [uses.use(token) for _ in range(5)] == [True, True, True, False, False]
    assert TokenUses(tmp_path).use(token) is False
    assert all(uses.use(Token("b" * 16, 0)) for _ in range(9))


def test_uses_are_counted_over_all_workers(tmp_path):
    token = Token("c" * 16, 0, count=50)
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: TokenUses(tmp_path).use(token), range(200)))
    assert sum(allowed) == 50


def test_uses_that_cannot_be_counted_are_refused(tmp_path):
    (tmp_path / "tokens").write_text("a file where a directory should be")
    assert TokenUses(tmp_path).use(Token("d" * 16, 0, count=1)) is False


def test_the_file_of_uses_is_the_owners_alone(tmp_path):
    TokenUses(tmp_path).use(Token("e" * 16, 0, count=1))
    assert (tmp_path / "tokens" / ("0-" + "e" * 16)).stat().st_mode & 0o777 == 0o600


def test_uses_are_forgotten_once_the_token_has_long_expired(tmp_path):
    uses = TokenUses(tmp_path)
    uses.sweep(now=1e9)  # nothing is there yet
    old, late, valid = (
        Token(letter * 16, expires, count=1)
        for letter, expires in (("a", 1000), ("b", 100_000), ("c", 10**9))
    )
    assert [uses.use(token) for token in (old, late, valid)] == [True] * 3
    (tmp_path / "tokens" / "something else").touch()
    uses.sweep(now=100_001)
    assert sorted(path.name for path in (tmp_path / "tokens").iterdir()) == [
        f"100000-{'b' * 16}",
        f"1000000000-{'c' * 16}",
        "something else",
    ]
    assert [uses.use(token) for token in (late, valid)] == [False, False]
