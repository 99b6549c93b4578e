"""What changed, in a sentence that holds for every kind of change."""

import pytest

from flaskprof.profiles.diff import compare
from flaskprof.profiles.model import CallGraph, Function, FunctionStats, Sums
from flaskprof.web.differences import (
    count_difference,
    seconds_difference,
    sentence,
    share_difference,
)

F, G, H = (
    Function("/srv/app.py", line, name) for line, name in enumerate(("f", "g\u202e", "h"), 1)
)


def graph(*, is_sampled=False, **stats):
    named = {"f": F, "g": G, "h": H}
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
                "2.00 s became 500 ms (\N{MINUS SIGN}75.0 %); most changed in "
                "/srv/app.py:1(f): 1.50 s less of its own in 1 call instead of 4."
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
                "2.00 s became 1.00 s (\N{MINUS SIGN}50.0 %); most went with "
                "/srv/app.py:2(g\\u202e): 1.00 s of its own."
            ),
        ),
        (
            graph(f=(1, 1.0)),
            graph(f=(3, 1.0)),
            (
                "Both took 1.00 s; no function took more or less time of its own, but "
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
            graph(f=(1, 1.0), g=(1, 2.0)),
            graph(f=(1, 3.0), g=(1, 0.5)),
            (
                "3.00 s became 3.50 s (+16.7 %); most changed in /srv/app.py:1(f): 2.00 s more "
                "of its own in 1 call."
            ),
        ),
        (
            graph(f=(1, 1.0), g=(1, 2.0)),
            graph(f=(1, 2.0), g=(1, 0.5)),
            (
                "3.00 s became 2.50 s (\N{MINUS SIGN}16.7 %); most changed in "
                "/srv/app.py:2(g\\u202e): 1.50 s less of its own in 1 call."
            ),
        ),
        (
            graph(f=(1, 1.0), g=(1, 2.0), h=(1, 0.0)),
            graph(f=(1, 1.8), g=(1, 0.9), h=(1, 0.5)),
            (
                "3.00 s became 3.20 s (+6.7 %); most changed in /srv/app.py:1(f): 800 ms more "
                "of its own in 1 call, while /srv/app.py:2(g\\u202e) took 1.10 s less."
            ),
        ),
        (
            graph(f=(1, 1.0)),
            graph(g=(1, 1.0)),
            "Both took 1.00 s; most went with /srv/app.py:1(f): 1.00 s of its own.",
        ),
        (
            graph(f=(1, 0.02)),
            graph(f=(1, 4.0)),
            (
                "20.0 ms became 4.00 s (200 times as much); most changed in /srv/app.py:1(f): "
                "3.98 s more of its own in 1 call."
            ),
        ),
        (
            graph(f=(1, 0.0)),
            graph(f=(2, 0.0)),
            (
                "Both took 0 s; no function took more or less time of its own, but "
                "/srv/app.py:1(f) was called 2 times instead of 1."
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
        "\N{MINUS SIGN}1,200",
        "0",
        "+1,200",
    ]
    assert [seconds_difference(value).text for value in (-0.5, 0.0, 0.5)] == [
        "\N{MINUS SIGN}500",
        "0",
        "+500",
    ]
    assert [share_difference(value).text for value in (-0.2, -0.0004, -0.0, 0.0004)] == [
        "\N{MINUS SIGN}20.0",
        "\N{MINUS SIGN}<0.1",
        "0.0",
        "+<0.1",
    ]
