"""`flask prof` and `flask shell`, by the `flask` command itself."""

import os
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest

from checkout import ROOT
from flaskprof.cli import COMMANDS

APP = """\
from flask import Flask
from flaskprof import FlaskProf

app = Flask(__name__)
app.config["FLASKPROF_DIR"] = "configured"
FlaskProf(app, dir="keyword", secret="a secret of sixteen or more")
bare = Flask("bare")
"""


@pytest.fixture
def project(tmp_path):
    """A directory with an application, and flaskprof's entry points as they are installed."""
    (tmp_path / "shop.py").write_text(APP)
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    installed = tmp_path / "site" / "flaskprof-0.1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: flaskprof\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items())
            for group, rows in points.items()
        )
    )
    return tmp_path


@pytest.fixture
def flask(project):
    """Run a `flask` command line in the project."""

    def run(*args, text=None, app="shop:app", **environ):
        paths = [str(project / "site"), *sys.path]
        known = {key: value for key, value in os.environ.items() if "FLASK" not in key}
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", app, *args],
            capture_output=True,
            cwd=project,
            env={**known, "PYTHONPATH": os.pathsep.join(paths), **environ},
            input=text,
            text=True,
            timeout=60,
        )
        return SimpleNamespace(
            code=done.returncode,
            output=done.stdout,
            errors=done.stderr.replace(str(project), ""),
        )

    return run


@pytest.fixture
def capture(project, save):
    """A capture in the directory that the application's configuration names."""
    record = save(route="/orders/<int:id>")
    (project / ".flaskprof").rename(project / "configured")
    return record


def test_every_command_is_offered(flask):
    run = flask("prof", "--help")
    assert (run.code, run.errors) == (0, "")
    assert [
        line.split()[0] for line in run.output.partition("Commands:\n")[2].splitlines()
    ] == [*COMMANDS]


def test_a_command_has_the_configuration_of_the_application(flask, capture):
    run = flask("prof", "ls")
    assert (run.code, run.errors) == (0, "")
    assert "/orders/<int:id>" in run.output


def test_keywords_environment_and_options_count_as_in_the_application(flask, capture):
    # A token needs the secret, which only the keyword has.
    assert flask("prof", "token").code == 0
    elsewhere = flask("prof", "ls", FLASKPROF_DIR="environment")
    assert elsewhere.errors == "There is no capture in /environment yet.\n"
    option = flask("prof", "ls", "--dir", "configured", FLASKPROF_DIR="environment")
    assert "/orders/<int:id>" in option.output


def test_what_is_refused_is_one_line_and_the_exit_code_of_its_error(flask):
    run = flask("prof", "show", "latest")
    assert (run.code, run.output, run.errors) == (
        4,
        "",
        "Error: there is no capture in /configured yet\n",
    )


def test_an_application_without_flaskprof_has_the_commands_too(flask, save, project):
    record = save()
    assert record.id in flask("prof", "show", "latest", app="shop:bare").output


def test_the_shell_has_the_captures_of_the_application(flask, capture):
    script = (
        "print(prof)\n"
        "print(prof.latest().id)\n"
        "print(len(prof.captures(route='/orders/<int:id>')), len(prof.captures(route='/no')))\n"
        "print(prof.latest().top(1, sort='calls'))\n"
        "print(prof.latest().callers('work'), len(prof.latest().callees('work')))\n"
    )
    run = flask("shell", text=script)
    assert run.code == 0, run.errors
    assert "1 captures in configured: latest(), captures(route=…), get(id)" in run.output
    assert capture.id in run.output
    assert "1 0" in run.output
    assert "{built-in method builtins.abs}" in run.output


def test_a_name_of_the_application_goes_before_that_of_the_shell(flask, project):
    (project / "own.py").write_text(
        "from shop import app\napp.shell_context_processor(lambda: {'prof': 'my own'})\n"
    )
    assert "my own" in flask("shell", text="print(prof)\n", app="own:app").output


def test_the_flask_command_without_ours_does_not_import_the_commands(flask):
    run = flask("routes", PYTHONVERBOSE="1")
    assert run.code == 0
    assert "flaskprof.cli" in run.errors  # the group itself
    assert "flaskprof.cli.serve" not in run.errors
