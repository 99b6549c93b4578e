"""A little work to be recorded: recursion, callbacks of builtins, and text."""

import yappi


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + sum(map(fibonacci, [n - 2]))


def work():
    fibonacci(8)
    sorted(range(50), key=lambda number: -number)
    [str(number).encode() for number in range(20)]


def record_with_yappi(path):
    """Write what yappi records of the work as a file for pstats."""
    yappi.start(builtins=True)
    try:
        work()
    finally:
        yappi.stop()
    stats = yappi.get_func_stats()
    yappi.clear_stats()
    stats.save(str(path), type="pstat")
