"""Call trees survive pprof's format, and other tools' decoders read the same numbers."""

import gzip
import json
import os
import re
import subprocess
import sys
import zlib
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.errors import BadProfile
from flaskprof.formats import pprof
from flaskprof.formats.pprof import DEEPER, read_pprof, write_pprof
from flaskprof.formats.protobuf import message, number, varint
from flaskprof.profiles.builder import TreeBuilder
from flaskprof.profiles.model import CallTree, Function
from needs import needs_program

PPROF_FORMAT = "pprof-format@2.3.2"
# Git-ignored, and kept from one run to the next.
NPM_DIRECTORY = Path(__file__).parents[2] / "build" / "npm"

VIEW = Function("/srv/shop/app.py", 12, "view")
LOAD = Function("/srv/shop/db.py", 7, "load")
LEN = Function("~", 0, "<built-in method builtins.len>")
LABELS = {"route": "/orders/<int:id>", "method": "GET", "status": "200", "service": ""}
STARTED = 1_700_000_000.25


def tree(functions, *nodes, is_sampled=False):
    """A tree of nodes (parent, function, calls, self nanoseconds)."""
    columns = list(zip(*nodes, strict=True)) or [()] * 4
    return CallTree(functions, *(array("q", column) for column in columns), is_sampled)


SHOP = tree(
    (VIEW, LOAD, LEN),
    (-1, 0, 1, 1_000_000),
    (0, 1, 3, 20_000_000),
    (1, 2, 300, 300),
    (1, 1, 2, 4_000_000),
    (0, 2, 5, 5),
    (-1, 2, 1, 0),
)


def written(profile, labels=LABELS):
    return write_pprof(
        profile, labels=labels, started=STARTED, duration_seconds=0.5, cpu_seconds=0.125
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
functions = st.builds(Function, texts, st.integers(-1, 2**31 - 1), texts)


@st.composite
def trees(draw):
    known = draw(st.lists(functions, min_size=1, max_size=6, unique=True))
    builder = TreeBuilder()
    for _ in range(draw(st.integers(0, 20))):
        above = draw(st.integers(-1, len(builder) - 1))
        node = builder.node(above, draw(st.integers(0, len(known) - 1)))
        builder.add(node, draw(st.integers(0, 2**40)), draw(st.integers(0, 2**50)))
    return builder.tree(tuple(known), is_sampled=draw(st.booleans()))


@settings(max_examples=150)
@given(trees(), st.dictionaries(texts, texts, max_size=3))
def test_a_tree_is_read_as_it_was_written(profile, labels):
    assert read_pprof(written(profile, labels)) == profile


@settings(max_examples=250)
@given(st.data())
def test_a_damaged_profile_gives_a_tree_or_bad_profile(data):
    damaged = bytearray(gzip.decompress(written(SHOP)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        if data.draw(st.booleans()):
            damaged[at] = data.draw(st.integers(0, 255))
        else:
            del damaged[at:]
            damaged.append(data.draw(st.integers(0, 255)))
    try:
        profile = read_pprof(gzip.compress(bytes(damaged)))
    except BadProfile:
        return
    assert isinstance(profile, CallTree)


def test_the_same_tree_gives_the_same_bytes():
    assert written(SHOP) == written(SHOP)


def test_lone_surrogates_become_their_escapes():
    odd = tree((Function("/srv/\udcff.py", 1, "f"),), (-1, 0, 1, 1))
    assert read_pprof(written(odd)).functions == (Function("/srv/\\udcff.py", 1, "f"),)


def deep(depth):
    return tree((VIEW, LOAD), *((node - 1, node % 2, 1, 10) for node in range(depth)))


def test_a_hundred_thousand_nested_calls_keep_their_calls_and_time():
    profile = deep(100_000)
    data = written(profile)
    assert len(gzip.decompress(data)) < pprof.MAX_PLAIN_BYTES
    read = read_pprof(data)
    assert 1_000 < len(read) < 100_000
    assert read.total_ns == profile.total_ns
    assert sum(read.calls) == 100_000
    assert read.functions == (VIEW, LOAD, DEEPER)
    last = len(read) - 1
    assert read.functions[read.function[last]] == DEEPER
    assert list(read.parent) == list(range(-1, last))


def test_what_is_deeper_is_summed_up_below_each_caller(monkeypatch):
    monkeypatch.setattr(pprof, "MAX_STEPS", 8)
    profile = tree(
        (VIEW, LOAD, LEN),
        (-1, 0, 1, 1),
        (0, 1, 1, 10),
        (1, 2, 1, 100),
        (2, 2, 1, 1000),
        (0, 2, 2, 20),
    )
    assert read_pprof(written(profile)) == tree(
        (VIEW, LOAD, LEN, DEEPER), (-1, 0, 1, 1), (0, 3, 5, 1130)
    )


def raw(*parts):
    return gzip.compress(b"".join(parts), mtime=0)


STRINGS = [
    message(6, text) for text in (b"", b"cpu", b"nanoseconds", b"samples", b"count", b"f")
]
TYPES = [message(1, number(1, 3) + number(2, 4)), message(1, number(1, 1) + number(2, 2))]
FUNCTION = message(5, number(1, 9) + number(2, 5) + number(5, 3))
OTHER = message(5, number(1, 8) + number(2, 1))


def test_profiles_of_other_tools_are_read():
    profile = raw(
        *TYPES,
        # Unpacked, and not after its caller; with an address-like ID and a mapping.
        message(2, number(1, 2**40) + number(1, 7) + number(2, 4) + number(2, 400)),
        message(2, message(1, varint(7)) + message(2, varint(1) + varint(100))),
        message(3, number(1, 1)),
        message(4, number(1, 7) + message(4, number(1, 8))),
        # A function inlined into another at the same place.
        message(4, number(1, 2**40) + message(4, number(1, 9)) + message(4, number(1, 8))),
        varint(90 << 3 | 1) + bytes(8) + varint(91 << 3 | 5) + bytes(4),
        OTHER,
        FUNCTION,
        *STRINGS,
    )
    assert read_pprof(profile) == tree(
        (Function("", 0, "cpu"), Function("", 3, "f")),
        (-1, 0, 1, 100),
        (0, 0, 0, 0),
        (1, 1, 4, 400),
        is_sampled=True,
    )


def test_the_default_time_is_read():
    types = [message(1, number(1, name) + number(2, 2)) for name in (1, 5, 3)]
    sample = message(2, number(1, 1) + message(2, varint(10) + varint(20) + varint(30)))
    location = message(4, number(1, 1) + message(4, number(1, 9)))
    parts = [*types, sample, location, FUNCTION, *STRINGS]
    assert read_pprof(raw(*parts)).self_ns[0] == 30
    assert read_pprof(raw(*parts, number(14, 5))).self_ns[0] == 20
    assert read_pprof(raw(*parts)).calls[0] == 0


LOCATION = message(4, number(1, 1) + message(4, number(1, 9)))
GOOD = [*TYPES, LOCATION, FUNCTION, *STRINGS]


def sample(calls=1, self_ns=1, location=1):
    return message(2, number(1, location) + number(2, calls) + number(2, self_ns))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file ends early"),
        (b"{0", "the file is not gzipped"),
        (gzip.compress(b"")[:-1], "the file ends early"),
        (gzip.compress(b"") + b"x", "has something after its end"),
        (raw(), "no values in nanoseconds"),
        (raw(b"\x80"), "a number of the profile ends early"),
        (raw(b"\xff" * 10 + b"\x01"), "a number of the profile has more than 64 bits"),
        (raw(b"\x0b"), "a field of the unknown kind 3"),
        (raw(b"\x32\x05a"), "a field of the profile ends early"),
        (raw(b"\x31"), "a field of the profile ends early"),
        (raw(*TYPES), "the profile has no text 4"),
        (raw(*GOOD, message(5, number(2, 99))), "the profile has no text 99"),
        (raw(*GOOD, message(5, number(5, 2**31))), f"{2**31} is not the number of a line"),
        (raw(*GOOD, message(4, message(4, number(1, 5)))), "the profile has no function 5"),
        (raw(*GOOD, message(4, number(1, 5))), "location 5 of the profile names no function"),
        (raw(*GOOD, sample(location=5)), "the profile has no location 5"),
        (raw(*GOOD, message(2, number(2, 1) + number(2, 1))), "has no stack"),
        (raw(*GOOD, message(2, number(1, 1) + number(2, 1))), "too few or too many values"),
        (raw(*GOOD, sample(calls=-1)), "a negative value"),
        (raw(*GOOD, sample(self_ns=-1)), "a negative value"),
        (raw(*GOOD, *[sample(self_ns=2**62)] * 2), "values of the profile have more than 64"),
        (raw(*GOOD, *TYPES * 32), "more than 64 types of values"),
        (raw(*GOOD, message(6, b"x" * 65_537), message(5, number(2, 6))), "of 65536 allowed"),
    ],
)
def test_what_is_no_such_profile_is_refused(data, what):
    with pytest.raises(BadProfile, match=re.escape(what)):
        read_pprof(data)


def test_limits_hold(monkeypatch):
    data = written(SHOP)
    for limit, value, what in [
        ("MAX_PLAIN_BYTES", 100, "unpacks to more than 100 bytes"),
        ("MAX_NODES", 5, "more than 5 different stacks"),
        ("MAX_STEPS", 5, "the stacks of the profile have more than 5 entries"),
        ("MAX_TEXT", 50, "the names have more than 50 characters in all"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(pprof, limit, value)
            with pytest.raises(BadProfile, match=what):
                read_pprof(data)


READ_WITH_LIMITS = """
import resource, sys
from flaskprof.errors import BadProfile
from flaskprof.formats import pprof

data = open(sys.argv[1], "rb").read()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 3 * pprof.MAX_PLAIN_BYTES
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    pprof.read_pprof(data)
except BadProfile as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the memory limits of Linux")
def test_a_file_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path):
    # A mebibyte of zeros that does not look back at what came before can be repeated.
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    zeros = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    bomb = tmp_path / "bomb.pb.gz"
    bomb.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zeros * 4096)
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LIMITS, bomb], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == f"the file unpacks to more than {pprof.MAX_PLAIN_BYTES} bytes\n"


@pytest.fixture
def pprof_tool(tmp_path):
    """Run ``go tool pprof`` on a profile."""
    go = needs_program("go")
    path = tmp_path / "x.pb.gz"
    path.write_bytes(written(SHOP))

    def run(*arguments):
        done = subprocess.run(
            [go, "tool", "pprof", *arguments, path],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PPROF_TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        )
        return done.stdout

    return run


def test_go_decodes_the_same_stacks_and_numbers(pprof_tool):
    shown = pprof_tool("-raw")
    assert "calls/count self/nanoseconds[dflt]" in shown
    assert "Time: 2023-11-14 22:13:20.25 +0000 UTC" in shown
    assert "Duration: 500m" in shown
    assert "Comment: CPU time: 0.125000000 s" in shown
    samples = re.findall(r"^ +(\d+) +(\d+): ([\d ]+)$", shown, re.MULTILINE)
    assert [(int(calls), int(ns), stack.split()) for calls, ns, stack in samples] == [
        (1, 1_000_000, ["1"]),
        (3, 20_000_000, ["2", "1"]),
        (300, 300, ["3", "2", "1"]),
        (2, 4_000_000, ["2", "2", "1"]),
        (5, 5, ["3", "1"]),
        (1, 0, ["3"]),
    ]
    labels = "method:[GET] route:[/orders/<int:id>] status:[200]"
    assert len(re.findall(rf"^ +{re.escape(labels)}$", shown, re.MULTILINE)) == 6
    assert re.search(r"1: 0x0 (M=1 )?view /srv/shop/app.py:12(:0)? s=12", shown)


def test_go_sums_functions_up_as_we_do(pprof_tool):
    shown = pprof_tool("-top", "-unit=ns", "-nodefraction=0")
    assert "Type: self" in shown
    assert re.search(r"24000000ns +96\.\d+% +\S+ +24000300ns +\S+ +load", shown)
    assert re.search(r"1000000ns +\S+ +\S+ +25000305ns +100% +view", shown)
    shown = pprof_tool("-top", "-sample_index=calls", "-nodefraction=0")
    assert re.search(r"306 +\S+ +\S+ +306 +\S+ +<built-in method builtins\.len>", shown)


DECODE = """
const { Profile } = require("pprof-format");
const { readFileSync } = require("fs");
const { gunzipSync } = require("zlib");
const profile = Profile.decode(gunzipSync(readFileSync(process.argv[1])));
const text = (index) => profile.stringTable.strings[Number(index)];
const byId = (items) => new Map(items.map((item) => [Number(item.id), item]));
const functions = byId(profile.function);
const locations = byId(profile.location);
const name = (id) => {
  const line = locations.get(Number(id)).line[0];
  const known = functions.get(Number(line.functionId));
  return [text(known.filename), Number(line.line), Number(known.startLine), text(known.name)];
};
console.log(JSON.stringify({
  types: profile.sampleType.map((type) => [text(type.type), text(type.unit)]),
  default: text(profile.defaultSampleType),
  started: String(profile.timeNanos),
  duration: String(profile.durationNanos),
  samples: profile.sample.map((sample) => [
    sample.locationId.map(name),
    sample.value.map(Number),
    Object.fromEntries(sample.label.map((label) => [text(label.key), text(label.str)])),
  ]),
}));
"""


@pytest.fixture(scope="module")
def node_modules():
    """Install the decoder of npm into a directory of our own, once."""
    npm = needs_program("npm")
    home = NPM_DIRECTORY / PPROF_FORMAT
    if not (home / "node_modules" / "pprof-format").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                npm,
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--prefix",
                home,
                PPROF_FORMAT,
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            give_up = (
                pytest.fail if os.environ.get("REQUIRE_TEST_PROGRAMS") == "1" else pytest.skip
            )
            give_up(f"npm could not install {PPROF_FORMAT}: {done.stderr}")
    return home / "node_modules"


def test_javascript_decodes_the_same_stacks_and_numbers(node_modules, tmp_path):
    path = tmp_path / "x.pb.gz"
    path.write_bytes(written(SHOP))
    done = subprocess.run(
        [needs_program("node"), "-e", DECODE, path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NODE_PATH": str(node_modules)},
    )
    decoded = json.loads(done.stdout)
    assert decoded["types"] == [["calls", "count"], ["self", "nanoseconds"]]
    assert decoded["default"] == "self"
    assert decoded["started"] == "1700000000250000000"
    assert decoded["duration"] == "500000000"

    def frame(function):
        return [function.file, function.line, function.line, function.name]

    def stack(node):
        frames = []
        while node >= 0:
            frames.append(frame(SHOP.functions[SHOP.function[node]]))
            node = SHOP.parent[node]
        return frames

    labels = {key: text for key, text in LABELS.items() if text}
    assert decoded["samples"] == [
        [stack(node), [SHOP.calls[node], SHOP.self_ns[node]], labels]
        for node in range(len(SHOP))
    ]
