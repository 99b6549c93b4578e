"""Writes the pages of the documentation that are made from the code: ``make docs``.

A test proves that what is in the repository is what this writes.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import click

from flaskprof.cli import main as main_command
from flaskprof.config import Option, Settings, options
from flaskprof.metrics.table import DURATION, METRICS, Metric

HERE = Path(__file__).parent

CONFIGURATION = """\
# Configuration

<!-- Written by docs/generate.py from the table in flaskprof/config.py: `make docs`. -->

A setting can be given in three ways. The last one that is given holds:

1. as a keyword, in lower case: `FlaskProf(app, dir="/var/lib/shop")` or
   `ProfilerMiddleware(wsgi_app, dir="/var/lib/shop")`;
2. in a Flask application's configuration: `app.config["FLASKPROF_DIR"] = "/var/lib/shop"`;
3. in the environment: `FLASKPROF_DIR=/var/lib/shop`, so that whoever runs a process can
   change it without touching its code.

All settings are read and checked once, at the start. A value that is not allowed ends the
start with a message that names the setting, the value and what is allowed. A name that is not
known is warned of, with the nearest one that is. (What Kubernetes puts into the environment for
a Service called `flaskprof`, such as `FLASKPROF_PORT`, is passed over.)

"""


def configuration() -> str:
    """Return docs/reference/configuration.md."""
    return CONFIGURATION + "\n".join(_section(option) for option in options())


def _section(option: Option) -> str:
    default = shown(option.default)
    lines = [
        f"## `{option.key}`",
        "",
        textwrap.fill(option.help, 95, break_long_words=False, break_on_hyphens=False),
        "",
        f"- Takes {option.kind.allowed}.",
        f"- Default: `{default}`." if default else "- Default: nothing.",
        "",
    ]
    return "\n".join(lines)


def shown(default: Any) -> str:
    """Write a default as it would be given in the environment."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(int(default))
    if isinstance(default, tuple):
        return ", ".join(shown(item) for item in default)
    if isinstance(default, int) and default and default % 10**6 == 0:
        return f"{default // 10**6}MB"
    if isinstance(default, float):
        return f"{default:g}"
    return str(default)


COMMAND_LINE = """\
# Command line

<!-- Written by docs/generate.py from the commands in flaskprof/cli: `make docs`. -->

Every command says what it takes with `--help`. What it refuses is one line on standard error,
and an exit code that is not 0: 2 for a wrong argument or setting, 3 for a file that is no
profile, 4 for a capture that is not there, 5 for a data directory or file that cannot be read
or written. The name in brackets after an option is that of the [setting](configuration.md)
that holds where the option is not given.

`pstats-viewer FILE...` is short for `flaskprof open FILE...`.

A shell completes commands, options, files and the IDs of captures where its start-up file has
the line `eval "$(_FLASKPROF_COMPLETE=bash_source flaskprof)"` in bash, the same with
`zsh_source` in zsh, and `_FLASKPROF_COMPLETE=fish_source flaskprof | source` in fish.

"""


def command_line() -> str:
    """Return docs/reference/cli.md."""
    program = click.Context(main_command, info_name="flaskprof")
    names = main_command.list_commands(program)
    commands = [main_command.get_command(program, name) for name in names]
    return COMMAND_LINE + "\n".join(_command(command, program) for command in commands)


def _command(command: Any, program: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=program)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = inspect.cleandoc(command.help).split("\n\n")
    records = [
        param.get_help_record(context)
        for param in command.get_params(context)
        if isinstance(param, click.Option)
    ]
    return "\n".join(
        [
            f"## `{context.command_path}`",
            "",
            "\n\n".join(_filled(_plain(text)) for text in paragraphs),
            "",
            "```",
            usage,
            "```",
            "",
            *(_filled(f"- `{names}`: {_plain(text)}", "  ") for names, text in records),
            "",
            "```sh",
            *command.examples,
            "```",
            "",
        ]
    )


def _plain(text: str) -> str:
    """Return text for Markdown in which nothing is a tag or an emphasis."""
    return " ".join(text.split()).replace("<", "\\<").replace("*", "\\*")


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 95, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


METRICS_PAGE = """\
# Metrics

<!-- Written by docs/generate.py from the table in flaskprof/metrics/table.py: `make docs`. -->

Any worker of an application, and [the sidecar](../how-to/sidecar.md), serve the sums of all
workers that live or ever lived since the data directory was made. Text by default;
OpenMetrics, which has exemplars, where it is asked for. Neither has `_created` series of these
metrics; those of the application's own are as it has set prometheus_client.

A method that is not standard is `_OTHER`, a status code that is not standard the first of its
class, and a URL that no route matches has the empty route, so that nobody who only sends
requests can add series without end. What is measured of requests has a series for each method
and route, the duration for each status code too, and all of it for each value of the label
that [`FLASKPROF_LABEL`](configuration.md) adds.

## How many series there are

The duration has at most {sets} label sets in a data directory (`FLASKPROF_MAX_SERIES`), those
of ended workers included, and one more, `_overflow_`, for all that come after them. Each label
set has a series for each of the {buckets} default buckets, one for `+Inf`, one for the count
and one for the sum: {each}. So a data directory has at most {all:,} series of durations, and
at most {others:,} of the other metrics of requests if all are measured. Exceptions have at most
{sets} label sets and `_overflow_`, too. N pods, each with a data directory of its own, have N
times as many.

"""


def metrics() -> str:
    """Return docs/reference/metrics.md."""
    settings = Settings()
    sets, buckets = settings.max_series, len(settings.buckets)
    each = buckets + 3
    per_route = sum(
        len(metric.samples) for metric in METRICS if metric.is_extended and metric != DURATION
    )
    return METRICS_PAGE.format(
        sets=sets,
        buckets=buckets,
        each=each,
        all=(sets + 1) * each,
        others=(sets + 1) * per_route,
    ) + "\n".join(_metric(metric) for metric in METRICS)


def _metric(metric: Metric) -> str:
    labels = [f"`{name}`" for name in metric.labels]
    if metric.is_extended:
        labels.append("that of `FLASKPROF_LABEL`")
    lines = [
        f"## `{metric.name}`",
        "",
        _filled(" ".join(filter(None, [metric.help, metric.meaning]))),
        "",
        f"- Type: {metric.kind.value}.",
        _filled("- Samples: " + ", ".join(f"`{name}`" for name in metric.samples) + ".", "  "),
        _filled(f"- Labels: {', '.join(labels) or 'none'}.", "  "),
    ]
    if metric.measure:
        is_default = metric.measure in Settings().measure
        lines.append(
            f"- Measured where `FLASKPROF_MEASURE` has `{metric.measure}`, as it has "
            f"{'' if is_default else 'not '}by default."
        )
    return "\n".join([*lines, ""])


PAGES = {
    "reference/cli.md": command_line,
    "reference/configuration.md": configuration,
    "reference/metrics.md": metrics,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
