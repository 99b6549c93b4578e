"""What changed, in a sentence that holds for every kind of change."""

import pytest

from flaskprof.profiles.diff import compare
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.web.differences import count_difference, seconds_difference, sentence

F, G = Function("/srv/app.py", 1, "f"), Function("/srv/app.py", 2, "g\u202e")


def graph(*, is_sampled=False, **stats):
    named = {"f": F, "g": G}
    return CallGraph(
        {
            named[name]: FunctionStats(Sums(calls, calls, time, time))
            for name, (calls, time) in stats.items()
        },
        is_sampled,
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            graph(f=(4, 2.0)),
            graph(f=(1, 0.5)),
            (
                "2.00 s became 500 ms (-75.0 %); most changed in /srv/app.py:1(f): 1.50 s less "
                "of its own in 1 call instead of 4."
            ),
        ),
        (
            graph(f=(1, 1.0)),
            graph(f=(1, 1.0), g=(2, 1.0)),
            (
                "1.00 s became 2.00 s (+100.0 %); most is new in /srv/app.py:2(g\\u202e): "
                "1.00 s of its own in 2 calls."
            ),
        ),
        (
            graph(f=(1, 1.0), g=(2, 1.0)),
            graph(f=(1, 1.0)),
            (
                "2.00 s became 1.00 s (-50.0 %); most went with /srv/app.py:2(g\\u202e): "
                "1.00 s of its own."
            ),
        ),
        (
            graph(f=(1, 1.0)),
            graph(f=(3, 1.0)),
            (
                "1.00 s became 1.00 s; no function took more or less time of its own, but "
                "/srv/app.py:1(f) was called 3 times instead of 1."
            ),
        ),
        (
            graph(),
            graph(f=(1, 1.0)),
            "0 s became 1.00 s; most is new in /srv/app.py:1(f): 1.00 s of its own in 1 call.",
        ),
        (
            graph(f=(1, 1.0)),
            graph(f=(100, 2.0), is_sampled=True),
            (
                "1.00 s became 2.00 s (+100.0 %); most changed in /srv/app.py:1(f): 1.00 s "
                "more of its own."
            ),
        ),
        (
            graph(f=(1, 1.0)),
            graph(f=(1, 1.0)),
            "Nothing changed: the same functions with the same calls and times.",
        ),
    ],
)
def test_one_sentence_says_by_how_much_and_where(before, after, said):
    assert sentence(compare(before, after)) == said


def test_differences_have_a_sign():
    assert [count_difference(value).text for value in (-1200, 0, 1200)] == [
        "-1,200",
        "0",
        "+1,200",
    ]
    assert [seconds_difference(value).text for value in (-0.5, 0.0, 0.5)] == [
        "-500",
        "0",
        "+500",
    ]
