"""Samples become a tree whose times are those for which they stand."""

from __future__ import annotations

import pytest

from flaskprof.capture.sampling.looks import Look
from flaskprof.capture.sampling.samples import MORE, NOT_SEEN, Samples
from flaskprof.profiles.model import Function


def codes_of(names, file="/srv/app.py"):
    """Code objects of functions by name; each at the line of its letter."""
    lines = {name: ord(name) for name in names}
    space = {}
    for name, line in lines.items():
        source = "\n" * (line - 1) + f"def {name}(): pass"
        exec(compile(source, file, "exec"), space)
    return {name: space[name].__code__ for name in names}


CODES = codes_of("abcdef")


def stack(names):
    """A stack, given outermost first, as it is seen: innermost first."""
    return [(CODES[name], 0) for name in reversed(names)]


def look(calls, at_ns):
    """A look of which no clock says more."""
    return Look(calls, at_ns, None, is_running=True)


def shape(tree):
    """Calls and nanoseconds by path."""
    paths = []
    for parent, function in zip(tree.parent, tree.function, strict=True):
        name = tree.functions[function].name
        paths.append((*paths[parent], name) if parent >= 0 else (name,))
    return {
        " ".join(path): (calls, self_ns)
        for path, calls, self_ns in zip(paths, tree.calls, tree.self_ns, strict=True)
    }


def test_a_sample_stands_for_the_time_since_the_one_before():
    samples = Samples()
    samples.add(look(stack("ab"), 10))
    samples.add(look(stack("acb"), 35))
    samples.add(look(stack("ab"), 40))
    tree = samples.tree(100)
    assert shape(tree) == {"a": (0, 0), "a b": (2, 75), "a c": (0, 0), "a c b": (1, 25)}
    assert tree.is_sampled
    assert tree.total_ns == 100


def test_functions_are_named_as_by_the_other_engines():
    samples = Samples()
    samples.add(look(stack("a"), 1))
    assert samples.tree(1).functions == (Function("/srv/app.py", ord("a"), "a"),)


def test_code_objects_of_one_name_are_one_function():
    again = codes_of("a")["a"]
    assert again is not CODES["a"]
    samples = Samples()
    samples.add(look(stack("a"), 1))
    samples.add(look([(again, 0)], 3))
    assert shape(samples.tree(3)) == {"a": (2, 3)}


def test_what_was_too_short_to_be_seen_is_one_node_that_says_so():
    tree = Samples().tree(7)
    assert tree.functions == (NOT_SEEN,)
    assert shape(tree) == {NOT_SEEN.name: (0, 7)}
    assert tree.is_sampled


def test_nothing_recorded_is_an_empty_tree():
    assert len(Samples().tree(0)) == 0


def test_frames_of_flaskprof_are_left_out_and_their_time_is_their_callers():
    own = Samples.add.__code__, 0
    samples = Samples()
    samples.add(look([own, *stack("ab")], 10))
    samples.add(look([*stack("c"), own, *stack("a"), own], 15))
    assert shape(samples.tree(15)) == {"a": (0, 0), "a b": (1, 10), "a c": (1, 5)}


def test_a_stack_of_flaskprof_alone_is_no_sample():
    samples = Samples()
    samples.add(look([(Samples.add.__code__, 0)], 10))
    samples.add(look(stack("a"), 12))
    assert shape(samples.tree(12)) == {"a": (1, 12)}


@pytest.mark.parametrize("depth", [4, 5, 4000])
def test_of_a_stack_that_is_too_deep_both_ends_are_kept(depth):
    samples = Samples(max_depth=4)
    samples.add(look(stack("ab" + "e" * (depth - 4) + "cd"), 5))
    assert samples.is_deep == (depth > 4)
    middle = f" {MORE.name}" if depth > 4 else ""
    assert list(shape(samples.tree(5)).items())[-1] == (f"a b{middle} c d", (1, 5))


def test_beyond_its_room_a_stack_is_kept_as_far_as_it_is_known():
    samples = Samples(max_stacks=3)
    samples.add(look(stack("abc"), 10))
    assert not samples.is_full
    samples.add(look(stack("abd"), 30))
    samples.add(look(stack("abd"), 31))
    samples.add(look(stack("abce"), 35))
    samples.add(look(stack("f"), 40))
    assert samples.is_full
    more = MORE.name
    tree = samples.tree(40)
    assert shape(tree) == {
        "a": (0, 0),
        "a b": (0, 0),
        "a b c": (1, 10),
        f"a b c {more}": (1, 4),
        f"a b {more}": (2, 21),
        more: (1, 5),
    }
    assert tree.total_ns == 40


def test_without_room_no_new_code_is_kept():
    samples = Samples(max_stacks=1)
    samples.add(look(stack("a"), 1))
    for number in range(100):
        (code,) = codes_of("b", f"/srv/{number}.py").values()
        samples.add(look([(code, 0)], 2 + number))
    assert len(samples._indices) == 1
    assert sum(samples.tree(200).calls) == 101


def waiting(names, at_ns, cpu_ns):
    """A look at a thread that waited, having computed for so long until then."""
    return Look(stack(names), at_ns, cpu_ns, is_running=False)


def test_computing_that_no_look_saw_is_time_of_what_ran_all_along():
    samples = Samples()
    samples.add(waiting("ab", 10, 0))
    samples.add(waiting("acd", 30, 15))
    assert shape(samples.tree(30)) == {
        "a": (0, 15),
        "a b": (1, 10),
        "a c": (0, 0),
        "a c d": (1, 5),
    }
    assert samples.unseen_ns == 15


def test_computing_before_the_first_look_is_time_of_the_outermost_function():
    samples = Samples()
    samples.add(waiting("abc", 10, 4))
    assert shape(samples.tree(10)) == {"a": (0, 4), "a b": (0, 0), "a b c": (1, 6)}


def test_what_waits_in_one_call_from_look_to_look_keeps_its_time():
    samples = Samples()
    samples.add(waiting("abc", 10, 0))
    samples.add(waiting("abc", 30, 15))
    assert shape(samples.tree(30))["a b c"] == (2, 30)
    assert samples.unseen_ns == 0


def test_of_stacks_with_nothing_in_common_the_later_has_the_time():
    samples = Samples()
    samples.add(waiting("ab", 10, 0))
    samples.add(waiting("cd", 30, 15))
    assert shape(samples.tree(30)) == {"a": (0, 0), "a b": (1, 10), "c": (0, 0), "c d": (1, 20)}
    assert samples.unseen_ns == 0


def test_between_looks_that_saw_computing_the_clock_changes_nothing():
    for was_running, is_running in ((True, True), (True, False), (False, True)):
        samples = Samples()
        samples.add(Look(stack("ab"), 10, 0, was_running))
        samples.add(Look(stack("ac"), 30, 15, is_running))
        assert shape(samples.tree(30)) == {"a": (0, 0), "a b": (1, 10), "a c": (1, 20)}


def test_in_a_stack_that_was_cut_the_time_goes_no_deeper_than_its_outer_half():
    samples = Samples(max_depth=4)
    samples.add(waiting("abcdef", 10, 0))
    samples.add(waiting("abcded", 30, 15))
    found = shape(samples.tree(30))
    assert found["a b"] == (0, 15)
    assert sum(self_ns for _, self_ns in found.values()) == 30
