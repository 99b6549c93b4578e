"""Runs one how-to with the real package active; prints what came of requests as JSON.

``python correlated.py opentelemetry PAGE`` or ``sentry PAGE``: the code of the page makes
`app`, which gets further views here.
"""

import json
import re
import sys
from pathlib import Path

from flaskprof.capture.recorder import close_all, recorder_for
from flaskprof.config import Settings


def code_of(page):
    return re.search(r"```python\n(.*?)```", Path(page).read_text("utf-8"), re.DOTALL)[1]


def with_opentelemetry():
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def told():
        return [
            {
                "name": span.name,
                "trace_id": f"{span.context.trace_id:032x}",
                "span_id": f"{span.context.span_id:016x}",
                "attributes": dict(span.attributes),
            }
            for span in exporter.get_finished_spans()
        ]

    return told


def with_sentry():
    import sentry_sdk
    from sentry_sdk.transport import Transport

    events = []

    class Kept(Transport):
        def capture_envelope(self, envelope):
            event = envelope.get_event()
            if event is not None:
                events.append(event)

    initialize = sentry_sdk.init
    sentry_sdk.init = lambda **options: initialize(
        "https://key@sentry.invalid/1", transport=Kept, **options
    )

    def told():
        return [
            {
                "tags": event.get("tags", {}),
                "url": event["contexts"].get("flaskprof", {}).get("url"),
                "type": event["exception"]["values"][-1]["type"],
                "transaction": event["transaction"],
            }
            for event in events
        ]

    return told


def main(package, page):
    told = {"opentelemetry": with_opentelemetry, "sentry": with_sentry}[package]()
    names = {"__name__": "how_to"}
    exec(compile(code_of(page), page, "exec"), names)
    app = names["app"]

    @app.get("/orders/<int:number>")
    def order(number):
        return f"order {number}"

    @app.get("/fail")
    def fail():
        raise ZeroDivisionError

    client = app.test_client()
    answers = []
    for path, headers in (
        ("/orders/1", {}),
        ("/orders/2", {"X-Profile": "1"}),
        ("/fail", {}),
        ("/fail", {"X-Profile": "1"}),
    ):
        response = client.get(path, headers=headers, buffered=True)
        answers.append([response.status_code, response.headers.get("X-Profile-Id", "")])
    recorder = recorder_for(Settings.load())
    recorder.flush()
    metrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
    print(json.dumps({"answers": answers, "told": told(), "metrics": metrics}))
    close_all()


if __name__ == "__main__":
    main(*sys.argv[1:])
