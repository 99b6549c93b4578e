"""What is read in C is what the reader in Python reads; for all else that is asked.

FLASKPROF_FUZZ_FILES says how many files are made; `make fuzz` makes 100,000 in each way.
"""

import cProfile
import gc
import marshal
import os
import profile
import pstats
import struct
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_work import record_with_yappi, work

from flaskprof.errors import BadProfile
from flaskprof.profiles import marshal_reader
from flaskprof.profiles.marshal_reader import (
    SAMPLED_MARK,
    python_read_profile,
    read_ordinary,
    read_profile,
)
from flaskprof.profiles.model import Function
from flaskprof.profiles.pstats_writer import write_profile
from needs import needs_module

pytestmark = pytest.mark.usefixtures("_in_c")

FILES = int(os.environ.get("FLASKPROF_FUZZ_FILES", "300"))
HOSTILE = Path(__file__).parent.parent / "data" / "hostile"
KEY = ("/srv/app.py", 7, "view")
OTHER = ("~", 0, "<built-in method builtins.len>")


@pytest.fixture(scope="module")
def _in_c():
    needs_module("flaskprof.profiles._marshal")


def recorded(profiler):
    recording = profiler.Profile()
    recording.runcall(work)
    recording.create_stats()
    return marshal.dumps(recording.stats)


def merged(tmp_path):
    path = str(tmp_path / "x.prof")
    Path(path).write_bytes(recorded(cProfile))
    pstats.Stats(path).add(path).strip_dirs().dump_stats(path)
    return Path(path).read_bytes()


def of_yappi(tmp_path):
    path = tmp_path / "x.prof"
    record_with_yappi(path)
    return path.read_bytes()


def a_large_one(functions=3000, file="/srv/shop/module{}.py"):
    keys = [(file.format(n % 97), n, f"function_{n}") for n in range(functions)]
    return {
        key: (
            n,
            n,
            n / 7,
            n / 3,
            {keys[(n * k) % functions]: (n, k, 0.5, n / 9) for k in (3, 7)},
        )
        for n, key in enumerate(keys)
    }


ORDINARY = {
    "cProfile": lambda _: recorded(cProfile),
    "profile": lambda _: recorded(profile),
    "pstats": merged,
    "yappi": of_yappi,
    "ours": lambda _: write_profile(read_profile(recorded(cProfile))),
    "large": lambda _: marshal.dumps(a_large_one()),
    "large, without references": lambda _: marshal.dumps(a_large_one(), 2),
    "empty": lambda _: marshal.dumps({}),
    "names": lambda _: marshal.dumps(
        {
            ("é" * 100, -1, "\udc80"): (0, 0, -0.0, 1e12, {}),
            ("x" * 300, 2**31 - 1, ""): (1, 2, 3, -4, {OTHER: 5}),
        }
    ),
}


def content(graph):
    """Everything that a graph holds, to the bit and in its order."""
    columns = graph.functions
    arrays = (*columns.total, columns.first_edge, columns.caller, *columns.edges)
    return (
        columns.names,
        [(array.typecode, array.tobytes()) for array in arrays],
        graph.is_sampled,
    )


def is_as_in_python(data):
    """Whether C reads what Python does; None if it does not read it."""
    graph = read_ordinary(data)
    return None if graph is None else content(graph) == content(python_read_profile(data))


@pytest.mark.parametrize("name", ORDINARY)
def test_what_profilers_write_is_read_in_c(name, tmp_path):
    data = ORDINARY[name](tmp_path)
    assert is_as_in_python(data) is True
    names = read_ordinary(data).functions.names
    assert {type(function) for function in names} <= {Function}
    assert set(names) == set(map(Function._make, names)), "hashes are those of tuples"


ONE = (1, 1, 0.5, 0.5)
SHARED = {KEY: ONE}
F, G = b")\3z\1ai\1\0\0\0z\1f", b")\3z\1ai\1\0\0\0z\1g"
SUMS = b")\5" + b"i\1\0\0\0" * 4
WHOLE = b"{" + F + SUMS + b"{00"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        WHOLE[:-1],
        WHOLE + b"0",
        b"[" + WHOLE[1:],
        b"{" + F + SUMS + b"{0" + F + SUMS + b"{00",
        b"{" + F + SUMS + b"{" + 2 * (G + b"i\1\0\0\0") + b"00",
        b"{" + F + b")\4" + b"i\1\0\0\0" * 4 + b"{00",
        b"{" + F.replace(b"z\1f", b"z\1\xe9") + SUMS + b"{00",
        b"{" + F.replace(b"z\1f", b"u\1\0\0\0\xe9") + SUMS + b"{00",
        b"{" + F.replace(b"i\1\0\0\0", b"i\0\0\0\x80") + SUMS + b"{00",
        b"{" + F.replace(b"i\1\0\0\0", b"I\1\0\0\0\0\0\0\0") + SUMS + b"{00",
        b"{" + F.replace(b"z\1a", b"a\xff\xff\xff\x7f") + SUMS + b"{00",
        b"{" + F.replace(b"i\1\0\0\0", b"r\xff\xff\xff\xff") + SUMS + b"{00",
        b"\xfb" + F + SUMS + b"r\0\0\0\0" + b"0",
        b"{\xa9\3r\0\0\0\0",
        *map(
            marshal.dumps,
            [
                {KEY: (*ONE, SHARED), OTHER: (*ONE, SHARED)},
                {KEY: (*ONE, {OTHER: ONE, KEY: ONE})},
                {KEY: (2**31, 1, 0.5, 0.5, {})},
                {KEY: (-1, 1, 0.5, 0.5, {})},
                {KEY: (1, 1, float("nan"), 0.5, {})},
                {KEY: (1, 1, 1.1e12, 0.5, {})},
                {KEY: (*ONE, {}), ("__sampled__",): True},
                {KEY: (*ONE, {}), tuple(SAMPLED_MARK): (0, 0, 0.0, 0.0, {})},
                {KEY: [*ONE, {}]},
                {KEY: work.__code__},
                [KEY],
            ],
        ),
    ],
)
def test_what_is_wrong_or_rare_is_left_to_python(data):
    assert read_ordinary(data) is None


@pytest.mark.parametrize("limit", ["MAX_FUNCTIONS", "MAX_EDGES", "MAX_TEXT", "MAX_NAME_BYTES"])
def test_limits_are_those_of_the_module(monkeypatch, limit):
    accented = ("é" * 150, 0, "")
    table = {
        ("f", line, "x" * 11): (*ONE, dict.fromkeys((KEY, accented)[: 1 + line % 2], 1))
        for line in range(8)
    }
    data = marshal.dumps(table)
    expected = content(python_read_profile(data))
    columns = read_ordinary(data).functions
    most = {
        "MAX_FUNCTIONS": len(columns),
        "MAX_EDGES": len(columns.caller),
        "MAX_TEXT": sum(len(function.file) + len(function.name) for function in columns),
        "MAX_NAME_BYTES": len(accented[0].encode()),
    }[limit]
    monkeypatch.setattr(marshal_reader, limit, most)
    assert content(read_ordinary(data)) == expected == content(python_read_profile(data))
    monkeypatch.setattr(marshal_reader, limit, most - 1)
    assert read_ordinary(data) is None
    with pytest.raises(BadProfile):
        python_read_profile(data)


def mixed(bits):
    """The finalizer of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        bits = (bits ^ bits >> 33) * factor % 2**64
    return bits ^ bits >> 33


def test_a_file_that_is_made_to_be_slow_is_left_to_python():
    """Its functions take the same place in a table, which would take a step more for each."""
    place = mixed(mixed(0) ^ 1) % 1024  # of the first text as file and name, and line 1
    lines = [line for line in range(1, 200_000) if mixed(mixed(0) ^ line) % 1024 == place]
    for count in (64, 65):
        table = {("x", line, "x"): (*ONE, {}) for line in lines[:count]}
        data = marshal.dumps(table)
        assert len(python_read_profile(data).functions) == count
        assert is_as_in_python(data) is (True if count == 64 else None)


def test_only_bytes_and_tuples_are_taken():
    from flaskprof.profiles import _marshal

    limits = (9, 9, 9, 9, 9.0)
    assert _marshal.read(WHOLE, Function, b"mark", *limits)[0] == (Function("a", 1, "f"),)
    with pytest.raises(TypeError):
        _marshal.read(bytearray(WHOLE), Function, b"mark", *limits)
    with pytest.raises(TypeError):
        _marshal.read(WHOLE, list, b"mark", *limits)
    with pytest.raises(TypeError):
        _marshal.read(WHOLE, "Function", b"mark", *limits)
    with pytest.raises(TypeError):
        _marshal.read(WHOLE, Function, b"mark")


WITHOUT_MEMORY = """
import sys
import _testcapi
from flaskprof.profiles.marshal_reader import read_ordinary

data = open(sys.argv[1], "rb").read()
refused = 0
for allocation in range(400):
    _testcapi.set_nomemory(allocation, allocation + 1)
    try:
        read_ordinary(data)
    except MemoryError:
        refused += 1
    finally:
        _testcapi.remove_mem_hooks()
assert len(read_ordinary(data).functions) == 2
print(refused)
"""


def test_whatever_memory_is_refused_the_interpreter_lives(tmp_path):
    pytest.importorskip("_testcapi")
    path = tmp_path / "x.prof"
    path.write_bytes(marshal.dumps({KEY: (*ONE, {OTHER: ONE})}))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_threads_read_at_the_same_time():
    data = marshal.dumps(a_large_one(9000))
    assert len(data) > 2**18, "so that it is read without the interpreter lock"
    expected, read = content(python_read_profile(data)), []

    def read_often():
        read.extend(content(read_ordinary(data)) == expected for _ in range(5))

    threads = [threading.Thread(target=read_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [True] * 20


def test_interpreters_of_their_own_read_too():
    testcapi = pytest.importorskip("_testcapi")
    path = next(path for path in sys.path if (Path(path) / "flaskprof").is_dir())
    code = (
        f"import sys; sys.path.insert(0, {path!r})\n"
        "from flaskprof.profiles.marshal_reader import read_ordinary\n"
        f"assert len(read_ordinary({WHOLE!r}).functions) == 1"
    )
    assert testcapi.run_in_subinterp(code) == 0
    assert is_as_in_python(WHOLE)


def test_references_and_memory_are_flat_over_thousands_of_reads():
    data = recorded(cProfile)
    bad_text = (
        b"{" + F + SUMS + b"{" + G.replace(b"z\1g", b"u\1\0\0\0\xe9") + b"i\1\0\0\0" + b"00"
    )
    refused = [data[:-1], data[: len(data) // 2], bad_text, data + b"0"]

    def read():
        assert read_ordinary(data) is not None
        assert [read_ordinary(wrong) for wrong in refused] == [None] * len(refused)

    rounds = int(os.environ.get("FLASKPROF_LEAK_ROUNDS", "1000"))
    for _ in range(1000):
        read()
    gc.collect()
    watched = (Function, tuple, data)
    before = [sys.getrefcount(item) for item in watched]
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    for _ in range(rounds):
        read()
    gc.collect()
    assert [sys.getrefcount(item) for item in watched] == before
    # The interpreter's free lists fill up meanwhile; a leak is one block a round or more.
    assert sys.getallocatedblocks() - blocks < rounds / 2
    # (A sanitizer keeps what was freed, to find uses of it.)
    assert "FLASKPROF_SANITIZED" in os.environ or resident_bytes() - resident < 2_000_000


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


names = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["~", "", "<module>", "/app/x.py", "é", "\udc80", "x" * 300, "名"]),
)
keys = st.tuples(names, st.one_of(st.integers(0, 3), st.integers(-1, 2**31 - 1)), names)
calls = st.one_of(st.integers(0, 300), st.integers(0, 2**33))
seconds = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0, 0.5, -0.0, 7]))
sums = st.tuples(calls, calls, seconds, seconds)
tables = st.lists(keys, min_size=1, max_size=6, unique=True).flatmap(
    lambda known: st.dictionaries(
        st.sampled_from(known),
        st.builds(
            lambda total, callers: (*total, callers),
            sums,
            st.dictionaries(st.sampled_from(known), st.one_of(sums, calls)),
        ),
    )
)


@cache
def real_files():
    """Files of a few kilobytes, and small ones in which every byte matters."""
    small = {KEY: (*ONE, {OTHER: (3, 2, 0.25, 0.5), KEY: 4}), OTHER: (*ONE, {KEY: ONE})}
    files = [marshal.dumps(small, version) for version in range(5)]
    files += [WHOLE, b"{\xfb" + F[1:] + SUMS, b"{" + F + SUMS + b"{" + G + b"i\1\0\0\0" + b"00"]
    files += [recorded(cProfile), recorded(profile)]
    return [*files, *(path.read_bytes() for path in sorted(HOSTILE.glob("*.prof")))]


@st.composite
def damaged_files(draw):
    """Bytes that were a profile before some were changed, cut, inserted or moved."""
    data = bytearray(
        draw(
            st.one_of(
                st.builds(marshal.dumps, tables, st.integers(0, 4)),
                st.sampled_from(real_files()),
            )
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 30))
        kind = draw(
            st.sampled_from(["flip", "code", "word", "cut", "drop", "splice", "foreign"])
        )
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "code":
            data[at : at + 1] = draw(st.sampled_from(CODES))
        elif kind == "word":
            word = draw(st.one_of(st.integers(-2, 40), st.sampled_from(EXTREMES)))
            data[at : at + 4] = struct.pack("<q", word)[:4]
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at:end]
        elif kind == "splice":
            to = draw(st.integers(0, len(data)))
            data[to:to] = data[at:end]
        elif kind == "foreign":
            other = draw(st.sampled_from(real_files()))
            data[at:at] = other[at % (len(other) + 1) :][: end - at]
    return bytes(data)


CODES = [bytes([code | bit]) for code in b"r{)(0iIglfuztaAZNT" for bit in (0, 0x80)]
EXTREMES = [2**31 - 1, 2**31, 2**32 - 1, 255, 256, 65536, 65537]
MANY = settings(
    max_examples=FILES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@MANY
@given(tables, st.integers(0, 4))
def test_made_up_profiles_are_read_as_in_python(table, version):
    data = marshal.dumps(table, version)
    assert is_as_in_python(data) is not False
    if version == 4 and all(
        count < 2**31
        for *total, callers in table.values()
        for value in [total, *callers.values()]
        for count in (value if isinstance(value, (list, tuple)) else [value])[:2]
    ):
        # Only tables and sums that are shared, which are none here, are left to Python.
        assert is_as_in_python(data) is True


@MANY
@given(damaged_files())
def test_damaged_files_are_read_as_in_python_or_not_at_all(data):
    try:
        assert is_as_in_python(data) is not False
    except BadProfile as error:
        pytest.fail(f"C reads what Python refuses: {error}")
