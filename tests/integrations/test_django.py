"""The routes of a real Django application."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import django
import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpResponse
from django.urls import include, path, re_path, set_urlconf
from werkzeug.test import Client

from flaskprof import ProfilerMiddleware
from flaskprof.capture.recorder import recorder_for
from flaskprof.config import Settings

COUNT = "http_server_request_duration_seconds_count"


def order(request, order_id):
    return HttpResponse(f"order {order_id}")


def gone(request, name):
    raise Http404


def broken(request):
    raise ZeroDivisionError


def page(request, year):
    return HttpResponse(year)


def other(request):
    return HttpResponse("of another configuration")


def urls(name, *patterns):
    module = sys.modules[name] = ModuleType(name)
    module.urlpatterns = list(patterns)
    return name


class ByHost:
    """Serves another configuration of URLs to another host."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.get_host() == "other.test":
            request.urlconf = "other_urls"
        return self.get_response(request)


@pytest.fixture(scope="module")
def application():
    shop = [path("orders/<int:order_id>/", order, name="order"), path("gone/<name>", gone)]
    urls("shop_urls", *shop, path("broken", broken))
    urls("other_urls", path("other", other))
    urls(
        "site_urls",
        path("shop/", include("shop_urls")),
        re_path(r"^(?P<year>[0-9]{4})/$", page),
    )
    sys.modules["by_host"] = module = ModuleType("by_host")
    module.ByHost = ByHost
    settings.configure(
        ROOT_URLCONF="site_urls",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="key",
        MIDDLEWARE=["by_host.ByHost"],
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()
    yield get_wsgi_application()
    set_urlconf(None)
    for name in ("shop_urls", "other_urls", "site_urls", "by_host"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("url", "route", "status", "host"),
    [
        ("/shop/orders/7/", "/shop/orders/<int:order_id>/", "200", "shop.test"),
        ("/shop/gone/x", "/shop/gone/<name>", "404", "shop.test"),
        ("/shop/broken", "/shop/broken", "500", "shop.test"),
        ("/2026/", "/^(?P<year>[0-9]{4})/$", "200", "shop.test"),
        ("/nowhere/at/all", "", "404", "shop.test"),
        ("/other", "/other", "200", "other.test"),
        ("/shop/orders/7/", "", "404", "other.test"),
    ],
)
def test_requests_are_counted_by_the_route_that_django_matched(
    application, tmp_path, closed_recorders, url, route, status, host
):
    client = Client(ProfilerMiddleware(application, dir=tmp_path, dev=True))
    answer = client.get(url, base_url=f"http://{host}", buffered=True)
    assert str(answer.status_code) == status
    labels = {
        "http_request_method": "GET",
        "http_route": route,
        "http_response_status_code": status,
    }
    registry = recorder_for(Settings(dir=tmp_path)).metrics.registry
    assert registry.get_sample_value(COUNT, labels) == 1


def test_a_capture_has_the_route_and_the_name_of_the_view(
    application, tmp_path, closed_recorders
):
    client = Client(ProfilerMiddleware(application, dir=tmp_path, dev=True))
    answer = client.get(
        "/shop/orders/7/",
        headers={"X-Profile": "1"},
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
    )
    assert answer.data == b"order 7"
    answer.close()
    recorder = recorder_for(Settings(dir=tmp_path))
    assert recorder.flush()
    record = recorder.store.record(answer.headers["X-Profile-Id"])
    assert (record.route, record.endpoint) == ("/shop/orders/<int:order_id>/", "order")
    assert b"order" in recorder.store.read(record.id, ".prof")


PROJECT = """
import os, sys
from django.core.wsgi import get_wsgi_application
from flaskprof import ProfilerMiddleware
from flaskprof.capture.recorder import recorder_of_process

os.environ["DJANGO_SETTINGS_MODULE"] = "our_site.settings"
ProfilerMiddleware(get_wsgi_application(), dir=sys.argv[1])
print(*recorder_of_process().app_packages)
"""


def test_a_project_that_is_installed_is_told_by_its_settings(tmp_path):
    project = tmp_path / "site-packages" / "our_site"
    project.mkdir(parents=True)
    (project / "__init__.py").touch()
    (project / "settings.py").write_text("SECRET_KEY = 'key'\nROOT_URLCONF = __name__\n")
    path = ":".join([str(project.parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROJECT, tmp_path / "data"],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("our_site\n", "")
