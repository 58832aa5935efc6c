"""Requests whose end two readers may see in different places: a proxy before the server must never be told of one that it did not send.

Each case holds a second request inside what the first one calls its body or headers. It is sent as it is, over a socket. The server may
answer the first, or refuse it; it never answers the second.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress

import pytest

from reframer_pipeline_tests.api.serving import Serving

HOST = b"Host: localhost\r\n"
INNER = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: smuggled\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: last\r\nConnection: close\r\n\r\n"
POST, GET = b"POST /v1/session HTTP/1.1\r\n" + HOST, b"GET /healthz HTTP/1.1\r\n" + HOST
CHUNKED, LENGTH = b"Transfer-Encoding: chunked\r\n", b"Content-Length: %d\r\n" % len(INNER)
END = b"\r\n"

# what is refused: status 400, and the connection is closed
REFUSED = {
    "length and chunks": POST + CHUNKED + LENGTH + END + b"0\r\n\r\n" + INNER,
    "chunks and length": POST + LENGTH + CHUNKED + END + b"0\r\n\r\n" + INNER,
    "length and chunks of a GET": GET + LENGTH + CHUNKED + END + b"0\r\n\r\n" + INNER,
    "two lengths": POST + b"Content-Length: 0\r\n" + LENGTH + END + INNER,
    "two lengths in one line": POST + b"Content-Length: 0, %d\r\n" % len(INNER) + END + INNER,
    "a length with a sign": POST + b"Content-Length: +0\r\n" + END + INNER,
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n" + END + INNER,
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + END + b"0\r\n\r\n" + INNER,
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n" + END + b"0\r\n\r\n" + INNER,
    "a coding that is folded": POST + b"Transfer-Encoding:\r\n chunked\r\n" + END + b"0\r\n\r\n" + INNER,
    "a length behind a fold": GET + b"X-A: a\r\n Content-Length: 0\r\n" + LENGTH + END + INNER,
    "a fold by a tab": GET + b"X-A: a\r\n\tb\r\n" + END + INNER,
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n" + END + b"0\r\n\r\n" + INNER,
    "a name that begins with a blank": GET + b" Transfer-Encoding: chunked\r\n" + END + b"0\r\n\r\n" + INNER,
    "a bare line feed in a header": GET + b"X-A: a\n" + LENGTH + END + INNER,
    "a bare line feed behind the first line": b"GET /healthz HTTP/1.1\n" + HOST + LENGTH + END + INNER,
    "headers that end by bare line feeds": GET + b"X-A: a\n\n" + INNER,
    "headers that end by one bare line feed": GET + b"X-A: a\r\n\n" + INNER,
    "a bare carriage return": GET + b"X-A: a\rContent-Length: 0\r\n" + LENGTH + END + INNER,
    "a null byte": GET + b"X-A: a\x00\r\n" + END + INNER,
    "a chunk whose size ends by a bare line feed": POST + CHUNKED + END + b"0\n\r\n" + INNER,
    "a chunk with a size that is none": POST + CHUNKED + END + b"0x0\r\n\r\n" + INNER,
    "a chunk that is longer than it says": POST + CHUNKED + END + b"1\r\nab\r\n0\r\n\r\n" + INNER,
    "two names of hosts": GET + b"Host: other\r\n" + END + INNER,
    "no name of a host": b"GET /healthz HTTP/1.1\r\n" + END + INNER,
}
# what is one request, and its body no second one
TAKEN = {
    "a GET with a body": GET + LENGTH + END + INNER,
    "a HEAD with a body": GET.replace(b"GET", b"HEAD") + LENGTH + END + INNER,
    "a body that its route does not read": POST + LENGTH + END + INNER,
    "two equal lengths": POST + LENGTH + LENGTH + END + INNER,
    "a body in chunks": POST + CHUNKED + END + b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER),
    "HTTP 1.0 with chunks": POST.replace(b"1.1", b"1.0") + CHUNKED + END + b"0\r\n\r\n" + INNER,
    "an upgrade that nobody knows": GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + LENGTH + END + INNER,
}


def answers(serving: Serving, sent: bytes) -> list[tuple[bytes, bytes]]:
    """Status and X-Request-ID of all answers, until the server hangs up."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as connection:
        connection.sendall(sent)
        came = b"".join(iter(lambda: connection.recv(65_536), b""))
    return re.findall(rb"HTTP/1\.1 (\d{3}) (?:[^\r]+\r\n)+?x-request-id: (\S+)\r\n", came) or re.findall(rb"HTTP/1\.1 (\d{3})( )", came)


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_readers_may_read_in_two_ways_is_refused(serving: Serving, name: str) -> None:
    ((status, _),) = answers(serving, REFUSED[name])
    assert status in (b"400", b"501")


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_also_if_it_comes_byte_by_byte(serving: Serving, name: str) -> None:
    came = b""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=30) as connection, suppress(ConnectionError):
        for byte in REFUSED[name]:
            connection.sendall(bytes([byte]))
        came = b"".join(iter(lambda: connection.recv(65_536), b""))  # nothing, where it hung up before all was sent
    assert b" 200 " not in came and b"smuggled" not in came


@pytest.mark.parametrize("name", TAKEN)
def test_a_body_is_never_a_second_request(serving: Serving, name: str) -> None:
    told = answers(serving, TAKEN[name] + LAST)
    assert told[0][0] in (b"200", b"401") and b"smuggled" not in dict(told).values()
    assert [one for _, one in told[1:]] in ([], [b"last"])


def test_two_requests_that_are_two_are_answered(serving: Serving) -> None:
    """So the cases above could have been answered twice."""
    assert [one for _, one in answers(serving, GET + b"X-Request-ID: first\r\n" + END + INNER + LAST)] == [b"first", b"smuggled", b"last"]
