"""What holds for every command: help, one-line errors, exit codes, quiet pipes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from flaskprof.cli import COMMANDS, main
from flaskprof.cli.program import Command


def commands():
    context = click.Context(main)
    return [(name, main.get_command(context, name)) for name in COMMANDS]


def test_without_arguments_the_commands_are_listed(command):
    run = command()
    assert (run.code, run.errors) == (0, "")
    listed = re.findall(
        r"^  (\w+) +(.*)$", run.output.partition("Commands:\n")[2], re.MULTILINE
    )
    assert dict(listed) == COMMANDS


def test_the_help_imports_neither_commands_nor_databases():
    script = (
        "import sys\n"
        "from flaskprof.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'sqlite3', 'sqlalchemy', 'flask', 'werkzeug', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stderr == "[]\n"


@pytest.mark.parametrize(("name", "made"), commands(), ids=list(COMMANDS))
def test_a_command_helps_with_its_summary_and_an_example(command, name, made):
    assert isinstance(made, Command)
    run = command(name, "--help")
    assert (run.code, run.errors) == (0, "")
    assert COMMANDS[name] in run.output
    for example in made.examples:
        assert f"\n  {example}\n" in run.output


@pytest.mark.parametrize(("name", "made"), commands(), ids=list(COMMANDS))
def test_the_options_of_an_example_exist(name, made):
    flags = {flag for param in made.params for flag in param.opts}
    for example in made.examples:
        if example.startswith("flaskprof"):
            assert example.split()[1] == name
            assert {word for word in example.split() if word.startswith("-")} <= flags


def test_the_version_is_that_of_the_package(command):
    import flaskprof

    assert command("--version").output == f"flaskprof {flaskprof.__version__}\n"


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (["lst"], 2, "No such command 'lst'."),
        (["ls", "--rout"], 2, "No such option"),
        (["ls", "--limit", "0"], 2, "Invalid value for '--limit'"),
        (["show"], 2, "Missing argument 'ID'."),
        (["export", "latest"], 2, "Missing option '-o'"),
        (["show", "latest"], 4, "there is no capture in"),
        (["show", "nothing.prof"], 4, "and no such file"),
        (
            ["show", "latest", "--sort", "colour"],
            2,
            "--sort: 'colour' is not a list",
        ),
        (["show", "latest", "--limit", "("], 2, "--limit: '(' is not a list"),
        (["open", "nothing.prof", "--no-browser"], 5, "nothing.prof: cannot be read"),
        (["token"], 2, "a token needs a secret"),
        (["ls", "--dir", ""], 2, "--dir: '' is not a path"),
    ],
)
def test_what_is_refused_is_one_line_and_an_exit_code(command, args, code, error):
    run = command(*args)
    assert (run.code, run.output) == (code, "")
    assert run.errors.startswith("flaskprof: ")
    assert error in run.errors
    assert run.errors.count("\n") == 1


def test_an_error_does_not_send_control_characters_to_the_terminal(command):
    run = command("show", "a\x1b[31m\nb\u202e")
    assert r"a\x1b[31m" in run.errors
    assert not set(run.errors) & set("\x1b\u202e")


def test_an_option_has_the_last_word_over_the_environment(command, save, tmp_path):
    save()
    assert command("ls", FLASKPROF_DIR="elsewhere").output == ""
    run = command("ls", "--dir", str(tmp_path / ".flaskprof"), FLASKPROF_DIR="elsewhere")
    assert "header" in run.output


def test_a_reader_that_goes_away_is_not_an_error_to_talk_about(tmp_path, save):
    for _ in range(50):
        save()
    run = subprocess.run(
        f"{sys.executable} -m flaskprof ls --limit 50 --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (run.stdout, run.stderr) == ("{", "")


def test_names_that_the_terminal_cannot_write_are_no_error(command, save):
    save(route="/größe/日本")
    run = command("ls", PYTHONIOENCODING="latin-1", encoding="latin-1")
    assert run.code == 0
    assert r"/größe/\u65e5\u672c" in run.output


@pytest.mark.parametrize("arguments", [["latest"], ["latest", "--json"]])
def test_what_standard_output_cannot_take_is_one_line(tmp_path, save, arguments):
    save()
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flaskprof", "show", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        5,
        b"flaskprof: standard output cannot be written: No space left on device\n",
    )


def test_a_closed_standard_output_is_no_failure(tmp_path, save):
    save()
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m flaskprof show latest >&-"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_shell_completes_commands_options_captures_and_files(tmp_path, save):
    def completed(words):
        """Return what a shell is told that a command line may go on with."""
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from flaskprof.cli import main; main(prog_name='flaskprof')",
            ],
            capture_output=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "_FLASKPROF_COMPLETE": "bash_complete",
                "COMP_WORDS": f"flaskprof {words}",
                "COMP_CWORD": str(len(words.split(" "))),
            },
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.split("\n")[:-1]

    assert completed("sh") == ["plain,show"]
    assert "plain,--callees" in completed("show --c")
    assert completed("show ") == ["file,"]
    record = save()
    assert completed("show ") == ["file,", "plain,latest", f"plain,{record.id}"]
    begun = record.id[:4]
    assert completed(f"diff x {begun}") == [f"file,{begun}", f"plain,{record.id}"]
    assert completed("export x -o out/a") == ["file,out/a"]
    assert completed("open a") == ["file,a"]
