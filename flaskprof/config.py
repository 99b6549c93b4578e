"""Every setting of flaskprof, in one table.

The fields of `Settings` are that table: Flask configuration and environment
(``FLASKPROF_<NAME>``), options of the command line and ``docs/reference/configuration.md`` are
all made from it. The environment has the last word over keywords and Flask configuration, so
that whoever runs a process can change it without touching its code.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from flaskprof import log
from flaskprof.errors import ConfigError
from flaskprof.late import Late

__all__ = ["PREFIX", "Option", "Settings", "options"]

PREFIX = "FLASKPROF_"

T = TypeVar("T")

# What Kubernetes puts into every container for a Service named "flaskprof" or
# "flaskprof-something".
_KUBERNETES = re.compile(
    r"FLASKPROF_([A-Z0-9_]+_)?(SERVICE_HOST|(SERVICE_)?PORT(_[A-Z0-9_]+)?)\Z"
)

_near = Late("difflib:get_close_matches")

# What flaskprof.wsgi reads before there are settings.
_READ_ELSEWHERE = {PREFIX + "APP"}

_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})

_MOST_BUCKETS = 1000

DEFAULT_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
)


class Kind(NamedTuple):
    """How a value is read: from text or from a Python value; what is allowed, in words."""

    allowed: str
    read: Callable[[Any], Any]


class Option(NamedTuple):
    """One row of the table: a setting with its kind, default and help."""

    name: str
    kind: Kind
    default: Any
    help: str
    is_secret: bool = False

    @property
    def key(self) -> str:
        """Its name in Flask configuration and environment."""
        return PREFIX + self.name.upper()

    def read(self, value: Any) -> Any:
        """Return `value` checked and converted; raises `ConfigError` if it is not allowed."""
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, OverflowError):
            shown = "(hidden)" if self.is_secret else repr(value)
            raise ConfigError(f"{self.key}: {shown} is not {self.kind.allowed}") from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


def _path(value: Any) -> Path:
    text = os.fspath(value)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no such user
        raise ValueError from None


def _optional_path(value: Any) -> Path | None:
    return None if value in (None, "") else _path(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()


def _url_path(value: Any) -> str:
    text = _text(value).rstrip("/")
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", text):
        raise ValueError
    return text


def _url(value: Any) -> str:
    text = _text(value).rstrip("/")
    if text and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError
    return text


def _address(value: Any) -> str:
    text = _text(value)
    match = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError
    return text


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    if match is None or match[2].upper() not in _SIZES or isinstance(value, bool):
        raise ValueError
    return int(float(match[1]) * _SIZES[match[2].upper()])


def _optional_size(value: Any) -> int | None:
    return None if value in (None, "") else _size(value)


def _items(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if value is None:
        return ()
    if not isinstance(value, Sequence | set | frozenset) or isinstance(value, bytes):
        raise TypeError
    return tuple(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(value))


def _packages(value: Any) -> tuple[str, ...]:
    names = _texts(value)
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError
    return names


def _secrets(value: Any) -> tuple[str, ...]:
    secrets = _texts(value)
    if any(len(secret) < 16 for secret in secrets):
        raise ValueError
    return secrets


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not 0 <= number < float("inf"):
        raise ValueError
    return number


def _buckets(value: Any) -> tuple[float, ...]:
    bounds = tuple(_number(item) for item in _items(value))
    # They are compared with durations in nanoseconds.
    in_ns = [round(bound * 1e9) for bound in bounds]
    rising = all(low < high for low, high in pairwise(in_ns))
    if not 0 < len(bounds) <= _MOST_BUCKETS or not rising or in_ns[0] <= 0:
        raise ValueError
    return bounds


def _optional_whole(value: Any) -> int | None:
    if value in (None, ""):
        return None
    number = int(value)
    if isinstance(value, bool) or number != float(value) or number < 1:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    number = _optional_whole(value)
    if number is None:
        raise ValueError
    return number


# What stands between two commas; those of an expression are escaped or within [] or {}.
_RESTRICTION = re.compile(
    r"(?:\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[^{}]*\}|[^,\\]|\\\Z)+", re.DOTALL
)


def _restrictions(value: Any) -> tuple[int | float | str, ...]:
    """Read what pstats' ``print_stats`` takes: a count, a share or a regular expression."""

    def one(item: Any) -> int | float | str:
        if isinstance(item, int | float) and not isinstance(item, bool):
            number: int | float = item
        else:
            text = _text(item)
            if not re.fullmatch(r"-?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text):
                re.compile(text)
                return text
            number = float(text) if "." in text else int(text)
        if not 0 <= number <= (1 if isinstance(number, float) else sys.maxsize):
            raise ValueError
        return number

    if isinstance(value, str):
        value = [text for part in _RESTRICTION.findall(value) if (text := part.strip())]
    try:
        return tuple(one(item) for item in _items(value))
    except re.error:
        raise ValueError from None


def _label(value: Any) -> str:
    text = _text(value)
    if text and not re.fullmatch(r"(?!__|http_|le\Z)[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError
    return text


def _function(value: Any) -> Callable[..., Any] | None:
    """Take a function as it is, and import one that is given as ``module:name``."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        module, _, name = value.strip().partition(":")
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            raise ValueError from None
    if not callable(value):
        raise TypeError
    function: Callable[..., Any] = value
    return function


def _choices(*choices: str) -> Kind:
    def read(value: Any) -> tuple[str, ...]:
        texts = tuple(text.lower() for text in _texts(value))
        if not {*texts} <= {*choices}:
            raise ValueError
        return texts

    return Kind("a list of " + ", ".join(choices), read)


def _choice(*choices: str) -> Kind:
    def read(value: Any) -> str:
        text = _text(value).lower()
        if text not in choices:
            raise ValueError
        return text

    return Kind("one of " + ", ".join(choices), read)


_SORT_KEYS = ("calls", "cumulative", "file", "line", "name", "per_call", "primitive", "self")
# The names that pstats and werkzeug's profiler give to the same orders.
_SORT_ALIASES = {
    "cumtime": "cumulative",
    "cumulative": "cumulative",
    "filename": "file",
    "module": "file",
    "ncalls": "calls",
    "nfl": "name",
    "pcalls": "primitive",
    "stdname": "file",
    "time": "self",
    "tottime": "self",
} | {key: key for key in _SORT_KEYS}


def _sort_keys(value: Any) -> tuple[str, ...]:
    """Read the keys of an order; as in pstats the beginning of one is enough if it tells."""

    def one(text: str) -> str:
        meant = {_SORT_ALIASES[name] for name in _SORT_ALIASES if name.startswith(text)}
        if text in _SORT_ALIASES:
            return _SORT_ALIASES[text]
        (key,) = meant  # a ValueError where it is none, or not one alone
        return key

    keys = tuple(one(_text(item)) for item in _items(value))
    if not keys:
        raise ValueError
    return keys


_BOOLEAN = Kind("one of 1, 0, true, false, yes, no, on, off", _boolean)
_PATH = Kind("a path", _path)
_OPTIONAL_PATH = Kind("a path, or nothing", _optional_path)
_URL_PATH = Kind("an absolute URL path such as /flaskprof", _url_path)
_URL = Kind("an http or https URL, or nothing", _url)
_ADDRESS = Kind("an address to listen on, such as 127.0.0.1:9180 or [::1]:9180", _address)
_TEXT = Kind("text", _text)
_TEXTS = Kind("a list of texts, or one text with commas", _texts)
_PACKAGES = Kind(
    "a list of packages by the names they are imported under, such as shop or acme.shop",
    _packages,
)
_SECRETS = Kind("a secret of at least 16 characters, or a list of such", _secrets)
_SIZE = Kind("a size such as 256MB, 1GiB or a number of bytes", _size)
_OPTIONAL_SIZE = Kind("a size such as 200MB, or nothing", _optional_size)
_NUMBER = Kind("a number of zero or more", _number)
_WHOLE = Kind("a whole number of one or more", _whole)
_OPTIONAL_WHOLE = Kind("a whole number of one or more, or nothing", _optional_whole)
_BUCKETS = Kind("a rising list of positive numbers of seconds", _buckets)
_RESTRICTIONS = Kind(
    "a list of counts, shares between 0.0 and 1.0, or regular expressions", _restrictions
)
_SORTS = Kind(
    "a list of " + ", ".join(_SORT_ALIASES) + ", or as much of one as tells it from others",
    _sort_keys,
)
_LABEL = Kind("the name of a label that is not taken, or nothing", _label)
_FUNCTION = Kind("a function, or where to import it from, as module:name", _function)
_MEASURES = _choices(
    "cpu",
    "every_cpu",
    "length",
    "own",
    "queue",
    "stream",
    "templates",
    "traces",
    "workers",
)
_ACCESS = _choice("open", "token", "off")
_ENGINE = _choice("auto", "calltree", "python")
_CLOCK = _choice("auto", "monotonic")


def _setting(kind: Kind, default: T, help: str, *, is_secret: bool = False) -> T:
    metadata = {"kind": kind, "help": help, "is_secret": is_secret}
    setting: T = field(default=default, repr=not is_secret, metadata=metadata)
    return setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The checked settings of one application or command. Values are never re-checked."""

    enabled: bool = _setting(
        _BOOLEAN, True, "Whether flaskprof is there at all; off leaves the bare application."
    )
    dev: bool = _setting(
        _BOOLEAN,
        False,
        "Treat the application as under development: a loopback peer may then ask and look "
        "without a token. Flask's own debug flag does the same.",
    )
    dir: Path = _setting(
        _PATH,
        Path(".flaskprof"),
        "The data directory, on a local file system, relative to the working directory.",
    )
    prefix: str = _setting(_URL_PATH, "/flaskprof", "Where the viewer is served.")
    metrics_path: str = _setting(
        _URL_PATH, "/metrics", "Where the Prometheus metrics are served."
    )
    metrics: str = _setting(
        _ACCESS,
        "open",
        "Who may read the metrics: open to requests that did not come through a proxy, only "
        "with a token, or off.",
    )
    access: Callable[[str, dict[str, Any]], object] | None = _setting(
        _FUNCTION,
        None,
        "Who may beside those whom development and tokens allow: it is called with what is "
        "wanted, ask (for a capture), look (at pages) or change (what is kept), and with the "
        "WSGI environ, in Flask within the request's context, and answers true or false.",
    )
    secret: tuple[str, ...] = _setting(
        _SECRETS,
        (),
        "The secret that signs tokens. The first of several signs, all of them verify, so "
        "that a secret can be replaced without a gap.",
        is_secret=True,
    )
    secret_file: Path | None = _setting(
        _OPTIONAL_PATH, None, "A file that holds the secrets, one a line; used beside secret."
    )
    url: str = _setting(
        _URL,
        "",
        "The public base URL of the viewer, where it is not the host that was asked, such as "
        "https://profiles.example.com/flaskprof.",
    )
    bind: str = _setting(
        _ADDRESS,
        "127.0.0.1:9180",
        "Where the sidecar listens. An address that other machines reach needs a secret.",
    )
    exclude: tuple[str, ...] = _setting(
        _TEXTS,
        (),
        "Routes that are never captured, as shell patterns such as /static/* or /health; for "
        "a request without a route its path is matched.",
    )
    exclude_metrics: tuple[str, ...] = _setting(
        _TEXTS, (), "Routes that are neither captured nor counted in the metrics, as patterns."
    )
    max_bytes: int = _setting(
        _SIZE,
        256 * 10**6,
        "How large the captures in the data directory may become; beyond it no more are "
        "written.",
    )
    keep_bytes: int | None = _setting(
        _OPTIONAL_SIZE,
        None,
        "How large the captures may become before some are deleted: the slowest of each "
        "route stay longest. By default four fifths of max_bytes, so that there is room for "
        "new ones until the next sweep.",
    )
    keep_captures: int | None = _setting(
        _OPTIONAL_WHOLE, 10_000, "How many captures are kept; by nothing, any number."
    )
    keep_days: int | None = _setting(
        _OPTIONAL_WHOLE,
        None,
        "How many days a capture is kept; by default as long as there is room.",
    )
    max_captures: int | None = _setting(
        _OPTIONAL_WHOLE,
        None,
        "How many requests of one process may be captured at the same time; by default 4, "
        "and 8 in development.",
    )
    capture_rate: float = _setting(
        _NUMBER,
        5.0,
        "How many captures a second may be asked for in one process, outside development.",
    )
    capture_burst: int = _setting(
        _WHOLE, 20, "How many captures may be asked for at once before capture_rate holds."
    )
    engine: str = _setting(
        _ENGINE,
        "auto",
        "What records captures: calltree is the engine in C, python the one that needs no "
        "compiler; auto is calltree where it can be had.",
    )
    clock: str = _setting(
        _CLOCK,
        "auto",
        "What the call-tree engine measures time with: auto is the processor's time-stamp "
        "counter where the kernel itself keeps time by it, else the monotonic clock.",
    )
    buckets: tuple[float, ...] = _setting(
        _BUCKETS,
        DEFAULT_BUCKETS,
        "Upper bounds, in seconds, of the buckets of the request duration histogram.",
    )
    max_series: int = _setting(
        _WHOLE,
        500,
        "How many label sets the request metrics of a data directory may have; all that come "
        "after them are counted as one.",
    )
    measure: tuple[str, ...] = _setting(
        _MEASURES,
        ("cpu", "length", "own", "queue", "templates", "traces", "workers"),
        "What is measured beside durations, exceptions and captures: processor time of one "
        "request in 16, at random and counted for all (cpu) or of every request (every_cpu, "
        "which adds two system calls to each), "
        "body bytes by Content-Length (length), time waited at the proxy (queue), memory and "
        "processor time of the workers (workers), time spent in flaskprof itself (own), what "
        "templates take (templates) and the place in distributed tracing (traces). What "
        "stream adds, time to first byte, bytes counted and clients that went away, takes a "
        "step in Python for each part of a response.",
    )
    route: Callable[[dict[str, Any]], object] | None = _setting(
        _FUNCTION,
        None,
        "What names the rule that a request matched, such as /orders/<id>, where neither "
        "werkzeug's router nor Django's does: it is called with the WSGI environ when the "
        "response starts, and once more at its end where it returned nothing.",
    )
    label: str = _setting(
        _LABEL,
        "",
        "The name of one more label of the request metrics, such as tenant or tier; it needs "
        "label_values and label_from.",
    )
    label_values: tuple[str, ...] = _setting(
        _TEXTS, (), "The values that the label may have; all others are counted as one."
    )
    label_from: Callable[[dict[str, Any]], object] | None = _setting(
        _FUNCTION,
        None,
        "What returns the value of the label for a request: it is called with the WSGI "
        "environ when the response starts, in Flask within the request's context.",
    )
    sqlalchemy: bool = _setting(
        _BOOLEAN,
        True,
        "Whether the queries of SQLAlchemy are counted and timed, in an application that uses "
        "it, and listed without their values for a captured request.",
    )
    slow_seconds: float = _setting(
        _NUMBER,
        1.0,
        "From how many seconds on a request is slow: the signal slow_request tells of it.",
    )
    server_timing: bool = _setting(
        _BOOLEAN,
        False,
        "Whether responses to whoever may ask for a capture say in Server-Timing where their "
        "time went.",
    )
    context_processor: bool = _setting(
        _BOOLEAN,
        False,
        "Whether Flask's templates have flaskprof_capture: id and url of the capture that is "
        "being made of the request, or none.",
    )
    service_name: str = _setting(
        _TEXT,
        "",
        "The name of the service; by default OTEL_SERVICE_NAME, else service.name of "
        "OTEL_RESOURCE_ATTRIBUTES.",
    )
    service_version: str = _setting(
        _TEXT,
        "",
        "The version of the service; by default service.version of OTEL_RESOURCE_ATTRIBUTES.",
    )
    sort_by: tuple[str, ...] = _setting(
        _SORTS, ("self",), "The order of a profile's table, most important key first."
    )
    restrictions: tuple[int | float | str, ...] = _setting(
        _RESTRICTIONS,
        (),
        "The rows of a profile's table, as pstats restricts them: a count, a share of the "
        "rows, or a regular expression, one applied after the other. A comma in an "
        "expression, where it is not within [] or {}, is written \\,.",
    )
    app_packages: tuple[str, ...] = _setting(
        _PACKAGES,
        (),
        "Packages that are the application's own although they are installed where libraries "
        "are, in site-packages: viewers count them as application. That of a Flask or Django "
        "application itself need not be named.",
    )
    source: tuple[str, ...] = _setting(
        _TEXTS,
        ("auto",),
        "The folders whose Python source the viewer may show beside a profile's times. auto "
        "is, in development, the working directory and what Python has installed, and "
        "nothing elsewhere; off is nothing anywhere.",
    )

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        **keywords: Any,
    ) -> Settings:
        """Read the settings: environment over `config` over `keywords` over defaults.

        `config` has the names of the environment (``FLASKPROF_DIR``), as Flask's
        configuration; `keywords` those of the fields. A keyword of None counts as absent.
        Raises `ConfigError` for a value that is not allowed or a keyword that is unknown; a
        name in `config` or `environ` that is unknown is warned of.
        """
        environ = os.environ if environ is None else environ
        config = {} if config is None else config
        table = options()
        known = [option.name for option in table]
        _refuse_unknown(keywords, known)
        _warn_of_unknown([*config, *environ], known)
        values: dict[str, Any] = _from_opentelemetry(environ)
        for option in table:
            for source in (
                environ.get(option.key),
                config.get(option.key),
                keywords.get(option.name),
            ):
                if source is not None:
                    values[option.name] = option.read(source)
                    break
        settings = cls(**values)
        settings._check_together()
        return settings

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of both `secret` and `secret_file`, the one that signs first.

        Raises `ConfigError` where the file cannot be read or holds no secret.
        """
        if self.secret_file is None:
            return self.secret
        try:
            text = self.secret_file.read_text("utf-8")
        except UnicodeError:
            raise ConfigError(f"{PREFIX}SECRET_FILE: {self.secret_file} is not text") from None
        except OSError as error:
            raise ConfigError(f"{PREFIX}SECRET_FILE: cannot be read: {error}") from error
        try:
            secrets = _secrets([line for line in text.splitlines() if line.strip()])
        except ValueError:
            secrets = ()
        if not secrets:
            raise ConfigError(
                f"{PREFIX}SECRET_FILE: {self.secret_file} does not hold one secret of at "
                "least 16 characters on each line"
            )
        return self.secret + secrets

    @property
    def kept_bytes(self) -> int:
        """How large the captures may become before some are deleted."""
        return self.max_bytes * 4 // 5 if self.keep_bytes is None else self.keep_bytes

    def _check_together(self) -> None:
        if self.kept_bytes > self.max_bytes:
            raise ConfigError(
                f"{PREFIX}KEEP_BYTES: {self.keep_bytes} is more than {PREFIX}MAX_BYTES "
                f"{self.max_bytes}, beyond which nothing is written: give at most that"
            )
        if self.metrics_path == self.prefix or self.metrics_path.startswith(self.prefix + "/"):
            raise ConfigError(
                f"{PREFIX}METRICS_PATH: {self.metrics_path!r} lies under {PREFIX}PREFIX "
                f"{self.prefix!r}: choose two paths of which neither holds the other"
            )
        if self.prefix.startswith(self.metrics_path + "/"):
            raise ConfigError(
                f"{PREFIX}PREFIX: {self.prefix!r} lies under {PREFIX}METRICS_PATH "
                f"{self.metrics_path!r}: choose two paths of which neither holds the other"
            )
        if self.label and not (self.label_values and self.label_from):
            raise ConfigError(
                f"{PREFIX}LABEL: {self.label!r} needs {PREFIX}LABEL_VALUES and "
                f"{PREFIX}LABEL_FROM to be set"
            )
        if self.metrics == "token" and not self.secrets:
            raise ConfigError(f"{PREFIX}METRICS: token needs {PREFIX}SECRET to be set")
        self.secrets  # noqa: B018  an unreadable secret file is an error of the start


def options() -> tuple[Option, ...]:
    """Return the table of all settings, in the order in which they are documented."""
    return tuple(
        Option(
            name=setting.name,
            kind=setting.metadata["kind"],
            default=setting.default,
            help=setting.metadata["help"],
            is_secret=setting.metadata["is_secret"],
        )
        for setting in fields(Settings)
    )


def _from_opentelemetry(environ: Mapping[str, str]) -> dict[str, str]:
    """Read what OpenTelemetry calls this service, percent-encoded as its settings are."""
    attributes = {
        key.strip(): unquote(value.strip())
        for key, _, value in (
            item.partition("=")
            for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        )
    }
    return {
        "service_name": environ.get("OTEL_SERVICE_NAME") or attributes.get("service.name", ""),
        "service_version": attributes.get("service.version", ""),
    }


def _refuse_unknown(keywords: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in keywords:
        if name not in known:
            near = _near(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{name!r} is not a setting of flaskprof{hint}")


def _warn_of_unknown(names: Sequence[str], known: Sequence[str]) -> None:
    keys = {PREFIX + name.upper() for name in known} | _READ_ELSEWHERE
    for name in names:
        if not isinstance(name, str) or not name.startswith(PREFIX) or name in keys:
            continue
        if _KUBERNETES.match(name):
            continue
        near = _near(name.removeprefix(PREFIX).lower(), known, 1)
        hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
        log.once(
            f"unknown {name}", "%s is not a setting of flaskprof and is ignored%s", name, hint
        )
