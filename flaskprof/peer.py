"""Where a request comes from: this very machine, or through a proxy.

A loopback peer alone proves nothing: a reverse proxy on the same host is one too, and a page
in the developer's browser can reach loopback through DNS rebinding.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

__all__ = ["came_through_proxy", "is_local"]

_FORWARDING_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
    "HTTP_X_ORIGINAL_FORWARDED_FOR",
    "HTTP_X_ORIGINAL_HOST",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_FLY_CLIENT_IP",
)


def came_through_proxy(environ: Mapping[str, Any]) -> bool:
    """Whether the request carries a header that proxies add."""
    return any(header in environ for header in _FORWARDING_HEADERS)


def is_local(environ: Mapping[str, Any]) -> bool:
    """Whether a peer on this machine asked this machine by name, through no known proxy.

    A peer without an address (a unix socket) and a request without a ``Host`` are not local.
    """
    return (
        _is_loopback_address(environ.get("REMOTE_ADDR", ""))
        and _is_loopback_host(environ.get("HTTP_HOST", ""))
        and not came_through_proxy(environ)
    )


def _is_loopback_address(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _is_loopback_host(host: str) -> bool:
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not port.isdecimal():
        return False
    name = name.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback_address(name)
