"""A video in a multipart form, received as it streams.

What belongs here: the form around the file. What does not: the bytes it comes in (`bodies`), judging those of the file
(`uploads.receiving`), what the other fields mean (`jobs`). FastAPI's own forms are whole on a disk before a route sees them: too late to
refuse 500 MB.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any, Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reframer_pipeline.api.bodies import AROUND, pieces
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import FileTooLarge, RequestInvalid
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.receiving import Received, Receiver, receiving

_FIELD: Final = 10_000  # longest text of one field, bytes
_PARTS: Final = 8
_FILE: Final = "file"


def base_name(filename: str) -> str:
    """What a sender calls a file, without the folders of their machine; it names no folder itself."""
    name = clean_text(PureWindowsPath(filename).name)[-200:]
    return name if name.strip(".") else "upload"


@asynccontextmanager
async def received_form(
    request: Request, settings: Settings, judges: Mapping[str, Callable[[str], object]]
) -> AsyncIterator[tuple[Received, dict[str, str]]]:
    """The one file of a form, and its other fields; the file goes with the block.

    Args:
        request: Its body is the form.
        settings: Which files are taken.
        judges: The other fields that it may have, by name. Each is called as soon as its field has been read, and raises what it refuses.

    Raises:
        FileTooLarge, NotAVideo: At the first byte that decides it.
        RequestInvalid: It is no such form, or has no file or several, or broke off.
        DiskFull, MachineTrouble, HomeNotWritable: The file cannot be kept.
    """
    form, came = _Form(request.headers.get("content-type", ""), judges), 0
    with ExitStack() as stack:
        receiver: Receiver | None = None
        async for piece in pieces(request):
            came += len(piece)
            if came > settings.max_upload_mb * 1_000_000 + AROUND:
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

    def __init__(self, content_type: str, judges: Mapping[str, Callable[[str], object]]) -> None:
        self._judges = judges
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
        elif self._part.name not in self._judges:
            raise RequestInvalid(f"The form has a field that is none of {', '.join(sorted((_FILE, *self._judges)))}.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.filename is not None:
            self._came.append((self._part.filename, data[start:end]))
            return
        self._part.text += data[start:end]
        if len(self._part.text) > _FIELD:
            raise RequestInvalid(f"The field {self._part.name} is longer than {_FIELD} bytes.")

    def _part_end(self) -> None:
        if self._part.filename is None:
            self.fields[self._part.name] = text = self._part.text.decode(errors="replace")
            self._judges[self._part.name](text)

    def _end(self) -> None:
        self.ended = True
