"""The File API's memory: uploads on their way, and files with their states. Bytes are counted and hashed, and not kept.

What belongs here: what is true of an upload or a file, and the errors that follow from it. What does not: HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reframer_pipeline.fake_gemini import errors
from reframer_pipeline.fake_gemini.behaviours import Kind

GRANULARITY: Final = 8 * 2**20  # chunks but the last are multiples of it; google-genai sends exactly this much
MAX_FILE_BYTES: Final = 2 * 10**9  # the File API's limit
KEPT: Final = timedelta(hours=48)
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass
class StoredFile:
    """A file, or an upload that is to become one.

    Attributes:
        file_id: Its name without `files/`.
        size_bytes: As announced when the upload started; received in full before the file exists.
        polls_left: How many more polls see it PROCESSING.
        fate: What becomes of it instead of ACTIVE.
    """

    file_id: str
    display_name: str
    mime_type: str
    size_bytes: int
    polls_left: int
    fate: Kind | None = None
    received: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    sha256: Any = field(default_factory=hashlib.sha256)

    @property
    def state(self) -> str:
        """PROCESSING, ACTIVE or FAILED."""
        if self.polls_left or self.fate is Kind.FILE_STAYS:
            return "PROCESSING"
        return "FAILED" if self.fate is Kind.FILE_FAILS else "ACTIVE"

    def resource(self, url: str) -> dict[str, Any]:
        """The file as the API shows it. `sizeBytes` is a string, and `sha256Hash` the base64 of the hexadecimal digest."""
        shown = {
            "name": f"files/{self.file_id}",
            "displayName": self.display_name,
            "mimeType": self.mime_type,
            "sizeBytes": str(self.size_bytes),
            "createTime": _time(self.created),
            "updateTime": _time(datetime.now(UTC)),
            "expirationTime": _time(self.created + KEPT),
            "sha256Hash": base64.b64encode(self.sha256.hexdigest().encode()).decode(),
            "uri": f"{url}/v1beta/files/{self.file_id}",
            "state": self.state,
            "source": "UPLOADED",
        }
        return {**shown, "error": {"code": 13, "message": "Video processing failed."}} if self.state == "FAILED" else shown


class FileStore:
    """Uploads by upload id, files by file id. Safe for threads; one upload is fed by one client at a time.

    Args:
        url: The server's own, for the files' URIs.
        polls_until_active: How many polls see a file PROCESSING after its upload.
    """

    def __init__(self, url: str, polls_until_active: int) -> None:
        self.url = url
        self._polls = polls_until_active
        self._lock = threading.Lock()
        self._uploads: dict[str, StoredFile] = {}
        self._files: dict[str, StoredFile] = {}

    def start(self, name: str | None, display_name: str, mime_type: str, size: int, fate: Kind | None) -> str:
        """Begin an upload and return its id. Raises `ApiError` (400) for a bad name, type or size, 409 for a name in use."""
        file_id = (name or uuid.uuid4().hex[:12]).removeprefix("files/")
        if not NAME.fullmatch(file_id):
            raise errors.invalid_argument("* CreateFileRequest.file.name: name must be lowercase alphanumeric or dashes.")
        if "/" not in mime_type or not 0 < size <= MAX_FILE_BYTES:
            raise errors.invalid_argument("* CreateFileRequest.file: unsupported MIME type or size.")
        with self._lock:
            if file_id in self._files:
                raise errors.ApiError(409, "ALREADY_EXISTS", f"The File {file_id} already exists.")
            upload_id = uuid.uuid4().hex
            self._uploads[upload_id] = StoredFile(file_id, display_name, mime_type, size, self._polls, fate)
        return upload_id

    def append(self, upload_id: str, offset: int, length: int, pieces: Iterable[bytes], finalize: bool) -> dict[str, Any] | None:
        """Take in a chunk of `length` bytes.

        Returns:
            The file if this was the last chunk, else None.

        Raises:
            ApiError: 404 for an unknown upload; 400 for an offset that is not what was received so far, a chunk of a wrong size, or
                an end that comes too early. Either ends the upload.
        """
        with self._lock:
            upload = self._uploads.pop(upload_id, None)
        if upload is None:
            raise errors.not_found()
        end = offset + length
        fits = end == upload.size_bytes if finalize else length % GRANULARITY == 0 and end <= upload.size_bytes
        if offset != upload.received or not fits:
            raise errors.invalid_argument(f"Invalid upload: {length} bytes at {offset}, {upload.received} received of {upload.size_bytes}.")
        for piece in pieces:
            upload.sha256.update(piece)
            upload.received += len(piece)
        with self._lock:
            (self._files if finalize else self._uploads)[upload.file_id if finalize else upload_id] = upload
        return upload.resource(self.url) if finalize else None

    def poll(self, file_id: str) -> dict[str, Any]:
        """The file as it is now; a poll brings it nearer to ACTIVE. Raises `ApiError` (403) for an unknown one."""
        with self._lock:
            file = self._known(file_id)
            shown = file.resource(self.url)
            file.polls_left = max(0, file.polls_left - 1)
            return shown

    def listed(self) -> list[dict[str, Any]]:
        """All files, newest first."""
        with self._lock:
            return [file.resource(self.url) for file in reversed(self._files.values())]

    def delete(self, file_id: str) -> None:
        """Raises `ApiError` (403) for an unknown one."""
        with self._lock:
            self._known(file_id)
            del self._files[file_id]

    def use(self, uri: str) -> None:
        """A request for an answer names this file. Raises `ApiError`: 400 if it is not ACTIVE, 403 if it is unknown or expires now."""
        with self._lock:
            file_id = uri.rpartition("files/")[2]
            file = self._known(file_id)
            if file.state != "ACTIVE":
                raise errors.file_not_active(file_id)
            if file.fate is Kind.FILE_EXPIRES:
                del self._files[file_id]
                raise errors.file_gone(file_id)

    def _known(self, file_id: str) -> StoredFile:
        if file_id not in self._files:
            raise errors.file_gone(file_id)
        return self._files[file_id]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
