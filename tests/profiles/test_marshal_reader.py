"""The reader agrees with `pstats` on what profilers write, and refuses everything else.

It does so with what is in C, and without it.
"""

import cProfile
import marshal
import profile
import pstats
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_work import record_with_yappi, work

from flaskprof.errors import BadProfile
from flaskprof.profiles import marshal_reader
from flaskprof.profiles.columns import columns_of
from flaskprof.profiles.marshal_reader import read_profile
from flaskprof.profiles.model import CallGraph, Function, Sums
from needs import needs_module

HOSTILE = Path(__file__).parent.parent / "data" / "hostile"
# Legitimate files: names that attack a page, and a caller that is not itself a function.
READ = {"xss.prof", "callers_missing_fn.prof"}

KEY = ("/srv/app.py", 7, "view")
OTHER = ("~", 0, "<built-in method builtins.len>")
MARK = tuple(marshal_reader.SAMPLED_MARK)


@pytest.fixture(params=["c", "python"], scope="module", autouse=True)
def way(request):
    """Read in C what is read in C, or everything in Python."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "c":
            needs_module("flaskprof.profiles._marshal")
        else:
            patch.setattr(marshal_reader, "_read", lambda *_: None)
        yield request.param


def as_pstats(graph):
    """A graph in the shape in which `pstats` keeps its numbers."""
    return {
        tuple(function): (
            stats.total.primitive_calls,
            stats.total.calls,
            stats.total.self_seconds,
            stats.total.cumulative_seconds,
            {tuple(caller): tuple(edge) for caller, edge in stats.callers.items()},
        )
        for function, stats in graph.functions.items()
    }


def loaded(path):
    return pstats.Stats(str(path)).stats


def one(total=(1, 1, 0.5, 0.5), callers=None):
    return {KEY: (*total, callers or {})}


def is_read_or_refused(data):
    try:
        return isinstance(read_profile(data), CallGraph)
    except BadProfile as error:
        return "byte" in str(error)


names = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["~", "", "<module>", "/app/x.py", "é", "\udc80", "x" * 300, "名"]),
)
keys = st.tuples(names, st.integers(-1, 2**31 - 1), names)
calls = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))
seconds = st.one_of(
    st.floats(-1e12, 1e12, allow_nan=False), st.just(-0.0), st.integers(-(2**31), 2**33)
)
edges = st.one_of(st.tuples(calls, calls, seconds, seconds), calls)
tables = st.dictionaries(keys, st.tuples(calls, calls, seconds, seconds), max_size=6).flatmap(
    lambda totals: st.fixed_dictionaries(
        {
            key: st.tuples(
                *map(st.just, total),
                st.dictionaries(st.one_of(st.sampled_from(list(totals)), keys), edges),
            )
            for key, total in totals.items()
        }
    )
)


def expected(table):
    def edge(value):
        return value if isinstance(value, tuple) else (value, value, 0.0, 0.0)

    result = {
        key: (*stats[:4], {caller: edge(value) for caller, value in stats[4].items()})
        for key, stats in table.items()
    }
    for stats in table.values():
        for caller in stats[4]:
            result.setdefault(caller, (0, 0, 0.0, 0.0, {}))
    return result


@settings(max_examples=150)
@given(tables, st.integers(0, 4))
def test_every_version_of_the_format_is_read_as_marshal_reads_it(table, version):
    data = marshal.dumps(table, version)
    graph = read_profile(data)
    assert as_pstats(graph) == expected(marshal.loads(data))
    assert not graph.is_sampled
    for stats in graph.functions.values():
        assert isinstance(stats.total, Sums)
        assert all(isinstance(caller, Function) for caller in stats.callers)
        assert all(caller in graph.functions for caller in stats.callers)


@settings(max_examples=300)
@given(tables, st.data())
def test_a_damaged_file_gives_a_call_graph_or_bad_profile(table, data):
    damaged = bytearray(marshal.dumps(table, data.draw(st.integers(0, 4))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        how = data.draw(st.sampled_from(["change", "cut", "insert", "delete"]))
        value = data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b"r{)(0iglfuztN\xe9")))
        if how == "change":
            damaged[at] = value
        elif how == "cut" and at:
            del damaged[at:]
        elif how == "insert":
            damaged.insert(at, value)
        elif how == "delete" and len(damaged) > 1:
            del damaged[at]
    assert is_read_or_refused(bytes(damaged))


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_give_a_call_graph_or_bad_profile(data):
    assert is_read_or_refused(b"{" + data)


@pytest.mark.parametrize("profiler", [cProfile, profile], ids=["cProfile", "profile"])
def test_what_the_standard_profilers_write_is_read_as_pstats_reads_it(profiler, tmp_path):
    path = tmp_path / "x.prof"
    recording = profiler.Profile()
    recording.runcall(work)
    recording.dump_stats(str(path))
    stats = loaded(path)
    graph = read_profile(path.read_bytes())
    assert as_pstats(graph) == expected(stats)
    name = "fibonacci"
    (total,) = [s.total for f, s in graph.functions.items() if f.name == name]
    assert (total.calls, total.primitive_calls) == (67, 1)


def test_a_file_that_pstats_has_merged_and_written_is_read_as_pstats_reads_it(tmp_path):
    path = tmp_path / "x.prof"
    recording = cProfile.Profile()
    recording.runcall(work)
    recording.dump_stats(str(path))
    merged = pstats.Stats(str(path)).add(str(path)).strip_dirs()
    merged.dump_stats(str(path))
    assert as_pstats(read_profile(path.read_bytes())) == merged.stats


def test_what_yappi_writes_is_read_as_pstats_reads_it(tmp_path):
    path = tmp_path / "x.prof"
    record_with_yappi(path)
    assert as_pstats(read_profile(path.read_bytes())) == loaded(path)


def test_a_sampled_profile_has_plain_counts_and_its_mark():
    table = {
        KEY: (3, 5, 0.003, 0.005, {}),
        OTHER: (2, 2, 0.002, 0.002, {KEY: 2}),
        ("__sampled__",): True,
    }
    graph = read_profile(marshal.dumps(table))
    assert graph.is_sampled
    assert len(graph.functions) == 2
    assert graph.functions[Function(*OTHER)].callers == {Function(*KEY): Sums(2, 2, 0.0, 0.0)}
    assert graph.functions[Function(*KEY)].total == Sums(5, 3, 0.003, 0.005)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="Python 3.15 brought the profiler")
def test_what_the_sampling_profiler_writes_is_read_as_pstats_reads_it(tmp_path):
    script, path = tmp_path / "busy.py", tmp_path / "x.prof"
    script.write_text(
        "def work(n):\n    return n if n < 2 else work(n - 1) + work(n - 2)\nwork(32)\n"
    )
    command = [
        sys.executable,
        "-m",
        "profiling.sampling",
        "run",
        "--pstats",
        "-o",
        path,
        script,
    ]
    subprocess.run(command, check=True, capture_output=True)
    graph = read_profile(path.read_bytes())
    assert graph.is_sampled
    # Its functions are told by the lines that were seen, the first of which seldom is.
    assert "work" in {function.name for function in graph.functions}
    assert {
        tuple(function): stats.total.self_seconds for function, stats in graph.functions.items()
    } == {function: sums[2] for function, sums in pstats.Stats(str(path)).stats.items()}


def test_an_empty_profile_is_a_profile():
    assert read_profile(marshal.dumps({})) == CallGraph({})


def test_a_caller_that_is_no_function_becomes_one_with_sums_of_zero():
    graph = read_profile(marshal.dumps(one(callers={OTHER: (1, 1, 0.5, 0.5)})))
    assert graph.functions[Function(*OTHER)].total == Sums(0, 0, 0.0, 0.0)


def by_hand(*rows):
    """Return a file in which a function or a caller may come twice."""
    return b"{" + b"".join(rows) + b"0"


def row(key, number, callers=b""):
    sums = struct.pack("<BiBiBiBi", *(part for i in range(4) for part in (ord("i"), number)))
    return key + b")\5" + sums + b"{" + callers + b"0"


def caller(key, number):
    return key + b"i" + struct.pack("<i", number)


F, G, H = (b")\3z\1ai\1\0\0\0z\1" + name for name in (b"f", b"g", b"h"))


def in_rows(graph):
    return [
        (
            function.name,
            stats.total.calls,
            [(c.name, e.calls) for c, e in stats.callers.items()],
        )
        for function, stats in graph.functions.items()
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (by_hand(row(F, 1), row(G, 2)), [("f", 1, []), ("g", 2, [])]),
        (
            by_hand(row(F, 1, caller(H, 5) + caller(G, 6)), row(G, 2)),
            [("f", 1, [("h", 5), ("g", 6)]), ("g", 2, []), ("h", 0, [])],
        ),
        # A caller that comes twice.
        (
            by_hand(row(F, 1, caller(H, 5) + caller(G, 6) + caller(H, 7)), row(G, 2)),
            [("f", 1, [("h", 7), ("g", 6)]), ("g", 2, []), ("h", 0, [])],
        ),
        # A function that comes twice.
        (
            by_hand(row(F, 1, caller(F, 5)), row(G, 2, caller(H, 8)), row(F, 3, caller(G, 6))),
            [("f", 3, [("g", 6)]), ("g", 2, [("h", 8)]), ("h", 0, [])],
        ),
    ],
)
def test_functions_and_callers_come_in_the_order_of_a_dict_and_the_last_holds(data, expected):
    graph = read_profile(data)
    assert in_rows(graph) == expected
    columns = graph.functions
    assert list(columns.first_edge) == list(columns_of(dict(columns)).first_edge)


@pytest.mark.parametrize(
    ("table", "is_sampled"),
    [
        ({MARK: (0, 0, 0.0, 0.0, {}), KEY: (1, 1, 0.5, 0.5, {KEY: (1, 1, 0.5, 0.5)})}, True),
        ({KEY: (1, 1, 0.5, 0.5, {KEY: (1, 1, 0.5, 0.5)}), MARK: (0, 0, 0.0, 0.0, {})}, True),
        ({MARK: (1, 1, 0.5, 0.5, {})}, False),
        ({MARK: (0, 0, 0.0, 0.0, {KEY: (1, 1, 0.5, 0.5)})}, False),
        ({KEY: (1, 1, 0.5, 0.5, {MARK: (1, 1, 0.5, 0.5)})}, False),
        ({}, False),
    ],
)
def test_a_function_marks_samples_only_if_it_neither_calls_nor_is_called(table, is_sampled):
    graph = read_profile(marshal.dumps(table))
    assert graph.is_sampled == is_sampled
    without = {key: sums for key, sums in table.items() if key != MARK or not is_sampled}
    assert as_pstats(graph) == expected(without)


def test_shared_tables_and_sums_are_read():
    callers, edge = {}, (1, 1, 0.1, 0.1)
    stats = (1, 1, 0.1, 0.1, callers)
    callers[KEY] = edge
    table = {KEY: stats, OTHER: stats, ("x", 1, "y"): (1, 1, 0.1, 0.1, {KEY: edge})}
    assert as_pstats(read_profile(marshal.dumps(table))) == table


def test_negative_times_and_negative_zero_are_kept():
    total = (
        read_profile(marshal.dumps(one((1, 1, -0.25, -0.0)))).functions[Function(*KEY)].total
    )
    assert total.self_seconds == -0.25
    assert struct.pack("<d", total.cumulative_seconds) == struct.pack("<d", -0.0)


INTEGER = b"i\1\0\0\0"
FUNCTION = b")\3z\1ai\1\0\0\0z\1f"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file ends early, after 0 bytes"),
        (b"{", "the file ends early, after 1 bytes"),
        (b"{" + FUNCTION[:9], "the file ends early, after 10 bytes"),
        (b"[\0\0\0\0", "expected a table of functions, found a list, at byte 0"),
        (b"\x01", r"found the unknown type '\x01', at byte 0"),
        (b"{00", "there are bytes after the end of the profile, at byte 2"),
        (b"{z\1a", "expected a function (file, line, name), found text, at byte 1"),
        (b"{)\2z\1az\1a", "found a tuple of 2, at byte 1"),
        (b"{)\1z\1a", "found a tuple of 1, at byte 1"),
        (b"{(\xff\xff\xff\x7f", "found a tuple of 2147483647, at byte 1"),
        (b"{" + FUNCTION + b")\3", "expected the sums of a function, found a tuple of 3"),
        (b"{r\0\0\0\0", "a reference to value 0, of 0 so far, at byte 1"),
        (b"{r\xff\xff\xff\xff", "a reference to value -1, of 0 so far, at byte 1"),
        (b"{\xa9\3r\0\0\0\0", "a value that holds itself, at byte 3"),
        (b"\xfb)\3r\0\0\0\0", "a value that holds itself, at byte 3"),
        (
            b"{)\3\xfa\1ar\0\0\0\0",
            "expected a line number, found a reference to something else",
        ),
        (b"{)\3u\xff\xff\xff\x7f", "a name of 2147483647 bytes, of 65536 allowed, at byte 3"),
        (b"{)\3u\xff\xff\xff\xff", "a name of -1 bytes, of 65536 allowed, at byte 3"),
        (b"{)\3u\1\0\1\0", "a name of 65537 bytes, of 65536 allowed, at byte 3"),
        (b"{)\3z\x09a", "a text of 9 bytes is announced, 1 follow, at byte 5"),
        (b"{)\3u\1\0\0\0\xff", "a text that is not UTF-8, at byte 3"),
        (b"{)\3z\1al\xff\xff\xff\x7f", "an integer of 32212254705 bits, at byte 6"),
        (b"{)\3z\1al\1\0\0\0\0\0", "an integer that is spelt wrongly, at byte 6"),
        (b"{)\3z\1al\1\0\0\0\0\x80", "an integer that is spelt wrongly, at byte 6"),
        (
            b"{)\1z\x0b__sampled__N",
            "expected True, as the mark of a sampled profile, found None",
        ),
        (
            b"{" + FUNCTION + b")\5" + INTEGER * 2 + b"f\3nan" + INTEGER + b"{00",
            "'nan' is not a time, at byte 26",
        ),
        (
            b"{" + FUNCTION + b")\5" + INTEGER * 2 + b"f\0061e9999" + INTEGER + b"{00",
            "inf is not a time, at byte 26",
        ),
        (
            b"{" + FUNCTION + b")\5" + INTEGER * 4 + b"{)\1z\x0b__sampled__T00",
            "expected a caller, found the mark of a sampled profile",
        ),
        (
            b"\xfb" + FUNCTION + b")\5" + INTEGER * 4 + b"r\0\0\0\0",
            "a value that holds itself",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data, message):
    with pytest.raises(BadProfile) as caught:
        read_profile(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (one((-1, 1, 0.5, 0.5)), "-1 is not a number of calls"),
        (one((1, -1, 0.5, 0.5)), "-1 is not a number of calls"),
        (one((1, 2**63, 0.5, 0.5)), f"{2**63} is not a number of calls"),
        (one((1, 1.0, 0.5, 0.5)), "expected a number of calls, found a number"),
        (one((True, 1, 0.5, 0.5)), "expected a number of calls, found True"),
        (one((1, 1, float("nan"), 0.5)), "nan is not a time"),
        (one((1, 1, 0.5, float("inf"))), "inf is not a time"),
        (one((1, 1, 0.5, float("-inf"))), "-inf is not a time"),
        (one((1, 1, 0.5, 1.1e12)), "1100000000000.0 is not a time"),
        (one((1, 1, 0.5, 2**62)), f"{2**62} is not a time"),
        (one((1, 1, None, 0.5)), "expected a time, found None"),
        (one((1, 1, "x", 0.5)), "expected a time, found text"),
        (one(callers={KEY: -1}), "-1 is not the sums of a caller"),
        (one(callers={KEY: 0.25}), "expected the sums of a caller, found a number"),
        (one(callers={KEY: (1, 1, 0.5)}), "expected the sums of a caller, found a tuple of 3"),
        (one(callers={KEY: (1, 1, 0.5, float("nan"))}), "nan is not a time"),
        (one(callers={1: (1, 1, 0.5, 0.5)}), "expected a function (file, line, name)"),
        ({KEY: [1, 1, 0.5, 0.5, {}]}, "expected the sums of a function, found a list"),
        ({("a", 2**31, "f"): (1, 1, 0.5, 0.5, {})}, f"{2**31} is not a line number"),
        ({("a", None, "f"): (1, 1, 0.5, 0.5, {})}, "expected a line number, found None"),
        ({(b"a", 1, "f"): (1, 1, 0.5, 0.5, {})}, "expected text, found bytes"),
        ({KEY: work.__code__}, "expected the sums of a function, found a code object"),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 4])
def test_values_that_no_profile_holds_are_refused(table, message, version):
    with pytest.raises(BadProfile) as caught:
        read_profile(marshal.dumps(table, version))
    text = str(caught.value)
    assert message in text or (version == 1 and "is not a time" in text)
    assert ", at byte " in text


def test_limits_hold_however_often_values_are_shared(monkeypatch):
    shared = {KEY: (1, 1, 0.5, 0.5), OTHER: (1, 1, 0.5, 0.5)}
    table = {("f", line, "x" * 50): (1, 1, 0.5, 0.5, shared) for line in range(10)}
    data = marshal.dumps(table)
    assert len(read_profile(data).functions) == 12
    for limit, value, message in [
        ("MAX_EDGES", 19, "more than 19 edges"),
        ("MAX_FUNCTIONS", 11, "more than 11 functions"),
        ("MAX_TEXT", 500, "names of more than 500 characters in all"),
        ("MAX_BYTES", 100, f"the file has {len(data)} bytes; profiles of up to 100 bytes are"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(marshal_reader, limit, value)
            with pytest.raises(BadProfile, match=message):
                read_profile(data)
    monkeypatch.setattr(marshal_reader, "MAX_EDGES", 20)
    assert len(read_profile(data).functions) == 12


READ_WITH_LIMITS = """
import resource, sys, time
from flaskprof.errors import BadProfile
from flaskprof.profiles import marshal_reader
from flaskprof.profiles.marshal_reader import read_profile

if sys.argv[2] == "python":
    marshal_reader._read = lambda *_: None
data = open(sys.argv[1], "rb").read()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 50 * 10**6
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
begin = time.process_time()
try:
    read_profile(data)
except BadProfile:
    outcome = "refused"
else:
    outcome = "read"
print(outcome, time.process_time() - begin)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the memory limits of Linux")
@pytest.mark.parametrize("path", sorted(HOSTILE.glob("*.prof")), ids=lambda path: path.name)
def test_hostile_files_take_neither_time_nor_memory(path, way):
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LIMITS, path, way],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    outcome, cpu_seconds = done.stdout.split()
    assert outcome == ("read" if path.name in READ else "refused")
    assert float(cpu_seconds) < 0.1


def test_the_hostile_files_are_there():
    assert len(list(HOSTILE.glob("*.prof"))) == 13


def test_hostile_names_are_kept_as_they_are():
    graph = read_profile((HOSTILE / "xss.prof").read_bytes())
    assert "</script><script>window.__pwn=1</script>" in {f.name for f in graph.functions}


def test_memory_stays_in_proportion_to_the_file():
    functions = b"".join(
        b")\3z\0i" + struct.pack("<i", line) + b"z\0" + INTEGER for line in range(20_000)
    )
    data = b"{" + FUNCTION + b")\5" + INTEGER * 4 + b"{" + functions + b"00"
    tracemalloc.start()
    try:
        graph = read_profile(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(graph.functions) == 20_001
    assert peak < 50 * len(data)
