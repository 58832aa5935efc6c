"""Real S3 servers for tests, on loopback: moto's, and ones that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks the S3 protocol and keeps its objects in memory."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """`s3://…` of a new, empty bucket; the environment leads s3fs to it."""
    with pointing_at(s3_server, monkeypatch):
        import s3fs

        name = f"bucket-{abs(hash(request.node.nodeid))}"
        s3fs.S3FileSystem().mkdir(name)
        yield f"s3://{name}"


def fill(bucket: str, names: list[str]) -> None:
    """Put objects of one byte into a bucket of the server, past its HTTP side: that takes a hundredth of a second for each."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for name in names:
        backend.put_object(bucket.removeprefix("s3://"), name, b"x")


@contextmanager
def pointing_at(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """s3fs talks to this server within the block; it keeps file systems, so before and after they are forgotten."""
    import s3fs

    with monkeypatch.context() as patched:
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": address}.items():
            patched.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield
    s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def failing_s3(answer: Callable[[str], tuple[int, str]]) -> Iterator[str]:
    """The address of a server that gives each GET the status and body that `answer` makes of its path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
