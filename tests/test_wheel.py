"""What is built and installed is whole, and the quick start of the README works with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from email.parser import BytesHeaderParser
from pathlib import Path

import pytest

from checkout import ROOT, files_of_checkout
from needs import needs_program
from servers import PATIENCE_SECONDS, until

pytestmark = pytest.mark.timeout(600)

# What the package needs at run time; sources of C go into the sdist alone.
PACKAGE_FILES = {
    str(path.relative_to(ROOT))
    for path in files_of_checkout()
    if path.is_relative_to(ROOT / "flaskprof")
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The sdist, and the wheel that was built from it, made from what is in the repository."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for path in files_of_checkout():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    build = [sys.executable, "-m", "build", "--outdir", str(target), str(source)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ((sdist,), (wheel,)) = target.glob("*.tar.gz"), target.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    """The environment variables of an empty virtual environment that is active."""
    directory = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    environ = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    return {
        **{name: value for name, value in environ.items() if "FLASKPROF" not in name},
        "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(directory),
    }


def quick_start():
    """The commands of the README that are marked as its quick start."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"<!-- quick start -->\n```\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def run(command, environ, directory):
    done = subprocess.run(
        ["bash", "-c", command], env=environ, cwd=directory, capture_output=True, timeout=300
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def fetch(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


def test_the_wheel_holds_the_whole_package_and_nothing_else(dist):
    names = set(zipfile.ZipFile(dist[1]).namelist())
    installed = {name for name in names if ".dist-info/" not in name}
    built = {name for name in installed if name.endswith(".so")}
    assert installed - built == {name for name in PACKAGE_FILES if not name.endswith(".c")}
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_sdist_holds_what_the_wheel_is_built_from(dist):
    with tarfile.open(dist[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"LICENSE", "README.md", "pyproject.toml", "setup.py", *PACKAGE_FILES}
    assert needed - names == set()


def test_the_quick_start_of_the_readme_works_with_the_wheel(dist, venv, tmp_path):
    needs_program("curl")
    install, serve, ask = quick_start()
    assert install == "pip install '.[demo]'"
    run(install.replace(".[demo]", f"{dist[1]}[demo]"), venv, tmp_path)
    home = run("python -c 'import flaskprof; print(flaskprof.__file__)'", venv, tmp_path)
    assert Path(home.decode()).is_relative_to(venv["VIRTUAL_ENV"])

    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {serve} --port 0"],
            env=venv,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        address = re.search(rb"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert address, (tmp_path / "log").read_text()
        base = address[0].decode()
        ask_and_look(ask.replace("http://127.0.0.1:5000", base), base, venv, tmp_path)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)


def ask_and_look(ask, base, venv, directory):
    assert base in ask
    head, _, body = run(ask, venv, directory).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["parcels"] == 230
    headers = BytesHeaderParser().parsebytes(head.partition(b"\r\n")[2])
    profile_id, profile_url = headers["X-Profile-Id"], headers["X-Profile-Url"]
    assert profile_url == f"{base}/flaskprof/c/{profile_id}"

    captures = directory / ".flaskprof" / "captures"
    until(lambda: list(captures.rglob(f"{profile_id}.json")), "the capture")
    (profile,) = captures.rglob(f"{profile_id}.prof")
    print_stats = f"python -c 'import pstats; pstats.Stats(\"{profile}\").print_stats()'"
    assert b"(plan_deliveries)" in run(print_stats, venv, directory)

    assert profile_id in fetch(f"{base}/flaskprof/captures")
    assert "plan_deliveries" in fetch(f"{profile_url}?view=table")
    counted = re.findall(
        r"^http_server_request_duration_seconds_count\{(.*)\} (.*)$",
        fetch(f"{base}/metrics"),
        re.MULTILINE,
    )
    assert [value for labels, value in counted if '"/heavy-computation"' in labels] == ["1.0"]
