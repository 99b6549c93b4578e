"""`flaskprof token`: what is printed is a token that the application takes."""

import json
import re
import time

import pytest

from flaskprof.access import read_token

SECRET = "a secret of many characters"


def test_the_command_line_and_the_link_hold_a_valid_token(command):
    run = command("token", FLASKPROF_SECRET=SECRET)
    assert (run.code, run.errors) == (0, "")
    curl = re.search(
        r"^ +curl -i -H 'X-Profile: (\S+)' http://127\.0\.0\.1:5000/$", run.output, re.MULTILINE
    )
    link = re.search(
        r"^ +http://127\.0\.0\.1:5000/flaskprof/\?token=(\S+)$", run.output, re.MULTILINE
    )
    assert curl[1] == link[1]
    assert read_token([SECRET], curl[1]) is not None


def test_the_token_is_bound_as_asked(command):
    run = command(
        "token",
        *("--ttl", "30m", "--route", "/orders/<int:id>", "--count", "3", "--json"),
        FLASKPROF_SECRET=SECRET,
    )
    data = json.loads(run.output)
    token = read_token([SECRET], data["token"])
    assert (token.route, token.count) == ("/orders/<int:id>", 3)
    assert token.expires == data["expires"]
    assert 1700 < data["expires"] - time.time() <= 1801


def test_the_first_of_several_secrets_signs(command):
    run = command("token", "--json", FLASKPROF_SECRET=f"{SECRET},another one that verifies")
    assert read_token([SECRET], json.loads(run.output)["token"]) is not None


def test_the_secret_may_be_in_a_file(command, tmp_path):
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    run = command("token", "--secret-file", "secret", "--json")
    assert read_token(["0123456789abcdef"], json.loads(run.output)["token"]) is not None


def test_addresses_are_those_of_the_application(command):
    run = command(
        "token",
        *("--url", "https://shop.example.com/a?b=1&c='", "--json"),
        FLASKPROF_SECRET=SECRET,
        FLASKPROF_PREFIX="/profiles",
    )
    data = json.loads(run.output)
    assert data["curl"].endswith(""" 'https://shop.example.com/a?b=1&c='"'"''""")
    assert data["viewer"].startswith("https://shop.example.com/profiles/?token=")
    run = command(
        "token", "--json", FLASKPROF_SECRET=SECRET, FLASKPROF_URL="https://p.example/x"
    )
    assert json.loads(run.output)["viewer"].startswith("https://p.example/x/?token=")


@pytest.mark.parametrize("ttl", ["", "0", "-1h", "1w", "1.5h", "x", "9" * 30])
def test_a_span_that_is_none_is_refused(command, ttl):
    run = command("token", "--ttl", ttl, FLASKPROF_SECRET=SECRET)
    assert (run.code, run.output, run.errors.count("\n")) == (2, "", 1)
    assert "is not a span of time such as 90s, 30m, 1h or 7d" in run.errors


@pytest.mark.parametrize(
    "url", ["", "shop.example.com", "ftp://x/", "http://x/\x1b[2J", "http://u@x/"]
)
def test_an_address_that_is_none_is_refused(command, url):
    run = command("token", "--url", url, FLASKPROF_SECRET=SECRET)
    assert (run.code, run.output, run.errors.count("\n")) == (2, "", 1)


def test_without_a_secret_it_says_how_to_make_one(command):
    run = command("token")
    assert run.code == 2
    assert "python -c 'import secrets; print(secrets.token_hex())'" in run.errors


def test_the_secret_is_never_printed(command):
    run = command("token", "--json", FLASKPROF_SECRET=SECRET)
    assert SECRET not in run.output + run.errors
    run = command("token", FLASKPROF_SECRET="short")
    assert run.code == 2
    assert "short" not in run.output + run.errors
