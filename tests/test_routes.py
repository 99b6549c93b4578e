"""What a request is called."""

from __future__ import annotations

from types import SimpleNamespace

from flaskprof import exclude
from flaskprof.routes import Exclusion, Match, RouteNamer, werkzeug_match


def matched(rule, endpoint="e", **environ):
    request = SimpleNamespace(url_rule=SimpleNamespace(rule=rule, endpoint=endpoint))
    return {"werkzeug.request": request, "PATH_INFO": "/raw/path", **environ}


def test_the_matched_rule_is_the_name_with_its_mount():
    match = RouteNamer()(matched("/orders/<int:id>", SCRIPT_NAME="/shop"))
    assert match == Match("/shop/orders/<int:id>", "e")


def test_without_a_match_the_route_is_empty():
    assert RouteNamer()({"PATH_INFO": "/raw/path"}) == Match("", "")
    unmatched = {"werkzeug.request": SimpleNamespace(url_rule=None), "PATH_INFO": "/x"}
    assert RouteNamer()(unmatched) == Match("", "")
    assert werkzeug_match({"werkzeug.request": SimpleNamespace()}) == ("", "")


def test_patterns_leave_routes_out_of_captures_or_of_metrics_too():
    namer = RouteNamer(exclusion=Exclusion(["/static/*"], ["/health", "/poll/?"]))
    assert namer(matched("/static/<path:f>")) == Match("/static/<path:f>", "e", False, True)
    assert namer(matched("/health")) == Match("/health", "e", False, False)
    assert namer(matched("/healthy")) == Match("/healthy", "e", True, True)


def test_a_pattern_is_matched_against_the_path_where_there_is_no_route():
    namer = RouteNamer(exclusion=Exclusion([], ["/health"]))
    assert namer({"PATH_INFO": "/health"}) == Match("", "", False, False)
    assert namer({"PATH_INFO": "/else"}) == Match("", "", True, True)


def test_a_marked_view_is_left_out():
    @exclude
    def quiet():
        pass

    @exclude(metrics=True)
    def silent():
        pass

    views = {"quiet": quiet, "silent": silent, "plain": lambda: None}
    namer = RouteNamer(view_of=views.get)
    for endpoint, captured, counted in [
        ("quiet", False, True),
        ("silent", False, False),
        ("plain", True, True),
        ("gone", True, True),
    ]:
        match = namer(matched("/x", endpoint))
        assert (match.is_captured, match.is_counted) == (captured, counted), endpoint


def test_what_is_remembered_of_routes_is_bounded():
    namer = RouteNamer(lambda environ: (environ["r"], ""))
    for number in range(10_050):
        assert namer({"r": f"/{number}"}).route == f"/{number}"
    assert len(namer._matches) == 10_000
