"""What the pages of a profile are about: one capture, several added up, all of their code."""

from dataclasses import replace

import pytest
from captured import ROOT, ROW, TREE, VIEW, add_tree
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from flaskprof.config import Settings
from flaskprof.errors import CaptureNotFound
from flaskprof.formats import stacks
from flaskprof.profiles.estimate import EstimatedTree
from flaskprof.profiles.kinds import Kinds
from flaskprof.profiles.model import CallGraph, CallTree
from flaskprof.profiles.sums import call_graph
from flaskprof.web.links import Links
from flaskprof.web.parsed import ParsedProfiles
from flaskprof.web.subject import MOST_MERGED, merged, subject_of
from flaskprof.web.visit import Visit


def visit_of(store, query=""):
    return Visit(
        store=store,
        settings=Settings(),
        profiles=ParsedProfiles(),
        links=Links("/p"),
        query=MultiDict(item.split("=") for item in query.split("&") if item),
        now=1_800_000_000.0,
        origin="http://localhost",
    )


def test_a_capture_with_stacks_is_exact_and_agrees_with_its_sums(store):
    record = add_tree(store)
    subject = subject_of(visit_of(store), record.id)
    assert (subject.truth, subject.title, subject.record) == ("exact", "GET /orders", record)
    assert isinstance(subject.profile, CallTree)
    assert subject.tree == subject.stacks == subject.profile == TREE
    assert subject.graph == call_graph(TREE)


def test_a_capture_of_sums_alone_has_an_estimated_tree(store, flask_prof):
    record = store.add(flask_prof)
    subject = subject_of(visit_of(store), record.id)
    assert subject.truth == "estimated"
    assert subject.profile is subject.graph
    assert isinstance(subject.tree, EstimatedTree)
    assert subject.tree is subject.tree
    assert subject.stacks == stacks(subject.graph)


@pytest.mark.parametrize("query", ["", "app=1"])
def test_nothing_is_made_twice_for_a_page_however_little_is_kept(store, flask_prof, query):
    record = store.add(flask_prof)
    visit = replace(visit_of(store, query), profiles=ParsedProfiles(max_bytes=0))
    subject = subject_of(visit, record.id)
    names = ("graph", "tree", "stacks", "overall", "flame", "widest")
    first, again = ([getattr(subject, name) for name in names] for _ in range(2))
    assert [one is other for one, other in zip(first, again, strict=True)] == [True] * 6
    assert subject.unfolded().graph is subject.unfolded().graph


def test_a_sampled_capture_says_so(store, flask_prof):
    record = store.add(flask_prof, exactness="sampled")
    assert subject_of(visit_of(store), record.id).truth == "sampled"


def test_several_captures_are_one_of_all_their_calls_and_time(store):
    ids = [add_tree(store, started=1e9 + number).id for number in range(3)]
    subject = merged(visit_of(store), [*ids, ids[0]])
    assert (subject.record, subject.title) == (None, "3 captures of GET /orders")
    assert subject.truth == "exact"
    assert subject.profile.total_ns == 3 * TREE.total_ns
    assert subject.graph.functions[ROW].total.calls == 90
    assert subject.whole_record.duration_seconds == 0.75


def test_one_without_stacks_makes_the_sum_an_estimate(store, flask_prof):
    ids = [add_tree(store).id, store.add(flask_prof, started=1e9).id]
    subject = merged(visit_of(store), ids)
    assert subject.truth == "estimated"
    assert isinstance(subject.profile, CallGraph)


@pytest.mark.parametrize("ids", [[], [f"{n:032x}" for n in range(MOST_MERGED + 1)]], ids=len)
def test_none_and_too_many_are_refused(store, ids):
    with pytest.raises(BadRequest):
        merged(visit_of(store), ids)


def test_what_is_not_there_is_not_found(store):
    with pytest.raises(CaptureNotFound):
        merged(visit_of(store), [add_tree(store).id, "0" * 32])


def test_sampled_and_exact_captures_are_not_added_up(store, flask_prof):
    ids = [store.add(flask_prof, started=1e9 + n, exactness=e).id
           for n, e in enumerate(("exact", "sampled"))]  # fmt: skip
    with pytest.raises(BadRequest, match="sampled"):
        merged(visit_of(store), ids)


def test_addresses_keep_captures_and_what_is_shown_of_them(store):
    one, two = (add_tree(store, started=1e9 + number) for number in range(2))
    subject = subject_of(visit_of(store), one.id)
    assert subject.page(view="table") == f"/p/c/{one.id}?view=table"
    assert subject.tree_data() == f"/p/c/{one.id}/tree.json"
    subject = merged(visit_of(store, "app=1"), [two.id, one.id])
    query = f"c={one.id}&c={two.id}&app=1"
    assert subject.page(view="", fn="ab") == f"/p/merge?{query}&fn=ab"
    assert subject.page(app="") == f"/p/merge?c={one.id}&c={two.id}"
    assert subject.tree_data() == f"/p/merge/tree.json?{query}"
    assert subject.export("prof") == f"/p/merge/export/prof?{query}"


def test_application_code_alone_keeps_all_of_the_time(store):
    subject = subject_of(visit_of(store, "app=1"), add_tree(store).id)
    tree = subject.profile
    assert tree.total_ns == TREE.total_ns
    assert [tree.functions[f] for f in tree.function] == [ROOT, VIEW, ROW]
    assert list(tree.self_ns) == [1_000, 320_000, 4_000_000]
    assert subject.graph == call_graph(tree)


def test_application_code_of_sums_keeps_all_of_the_time(store, flask_prof):
    record = store.add(flask_prof)
    whole = subject_of(visit_of(store), record.id)
    subject = subject_of(visit_of(store, "app=1"), record.id)
    graph = subject.graph
    assert graph.total_seconds == pytest.approx(whole.graph.total_seconds)
    assert len(graph.functions) < 20 < len(whole.graph.functions)
    names = {f.name for f in graph.functions if not Kinds().is_foreign(f)}
    assert {"heavy", "price", "fibonacci"} <= names
    for function, stats in graph.functions.items():
        before = whole.graph.functions[function].total
        assert stats.total.cumulative_seconds == before.cumulative_seconds
        assert stats.total.self_seconds >= before.self_seconds
    tree = subject.tree
    assert sum(tree.self_ns) + sum(tree.left_out_ns()) == tree.total_ns[0]
    assert tree.total_ns[0] == whole.tree.total_ns[0]
