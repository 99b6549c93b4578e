"""A process makes no more captures than its budget."""

from __future__ import annotations

from flaskprof.capture.budget import Budget
from flaskprof.capture.triggers import Skip


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_at_most_four_at_once_and_eight_at_home():
    budget = Budget(None, rate=1000, burst=1000)
    assert [budget.take(is_at_home=False) for _ in range(5)] == [None] * 4 + [Skip.too_many]
    assert [budget.take(is_at_home=True) for _ in range(5)] == [None] * 4 + [Skip.too_many]
    budget.give_back()
    assert budget.take(is_at_home=True) is None


def test_a_number_that_was_set_holds_everywhere():
    budget = Budget(1, rate=1000, burst=1000)
    assert budget.take(is_at_home=True) is None
    assert budget.take(is_at_home=True) is Skip.too_many


def test_the_rate_holds_after_the_burst_except_at_home():
    clock = Clock()
    budget = Budget(100, rate=5, burst=3, clock=clock)
    assert [budget.take(is_at_home=False) for _ in range(4)] == [None] * 3 + [Skip.rate]
    assert budget.take(is_at_home=True) is None
    clock.now += 0.2
    assert [budget.take(is_at_home=False) for _ in range(2)] == [None, Skip.rate]
    clock.now += 1000
    assert [budget.take(is_at_home=False) for _ in range(4)] == [None] * 3 + [Skip.rate]


def test_a_refused_capture_takes_nothing():
    clock = Clock()
    budget = Budget(1, rate=0, burst=2, clock=clock)
    assert budget.take(is_at_home=False) is None
    assert budget.take(is_at_home=False) is Skip.too_many
    budget.give_back()
    assert budget.take(is_at_home=False) is None
