import cProfile
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from flaskprof.ids import new_capture_id
from flaskprof.record import CaptureRecord
from flaskprof.store.directory import DirectoryStore

NOT_OURS = ("FLASKPROF_", "COLUMNS")


@pytest.fixture
def command(tmp_path):
    """Run a command line as a shell would; gives exit code, output and errors.

    It finds no package that is called `without`.
    """

    def run(*args, encoding="utf-8", without="", stdin=b"", **environ):
        program = ["-m", "flaskprof"]
        if without:
            hidden = f"import sys; sys.modules[{without!r}] = None"
            program = ["-c", f"{hidden}; from flaskprof.cli import main; main()"]
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)
        }
        done = subprocess.run(
            [sys.executable, *program, *args],
            capture_output=True,
            input=stdin,
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
            timeout=60,
            check=False,
        )
        output = done.stdout if encoding is None else done.stdout.decode(encoding)
        return SimpleNamespace(
            code=done.returncode, output=output, errors=done.stderr.decode("utf-8")
        )

    return run


@pytest.fixture
def profile(tmp_path):
    """The bytes of a profile in which `work` called `abs` ten times."""
    path = tmp_path / "made.prof"
    recorded = cProfile.Profile()

    def work():
        for number in range(10):
            abs(number)

    recorded.runcall(work)
    recorded.dump_stats(path)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture
def save(tmp_path, profile):
    """Save a capture into the data directory that commands use."""
    store = DirectoryStore(tmp_path / ".flaskprof")

    def save(started=None, content=profile, **fields):
        started = time.time() if started is None else started
        known = {"duration_seconds": 0.25, "method": "GET", "route": "/", "status": 200}
        record = CaptureRecord(
            **{
                "id": new_capture_id(started),
                "started": started,
                "trigger": "header",
                **known,
                **fields,
            }
        )
        store.save(record, {".prof": content})
        return record

    return save
