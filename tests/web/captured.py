"""A capture with stacks, as the call-tree engine leaves it, for a store in memory."""

from array import array

from flaskprof.formats import FORMATS
from flaskprof.profiles.model import CallTree, Function
from flaskprof.profiles.sums import call_graph

ROOT = Function("/venv/lib/python3.12/site-packages/flask/app.py", 9, "wsgi_app")
VIEW = Function("/srv/shop/views.py", 10, "order")
LOAD = Function("/venv/lib/python3.12/site-packages/orm/query.py", 5, "all")
ROW = Function("/srv/shop/models.py", 3, "from_row")
TREE = CallTree(
    (ROOT, VIEW, LOAD, ROW),
    array("q", [-1, 0, 1, 2]),
    array("q", [0, 1, 2, 3]),
    array("q", [1, 1, 2, 30]),
    array("q", [1_000, 20_000, 300_000, 4_000_000]),
)


def add_tree(store, tree=TREE, **fields):
    """Add a capture of `tree` to a store; both of its files are there."""
    record = store.add(b"", has_stacks=True, **{"route": "/orders"} | fields)
    store.files[record.id, ".prof"] = FORMATS["prof"].write(call_graph(tree), record)
    store.files[record.id, ".pb.gz"] = FORMATS["pprof"].write(tree, record)
    return record


def fan(width):
    """A function that calls so many others, the first of which takes half of the time."""
    functions = tuple(Function("/srv/fan.py", line, f"f{line}") for line in range(width + 1))
    callees = [(0, line, 1, 1_000_000 + line) for line in range(1, width + 1)]
    callees[0] = (0, 1, 1, width * 1_000_000)
    rows = [(-1, 0, 1, 1_000_000), *callees]
    return CallTree(functions, *(array("q", column) for column in zip(*rows, strict=True)))
