"""Uploads that come in several connections (tus 1.0): how far each is, going on with it, and what becomes of it.

What belongs here: the file that grows in the scratch folder, and its row. What does not: HTTP (`api.resumable`), judging (`receiving`). The
file's size is the offset, and nothing else is: it is true after a kill at any point. One process at a time writes to it, by the file's
lock. A whole upload becomes a job under its own id, so doing that twice makes one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from reframer_pipeline import scratch
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import NotAVideo, OffsetConflict, PermanentFailure, ReframerError, RequestInvalid, UploadInUse
from reframer_pipeline.media.containers import HEAD_BYTES, recognise
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.content import demand_size
from reframer_pipeline.uploads.receiving import Judge, Received, digest, open_ours
from reframer_pipeline.uploads.submitting import Asked, Submitted, demand_room, submit
from reframer_pipeline.users.quotas import demand_bytes, demand_upload
from reframer_pipeline.work.videos import is_video_id

if TYPE_CHECKING:
    import psycopg

_log = logging.getLogger(__name__)
EXPIRES_S: Final = scratch.MAX_AGE_S  # after the last byte; the scratch folder keeps no file longer


@dataclass(frozen=True)
class Resumable:
    """An upload on its way.

    Attributes:
        upload_id: Its id, and its job's.
        user_id: Whose it is.
        email: Their address.
        filename: As the sender calls it.
        size: Bytes that it will have.
        asked: What else was said of the job.
        expires_at: When it is dropped if nothing more comes.
        sha256: Of its bytes, once it is whole and they were read.
        path: Its file.
    """

    upload_id: str
    user_id: str
    email: str
    filename: str
    size: int
    asked: Mapping[str, Any]
    expires_at: datetime
    sha256: str | None
    path: Path

    @property
    def offset(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size


def create(storage: Storage, asked: Asked, filename: str, size: int) -> Resumable:
    """Begin one.

    Raises:
        FileTooLarge: It would have more bytes than are allowed.
        QuotaUsedUp: The API key has too many uploads or jobs already, or not so many bytes left today.
        DiskFull, MachineTrouble, HomeNotWritable: Its file cannot be made.
    """
    demand_size(filename, size, storage.settings)
    upload_id = str(uuid.uuid4())
    more = {"webhook_url": asked.webhook_url, "webhook_secret": asked.webhook_secret, "api_key_id": asked.api_key_id}
    demand_room(storage, asked)

    def act(conn: psycopg.Connection[Row]) -> None:
        if asked.api_key_id is not None:
            demand_upload(conn, asked.api_key_id, storage.settings.api_uploads_at_once, upload_id)
            demand_bytes(conn, asked.api_key_id, size, storage.settings.api_upload_mb_per_day * 1_000_000)
        conn.execute(
            """INSERT INTO resumable_uploads (id, user_id, filename, size_bytes, asked, expires_at)
               VALUES (%s, %s, %s, %s, %s, now() + %s * interval '1 second') ON CONFLICT (id) DO NOTHING""",
            (upload_id, asked.user_id, filename, size, json.dumps(more), EXPIRES_S),
        )

    path = _path(storage.settings, upload_id)
    with scratch.writing(storage.settings.scratch_dir):
        open_ours(path).close()
    try:
        storage.db.run(act)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    made = find(storage, asked.user_id, upload_id)
    assert made is not None
    return made


def find(storage: Storage, user_id: str, upload_id: str) -> Resumable | None:
    """One of a person's that is on its way; None if there is none, or it has expired, or its bytes lie on another machine."""
    if not is_video_id(upload_id):
        return None
    found = _read(storage.db, storage.settings, "id = %(id)s AND user_id = %(user)s AND expires_at > now()", id=upload_id, user=user_id)
    return found[0] if found and found[0].path.is_file() else None


class Appender:
    """Takes the next bytes of an upload, in order."""

    def __init__(self, upload: Resumable, file: BinaryIO, settings: Settings) -> None:
        self._upload, self._file, self._folder = upload, file, settings.scratch_dir
        self._judge = Judge(upload.filename, settings)
        self._judge.resume(_head(upload.path), self.offset)

    @property
    def offset(self) -> int:
        """Bytes that are in the file."""
        return os.fstat(self._file.fileno()).st_size

    def write(self, piece: bytes) -> None:
        """Judge a piece and keep it.

        Raises:
            FileTooLarge, NotAVideo: As soon as the bytes so far decide it.
            RequestInvalid: It is more than was announced.
            DiskFull, MachineTrouble, HomeNotWritable: It cannot be kept.
        """
        self._judge.look(piece)
        if self._judge.size > self._upload.size:
            raise RequestInvalid(f"{self._upload.filename} was to have {self._upload.size} bytes.")
        with scratch.writing(self._folder):
            self._file.write(piece)
            self._file.flush()  # what was taken is in the file, whatever becomes of this process


@contextlib.contextmanager
def appending(storage: Storage, upload: Resumable, offset: int) -> Iterator[Appender]:
    """Go on with an upload; what came is kept however the block ends, but if it is refused for good, it goes.

    Raises:
        UploadInUse: Another one is at it.
        OffsetConflict: It has come to another place.
    """
    with _locked(storage.settings, upload) as file:
        appender = Appender(upload, file, storage.settings)
        if appender.offset != offset:
            raise OffsetConflict(f"{upload.filename} has come to byte {appender.offset}, not {offset}.")
        try:
            yield appender
        except PermanentFailure as failure:
            if not isinstance(failure, RequestInvalid):
                remove(storage, upload)
            raise
        finally:
            with scratch.writing(storage.settings.scratch_dir):
                os.fsync(file.fileno())
            query = "UPDATE resumable_uploads SET expires_at = now() + %s * interval '1 second' WHERE id = %s"
            storage.db.execute(query, (EXPIRES_S, upload.upload_id))


def complete(storage: Storage, upload: Resumable) -> Submitted | None:
    """Make an upload a job if all of it has come; None if not.

    Raises:
        NotAVideo: It ended before that could be told, and goes.
        UploadInUse, and what `submit` raises: The bytes stay.
    """
    with _locked(storage.settings, upload):
        if upload.offset != upload.size:
            return None
        try:
            recognise(_head(upload.path), upload.filename)
        except NotAVideo:
            remove(storage, upload)
            raise
        asked = Asked(upload.user_id, upload.email, **upload.asked)
        demand_room(storage, asked, upload.upload_id)
        sha256 = upload.sha256
        if sha256 is None:  # whoever asks how far it is may come here often, if it cannot be a job yet
            with scratch.writing(storage.settings.scratch_dir):
                sha256 = digest(upload.path)
            storage.db.execute("UPDATE resumable_uploads SET sha256 = %s WHERE id = %s", (sha256, upload.upload_id))
        job = submit(storage, Received(upload.path, upload.filename, sha256, upload.size), asked, upload.upload_id)
        remove(storage, upload)
        return job


def remove(storage: Storage, upload: Resumable) -> None:
    """Drop an upload with its bytes."""
    upload.path.unlink(missing_ok=True)
    storage.db.execute("DELETE FROM resumable_uploads WHERE id = %s", (upload.upload_id,))


def complete_all(storage: Storage) -> list[Submitted]:
    """Make jobs of the uploads that are whole and were not made any, because a process died in between, or their quota was used up.

    What cannot be made one now is left to the next call, and keeps no other one waiting.
    """
    done = []
    for upload in _read(storage.db, storage.settings, "expires_at > now()"):
        try:
            if upload.offset == upload.size and (job := complete(storage, upload)) is not None:
                done.append(job)
        except (FileNotFoundError, UploadInUse):  # another machine's, or somebody is at it
            continue
        except ReframerError as failure:
            _log.warning("The upload %s is no job yet: [%s] %s", upload.upload_id, failure.code, failure.message)
    return done


def sweep(storage: Storage) -> int:
    """Drop what has expired. Returns how many."""
    expired = _read(storage.db, storage.settings, "expires_at <= now()")
    for upload in expired:
        remove(storage, upload)
    return len(expired)


def _path(settings: Settings, upload_id: str) -> Path:
    return settings.scratch_dir / f"resumable-{upload_id}.part"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


@contextlib.contextmanager
def _locked(settings: Settings, upload: Resumable) -> Iterator[BinaryIO]:
    try:
        file = open_ours(upload.path)
    except BlockingIOError as error:
        raise UploadInUse(f"Another connection is at {upload.filename}.") from error
    with file:
        yield file


def _read(db: Database, settings: Settings, which: str, **params: str) -> list[Resumable]:
    query = f"""SELECT r.id::text AS upload_id, user_id::text, email, filename, size_bytes AS size, asked, expires_at, sha256
        FROM (SELECT * FROM resumable_uploads WHERE {which}) r JOIN users u ON u.id = r.user_id ORDER BY r.created_at"""
    rows: list[Row] = db.fetch(query, params)
    return [Resumable(**row, path=_path(settings, row["upload_id"])) for row in rows]
