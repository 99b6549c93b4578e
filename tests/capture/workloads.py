"""Twelve real programs, each the work of one request, for proofs of exactness.

Each is a function without arguments that does the same calls every time.
"""

# ruff: noqa: FURB192, PLW0108, PT017  what could be written shorter is there to be recorded

import _thread
import contextlib
import functools
import json
import re
from dataclasses import dataclass, field
from operator import attrgetter

import flask
import jinja2
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool


class _Base(DeclarativeBase):
    pass


class _Order(_Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    lines: Mapped[list["_Line"]] = relationship(back_populates="order")


class _Line(_Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sqlalchemy.ForeignKey("orders.id"))
    price: Mapped[int]
    order: Mapped[_Order] = relationship(back_populates="lines")


def _make_app():
    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    _Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(
            _Order(customer=f"customer {i}", lines=[_Line(price=i + j) for j in range(4)])
            for i in range(10)
        )
        session.commit()
    app = flask.Flask("shop")
    app.jinja_env.from_string("")

    @app.route("/orders/<int:limit>")
    def orders(limit):
        with Session(engine) as session:
            found = session.scalars(
                sqlalchemy.select(_Order).order_by(_Order.id).limit(limit)
            ).all()
            return flask.render_template_string(
                "{% for order in orders %}{{ order.customer }}:"
                "{{ order.lines | sum(attribute='price') }}\n{% endfor %}",
                orders=found,
            )

    return app


_app = _make_app()


def flask_with_sqlalchemy():
    assert _app.test_client().get("/orders/5").data.count(b"customer") == 5


_template = jinja2.Environment(autoescape=True).from_string(
    "{% macro cell(x) %}<td>{{ x | upper }}</td>{% endmacro %}"
    "{% for row in rows if row %}<tr>{% for x in row %}{{ cell(x) }}{% endfor %}</tr>"
    "{% else %}none{% endfor %}"
)


def jinja_templates():
    assert _template.render(rows=[["a", "<b>"], [], ["c"]]).count("<td>") == 3


def json_both_ways():
    data = {"rows": [{"id": i, "name": "é" * i, "value": i / 3} for i in range(20)]}
    text = json.dumps(data, indent=1, sort_keys=True, default=str)
    assert json.loads(text, object_hook=lambda found: found) == data


def regular_expressions():
    pattern = re.compile(r"(\w+)@(\w+)\.org")
    text = "a@b.org, c@d.org; " * 10
    assert len(pattern.findall(pattern.sub(lambda found: found[0].upper(), text))) == 0
    assert re.split("[,;]", text)[0] == "a@b.org"


def _ackermann(m, n):
    if m == 0:
        return n + 1
    if n == 0:
        return _ackermann(m - 1, 1)
    return _ackermann(m - 1, _ackermann(m, n - 1))


def _even(n):
    return n == 0 or _odd(n - 1)


def _odd(n):
    return n != 0 and _even(n - 1)


def recursion():
    assert _ackermann(2, 3) == 9
    assert _even(50)


def _numbers(stop):
    for number in range(stop):
        received = yield number
        if received:
            yield -received


def _chain(*parts):
    for part in parts:
        yield from part


def _stubborn():
    try:
        yield 1
    except ValueError:
        yield 2
    finally:
        len("closed")


async def _wait(values):
    return [value async for value in values]


async def _arrive(stop):
    for number in range(stop):
        yield number


def generators():
    numbers = _numbers(5)
    next(numbers)
    assert numbers.send(7) == -7
    numbers.close()
    assert sum(_chain(_numbers(3), (n * n for n in range(4)))) == 17
    stubborn = _stubborn()
    next(stubborn)
    assert stubborn.throw(ValueError()) == 2
    stubborn.close()
    with contextlib.suppress(StopIteration):
        _wait(_arrive(3)).send(None)


class _OurError(Exception):
    def __init__(self, depth):
        super().__init__(depth)
        self.depth = depth


def _raise_from(depth):
    if depth == 0:
        raise _OurError(depth)
    try:
        _raise_from(depth - 1)
    except _OurError as error:
        raise _OurError(depth) from error


def _fail_in_sort(value):
    return value.nothing


def exceptions():
    try:
        _raise_from(5)
    except _OurError as error:
        assert error.depth == 5
    for call in (lambda: [].pop(), lambda: {}["x"], lambda: "a".index("b")):
        with contextlib.suppress(LookupError, ValueError):
            call()
    with contextlib.suppress(AttributeError):
        sorted([1, 2], key=_fail_in_sort)
    with contextlib.suppress(SystemExit):
        raise SystemExit(3)


def comprehensions():
    table = {x: {y for y in range(x) if y % 2} for x in range(8)}
    flat = [len(odd) for odd in table.values() for _ in range(2)]
    assert sum(size for size in flat) == 24
    assert [[str(i * j) for i in range(3)] for j in range(3)][2][2] == "4"


def _counted(function):
    @functools.wraps(function)
    def wrapper(*args, **keywords):
        wrapper.count += 1
        return function(*args, **keywords)

    wrapper.count = 0
    return wrapper


def _with_option(option):
    def decorate(function):
        return _counted(functools.partial(function, option))

    functools.update_wrapper(decorate, _counted)
    return decorate


@_counted
@_counted
def _twice(x):
    return x * 2


@functools.cache
def _remember(x):
    return _twice(x)


@functools.singledispatch
def _show(x):
    return repr(x)


@_show.register
def _(x: int):
    return str(x)


def decorators():
    _remember.cache_clear()
    assert [_remember(x % 3) for x in range(6)] == [0, 2, 4] * 2
    add = _with_option(10)(lambda option, x: option + x)
    assert add(5) == 15
    assert _show(1) + _show("a") == "1'a'"


class _Typed:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner=None):
        return getattr(instance, self.name)

    def __set__(self, instance, value):
        setattr(instance, self.name, int(value))


class _Registry(type):
    def __new__(cls, name, bases, namespace):
        return super().__new__(cls, name, bases, {**namespace, "registered": name.lower()})

    def __call__(cls, *args):
        return super().__call__(*args)


@functools.total_ordering
class _Version:
    def __init__(self, *parts):
        self.parts = parts

    def __eq__(self, other):
        return self.parts == other.parts

    def __lt__(self, other):
        return self.parts < other.parts

    def __hash__(self):
        return hash(self.parts)


def class_machinery():
    class Point(metaclass=_Registry):
        x = _Typed()
        y = _Typed()

        def __init__(self, x, y):
            self.x, self.y = x, y

        @property
        def norm(self):
            return abs(self.x) + abs(self.y)

    @dataclass(order=True)
    class Item:
        price: int
        names: list = field(default_factory=list)

    assert Point("3", -4).norm == 7
    assert max(Item(1), Item(2, ["a"])).names == ["a"]
    assert _Version(1, 2) >= _Version(1, 1)
    assert len({_Version(1), _Version(1), _Version(2)}) == 2


def threads_inside():
    # Not threading.Thread: how many calls its start() makes depends on who is faster.
    results, finished = [], [_thread.allocate_lock() for _ in range(3)]

    def work(number):
        results.append(_ackermann(1, number))
        finished[number].release()

    for number, lock in enumerate(finished):
        lock.acquire()
        _thread.start_new_thread(work, (number,))
    for lock in finished:
        lock.acquire()
    assert sorted(results) == [2, 3, 4]


def callbacks_from_c():
    words = ["pear", "fig", "apple"]
    assert sorted(words, key=lambda word: len(word))[0] == "fig"
    assert list(map(str.upper, filter(lambda word: "p" in word, words))) == ["PEAR", "APPLE"]
    assert functools.reduce(lambda a, b: a + len(b), words, 0) == 12
    assert max(words, key=functools.cmp_to_key(lambda a, b: (a > b) - (a < b))) == "pear"
    assert next(iter(lambda: words.pop(), "fig")) == "apple"
    assert attrgetter("real")(3) == 3


WORKLOADS = (
    flask_with_sqlalchemy,
    jinja_templates,
    json_both_ways,
    regular_expressions,
    recursion,
    generators,
    exceptions,
    comprehensions,
    decorators,
    class_machinery,
    threads_inside,
    callbacks_from_c,
)
