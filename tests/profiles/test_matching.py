"""A function is itself wherever its line and its file are now."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flaskprof.profiles.matching import matched
from flaskprof.profiles.model import Function

files = ["/a/x.py", "/b/x.py", "/a/c/x.py", "/lib/python3.12/x.py", "~", "<string>", "x.py"]
functions = st.builds(
    Function, st.sampled_from(files), st.integers(0, 5), st.sampled_from(["f", "g", "<lambda>"])
)
sides = st.lists(functions, unique=True, max_size=20)


def pairs_of(before, after):
    """Those that were found again, as what they were and what they are."""
    return {old: new for old, new in matched(before, after) if old and new}


def in_file(file, *places):
    return [Function(file, line, name) for line, name in places]


@settings(max_examples=100)
@given(sides, sides)
def test_each_function_is_in_one_pair_on_each_side(before, after):
    pairs = matched(before, after)
    for side, given_ones in enumerate((before, after)):
        found = [pair[side] for pair in pairs if pair[side] is not None]
        assert sorted(found) == sorted(given_ones)


@settings(max_examples=100)
@given(sides, sides)
def test_there_and_back_again_are_the_same_pairs(before, after):
    there, back = matched(before, after), matched(after, before)
    assert set(there) == {(old, new) for new, old in back}


@settings(max_examples=50)
@given(sides)
def test_every_function_of_a_profile_is_itself(functions):
    assert pairs_of(functions, functions) == {one: one for one in functions}


def test_one_that_moved_is_the_same():
    (old,), (new,) = in_file("/srv/a.py", (1, "f")), in_file("/srv/a.py", (70, "f"))
    assert pairs_of([old], [new]) == {old: new}


def test_methods_of_one_name_are_told_by_what_stands_above_them():
    old = in_file("/srv/a.py", (10, "cart"), (12, "__init__"), (30, "order"), (32, "__init__"))
    # Twenty lines came in on top, and between the two a class with a method of that name.
    new = in_file(
        "/srv/a.py", (30, "cart"), (32, "__init__"), (42, "__init__"), (60, "order"),
        (62, "__init__"),
    )  # fmt: skip
    assert pairs_of(old, new) == dict(zip(old, [new[0], new[1], new[3], new[4]], strict=True))


def test_of_several_by_one_name_those_on_the_same_line_are_the_same():
    first, second, third = in_file("/srv/a.py", *((line, "<lambda>") for line in (1, 5, 9)))
    # One is left on each side, in the same file: it is the other.
    assert pairs_of([first, second], [second, third]) == {second: second, first: third}
    assert pairs_of([first], [second, third]) == {}


def test_as_many_of_one_name_that_all_moved_are_the_same_in_turn():
    old = in_file("/srv/a.py", (1, "<lambda>"), (5, "<lambda>"))
    new = in_file("/srv/a.py", (31, "<lambda>"), (37, "<lambda>"))
    assert pairs_of(old, new) == dict(zip(old, new, strict=True))


def test_one_without_a_name_is_not_that_of_another_function():
    old = in_file("/srv/a.py", (1, "tax"), (10, "render"), (11, "<genexpr>"))
    new = in_file("/srv/a.py", (4, "tax"), (6, "check"), (7, "<genexpr>"), (20, "render"))
    assert pairs_of(old, new) == {old[0]: new[0], old[1]: new[3]}
    moved = in_file("/srv/a.py", (4, "tax"), (20, "render"), (25, "<genexpr>"))
    assert pairs_of(old, moved) == dict(zip(old, moved, strict=True))


def deployed(folder):
    return [
        Function(f"{folder}/{file}", 3, "get")
        for file in ("app.py", "shop/__init__.py", "shop/views.py", "admin/views.py")
    ]


def test_a_deploy_in_another_folder_is_the_same_code():
    of_python = Function("/usr/lib/python3.12/json/decoder.py", 3, "get")
    started_by = Function("/usr/local/bin/gunicorn", 3, "<module>")
    others = [of_python, started_by]
    old, new = deployed("/srv/releases/20260101"), deployed("/srv/releases/20260102")
    assert pairs_of(old + others, new + others) == dict(
        zip(old + others, new + others, strict=True)
    )
    elsewhere = deployed("/app")
    assert pairs_of(old, elsewhere) == dict(zip(old, elsewhere, strict=True))


def test_what_is_installed_is_the_same_in_another_place_and_python():
    old, new = (
        [
            Function(f"/srv/{of}/lib/{python}/site-packages/orm/query.py", line, "all"),
            Function(f"/usr/lib/{python}/json/decoder.py", line, "decode"),
        ]
        for of, python, line in (("v1", "python3.12", 10), ("v2", "python3.13", 20))
    )
    assert pairs_of(old, new) == dict(zip(old, new, strict=True))


def test_two_files_of_one_deploy_are_not_each_other_for_their_name():
    stayed = Function("/srv/app/database.py", 1, "connect")
    old = Function("/srv/app/admin/views.py", 3, "get")
    new = Function("/srv/app/shop/views.py", 3, "get")
    assert pairs_of([stayed, old], [stayed, new]) == {stayed: stayed}


def test_a_library_is_not_taken_for_a_file_of_the_application():
    old = Function("/venv/lib/python3.12/site-packages/forms/utils.py", 3, "clean")
    new = Function("/srv/app/utils.py", 3, "clean")
    assert pairs_of([old], [new]) == {}


def test_a_builtin_is_the_same_wherever_it_was_in_memory():
    old, new = (
        Function("~", 0, f"<built-in method __new__ of type object at {address}>")
        for address in ("0xa2c680", "0x7f18BEEF")
    )
    assert pairs_of([old], [new]) == {old: new}


def test_paths_of_any_length_are_matched():
    long = "/a" * 10_000
    old = [Function(f"{long}/{number}.py", 1, "f") for number in range(200)]
    new = [Function(f"/b{long}/{number}.py", 1, "f") for number in range(200)]
    assert pairs_of(old, new) == dict(zip(old, new, strict=True))
