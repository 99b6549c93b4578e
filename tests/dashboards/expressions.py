"""The expressions of dashboards and rules, and what they ask for."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import yaml

from checkout import ROOT

DASHBOARDS = ROOT / "dashboards"
RULES = sorted(DASHBOARDS.glob("prometheus/**/*.rules.yaml"))

# What Prometheus itself knows of each target.
OF_PROMETHEUS = {"up", "scrape_duration_seconds"}

_KEYWORDS = frozenset({"and", "or", "unless", "bool"})
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def load_generator():
    """Import dashboards/generate.py."""
    path = DASHBOARDS / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_dashboards", path)
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def panels(name):
    """The panels of a dashboard's file, without the headings of rows."""
    board = json.loads((DASHBOARDS / "grafana" / name).read_text("utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def of_dashboard(name):
    """Yield title of the panel and expression of each query."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules_of(path):
    """The rules of a file, of all its groups."""
    groups = yaml.safe_load(path.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_rules(path):
    """Yield what is recorded or alerted, and its expression."""
    for rule in rules_of(path):
        yield rule.get("record") or rule["alert"], rule["expr"]


def chosen(expression, route=".*", window="5m"):
    """An expression of a dashboard with its variables replaced, as Grafana does it."""
    variables = {"$__rate_interval": window, "$job": ".*", "$instance": ".*", "$route": route}
    for variable, value in variables.items():
        expression = expression.replace(variable, value)
    return expression


def metrics_in(expression):
    """The names of the metrics that a PromQL expression asks for."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\boffset\s+\w+", " ", text)
    found = set()
    for match in _NAME.finditer(text):
        is_call = text[match.end() :].lstrip().startswith("(")
        # A number such as 1e3 or 5m has letters too.
        is_number = match.start() and text[match.start() - 1].isdigit()
        if match[0] not in _KEYWORDS and not is_call and not is_number:
            found.add(match[0])
    return found


def labels_in(expression):
    """The labels that a PromQL expression selects or groups by."""
    found = set()
    for selector in re.findall(r"\{([^}]*)\}", expression):
        found |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
    for group in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression):
        found |= {label.strip() for label in group.split(",") if label.strip()}
    return found
