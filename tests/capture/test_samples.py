"""Samples become a tree whose times are those for which they stand."""

from __future__ import annotations

import pytest

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
    return [CODES[name] for name in reversed(names)]


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
    samples.add(stack("ab"), 10)
    samples.add(stack("acb"), 35)
    samples.add(stack("ab"), 40)
    tree = samples.tree(100)
    assert shape(tree) == {"a": (0, 0), "a b": (2, 75), "a c": (0, 0), "a c b": (1, 25)}
    assert tree.is_sampled
    assert tree.total_ns == 100


def test_functions_are_named_as_by_the_other_engines():
    samples = Samples()
    samples.add(stack("a"), 1)
    assert samples.tree(1).functions == (Function("/srv/app.py", ord("a"), "a"),)


def test_code_objects_of_one_name_are_one_function():
    again = codes_of("a")["a"]
    assert again is not CODES["a"]
    samples = Samples()
    samples.add(stack("a"), 1)
    samples.add([again], 3)
    assert shape(samples.tree(3)) == {"a": (2, 3)}


def test_what_was_too_short_to_be_seen_is_one_node_that_says_so():
    tree = Samples().tree(7)
    assert tree.functions == (NOT_SEEN,)
    assert shape(tree) == {NOT_SEEN.name: (0, 7)}
    assert tree.is_sampled


def test_nothing_recorded_is_an_empty_tree():
    assert len(Samples().tree(0)) == 0


def test_frames_of_flaskprof_are_left_out_and_their_time_is_their_callers():
    own = Samples.add.__code__
    samples = Samples()
    samples.add([own, *stack("ab")], 10)
    samples.add([*stack("c"), own, *stack("a"), own], 15)
    assert shape(samples.tree(15)) == {"a": (0, 0), "a b": (1, 10), "a c": (1, 5)}


def test_a_stack_of_flaskprof_alone_is_no_sample():
    samples = Samples()
    samples.add([Samples.add.__code__], 10)
    samples.add(stack("a"), 12)
    assert shape(samples.tree(12)) == {"a": (1, 12)}


@pytest.mark.parametrize("depth", [4, 5, 4000])
def test_of_a_stack_that_is_too_deep_both_ends_are_kept(depth):
    samples = Samples(max_depth=4)
    samples.add(stack("ab" + "e" * (depth - 4) + "cd"), 5)
    assert samples.is_deep == (depth > 4)
    middle = f" {MORE.name}" if depth > 4 else ""
    assert list(shape(samples.tree(5)).items())[-1] == (f"a b{middle} c d", (1, 5))


def test_beyond_its_room_a_stack_is_kept_as_far_as_it_is_known():
    samples = Samples(max_stacks=3)
    samples.add(stack("abc"), 10)
    assert not samples.is_full
    samples.add(stack("abd"), 30)
    samples.add(stack("abd"), 31)
    samples.add(stack("abce"), 35)
    samples.add(stack("f"), 40)
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
    samples.add(stack("a"), 1)
    for number in range(100):
        samples.add(list(codes_of("b", f"/srv/{number}.py").values()), 2 + number)
    assert len(samples._indices) == 1
    assert sum(samples.tree(200).calls) == 101
