"""callgrind's format: KCachegrind's own command-line relative reads every number back."""

import re
import subprocess

import pytest
from trees import HOSTILE, LOAD, SHOP, VIEW, tree

from flaskprof.formats.callgrind import write_callgrind
from flaskprof.profiles.model import CallGraph, Function
from flaskprof.profiles.sums import call_graph
from needs import needs_program


@pytest.fixture
def annotate(tmp_path):
    """The lines that callgrind_annotate prints of a graph: costs and functions."""
    program = needs_program("callgrind_annotate")

    def run(graph, *options):
        path = tmp_path / "callgrind.out.1"
        path.write_bytes(write_callgrind(graph))
        done = subprocess.run(
            [program, "--threshold=100", "--auto=no", "--show-percs=no", *options, path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    return run


def costs(text):
    """Of each function that is listed its cost; the file stands before a colon."""
    found = re.findall(r"^ *([\d,]+)  (?![*<>])(\S.*?)(?: \[.*\])?$", text, re.MULTILINE)
    return {name: int(cost.replace(",", "")) for cost, name in found}


def test_self_times_are_those_of_the_graph(annotate):
    found = costs(annotate(call_graph(SHOP)))
    assert found["PROGRAM TOTALS"] == SHOP.total_ns
    assert found["/srv/shop/views.py:order"] == 1_000_000
    assert found["~:<built-in method builtins.len>"] == 570
    assert found[f"{LOAD.file}:load"] == 20_000_000


def test_times_with_callees_are_those_of_the_graph(annotate):
    found = costs(annotate(call_graph(SHOP), "--inclusive=yes"))
    assert found["/srv/shop/views.py:order"] == SHOP.total_ns
    assert found[f"{LOAD.file}:load"] == 20_000_500


def test_calls_are_those_of_the_edges(annotate):
    text = annotate(call_graph(SHOP), "--tree=calling")
    assert re.search(r"20,000,500 +> .*load \(3x\)", text)
    assert re.search(r"500 +> .*builtins\.len> \(9x\)", text)
    assert re.search(r"70 +> .*builtins\.len> \(2x\)", text)


def test_the_time_of_callees_is_not_their_callers_where_calls_were_not_counted(annotate):
    graph = call_graph(tree((-1, 0, 0, 5), (0, 1, 0, 6), functions=(VIEW, LOAD)))
    found = costs(annotate(graph))
    assert (found["/srv/shop/views.py:order"], found[f"{LOAD.file}:load"]) == (5, 6)


def test_functions_of_one_name_in_one_file_stay_apart(annotate):
    lambdas = tuple(Function("/srv/app.py", line, "<lambda>") for line in (3, 9))
    found = costs(annotate(call_graph(tree((-1, 0, 1, 5), (0, 1, 1, 6), functions=lambdas))))
    assert (found["/srv/app.py:<lambda>:3"], found["/srv/app.py:<lambda>:9"]) == (5, 6)


def test_the_costs_of_a_call_stand_on_its_callers_line():
    lines = write_callgrind(call_graph(SHOP)).decode().splitlines()
    assert lines[0] == "# callgrind format"
    assert f"summary: {SHOP.total_ns}" in lines
    at = lines.index("calls=3 5")
    assert lines[at + 1] == f"{VIEW.line} 20000500"


def test_names_cannot_break_out_of_their_line(annotate):
    empty = Function("", 1, "")
    graph = call_graph(tree((-1, 0, 1, 5), (0, 1, 1, 6), functions=(HOSTILE, empty)))
    lines = write_callgrind(graph).decode("utf-8").splitlines()
    assert all(line.isprintable() for line in lines)
    assert sum(line.startswith("fn=") for line in lines) == 2
    assert costs(annotate(graph))["PROGRAM TOTALS"] == 11


def test_an_empty_graph_is_a_file_without_costs():
    assert write_callgrind(CallGraph({})).decode().endswith("summary: 0\n")
