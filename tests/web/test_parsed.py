"""The cache of parsed profiles."""

import marshal
import threading

import pytest

from flaskprof.errors import BadProfile
from flaskprof.web.parsed import ParsedProfiles


def prof(name: str, functions: int = 1) -> bytes:
    return marshal.dumps({(name, n, "f"): (1, 1, 0.5, 0.5, {}) for n in range(functions)})


def get(profiles: ParsedProfiles, data: bytes):
    """What the cache has for these bytes, which are their own stamp."""
    return profiles.get(data, lambda: data)


def test_a_file_is_read_and_parsed_once_for_each_stamp():
    profiles = ParsedProfiles()
    read = []

    def load():
        read.append(1)
        return prof("a.py")

    assert profiles.get("one", load) is profiles.get("one", load)
    assert profiles.get("other", load) == profiles.get("one", load)
    assert (len(profiles), len(read)) == (2, 2)


def test_other_bytes_are_another_profile():
    profiles = ParsedProfiles()
    assert get(profiles, prof("a.py")) != get(profiles, prof("b.py"))


def test_what_is_made_of_a_profile_is_made_once_for_each_key():
    profiles = ParsedProfiles()
    made = []

    def make():
        made.append(get(profiles, prof("a.py")))
        return made[-1]

    assert profiles.made("x", make) is profiles.made("x", make)
    assert len(made) == 1
    profiles.made("y", make)
    assert len(made) == 2


def test_what_was_used_longest_ago_makes_room():
    profiles = ParsedProfiles(max_bytes=7_500)
    a, b, c = (prof(name, 10) for name in "abc")
    first = get(profiles, a)
    second = get(profiles, b)
    assert get(profiles, a) is first
    get(profiles, c)
    assert len(profiles) == 2
    assert get(profiles, a) is first
    assert get(profiles, b) is not second


def test_a_profile_above_the_bound_is_kept_alone():
    profiles = ParsedProfiles(max_bytes=7_500)
    get(profiles, prof("small"))
    large = get(profiles, prof("large", 100))
    assert get(profiles, prof("large", 100)) is large
    assert len(profiles) == 1


def test_a_bad_profile_is_refused_each_time_and_not_kept():
    profiles = ParsedProfiles()
    for _ in range(2):
        with pytest.raises(BadProfile):
            get(profiles, b"no profile")
    assert len(profiles) == 0


def test_many_threads_may_ask_at_once():
    profiles = ParsedProfiles(max_bytes=18_000)
    files = [prof(str(n), 20) for n in range(6)]
    wrong = []
    start = threading.Barrier(4)

    def look():
        start.wait()
        for turn in range(60):
            number = turn % len(files)
            graph = get(profiles, files[number])
            if next(iter(graph.functions)).file != str(number):
                wrong.append(number)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(profiles) <= 3
