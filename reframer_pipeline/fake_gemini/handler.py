"""One connection: requests are read, routed to the endpoint's function, and answered, well or as scripted.

What belongs here: HTTP, and how the behaviours of a connection are carried out. What does not: what files and answers hold.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, cast
from urllib.parse import parse_qs

from reframer_pipeline.fake_gemini import answers, errors
from reframer_pipeline.fake_gemini.behaviours import FOR_EVER, Behaviour, Endpoint, Kind
from reframer_pipeline.fake_gemini.desk import Desk
from reframer_pipeline.fake_gemini.record import RecordedRequest, without_media

ROUTES: Final = {
    Endpoint.UPLOAD_START: r"POST /upload/(?P<version>v1|v1beta)/files",
    Endpoint.LIST_FILES: r"GET /(?P<version>v1|v1beta)/files",
    Endpoint.GET_FILE: r"GET /(?P<version>v1|v1beta)/files/(?P<name>[^/:]+)",
    Endpoint.DELETE_FILE: r"DELETE /(?P<version>v1|v1beta)/files/(?P<name>[^/:]+)",
    Endpoint.GENERATE: r"POST /(?P<version>v1|v1beta)/models/(?P<name>[^/:]+):generateContent",
}
RETIRED: Final = ("gemini-1.", "gemini-2.0")  # have been shut down; other names that begin with `gemini-` are known
PIECE: Final = 64 * 2**10
DRIP_S: Final = 0.05
FOR_EVER_BYTES: Final = 2**30
PAGE: Final = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


@dataclass
class Reply:
    """An answer before it is written."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=UTF-8"


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 with keep-alive. See `FakeGemini`."""

    protocol_version = "HTTP/1.1"
    server_version = "reframer-fake-gemini"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.desk: Desk = cast(Any, self.server).desk
        super().setup()
        self.connection.settimeout(self.desk.silence_s)
        self.desk.connections.add(self.connection)

    def finish(self) -> None:
        self.desk.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing here: the record is the log."""

    def do_POST(self) -> None:
        self._deal()

    do_GET = do_DELETE = do_POST

    def _deal(self) -> None:
        arrived, started = time.time(), time.perf_counter()
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        self.query, self.left = parse_qs(query), int(length) if length.isdigit() else 0
        self.behaviour: Behaviour | None = None
        self.body: dict[str, Any] | None = None
        endpoint, values = self._route(path)
        try:
            reply = self._reply(endpoint, values)
        except errors.ApiError as error:
            reply = Reply(error.code, json.dumps(error.body).encode())
            if endpoint is Endpoint.UPLOAD_CHUNK and error.code < 429:  # 429 and 5xx say that the chunk may be sent again
                reply.headers["X-Goog-Upload-Status"] = "final"
        model = values["name"] if endpoint is Endpoint.GENERATE else ""
        kind = self.behaviour.kind if self.behaviour else None
        asked = (self.command, path, endpoint, model, arrived, time.perf_counter() - started)
        self.desk.note(RecordedRequest(*asked, reply.status if reply else None, kind, without_media(self.body)))
        self._discard()
        if reply is None:
            self._hang_up()
        else:
            self._write(reply, kind)

    def _route(self, path: str) -> tuple[Endpoint | None, dict[str, str]]:
        for endpoint, pattern in ROUTES.items():
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                chunk = endpoint is Endpoint.UPLOAD_START and "upload_id" in self.query
                return (Endpoint.UPLOAD_CHUNK if chunk else endpoint), match.groupdict()
        return None, {}

    def _reply(self, endpoint: Endpoint | None, values: dict[str, str]) -> Reply | None:
        """What to answer; None: nothing, the connection is closed. Raises `ApiError`."""
        if endpoint is None:
            raise errors.not_found()
        key = self.headers.get("x-goog-api-key") or self.query.get("key", [""])[0]
        if key in ("", "invalid") and endpoint is not Endpoint.UPLOAD_CHUNK:  # the address of an upload is its own secret
            raise errors.key_refused(key)
        if endpoint is Endpoint.GENERATE:
            self.body = self._json()
        self.behaviour = behaviour = self.desk.pending.next(endpoint)
        if behaviour:
            silent = behaviour.kind in (Kind.HANG, Kind.DROP)
            if silent:
                self._discard()
            self.desk.stopping.wait(behaviour.wait_seconds or (FOR_EVER if behaviour.kind is Kind.HANG else 0.0))
            if silent or self.desk.stopping.is_set():
                return None
            error = errors.scripted(behaviour, values.get("name", ""))
            if error:
                raise error
            if behaviour.kind is Kind.HTML:
                return Reply(502, PAGE, content_type="text/html; charset=UTF-8")
        answer: Callable[[dict[str, str]], Reply] = getattr(self, f"_{endpoint}")
        return answer(values)

    def _upload_start(self, values: dict[str, str]) -> Reply:
        wanted = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        if any(self.headers.get(name, "").lower() != value for name, value in wanted.items()):
            raise errors.invalid_argument("Only the resumable upload protocol is served here.")
        meta = self._json(optional=True).get("file") or {}
        size = self.headers.get("X-Goog-Upload-Header-Content-Length", "")
        mime_type = self.headers.get("X-Goog-Upload-Header-Content-Type") or answers.get(meta, "mime_type") or ""
        name, shown = meta.get("name"), answers.get(meta, "display_name") or ""
        fate = self.desk.pending.next(None)
        upload_id = self.desk.files.start(name, shown, mime_type, int(size) if size.isdigit() else 0, fate.kind if fate else None)
        url = f"{self.desk.url}/upload/{values['version']}/files?upload_id={upload_id}&upload_protocol=resumable"
        return Reply(200, b"", {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active", "X-Goog-Upload-Chunk-Granularity": "8388608"})

    def _upload_chunk(self, values: dict[str, str]) -> Reply:
        commands = [word.strip() for word in self.headers.get("X-Goog-Upload-Command", "").split(",")]
        offset = self.headers.get("X-Goog-Upload-Offset", "")
        if commands not in (["upload"], ["upload", "finalize"]) or not offset.isdigit():
            raise errors.invalid_argument("Invalid upload command or offset.")
        finalize = "finalize" in commands
        file = self.desk.files.append(self.query["upload_id"][0], int(offset), self.left, self._pieces(), finalize)
        body = json.dumps({"file": file}).encode() if finalize else b""
        return Reply(200, body, {"X-Goog-Upload-Status": "final" if finalize else "active"})

    def _get_file(self, values: dict[str, str]) -> Reply:
        return _ok(self.desk.files.poll(values["name"]))

    def _list_files(self, values: dict[str, str]) -> Reply:
        return _ok({"files": self.desk.files.listed()})

    def _delete_file(self, values: dict[str, str]) -> Reply:
        self.desk.files.delete(values["name"])
        return _ok({})

    def _generate(self, values: dict[str, str]) -> Reply:
        model, body = values["name"], self.body or {}
        if not model.startswith("gemini-"):
            raise errors.model_unknown(model, values["version"])
        if model.startswith(RETIRED):
            raise errors.model_retired(model)
        unknown = answers.unknown_keywords(answers.get(answers.get(body, "generation_config") or {}, "response_json_schema"))
        if unknown:
            raise errors.invalid_argument()  # the real API does not say which either
        parts = list(answers.parts_of(body))
        if not parts:
            raise errors.invalid_argument("* GenerateContentRequest.contents: contents is not specified\n")
        for part in parts:
            file = answers.get(part, "file_data")
            if file:
                self.desk.files.use(str(answers.get(file, "file_uri")))
        return _ok(answers.respond(model, body, self.behaviour))

    def _json(self, optional: bool = False) -> dict[str, Any]:
        """The body. Raises `ApiError` (400) if it is too large or no JSON object."""
        if self.left > self.desk.max_body_bytes:
            raise errors.invalid_argument(f"Request payload size exceeds the limit: {self.desk.max_body_bytes} bytes.")
        text = b"".join(self._pieces())
        try:
            value = json.loads(text) if text or not optional else {}
        except ValueError as error:
            raise errors.invalid_argument(f"Invalid JSON payload received. {error}") from error
        if not isinstance(value, dict):
            raise errors.invalid_argument("Invalid JSON payload received. Root element must be a message.")
        return value

    def _pieces(self) -> Iterator[bytes]:
        while self.left:
            piece = self.rfile.read(min(self.left, PIECE))
            if not piece:
                raise ConnectionResetError("the client went away")
            self.left -= len(piece)
            yield piece

    def _discard(self) -> None:
        """Read what nobody wanted, so that the client hears the answer instead of a reset."""
        for _ in self._pieces():
            pass

    def _write(self, reply: Reply, kind: Kind | None) -> None:
        if kind is Kind.BAD_GZIP:
            reply.headers["Content-Encoding"] = "gzip"
        body = b"" if kind is Kind.EMPTY else reply.body[: len(reply.body) // 2] if kind is Kind.HALF_JSON else reply.body
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(FOR_EVER_BYTES if kind is Kind.DRIP else len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        while kind is Kind.DRIP and not self.desk.stopping.wait(DRIP_S):
            self.wfile.write(b" ")
        self.wfile.write(body[: len(body) // 2] if kind is Kind.CUT_OFF else body)
        if kind is Kind.CUT_OFF:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        close(self.connection)


def close(connection: socket.socket) -> None:
    """Tell the other side that nothing more comes."""
    with contextlib.suppress(OSError):  # it may be closed already
        connection.shutdown(socket.SHUT_RDWR)


def _ok(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode())
