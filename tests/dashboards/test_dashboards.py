"""The dashboards are current, complete, and ask only for what there is."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml
from expressions import (
    DASHBOARDS,
    OF_PROMETHEUS,
    RULES,
    chosen,
    labels_in,
    load_generator,
    metrics_in,
    of_dashboard,
    of_rules,
    panels,
)

from flaskprof.metrics.table import METRICS
from needs import needs_program

FOLDER = DASHBOARDS / "grafana"
NAMES = sorted(path.name for path in FOLDER.glob("*.json"))

SAMPLES = {sample for metric in METRICS for sample in metric.samples}
LABELS = {label for metric in METRICS for label in metric.labels}
# Of Prometheus, of histograms, and those that rules make.
OTHER_LABELS = {"job", "instance", "le"}


def board(name):
    return json.loads((FOLDER / name).read_text("utf-8"))


# The form that Grafana before 12 reads, too.
@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")
def test_the_dashboards_are_what_the_script_writes():
    made = load_generator().files()
    assert sorted(made) == NAMES
    for name, text in made.items():
        assert (FOLDER / name).read_text("utf-8") == text, "run: make dashboards"


def test_there_is_a_dashboard_for_each_question():
    questions = ("health", "overview", "route", "workers")
    assert [f"flaskprof-{question}.json" for question in questions] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows_and_in_which_unit(name):
    shown = panels(name)
    assert len(shown) >= 8
    for panel in shown:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}
        assert all(target["legendFormat"] for target in panel["targets"])
    numbers = [panel["id"] for panel in board(name)["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_every_query_follows_the_variables_and_the_scrape_interval(name):
    chosen = {variable["name"] for variable in board(name)["templating"]["list"]}
    wanted = {"datasource", "job", "instance"}
    assert chosen == (wanted | {"route"} if name in ROUTED else wanted)
    for title, expression in of_dashboard(name):
        assert 'job=~"$job",instance=~"$instance"' in expression, title
        windows = re.findall(r"\[([^\]]*)\]", expression)
        assert set(windows) <= {"$__rate_interval"}, title
        assert len(windows) == len(re.findall(r"\b(?:rate|increase)\(", expression)), title


ROUTED = {"flaskprof-overview.json", "flaskprof-route.json"}


EXEMPLARS = {
    "flaskprof-overview.json": {
        "p50 by route",
        "p95 by route",
        "p99 by route",
        "Request durations",
    },
    "flaskprof-route.json": {"Duration", "Request durations"},
}


@pytest.mark.parametrize("name", NAMES)
def test_what_can_lead_to_a_profile_asks_for_exemplars(name):
    asking = {
        panel["title"]
        for panel in panels(name)
        if any(target.get("exemplar") for target in panel["targets"])
    }
    assert asking == EXEMPLARS.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_asks_only_for_metrics_and_labels_that_there_are(name):
    for title, expression in of_dashboard(name):
        assert metrics_in(expression) <= SAMPLES | OF_PROMETHEUS, title
        assert metrics_in(expression), title
        assert labels_in(expression) <= LABELS | OTHER_LABELS, title


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_a_rule_asks_only_for_metrics_and_labels_that_there_are(path):
    recorded = {name for name, _ in of_rules(path)}
    made = {"method", "status", "path", "url_rule", "endpoint"}  # by the rules themselves
    for name, expression in of_rules(path):
        assert metrics_in(expression) <= SAMPLES | OF_PROMETHEUS | recorded, name
        assert metrics_in(expression), name
        assert labels_in(expression) <= LABELS | OTHER_LABELS | made, name


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ('sum by (le) (rate(a_bucket{job=~"x"}[5m]))', {"a_bucket"}, {"le", "job"}),
        ("(a or 0 * b) / on () group_left () c", {"a", "b", "c"}, set()),
        ('label_replace(a, "b", "$1", "c", "(.*)")', {"a"}, set()),
        ("a:b:rate5m > 14.4 * 0.001 unless d offset 15m", {"a:b:rate5m", "d"}, set()),
    ],
)
def test_what_an_expression_asks_for_is_found(expression, metrics, labels):
    assert metrics_in(expression) == metrics
    assert labels_in(expression) == labels


def test_every_metric_is_on_a_dashboard():
    asked = {
        metric
        for name in NAMES
        for _, expression in of_dashboard(name)
        for metric in metrics_in(expression)
    }
    # Beside the time to the first byte and the clients that went away.
    left_out = {"flaskprof_response_sent_bytes"}
    for metric in METRICS:
        if metric.name not in left_out:
            assert asked & set(metric.samples), metric.name


# Rules, and the expressions of the dashboards as Prometheus reads them


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_prometheus_accepts_the_rules(path):
    promtool = needs_program("promtool")
    checked = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_the_rules_pass_their_cases(path):
    promtool = needs_program("promtool")
    cases = path.with_name(path.name.replace(".rules.", ".test."))
    run = subprocess.run(
        [promtool, "test", "rules", cases.name],
        capture_output=True,
        text=True,
        cwd=cases.parent,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    cases = yaml.safe_load((DASHBOARDS / "prometheus/flaskprof.test.yaml").read_text("utf-8"))
    fires: dict[str, set[bool]] = {}
    for case in cases["tests"]:
        for check in case.get("alert_rule_test", ()):
            fires.setdefault(check["alertname"], set()).add(bool(check["exp_alerts"]))
    rules = yaml.safe_load((DASHBOARDS / "prometheus/flaskprof.rules.yaml").read_text("utf-8"))
    alerts = {
        rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule
    }
    assert fires == {alert: {True, False} for alert in alerts}


def test_prometheus_accepts_the_expressions_of_the_dashboards(tmp_path):
    promtool = needs_program("promtool")
    rules = []
    for name in NAMES:
        for _, expression in of_dashboard(name):
            rules.append({"record": f"panel:{len(rules)}", "expr": chosen(expression)})
    path = tmp_path / "panels.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_exemplar_of_the_data_source_opens_the_capture():
    source = yaml.safe_load((FOLDER / "datasource.yaml").read_text("utf-8"))
    (prometheus,) = source["datasources"]
    (destination,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert prometheus["type"] == "prometheus"
    assert destination["name"] == "profile_id"
    # Grafana expands single dollars of provisioned files from its environment.
    assert destination["url"].endswith("/flaskprof/c/$${__value.raw}")
