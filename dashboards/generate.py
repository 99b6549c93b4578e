"""Writes the Grafana dashboards in ``dashboards/grafana``: ``make dashboards``.

What they show is in ``definitions.py``. A test proves that what is in the repository is what
this writes.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from definitions import DASHBOARDS, DURATION, Dashboard, Panel  # noqa: E402  found by now

FOLDER = HERE / "grafana"
TAG = "flaskprof"

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_HEIGHTS = {"stat": 4}
_HEIGHT = 8

# Every series of the application's requests has these labels, whatever it measures.
_LABEL_SOURCE = f"{DURATION}_count"

_ROUTE_LINK = (
    "/d/flaskprof-route?var-route=${__field.labels.http_route:percentencode}"
    "&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
)


def files() -> dict[str, str]:
    """Return the text of each dashboard by the name of its file."""
    return {f"{board.uid}.json": text(board) for board in DASHBOARDS}


def text(board: Dashboard) -> str:
    """Return the JSON of one dashboard."""
    built = _dashboard(board).build()
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _dashboard(board: Dashboard) -> Any:
    built = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables(_variables(board))
        .link(
            builders.DashboardLink("flaskprof")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    numbers = itertools.count(1)
    for row in board.rows:
        built = built.with_row(builders.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            built = built.with_panel(_panel(panel).id(next(numbers)))
    return built


def _variables(board: Dashboard) -> list[Any]:
    source = (
        builders.DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes the application or its sidecar.")
        .type("prometheus")
    )
    job = _labels("job", "Job", "The scrape job.", "")
    instance = _labels("instance", "Instance", "What was scraped.", '{job=~"$job"}')
    variables = [source, _many(job), _many(instance)]
    route = _labels(
        "http_route",
        "Route",
        "The rule of the application that matched.",
        '{job=~"$job",instance=~"$instance"}',
        name="route",
    )
    if board.route == "any":
        variables.append(_many(route))
    elif board.route == "one":
        variables.append(route)
    return variables


def _labels(label: str, title: str, description: str, selector: str, name: str = "") -> Any:
    query = f"label_values({_LABEL_SOURCE}{selector}, {label})"
    return (
        builders.QueryVariable(name or label)
        .label(title)
        .description(description)
        .datasource(SOURCE)
        .query(query)
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _many(variable: Any) -> Any:
    # Everything, and not each value: so a label that is empty or absent is meant too.
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    return variable.multi(True).include_all(True).all_value(".*").current(everything)


def _panel(panel: Panel) -> Any:
    built = (
        _KINDS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(_HEIGHTS.get(panel.kind, _HEIGHT))
        .span(panel.width)
    )
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .datasource(SOURCE)
            .expr(query.expression)
            .legend_format(query.legend or "__auto")
            .ref_id(chr(ord("A") + number))
            .exemplar(panel.has_exemplars and number == 0)
            .range()
        )
        if panel.kind == "heatmap":
            target = target.format(PromQueryFormat.HEATMAP)
        built = built.with_target(target)
    if panel.leads_to_route:
        built = built.data_links([builders.DashboardLink("This route").url(_ROUTE_LINK)])
    return built


def _stat() -> Any:
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _timeseries() -> Any:
    return (
        timeseries.Panel()
        .min(0)
        .line_width(1)
        .fill_opacity(5)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )


def _stacked() -> Any:
    normal = common_builders.StackingConfig().mode(common.StackingMode.NORMAL)
    return _timeseries().fill_opacity(30).stacking(normal)


def _heatmap() -> Any:
    return (
        heatmap.Panel()
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
        )
        .exemplars_color("rgba(86, 166, 255, 0.9)")
    )


_KINDS = {
    "stat": _stat,
    "timeseries": _timeseries,
    "stacked": _stacked,
    "heatmap": _heatmap,
}


def main() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, "utf-8")
        print(f"dashboards/grafana/{name}")


if __name__ == "__main__":
    main()
