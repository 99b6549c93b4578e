"""Serves an application to this machine alone, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from flaskprof.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["HOST", "listen", "listen_on", "serve"]

HOST = "127.0.0.1"
_BACKLOG = 128


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback, on any free port where `port` is 0.

    Raises `ConfigError` where the port cannot be had.
    """
    try:
        return listen_on(socket.AF_INET, (HOST, port))
    except OSError as error:
        raise ConfigError(
            f"port {port} of {HOST} cannot be used: {error.strerror}; "
            "choose another with --port"
        ) from error


def listen_on(family: socket.AddressFamily, address: Any) -> socket.socket:
    """Return a socket that listens on `address`; raises OSError where it cannot be had."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of the server that ran here before do not keep the port taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class _Handler(WSGIRequestHandler):
    """Sends head and body of a response together, and takes the next request after it.

    Written one after the other, the system would keep the second until the client has said
    that it has the first: some browsers wait 40 ms with that.
    """

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True


def serve(app: WSGIApplication, listener: socket.socket) -> None:
    """Serve `app` in threads, until Control-C or SIGTERM."""
    port = listener.getsockname()[1]
    with listener:
        server = make_server(
            HOST, port, app, threaded=True, request_handler=_Handler, fd=listener.fileno()
        )
        if threading.current_thread() is threading.main_thread():
            # Ends as with Control-C, so that what is under way is finished and cleaned up.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        server.serve_forever()
