"""Settings are read from one table, and wrong ones are refused in words."""

from __future__ import annotations

import logging
import operator
import os.path
from pathlib import Path

import pytest

from flaskprof import log
from flaskprof.config import DEFAULT_BUCKETS, Settings, options
from flaskprof.errors import ConfigError

SECRET = "correct horse battery"
OTHER_SECRET = "staple correct horse"


def load(*args, **keywords):
    return Settings.load(*args, environ={}, **keywords)


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def nothing_said_before(monkeypatch):
    monkeypatch.setattr(log, "_said", set())


# What each setting takes

RIGHT = [
    ("enabled", False, False),
    ("enabled", "0", False),
    ("enabled", "off", False),
    ("enabled", " No ", False),
    ("enabled", 0, False),
    ("enabled", 1, True),
    ("dev", "TRUE", True),
    ("dev", "yes", True),
    ("dev", "on", True),
    ("dir", "captures", Path("captures")),
    ("dir", Path("/var/lib/shop"), Path("/var/lib/shop")),
    ("dir", "~/captures", Path.home() / "captures"),
    ("prefix", "/profiles/", "/profiles"),
    ("prefix", "/-/prof.v1_x~y", "/-/prof.v1_x~y"),
    ("metrics_path", "/internal/metrics", "/internal/metrics"),
    ("metrics", "OFF", "off"),
    ("metrics", "open", "open"),
    ("secret", SECRET, (SECRET,)),
    ("secret", f"{SECRET}, {OTHER_SECRET}", (SECRET, OTHER_SECRET)),
    ("secret", [SECRET, OTHER_SECRET], (SECRET, OTHER_SECRET)),
    ("secret", "", ()),
    ("secret_file", "", None),
    (
        "url",
        "https://profiles.example.com/flaskprof/",
        "https://profiles.example.com/flaskprof",
    ),
    ("url", "http://[::1]:5000", "http://[::1]:5000"),
    ("url", "", ""),
    ("bind", " 0.0.0.0:80 ", "0.0.0.0:80"),
    ("bind", "[::1]:9180", "[::1]:9180"),
    ("bind", "localhost:0", "localhost:0"),
    ("exclude", "/health, /static/*", ("/health", "/static/*")),
    ("exclude", ["/health"], ("/health",)),
    ("exclude_metrics", "", ()),
    ("exclude_metrics", {"/health"}, ("/health",)),
    ("max_bytes", "256MB", 256_000_000),
    ("max_bytes", "1.5 GiB", 1_610_612_736),
    ("max_bytes", "10kb", 10_000),
    ("max_bytes", 4096, 4096),
    ("max_bytes", "0", 0),
    ("keep_bytes", "100MB", 100_000_000),
    ("keep_bytes", "", None),
    ("keep_captures", "500", 500),
    ("keep_captures", "", None),
    ("keep_days", 30, 30),
    ("keep_days", None, None),
    ("max_captures", "2", 2),
    ("max_captures", "", None),
    ("capture_rate", "0.5", 0.5),
    ("capture_rate", 0, 0.0),
    ("capture_burst", "1", 1),
    ("capture_burst", 3.0, 3),
    ("engine", "Python", "python"),
    ("clock", "monotonic", "monotonic"),
    ("sqlalchemy", "0", False),
    ("slow_seconds", "0.25", 0.25),
    ("server_timing", "1", True),
    ("context_processor", "yes", True),
    ("buckets", "0.1, 0.5, 1", (0.1, 0.5, 1.0)),
    ("buckets", [1, 2.5], (1.0, 2.5)),
    ("max_series", "2000", 2000),
    ("measure", "CPU, queue", ("cpu", "queue")),
    ("measure", [], ()),
    ("label", "", ""),
    ("label_values", "gold, silver", ("gold", "silver")),
    ("access", operator.eq, operator.eq),
    ("access", "operator:eq", operator.eq),
    ("route", str.upper, str.upper),
    ("label_from", str.upper, str.upper),
    ("label_from", "os.path:basename", os.path.basename),
    ("label_from", "", None),
    ("service_name", " shop ", "shop"),
    ("service_version", "1.0", "1.0"),
    ("sort_by", "cumtime, calls", ("cumulative", "calls")),
    ("sort_by", ("time", "nfl"), ("self", "name")),
    ("restrictions", "20", (20,)),
    ("restrictions", "0.5, shop, 10", (0.5, "shop", 10)),
    ("restrictions", (r"\bview", 0.1), (r"\bview", 0.1)),
    ("restrictions", "infinity, nan", ("infinity", "nan")),
    ("source", "auto, /srv/shop", ("auto", "/srv/shop")),
    ("app_packages", "shop, acme.shop", ("shop", "acme.shop")),
    ("app_packages", ["shop"], ("shop",)),
    ("app_packages", "", ()),
]

WRONG = [
    ("enabled", "maybe", "one of 1, 0, true, false, yes, no, on, off"),
    ("enabled", 2, "one of 1, 0"),
    ("sqlalchemy", "never", "one of 1, 0"),
    ("slow_seconds", "-1", "a number of zero or more"),
    ("server_timing", "never", "one of 1, 0"),
    ("context_processor", "never", "one of 1, 0"),
    ("dev", [], "one of 1, 0"),
    ("dir", "", "a path"),
    ("dir", 3, "a path"),
    ("dir", b"captures", "a path"),
    ("dir", "a\0b", "a path"),
    ("dir", "~no-such-user/captures", "a path"),
    ("prefix", "/", "an absolute URL path such as /flaskprof"),
    ("prefix", "profiles", "an absolute URL path"),
    ("prefix", "//profiles", "an absolute URL path"),
    ("prefix", "/a b", "an absolute URL path"),
    ("prefix", "/a?b", "an absolute URL path"),
    ("prefix", "/a/../b", "an absolute URL path"),
    ("prefix", "/.", "an absolute URL path"),
    ("metrics_path", 3, "an absolute URL path"),
    ("metrics", "yes", "one of open, token, off"),
    ("access", "shop.users:no_such", "a function, or where to import it from"),
    ("access", 7, "a function"),
    ("route", 7, "a function"),
    ("metrics", True, "one of open, token, off"),
    ("secret_file", 3, "a path, or nothing"),
    ("url", "profiles.example.com", "an http or https URL, or nothing"),
    ("url", "ftp://profiles.example.com", "an http or https URL"),
    ("url", "https://name:word@example.com/", "an http or https URL"),
    ("url", "https://example.com/?a=b", "an http or https URL"),
    ("bind", "9180", "an address to listen on, such as 127.0.0.1:9180"),
    ("bind", "::1:9180", "an address to listen on"),
    ("bind", "127.0.0.1:65536", "an address to listen on"),
    ("exclude", 3, "a list of texts"),
    ("exclude", [3], "a list of texts"),
    ("exclude", b"/health", "a list of texts"),
    ("max_bytes", "much", "a size such as 256MB"),
    ("max_bytes", -1, "a size such as 256MB"),
    ("max_bytes", True, "a size such as 256MB"),
    ("max_bytes", "9" * 400, "a size such as 256MB"),
    ("keep_bytes", "some", "a size such as 200MB, or nothing"),
    ("keep_captures", 0, "a whole number of one or more, or nothing"),
    ("keep_days", "1.5", "a whole number of one or more, or nothing"),
    ("max_captures", 0, "a whole number of one or more, or nothing"),
    ("max_captures", "2.5", "a whole number"),
    ("max_captures", True, "a whole number"),
    ("capture_rate", -1, "a number of zero or more"),
    ("capture_rate", "nan", "a number of zero or more"),
    ("capture_rate", "inf", "a number of zero or more"),
    ("capture_rate", True, "a number of zero or more"),
    ("capture_burst", "", "a whole number of one or more"),
    ("capture_burst", float("inf"), "a whole number"),
    ("engine", "c", "one of auto, calltree, python"),
    ("clock", 1, "one of auto, monotonic"),
    ("buckets", "", "a rising list of positive numbers of seconds"),
    ("buckets", "1, 1", "a rising list"),
    ("buckets", "2, 1", "a rising list"),
    ("buckets", [0, 1], "a rising list"),
    ("buckets", [float("nan")], "a rising list"),
    ("buckets", [True, 2], "a rising list"),
    ("buckets", [1, float("inf")], "a rising list"),
    ("buckets", b"12", "a rising list"),
    ("buckets", 0.5, "a rising list"),
    ("buckets", "1e-10, 1", "a rising list"),
    ("buckets", "1, 1.0000000001", "a rising list"),
    ("buckets", list(range(1, 1002)), "a rising list"),
    ("max_series", 0, "a whole number of one or more"),
    ("measure", "cpu, speed", "a list of cpu, every_cpu, length, own, queue, stream"),
    ("label", "tenant name", "the name of a label that is not taken, or nothing"),
    ("label", "__tenant", "the name of a label"),
    ("label", "le", "the name of a label"),
    ("label", "http_route", "the name of a label"),
    ("label_from", "os.path", "a function, or where to import it from, as module:name"),
    ("label_from", "os:no_such", "a function"),
    ("label_from", "no_such_module:name", "a function"),
    ("label_from", 3, "a function"),
    ("service_name", 3, "text"),
    ("source", 3, "a list of texts"),
    ("app_packages", "my-shop", "a list of packages by the names they are imported under"),
    ("app_packages", "shop/", "a list of packages"),
    ("app_packages", "shop..api", "a list of packages"),
    ("app_packages", [b"shop"], "a list of packages"),
    ("app_packages", 3, "a list of packages"),
    ("sort_by", "", "a list of cumtime, cumulative"),
    ("sort_by", "speed", "a list of cumtime, cumulative"),
    ("sort_by", [1], "a list of cumtime, cumulative"),
    ("restrictions", "1.5", "a list of counts, shares between 0.0 and 1.0, or regular"),
    ("restrictions", [-1], "a list of counts"),
    ("restrictions", [float("nan")], "a list of counts"),
    ("restrictions", [True], "a list of counts"),
    ("restrictions", "(", "a list of counts"),
    ("restrictions", "9" * 30, "a list of counts"),
]


@pytest.mark.parametrize(("name", "value", "read"), RIGHT)
def test_a_value_that_is_allowed_is_read(name, value, read):
    setting = getattr(load(**{name: value}), name)
    assert setting == read
    assert type(setting) is type(read)


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_a_value_that_is_not_allowed_is_named_with_its_key_and_what_is(name, value, allowed):
    with pytest.raises(ConfigError) as caught:
        load({f"FLASKPROF_{name.upper()}": value})
    message = str(caught.value)
    assert message.startswith(f"FLASKPROF_{name.upper()}: {value!r} is not {allowed}")


def test_right_and_wrong_values_are_tried_for_every_setting():
    names = [option.name for option in options()]
    assert {name for name, _, _ in RIGHT} == set(names)
    # Of the same kinds as others, except the secret, which is never shown.
    untried = {"exclude_metrics", "label_values", "secret", "service_version"}
    assert {name for name, _, _ in WRONG} == {*names} - untried


def test_the_defaults_are_those_of_an_application_under_no_special_care():
    settings = load()
    assert (settings.enabled, settings.dev) == (True, False)
    assert settings.dir == Path(".flaskprof")
    assert (settings.prefix, settings.metrics_path) == ("/flaskprof", "/metrics")
    assert settings.metrics == "open"
    assert settings.secrets == ()
    assert settings.max_bytes == 256_000_000
    assert settings.buckets == DEFAULT_BUCKETS
    assert settings.sort_by == ("self",)


# Where settings come from


def test_environment_goes_over_configuration_over_keyword_over_default():
    config = {"FLASKPROF_PREFIX": "/config", "FLASKPROF_METRICS_PATH": "/config-metrics"}
    environ = {"FLASKPROF_PREFIX": "/environ"}
    settings = Settings.load(
        config, environ, prefix="/keyword", metrics_path="/keyword-metrics", dir="keyword"
    )
    assert settings.prefix == "/environ"
    assert settings.metrics_path == "/config-metrics"
    assert settings.dir == Path("keyword")
    assert settings.url == ""


def test_the_environment_of_the_process_is_read_by_default(monkeypatch):
    monkeypatch.setenv("FLASKPROF_PREFIX", "/from-the-process")
    assert Settings.load().prefix == "/from-the-process"


def test_a_keyword_of_none_counts_as_absent():
    assert load(prefix=None, secret=None).prefix == "/flaskprof"


def test_the_service_is_named_as_opentelemetry_names_it():
    attributes = "deployment.environment=prod, service.name=basket ,service.version=2%2C1"
    settings = Settings.load(environ={"OTEL_RESOURCE_ATTRIBUTES": attributes})
    assert (settings.service_name, settings.service_version) == ("basket", "2,1")

    both = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": attributes}
    assert Settings.load(environ=both).service_name == "shop"
    assert Settings.load(environ=both, service_name="till").service_name == "till"
    assert Settings.load(environ={"OTEL_RESOURCE_ATTRIBUTES": "nonsense"}).service_name == ""


# Names that are not settings


def test_an_unknown_name_is_warned_of_once_with_the_nearest_known_one(caplog):
    for _ in range(3):
        Settings.load({"FLASKPROF_PREFX": "/p"}, {"FLASKPROF_ENABLE": "1", "PATH": "/bin"})
    assert messages(caplog) == [
        f"FLASKPROF_{wrong} is not a setting of flaskprof and is ignored; "
        f"did you mean FLASKPROF_{right}?"
        for wrong, right in [("PREFX", "PREFIX"), ("ENABLE", "ENABLED")]
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_an_unknown_name_that_resembles_none_is_warned_of_all_the_same(caplog):
    load({"FLASKPROF_XYZZY": 1, 7: "not a name"})
    assert messages(caplog) == ["FLASKPROF_XYZZY is not a setting of flaskprof and is ignored"]


def test_an_unknown_keyword_is_refused_with_the_nearest_known_one():
    with pytest.raises(ConfigError, match="'prefx' is not a setting.*did you mean 'prefix'"):
        load(prefx="/p")
    with pytest.raises(ConfigError, match="'xyzzy' is not a setting of flaskprof$"):
        load(xyzzy=1)


@pytest.mark.parametrize("service", ["FLASKPROF", "FLASKPROF_WEB", "FLASKPROF_METRICS"])
def test_what_kubernetes_injects_for_a_service_is_ignored_in_silence(service, caplog):
    address = {
        f"{service}_SERVICE_HOST": "10.0.0.11",
        f"{service}_SERVICE_PORT": "80",
        f"{service}_SERVICE_PORT_HTTP": "80",
        f"{service}_PORT": "tcp://10.0.0.11:80",
        f"{service}_PORT_80_TCP": "tcp://10.0.0.11:80",
        f"{service}_PORT_80_TCP_PROTO": "tcp",
        f"{service}_PORT_80_TCP_PORT": "80",
        f"{service}_PORT_80_TCP_ADDR": "10.0.0.11",
    }
    assert Settings.load(environ=address) == load()
    assert messages(caplog) == []


def test_no_setting_has_a_name_that_kubernetes_injects():
    from flaskprof.config import _KUBERNETES

    assert [option.key for option in options() if _KUBERNETES.match(option.key)] == []


# Secrets


def test_a_secret_is_never_shown():
    settings = load(secret=[SECRET])
    assert settings.secret == (SECRET,)
    assert SECRET not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        load(secret="too short")
    assert str(caught.value) == (
        "FLASKPROF_SECRET: (hidden) is not a secret of at least 16 characters, "
        "or a list of such"
    )
    assert "too short" not in repr(caught.value.__context__)


def test_secrets_of_a_file_follow_the_others(tmp_path):
    path = tmp_path / "secrets"
    path.write_text(f"{SECRET}\n\n  {OTHER_SECRET}\n", "utf-8")
    assert load(secret_file=path).secrets == (SECRET, OTHER_SECRET)
    first = "the one that signs"
    assert load(secret=first, secret_file=str(path)).secrets == (first, SECRET, OTHER_SECRET)


@pytest.mark.parametrize("text", [b"", b"\n \n", b"a secret of 22 chars..\nshort"])
def test_a_secret_file_without_good_secrets_is_refused_without_showing_them(tmp_path, text):
    path = tmp_path / "secrets"
    path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load(secret_file=path)
    assert str(caught.value) == (
        f"FLASKPROF_SECRET_FILE: {path} does not hold one secret of at least 16 characters on "
        "each line"
    )


def test_a_secret_file_that_cannot_be_read_is_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="FLASKPROF_SECRET_FILE: cannot be read: .*missing"):
        load(secret_file=tmp_path / "missing")
    path = tmp_path / "secrets"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=f"FLASKPROF_SECRET_FILE: {path} is not text"):
        load(secret_file=path)


# Settings that do not go together


@pytest.mark.parametrize(
    ("prefix", "metrics_path", "key"),
    [
        ("/flaskprof", "/flaskprof", "FLASKPROF_METRICS_PATH"),
        ("/flaskprof", "/flaskprof/metrics", "FLASKPROF_METRICS_PATH"),
        ("/metrics/flaskprof", "/metrics", "FLASKPROF_PREFIX"),
    ],
)
def test_neither_of_our_paths_may_hold_the_other(prefix, metrics_path, key):
    with pytest.raises(ConfigError, match=f"^{key}: '.*: choose two paths"):
        load(prefix=prefix, metrics_path=metrics_path)
    assert load(prefix="/metrics-and-more", metrics_path="/metrics").metrics_path == "/metrics"


def test_no_more_can_be_kept_than_is_written():
    assert load(max_bytes=1000).kept_bytes == 800
    assert load(max_bytes=1000, keep_bytes=1000).kept_bytes == 1000
    with pytest.raises(ConfigError, match="FLASKPROF_KEEP_BYTES: 1001 is more than"):
        load(max_bytes=1000, keep_bytes=1001)


def test_metrics_for_token_holders_need_a_secret(tmp_path):
    with pytest.raises(ConfigError, match="FLASKPROF_METRICS: token needs FLASKPROF_SECRET"):
        load(metrics="token")
    assert load(metrics="token", secret=SECRET).metrics == "token"
    path = tmp_path / "secrets"
    path.write_text(SECRET, "utf-8")
    assert load(metrics="token", secret_file=path).metrics == "token"


def test_a_label_needs_its_values_and_where_they_come_from():
    whole = {"label": " tenant ", "label_values": ["gold"], "label_from": str}
    assert load(**whole).label == "tenant"
    for name in ("label_values", "label_from"):
        with pytest.raises(
            ConfigError, match="FLASKPROF_LABEL: 'tenant' needs FLASKPROF_LABEL"
        ):
            load(**{**whole, name: None})


def test_the_table_tells_of_every_setting_in_order():
    table = options()
    assert [option.name for option in table] == list(Settings.__dataclass_fields__)
    assert [option.key for option in table[:2]] == ["FLASKPROF_ENABLED", "FLASKPROF_DEV"]
    assert [option.name for option in table if option.is_secret] == ["secret"]
    assert all(option.help.endswith(".") for option in table)


def test_commas_within_an_expression_are_its_own():
    read = next(row for row in options() if row.name == "restrictions").read
    expressions = (r"a{1,2}", 3, r"[]\],x]", r"b\,c", "{method", 0.5)
    assert read(r"a{1,2}, 3 ,[]\],x],b\,c, {method,.5") == expressions


@pytest.mark.parametrize(
    ("text", "key"),
    [("cum", "cumulative"), ("t", "self"), ("pc", "primitive"), ("l", "line"), ("fi", "file")],
)
def test_as_in_pstats_the_beginning_of_a_sort_key_is_enough(text, key):
    assert Settings.load({"FLASKPROF_SORT_BY": text}, {}).sort_by == (key,)
