"""speedscope's JSON: valid by its published schema, and every nanosecond in its place."""

import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from trees import HOSTILE, SHOP, VIEW, by_stack, tree, trees

from flaskprof.formats.speedscope import write_speedscope
from flaskprof.profiles.model import Function
from needs import needs_program

SPEEDSCOPE = "speedscope@1.25.0"
NPM_DIRECTORY = Path(__file__).parents[2] / "build" / "npm"


@pytest.fixture(scope="module")
def schema():
    """The schema that speedscope publishes with its release."""
    home = NPM_DIRECTORY / SPEEDSCOPE
    path = home / "node_modules/speedscope/dist/release/file-format-schema.json"
    if not path.exists():
        npm = needs_program("npm")
        home.mkdir(parents=True, exist_ok=True)
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", home]
        done = subprocess.run(
            [npm, "install", *options, SPEEDSCOPE], capture_output=True, text=True
        )
        if done.returncode:
            must = os.environ.get("REQUIRE_TEST_PROGRAMS") == "1"
            (pytest.fail if must else pytest.skip)(f"npm could not install it: {done.stderr}")
    return json.loads(path.read_text("utf-8"))


def replayed(content):
    """The self times by stack that an importer gets from the events, in their order."""
    frames = [
        Function(frame.get("file", "~"), frame.get("line", 0), frame["name"])
        for frame in content["shared"]["frames"]
    ]
    (profile,) = content["profiles"]
    times, stack, now = defaultdict(int), [], profile["startValue"]
    for event in profile["events"]:
        times[tuple(frames[frame] for frame in stack)] += event["at"] - now
        assert event["at"] >= now
        now = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert (stack, now) == ([], profile["endValue"])
    return {path: time for path, time in times.items() if time}


@settings(max_examples=50)
@given(trees())
def test_the_events_give_back_each_stack_and_its_time(written):
    assert replayed(json.loads(write_speedscope(written, name="x"))) == by_stack(written)


@pytest.mark.parametrize(
    "written", [SHOP, tree(), tree((-1, 0, 1, 5), functions=(HOSTILE,))], ids=len
)
def test_it_is_valid_by_the_published_schema(schema, written):
    content = json.loads(write_speedscope(written, name="GET /orders/<int:id>"))
    jsonschema.validate(content, schema)
    # The schema lets a profile be of a kind that it does not describe.
    assert content["profiles"][0]["type"] == "evented"
    assert content["profiles"][0]["unit"] == "nanoseconds"


def test_the_file_says_what_it_is_of():
    content = json.loads(write_speedscope(SHOP, name="GET /"))
    assert (content["name"], content["exporter"]) == ("GET /", "flaskprof")
    assert content["shared"]["frames"][0] == {
        "name": "order",
        "file": VIEW.file,
        "line": 10,
    }


def test_names_that_are_no_valid_unicode_are_written_all_the_same():
    written = tree((-1, 0, 1, 5), functions=(HOSTILE,))
    assert json.loads(write_speedscope(written, name="\udc80"))["shared"]["frames"] == [
        {"name": HOSTILE.name, "file": HOSTILE.file, "line": 3}
    ]


def test_a_hundred_thousand_nested_calls_are_a_file_of_their_size():
    deep = tree(*((node - 1, 0, 1, 3) for node in range(100_000)))
    assert len(write_speedscope(deep, name="deep")) < 10_000_000
