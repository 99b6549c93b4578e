"""Every block of Python and of shell in the documentation does what it says.

A page is worked through from top to bottom in an empty directory, as a reader would: blocks of
Python are run, blocks of shell too, and where a block of ``console`` shows output behind its
``$ `` lines, that output comes; ``…`` stands for anything. A comment before a block may say
more:

- ``<!-- file: shop.py -->``: the block is written to that file.
- ``<!-- server -->``: it runs until the end of the page or the next server; its port, which is
  that in the text, is another one here.
- ``<!-- given: code -->``: this comes before the block of Python.
- ``<!-- not run: reason -->``: it is not.
- ``<!-- quick start -->``: tests/test_wheel.py runs it.

A comment of several lines whose first is ``<!-- setup`` holds shell that a reader need not see.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from checkout import ROOT
from flaskprof.cli import COMMANDS, main
from needs import needs_program
from servers import PATIENCE_SECONDS, until

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SHELLS = {"console", "sh", "shell"}
# Examples of commands on this page are made for many places: they are parsed.
PARSED = ROOT / "docs" / "reference" / "cli.md"

_BLOCK = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->$|"
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^(?P<fence>`{3,})(?P<language>\w*)\n"
    r"(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
# The ports that the pages speak of.
_PORT = re.compile(r"(?<=[:= ])(5000|8000|8080)\b")


# Runs the blocks that come as lines of JSON, in one namespace; says what went wrong.
_LOOP = """
import json, sys, traceback
lines, answers, sys.stdout, names = sys.stdin, sys.stdout, sys.stderr, {"__name__": "page"}
for line in lines:
    where, code = json.loads(line)
    try:
        exec(compile(code, where, "exec"), names)
        failure = ""
    except Exception:
        failure = traceback.format_exc()
    print(json.dumps(failure), file=answers, flush=True)
"""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, what the comment before it says, its line and text."""

    language: str
    mark: str
    argument: str
    line: int
    text: str


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    blocks = []
    for found in _BLOCK.finditer(text):
        if found["setup"]:
            line = text.count("\n", 0, found.start()) + 2
            blocks.append(Block("sh", "setup", "", line, found["setup"]))
            continue
        mark, _, argument = (found["mark"] or "").partition(": ")
        line = text.count("\n", 0, found.start("fence")) + 2
        blocks.append(Block(found["language"], mark, argument, line, found["text"]))
    return blocks


class Reader:
    """Does what a page says, in `directory`."""

    def __init__(self, page: Path, directory: Path) -> None:
        self.page = page
        self.directory = directory
        self.interpreter: subprocess.Popen[str] | None = None
        self.port = 0
        self.server: subprocess.Popen[bytes] | None = None
        self.environ = {
            **{name: value for name, value in os.environ.items() if "FLASKPROF" not in name},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        }

    def read(self, block: Block) -> None:
        if block.mark in {"not run", "quick start"}:
            return
        if block.mark == "file":
            path = self.directory / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.mark == "server":
            self.serve(block)
        elif block.language == "python":
            code = f"{block.argument}\n{block.text}" if block.mark == "given" else block.text
            self.python(code, block.line)
        elif block.language in SHELLS:
            self.run(block)

    def python(self, code: str, line: int) -> None:
        """Run a block in the process that ran those before it."""
        where = f"{self.page.name}:{line}"
        if self.interpreter is None:
            self.interpreter = subprocess.Popen(
                [sys.executable, "-c", _LOOP],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self.interpreter.stdin.write(json.dumps([where, code]) + "\n")
        self.interpreter.stdin.flush()
        assert json.loads(self.interpreter.stdout.readline() or '"it ended"') == "", where

    def serve(self, block: Block) -> None:
        self.stop()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        log = (self.directory / "server.log").open("wb")
        named = {
            "FLASK_RUN_PORT": str(self.port),
            "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{self.port}",
        }
        self.server = subprocess.Popen(
            ["bash", "-ec", self.script(block)],
            cwd=self.directory,
            env=self.environ | named,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        until(self.answers, f"the server of {self.page.name}:{block.line}")

    def answers(self) -> bool:
        assert self.server is not None
        assert self.server.poll() is None, (self.directory / "server.log").read_text()
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self.stop()
        if self.interpreter is not None:
            self.interpreter.communicate(timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        if self.server is None:
            return
        os.killpg(self.server.pid, signal.SIGTERM)
        try:
            self.server.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
        self.server = None

    def script(self, block: Block) -> str:
        text = block.text
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in text.splitlines() if line[:2] == "$ "]
            text = "\n".join(lines)
        return _PORT.sub(str(self.port), text) if self.port else text

    def run(self, block: Block) -> None:
        where = f"{self.page.name}:{block.line}"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", self.script(block)],
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=90,
        )
        output = done.stdout + done.stderr
        shown = [
            line
            for line in block.text.splitlines()
            if block.language == "console" and line[:2] != "$ " and line.strip()
        ]
        # What fails on purpose is shown with its output.
        assert done.returncode == 0 or shown, (where, output)
        if self.port:
            output = output.replace(str(self.port), "5000")
        lines = iter(output.splitlines())
        for line in shown:
            pattern = re.sub(r"([][?*])", r"[\1]", _PORT.sub("5000", line).strip())
            pattern = pattern.replace("…", "*")
            assert any(fnmatch.fnmatchcase(each.strip(), pattern) for each in lines), (
                where,
                line,
                output,
            )


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != PARSED],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_blocks_of_a_page_do_what_they_say(page, tmp_path):
    wanted = [block for block in blocks_of(page) if block.language in {"python", *SHELLS}]
    if any("curl " in block.text for block in wanted):
        needs_program("curl")
    reader = Reader(page, tmp_path)
    try:
        for block in blocks_of(page):
            reader.read(block)
    finally:
        reader.close()


def test_the_examples_of_the_command_line_are_commands_with_such_options():
    examples = [
        line
        for block in blocks_of(PARSED)
        if block.language in SHELLS
        for line in block.text.splitlines()
        if line.startswith("flaskprof ")
    ]
    assert len(examples) >= len(COMMANDS)
    for example in examples:
        words = shlex.split(re.split(r" [|>] ", example)[0], comments=True)
        name, *arguments = words[1:]
        context = click.Context(main)
        command = main.get_command(context, name)
        command.make_parser(click.Context(command, parent=context)).parse_args(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_that_is_not_run_says_why(page):
    for block in blocks_of(page):
        if block.mark == "not run":
            assert len(block.argument) > 10, (page.name, block.line)
        assert block.mark in {"", "file", "given", "not run", "quick start", "server", "setup"}
