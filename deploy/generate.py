"""Writes what Kubernetes is given of the dashboards and rules: ``make dashboards``.

A test proves that what is in the repository is what this writes.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / "kubernetes"
DASHBOARDS = HERE.parent / "dashboards"

_MADE = "# Written by deploy/generate.py from {source}: `make dashboards`.\n"

_RULES = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: flaskprof
  labels:
    app.kubernetes.io/name: flaskprof
spec:
"""

_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: flaskprof-dashboards
  labels:
    app.kubernetes.io/name: flaskprof
    # What the sidecar of Grafana's Helm chart looks for.
    grafana_dashboard: "1"
data:
"""


def files() -> dict[str, str]:
    """Return the text of each manifest by the name of its file."""
    return {"prometheus-rule.yaml": rules(), "grafana-dashboards.yaml": config_map()}


def rules() -> str:
    """Return the recording rules and alerts as a PrometheusRule."""
    path = DASHBOARDS / "prometheus" / "flaskprof.rules.yaml"
    made = _MADE.format(source="dashboards/prometheus/flaskprof.rules.yaml")
    return made + _RULES + textwrap.indent(path.read_text("utf-8"), "  ")


def config_map() -> str:
    """Return all dashboards as one ConfigMap."""
    parts = [_MADE.format(source="dashboards/grafana"), _CONFIG_MAP]
    for path in sorted((DASHBOARDS / "grafana").glob("*.json")):
        parts += [f"  {path.name}: |\n", textwrap.indent(path.read_text("utf-8"), "    ")]
    return "".join(parts)


def main() -> None:
    """Write every manifest."""
    for name, content in files().items():
        (FOLDER / name).write_text(content, "utf-8")
        print(f"deploy/kubernetes/{name}")


if __name__ == "__main__":
    main()
