"""Holds requests of the application ``held:app`` until a test lets them go."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from http.client import HTTPException

from servers import PATIENCE_SECONDS, get


class Holder:
    """Where requests wait. `hold` sends one and returns once the application has it."""

    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_SECONDS)
        self._threads = []
        self._waiting = []

    def hold(self, kind="held"):
        path = f"/{kind}/{self._listener.getsockname()[1]}"
        thread = threading.Thread(target=self._get, args=(path,), name="a held request")
        thread.start()
        self._threads.append(thread)
        self._waiting.append(self._listener.accept()[0])

    def _get(self, path):
        with suppress(OSError, HTTPException):  # its worker was killed
            get(self._port, path)

    def let_go(self):
        for connection in self._waiting:
            connection.close()
        self._waiting.clear()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()

    def close(self):
        self.let_go()
        self._listener.close()


@contextmanager
def holder(port):
    """Yield a place to hold requests to a server; they are let go at the end."""
    place = Holder(port)
    try:
        yield place
    finally:
        place.close()
