"""What the dashboards show, as plain tables; ``generate.py`` makes Grafana's JSON of them.

Every query is narrowed by the variables of the dashboard. Rates are taken over
``$__rate_interval``, which Grafana fits to the scrape interval and the width of the panel.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DASHBOARDS", "Dashboard", "Panel", "Query", "Row"]

# What narrows a query: the process group, and the routes in it.
ALL = '{job=~"$job",instance=~"$instance"}'
ROUTES = '{job=~"$job",instance=~"$instance",http_route=~"$route"}'
FAILED_ROUTES = ROUTES[:-1] + ',http_response_status_code=~"5.."}'
# On the dashboard of one route there is exactly one.
ROUTE = '{job=~"$job",instance=~"$instance",http_route="$route"}'
FAILED_ROUTE = ROUTE[:-1] + ',http_response_status_code=~"5.."}'

DURATION = "http_server_request_duration_seconds"
CPU = "flaskprof_request_cpu_seconds"
QUEUED = "flaskprof_request_queue_seconds"
LENGTH = "flaskprof_response_length_bytes"
FIRST_BYTE = "flaskprof_response_first_byte_seconds"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel and the name of its series."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's name of it; `width` is of 24 columns.

    `kind` is "stat", "timeseries", "stacked" or "heatmap". `has_exemplars` asks for the
    captures behind the numbers; `leads_to_route` links each series to its route.
    """

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 12
    has_exemplars: bool = False
    leads_to_route: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard, kept in the file ``<uid>.json``.

    `route` is "any" where several routes can be chosen, "one" where exactly one is looked
    at, and "" where routes play no part.
    """

    uid: str
    title: str
    description: str
    route: str
    rows: tuple[Row, ...]


def rate(name: str, selector: str) -> str:
    """The increase of a counter per second."""
    return f"rate({name}{selector}[$__rate_interval])"


def by_route(expression: str) -> str:
    """Give the empty route, that of requests which nothing matched, a name to be read."""
    return f'label_replace({expression}, "http_route", "(no route)", "http_route", "^$")'


def quantile(share: float, selector: str, by: str = "http_route") -> str:
    """A quantile of the request duration, as the buckets tell it."""
    labels = f"le, {by}" if by else "le"
    buckets = rate(f"{DURATION}_bucket", selector)
    return f"histogram_quantile({share}, sum by ({labels}) ({buckets}))"


def mean(name: str, selector: str, by: str = "") -> str:
    """The mean of what a sum and a count tell."""
    total, count = (
        f"sum{f' by ({by}) ' if by else ''}({rate(name + suffix, selector)})"
        for suffix in ("_sum", "_count")
    )
    return f"{total} / {count}"


def error_share(failed: str, selector: str, by: str = "") -> str:
    """The share of answers that are server errors: zero where there are only others."""
    group = f" by ({by}) " if by else ""
    errors = f"sum{group}({rate(DURATION + '_count', failed)})"
    answers = f"sum{group}({rate(DURATION + '_count', selector)})"
    return f"({errors} or 0 * {answers}) / {answers}"


def latency(share: str, quantile_of: float) -> Panel:
    """A panel of one quantile by route."""
    return Panel(
        "timeseries",
        f"{share} by route",
        f"{quantile_of:.0%} of the requests of a route took at most this long. Within a bucket "
        "the value is interpolated. The dots are requests that were captured: one leads to "
        "its profile.",
        "s",
        (Query(by_route(quantile(quantile_of, ROUTES)), "{{http_route}}"),),
        width=8,
        has_exemplars=True,
        leads_to_route=True,
    )


OVERVIEW = Dashboard(
    "flaskprof-overview",
    "flaskprof: overview",
    "Traffic, errors, latency and processor time of the application, by route.",
    "any",
    (
        Row(
            "Now",
            (
                Panel(
                    "stat",
                    "Requests",
                    "Requests answered per second.",
                    "reqps",
                    (Query(f"sum({rate(DURATION + '_count', ROUTES)})", ""),),
                    width=4,
                ),
                Panel(
                    "stat",
                    "Error share",
                    "The share of answers with a status of 500 and above.",
                    "percentunit",
                    (Query(error_share(FAILED_ROUTES, ROUTES), ""),),
                    width=4,
                ),
                Panel(
                    "stat",
                    "p50",
                    "Half of the requests took at most this long.",
                    "s",
                    (Query(quantile(0.5, ROUTES, by=""), ""),),
                    width=4,
                ),
                Panel(
                    "stat",
                    "p95",
                    "95 of 100 requests took at most this long.",
                    "s",
                    (Query(quantile(0.95, ROUTES, by=""), ""),),
                    width=4,
                ),
                Panel(
                    "stat",
                    "Active requests",
                    "Requests that are being answered at this moment.",
                    "short",
                    (Query(f"sum(http_server_active_requests{ALL})", ""),),
                    width=4,
                ),
                Panel(
                    "stat",
                    "Workers",
                    "Processes alive that have answered a request.",
                    "short",
                    (Query(f"sum(flaskprof_workers{ALL})", ""),),
                    width=4,
                ),
            ),
        ),
        Row(
            "Traffic",
            (
                Panel(
                    "stacked",
                    "Requests by route",
                    "Requests answered per second. (no route) stands for those that no rule "
                    "of the application matched.",
                    "reqps",
                    (
                        Query(
                            by_route(
                                f"sum by (http_route) ({rate(DURATION + '_count', ROUTES)})"
                            ),
                            "{{http_route}}",
                        ),
                    ),
                    leads_to_route=True,
                ),
                Panel(
                    "stacked",
                    "Requests by status",
                    "Requests answered per second, by the status of the answer.",
                    "reqps",
                    (
                        Query(
                            "sum by (http_response_status_code) "
                            f"({rate(DURATION + '_count', ROUTES)})",
                            "{{http_response_status_code}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Error share by route",
                    "The share of answers with a status of 500 and above.",
                    "percentunit",
                    (
                        Query(
                            by_route(error_share(FAILED_ROUTES, ROUTES, "http_route")),
                            "{{http_route}}",
                        ),
                    ),
                    leads_to_route=True,
                ),
                Panel(
                    "stacked",
                    "Unhandled exceptions",
                    "Exceptions that the application did not handle, per second, by class.",
                    "cps",
                    (
                        Query(
                            "sum by (error_type) "
                            f"({rate('flaskprof_exceptions_total', ROUTES)})",
                            "{{error_type}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Latency",
            (
                latency("p50", 0.5),
                latency("p95", 0.95),
                latency("p99", 0.99),
                Panel(
                    "heatmap",
                    "Request durations",
                    "How many requests took how long. The dots are requests that were "
                    "captured: one leads to its profile.",
                    "s",
                    (
                        Query(
                            "sum by (le) "
                            f"(increase({DURATION}_bucket{ROUTES}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    width=24,
                    has_exemplars=True,
                ),
            ),
        ),
        Row(
            "Where the time goes",
            (
                Panel(
                    "stacked",
                    "Total time by route",
                    "Seconds spent per second: how many requests of a route are under way on "
                    "average. Where this is large there is most to be gained.",
                    "short",
                    (
                        Query(
                            by_route(
                                f"sum by (http_route) ({rate(DURATION + '_sum', ROUTES)})"
                            ),
                            "{{http_route}}",
                        ),
                    ),
                    leads_to_route=True,
                ),
                Panel(
                    "stacked",
                    "CPU share by route",
                    "The share of a route in the processor time of all requests; an estimate, "
                    "from one request in 16 unless every one is measured.",
                    "percentunit",
                    (
                        Query(
                            by_route(
                                f"sum by (http_route) ({rate(CPU + '_sum', ROUTES)}) "
                                f"/ on () group_left () sum({rate(CPU + '_sum', ALL)})"
                            ),
                            "{{http_route}}",
                        ),
                    ),
                    leads_to_route=True,
                ),
                Panel(
                    "timeseries",
                    "Queue time",
                    "The mean time between the proxy's X-Request-Start and the call of the "
                    "application: what requests wait for a free worker. Nothing where the "
                    "proxy sends no such header.",
                    "s",
                    (Query(mean(QUEUED, ROUTES), "mean"),),
                ),
                Panel(
                    "stacked",
                    "Active requests",
                    "Requests that are being answered, by method.",
                    "short",
                    (
                        Query(
                            f"sum by (http_request_method) (http_server_active_requests{ALL})",
                            "{{http_request_method}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Sections: p95",
                    "95 of 100 runs of a section that the application marks took at most this "
                    "long. Within a bucket the value is interpolated.",
                    "s",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le, section) "
                            f"({rate('flaskprof_section_duration_seconds_bucket', ALL)}))",
                            "{{section}}",
                        ),
                    ),
                ),
                Panel(
                    "stacked",
                    "Templates",
                    "Seconds per second that were spent rendering templates, by template.",
                    "short",
                    (
                        Query(
                            "sum by (template) "
                            f"({rate('flaskprof_template_seconds_sum', ALL)})",
                            "{{template}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

ONE_ROUTE = Dashboard(
    "flaskprof-route",
    "flaskprof: one route",
    "Everything that is known of the requests of one route.",
    "one",
    (
        Row(
            "Traffic",
            (
                Panel(
                    "stacked",
                    "Requests",
                    "Requests answered per second, by method and status.",
                    "reqps",
                    (
                        Query(
                            "sum by (http_request_method, http_response_status_code) "
                            f"({rate(DURATION + '_count', ROUTE)})",
                            "{{http_request_method}} {{http_response_status_code}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Error share",
                    "The share of answers with a status of 500 and above.",
                    "percentunit",
                    (Query(error_share(FAILED_ROUTE, ROUTE), "errors"),),
                    width=6,
                ),
                Panel(
                    "stacked",
                    "Unhandled exceptions",
                    "Exceptions that the application did not handle, per second, by class.",
                    "cps",
                    (
                        Query(
                            "sum by (error_type) "
                            f"({rate('flaskprof_exceptions_total', ROUTE)})",
                            "{{error_type}}",
                        ),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel(
                    "timeseries",
                    "Duration",
                    "Quantiles and mean. Within a bucket a quantile is interpolated. The dots "
                    "are requests that were captured: one leads to its profile.",
                    "s",
                    (
                        Query(quantile(0.5, ROUTE, by=""), "p50"),
                        Query(quantile(0.95, ROUTE, by=""), "p95"),
                        Query(quantile(0.99, ROUTE, by=""), "p99"),
                        Query(mean(DURATION, ROUTE), "mean"),
                    ),
                    has_exemplars=True,
                ),
                Panel(
                    "heatmap",
                    "Request durations",
                    "How many requests took how long. The dots are requests that were "
                    "captured: one leads to its profile.",
                    "s",
                    (
                        Query(
                            "sum by (le) "
                            f"(increase({DURATION}_bucket{ROUTE}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    has_exemplars=True,
                ),
                Panel(
                    "timeseries",
                    "p95 by method",
                    "95 of 100 requests took at most this long.",
                    "s",
                    (
                        Query(
                            quantile(0.95, ROUTE, "http_request_method"),
                            "{{http_request_method}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "p95 by instance",
                    "95 of 100 requests took at most this long, machine by machine.",
                    "s",
                    (Query(quantile(0.95, ROUTE, "instance"), "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Where the time goes",
            (
                Panel(
                    "timeseries",
                    "Duration and processor time",
                    "Means per request. What lies between the two is waiting: for a database, "
                    "another service, a lock, or the processor. Processor time is an estimate, "
                    "from one request in 16 unless every one is measured.",
                    "s",
                    (
                        Query(mean(DURATION, ROUTE), "duration"),
                        Query(mean(CPU, ROUTE), "processor"),
                        Query(mean(QUEUED, ROUTE), "queue, before it"),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Share of all requests' time",
                    "How much of the time, and of the processor time (an estimate), of all "
                    "requests goes into this route.",
                    "percentunit",
                    (
                        Query(
                            f"sum({rate(DURATION + '_sum', ROUTE)}) "
                            f"/ sum({rate(DURATION + '_sum', ALL)})",
                            "time",
                        ),
                        Query(
                            f"sum({rate(CPU + '_sum', ROUTE)}) "
                            f"/ sum({rate(CPU + '_sum', ALL)})",
                            "processor time",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Responses",
            (
                Panel(
                    "timeseries",
                    "Size",
                    "The mean size of a response's body, as its Content-Length says.",
                    "bytes",
                    (Query(mean(LENGTH, ROUTE), "mean"),),
                    width=8,
                ),
                Panel(
                    "timeseries",
                    "Time to first byte",
                    "The mean time until the first part of the body. Measured only where the "
                    "setting asks for it.",
                    "s",
                    (Query(mean(FIRST_BYTE, ROUTE), "mean"),),
                    width=8,
                ),
                Panel(
                    "timeseries",
                    "Clients that went away",
                    "Responses per second whose client did not wait for the end. Measured "
                    "only where the setting asks for it.",
                    "cps",
                    (
                        Query(
                            f"sum({rate('flaskprof_response_disconnects_total', ROUTE)})",
                            "went away",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
    ),
)

WORKERS = Dashboard(
    "flaskprof-workers",
    "flaskprof: workers",
    "The processes of the application: how many, how large, how busy, of which version.",
    "",
    (
        Row(
            "Processes",
            (
                Panel(
                    "timeseries",
                    "Live workers",
                    "Processes alive that have answered a request.",
                    "short",
                    (Query(f"flaskprof_workers{ALL}", "{{instance}}"),),
                ),
                Panel(
                    "timeseries",
                    "Workers started",
                    "Processes that began to answer requests. Many, without a deploy, are "
                    "workers that die or are recycled often.",
                    "short",
                    (
                        Query(
                            "sum by (instance) (increase("
                            f"flaskprof_workers_started_total{ALL}[$__rate_interval]))",
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "What runs",
                    "Versions of service, flaskprof and Python: deploys show as one line "
                    "taking the place of another.",
                    "short",
                    (
                        Query(
                            "count by (service, service_version, version, python, engine, "
                            f"role) (flaskprof_info{ALL})",
                            "{{service}} {{service_version}} (flaskprof {{version}}, Python "
                            "{{python}}, {{engine}}, {{role}})",
                        ),
                    ),
                ),
                Panel(
                    "stacked",
                    "Active requests",
                    "Requests that are being answered, by instance.",
                    "short",
                    (
                        Query(
                            f"sum by (instance) (http_server_active_requests{ALL})",
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "What they take",
            (
                Panel(
                    "stacked",
                    "Resident memory",
                    "Of all live workers together; pages that they share count once for each.",
                    "bytes",
                    (
                        Query(
                            f"sum by (instance) (flaskprof_workers_resident_memory_bytes{ALL})",
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Resident memory per worker",
                    "The mean over the live workers. A line that only rises is a leak.",
                    "bytes",
                    (
                        Query(
                            "sum by (instance) "
                            f"(flaskprof_workers_resident_memory_bytes{ALL}) "
                            f"/ sum by (instance) (flaskprof_workers{ALL})",
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "stacked",
                    "Processor",
                    "Processor seconds per second of all workers: how many cores are busy.",
                    "short",
                    (
                        Query(
                            "sum by (instance) "
                            f"({rate('flaskprof_workers_cpu_seconds_total', ALL)})",
                            "{{instance}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Processor per worker",
                    "The mean over the live workers. One Python process rarely uses more than "
                    "one core: near 100 % requests wait for each other.",
                    "percentunit",
                    (
                        Query(
                            "sum by (instance) "
                            f"({rate('flaskprof_workers_cpu_seconds_total', ALL)}) "
                            f"/ sum by (instance) (flaskprof_workers{ALL})",
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

HEALTH = Dashboard(
    "flaskprof-health",
    "flaskprof: its own health",
    "What flaskprof captures, costs, keeps and fails at.",
    "",
    (
        Row(
            "Captures",
            (
                Panel(
                    "stacked",
                    "Captures by outcome",
                    "Captures that were wanted, per second, by what became of them.",
                    "cps",
                    (
                        Query(
                            f"sum by (outcome) ({rate('flaskprof_captures_total', ALL)})",
                            "{{outcome}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "stacked",
                    "Captures by trigger",
                    "Captures that were wanted, per second, by why they were.",
                    "cps",
                    (
                        Query(
                            f"sum by (trigger) ({rate('flaskprof_captures_total', ALL)})",
                            "{{trigger}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "stacked",
                    "Captures not made",
                    "Captures that were wanted and not made, per second, by reason.",
                    "cps",
                    (
                        Query(
                            "sum by (reason) "
                            f"({rate('flaskprof_captures_skipped_total', ALL)})",
                            "{{reason}}",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
        Row(
            "Cost",
            (
                Panel(
                    "stacked",
                    "Time in flaskprof",
                    "Time spent in flaskprof itself as a share of the time of all requests, "
                    "by part.",
                    "percentunit",
                    (
                        Query(
                            f"sum by (part) ({rate('flaskprof_own_seconds_total', ALL)}) "
                            f"/ on () group_left () sum({rate(DURATION + '_sum', ALL)})",
                            "{{part}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Scrape duration",
                    "How long a scrape takes, as Prometheus sees it.",
                    "s",
                    (
                        Query(
                            f"scrape_duration_seconds{ALL} "
                            "and on (job, instance) flaskprof_info",
                            "{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Data directory",
            (
                Panel(
                    "timeseries",
                    "Bytes",
                    "Captures and metrics in the data directory. Captures stop at "
                    "FLASKPROF_MAX_BYTES; old ones are deleted from FLASKPROF_KEEP_BYTES on.",
                    "bytes",
                    (Query(f"flaskprof_data_bytes{ALL}", "{{instance}}"),),
                ),
                Panel(
                    "timeseries",
                    "Files",
                    "Files of captures and metrics in the data directory.",
                    "short",
                    (Query(f"flaskprof_data_files{ALL}", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Trouble",
            (
                Panel(
                    "stacked",
                    "Failures",
                    "Failures inside flaskprof that the application did not notice, per "
                    "second, by place. The log says more.",
                    "cps",
                    (
                        Query(
                            f"sum by (place) ({rate('flaskprof_failures_total', ALL)})",
                            "{{place}}",
                        ),
                    ),
                ),
                Panel(
                    "stacked",
                    "Label sets refused",
                    "Observations per second that were counted under _overflow_, because "
                    "there was no room for their labels.",
                    "cps",
                    (
                        Query(
                            "sum by (metric) "
                            f"({rate('flaskprof_label_sets_refused_total', ALL)})",
                            "{{metric}}",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Metrics files",
                    "Files that were not read, and how many were given up: damaged ones, or "
                    "those of another layout or of other buckets.",
                    "short",
                    (
                        Query(
                            f"sum by (instance) (flaskprof_metrics_files_skipped{ALL})",
                            "{{instance}} not read",
                        ),
                        Query(
                            f"sum by (instance) (flaskprof_metrics_files_set_aside_total{ALL})",
                            "{{instance}} given up",
                        ),
                    ),
                ),
                Panel(
                    "timeseries",
                    "Metrics in memory, and generations",
                    "1 where the data directory cannot be written, so that the metrics are "
                    "those of one process; and how often all series began at zero.",
                    "short",
                    (
                        Query(
                            f"max by (instance) (flaskprof_metrics_in_memory{ALL})",
                            "{{instance}} in memory",
                        ),
                        Query(
                            f"max by (instance) (flaskprof_metrics_generation{ALL})",
                            "{{instance}} generation",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

DASHBOARDS = (OVERVIEW, ONE_ROUTE, WORKERS, HEALTH)
