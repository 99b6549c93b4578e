import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def open_to_all():
    """A directory that other users may enter; pytest's own are closed to them."""
    path = Path(tempfile.mkdtemp(prefix="flaskprof-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
