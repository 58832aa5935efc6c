"""Requests that this server makes to addresses which others have named: to public ones only, unless a setting says otherwise.

What belongs here: judging the address that is really connected to, and one bounded request. What does not: what is sent (`webhooks`). A
name is resolved once, and its address judged and used: a second look could give another one. Redirects are not followed, and no proxy is
used.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from reframer_pipeline.failures import WebhookRefused

SILENCE_S: Final = 10.0
WHOLE_S: Final = 20.0
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# Local-use NAT64 (RFC 8215), IPv4-compatible and site-local addresses: `ipaddress` takes some of them for global ones.
_LOCAL: Final = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "::/96", "fec0::/10")))


def demand_url(url: str, private: bool) -> SplitResult:
    """The parts of a URL that may be asked, as far as it says itself.

    Raises:
        WebhookRefused: It is no http or https URL, has a password, or names a private address and `private` is not set.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebhookRefused(f"The URL cannot be read: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.username is not None or not url.isprintable():
        raise WebhookRefused("It is no URL of a web server, or has a name and password.")
    with contextlib.suppress(ValueError):
        _demand_public(parts.hostname, private)
    if parts.hostname == "localhost" or parts.hostname.endswith(".localhost"):
        _demand_public("127.0.0.1", private)
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str], private: bool) -> int:
    """Send a body; the status of the answer, whose own body is left.

    Raises:
        WebhookRefused: As `demand_url`, and if the name leads to a private address.
        OSError, http.client.HTTPException: There was no answer, or not in time.
    """
    parts = demand_url(url, private)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, where in found:
        _demand_public(str(where[0]), private)
    family, kind, protocol, _, where = found[0]
    connection = http.client.HTTPConnection(host, port, timeout=SILENCE_S)
    with contextlib.closing(connection), socket.socket(family, kind, protocol) as plain:
        plain.settimeout(SILENCE_S)
        plain.connect(where)
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if parts.scheme == "https" else plain
        late = threading.Timer(WHOLE_S, lambda: _hang_up(connection.sock))  # one that drips never runs into the clock of its silence
        late.start()
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, dict(headers))
            return connection.getresponse().status
        finally:
            late.cancel()


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _demand_public(text: str, private: bool) -> None:
    """Raises `WebhookRefused` for an address that not everybody reaches, also in IPv6's clothes; `ValueError` if it is none."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            _demand_public(str(inner), private)
            return
    if not private and (not address.is_global or address.is_multicast or any(address in one for one in _LOCAL)):
        raise WebhookRefused(f"{address} is no public address.")
