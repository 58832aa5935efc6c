"""A video in a multipart form, received as it streams.

What belongs here: the pieces of a request's body and what they are charged to, and the form around the file. What does not: judging the
bytes (`uploads.receiving`), what the fields mean (`jobs`). FastAPI's own forms are whole on a disk before a route sees them: too late to
refuse 500 MB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reframer_pipeline.api.access import Writer
from reframer_pipeline.api.services import Served
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import FileTooLarge, RequestInvalid
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.content import demand_size
from reframer_pipeline.uploads.receiving import Received, Receiver, receiving
from reframer_pipeline.users.quotas import give_back_bytes, spend_bytes

UNLIMITED: Final = 2**62  # for routes whose bodies are judged while they arrive
_AROUND: Final = 1_000_000  # bytes of a form that are not the file's
_FIELD: Final = 10_000  # longest text of one field, bytes
_PARTS: Final = 8
_FILE: Final = "file"
_FIELDS: Final = {_FILE, "webhook_url"}


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body, as it arrives. Raises `ClientDisconnect` if it breaks off, or nothing more comes."""
    async for piece in request.stream():
        if piece:
            request.state.received = getattr(request.state, "received", 0) + len(piece)
            yield piece


async def _paid(request: Request, served: Served, who: Writer) -> AsyncIterator[None]:
    """The body's bytes come off the key's quota before the first of them is read; what did not come is given back.

    Raises:
        FileTooLarge: It is announced to be larger than any upload.
        QuotaUsedUp: Not so many are left.
    """
    announced, largest = request.headers.get("content-length", ""), served.settings.max_upload_mb * 1_000_000
    count = int(announced) if announced.isdecimal() else largest
    demand_size("The upload", count - _AROUND, served.settings)
    day = await run_in_threadpool(spend_bytes, served.db, who.key_id, count, served.settings.api_upload_mb_per_day * 1_000_000)
    try:
        yield
    finally:
        left = count - getattr(request.state, "received", 0)
        if left > 0:
            await run_in_threadpool(give_back_bytes, served.db, who.key_id, left, day)


Paid = Depends(_paid)


def base_name(filename: str) -> str:
    """What a sender calls a file, without the folders of their machine."""
    return clean_text(PureWindowsPath(filename).name)[-200:] or "upload"


@asynccontextmanager
async def received_form(request: Request, settings: Settings) -> AsyncIterator[tuple[Received, dict[str, str]]]:
    """The one file of a form, and its other fields; the file goes with the block.

    Raises:
        FileTooLarge, NotAVideo: At the first byte that decides it.
        RequestInvalid: It is no such form, or has no file or several, or broke off.
        DiskFull, MachineTrouble, HomeNotWritable: The file cannot be kept.
    """
    form, came = _Form(request.headers.get("content-type", "")), 0
    with ExitStack() as stack:
        receiver: Receiver | None = None
        async for piece in pieces(request):
            came += len(piece)
            if came > settings.max_upload_mb * 1_000_000 + _AROUND:
                raise FileTooLarge("The body is larger than the largest upload.")
            for filename, content in form.feed(piece):
                if receiver is None:
                    receiver = await run_in_threadpool(stack.enter_context, receiving(filename, settings))
                await run_in_threadpool(receiver.write, content)
        if receiver is None or not form.ended:
            raise RequestInvalid("The form has no file, or broke off.")
        yield await run_in_threadpool(receiver.finish), form.fields


@dataclass
class _Part:
    disposition: bytes = b""
    header: bytes = b""
    name: str = ""
    filename: str | None = None
    text: bytearray = field(default_factory=bytearray)


class _Form:
    """A multipart body: what of it is the file's content, and the texts beside it."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise RequestInvalid("The body is no form with a file (multipart/form-data).")
        self.fields: dict[str, str] = {}
        self.ended = False
        self._part, self._parts, self._files, self._came = _Part(), 0, 0, list[tuple[str, bytes]]()
        names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end")
        callbacks: Any = {f"on_{name}": getattr(self, f"_{name}") for name in names}
        self._parser = MultipartParser(options[b"boundary"], callbacks)

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """The next bytes of the body. Returns the file's name and content in them; an empty content when it begins.

        Raises:
            RequestInvalid: It is no such form.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise RequestInvalid(f"The form cannot be read: {error}") from error
        came, self._came = self._came, []
        return came

    def _part_begin(self) -> None:
        self._part, self._parts = _Part(), self._parts + 1
        if self._parts > _PARTS:
            raise RequestInvalid(f"The form has more than {_PARTS} fields.")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end].lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        if self._part.header == b"content-disposition":
            self._part.disposition += data[start:end]

    def _header_end(self) -> None:
        self._part.header = b""

    def _headers_finished(self) -> None:
        options = parse_options_header(self._part.disposition)[1]
        self._part.name = options.get(b"name", b"").decode(errors="replace")
        if b"filename" in options:
            if self._part.name != _FILE:
                raise RequestInvalid(f"The form's file is in a field that is not called {_FILE}.")
            self._files += 1
            if self._files > 1:
                raise RequestInvalid("The form has several files; a job has one.")
            self._part.filename = base_name(options[b"filename"].decode(errors="replace"))
            self._came.append((self._part.filename, b""))
        elif self._part.name not in _FIELDS:
            raise RequestInvalid(f"The form has a field that is none of {', '.join(sorted(_FIELDS))}.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.filename is not None:
            self._came.append((self._part.filename, data[start:end]))
            return
        self._part.text += data[start:end]
        if len(self._part.text) > _FIELD:
            raise RequestInvalid(f"The field {self._part.name} is longer than {_FIELD} bytes.")

    def _part_end(self) -> None:
        if self._part.filename is None:
            self.fields[self._part.name] = self._part.text.decode(errors="replace")

    def _end(self) -> None:
        self.ended = True
