"""A little work to be recorded: recursion, callbacks of builtins, and text."""


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + sum(map(fibonacci, [n - 2]))


def work():
    fibonacci(8)
    sorted(range(50), key=lambda number: -number)
    [str(number).encode() for number in range(20)]
