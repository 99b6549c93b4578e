"""What the documentation says is what the code does."""

from __future__ import annotations

import importlib.util
import re

import pytest

from checkout import ROOT
from flaskprof import ProfilerMiddleware
from flaskprof.config import Settings, options
from flaskprof.metrics.table import METRICS

DOCS = ROOT / "docs"


def load_generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_current(name):
    written = (DOCS / name).read_text("utf-8")
    assert written == generate.PAGES[name](), "run: make docs"


def test_the_documented_defaults_can_be_given_and_change_nothing():
    sections = generate.configuration().split("\n## ")[1:]
    environ = {
        re.match(r"`(\w+)`", section)[1]: default[1]
        for section in sections
        if (default := re.search(r"^- Default: `(.*)`\.$", section, re.MULTILINE))
    }
    assert len(environ) >= 10
    assert Settings.load(environ=environ) == Settings()


def test_every_setting_has_a_section():
    sections = re.findall(r"^## `(\w+)`$", generate.configuration(), re.MULTILINE)
    assert sections == [option.key for option in options()]


def test_every_metric_has_a_section_with_its_type_and_labels():
    sections = (DOCS / "reference" / "metrics.md").read_text("utf-8").split("\n## `")[1:]
    assert [section.split("`")[0] for section in sections] == [row.name for row in METRICS]
    for section, row in zip(sections, METRICS, strict=True):
        assert f"\n- Type: {row.kind.value}.\n" in section
        assert all(f"`{name}`" in section for name in (*row.labels, *row.samples))
        assert " ".join(section.split()).count(row.help) == 1


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name
)
def test_links_within_the_repository_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name
)
def test_settings_named_in_the_documentation_exist(path):
    known = {option.key for option in options()} | {"FLASKPROF_APP", "FLASKPROF_PORT"}
    named = set(re.findall(r"\bFLASKPROF_[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    assert named <= known


def test_every_page_can_be_reached_from_the_index():
    index = DOCS / "index.md"
    links = re.findall(r"\]\(([^):#]+\.md)\)", index.read_text("utf-8"))
    reached = {index, *((DOCS / link).resolve() for link in links)}
    assert sorted(set(DOCS.rglob("*.md")) - reached) == []


def test_the_examples_of_the_readme_put_flaskprof_into_an_application():
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert len(blocks) == 2
    names = {"__name__": "example", "application": lambda environ, start_response: []}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert type(names["app"].wsgi_app).__module__ == "flaskprof.middleware"
    assert type(names["application"]) is ProfilerMiddleware
