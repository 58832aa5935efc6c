"""Ingest: from a file to a video that can be computed.

What belongs here: the copy by content into the store, of a local file, of one that was received, or of exactly the version in the bucket
that was asked for, and the rows of `uploads` and `videos`. What does not: looking into the file (`content`, `media`), watching a bucket,
jobs (`submitting`), computing.
An upload that can be read leaves a row, and a refused one leaves nothing else. What is no fault of the file is an exception, and leaves a
row too unless it came from the bucket, where it is tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from reframer_pipeline import scratch
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import FileNotReadable, FileTooLarge, HomeNotWritable, ObjectMissing, ReframerError
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore, video_key
from reframer_pipeline.uploads.bucket import Bucket, upload_id
from reframer_pipeline.uploads.content import demand_size, ingest_file_checks, sha256_copy
from reframer_pipeline.uploads.receiving import Received
from reframer_pipeline.uploads.rows import Event, write_refusal, write_video
from reframer_pipeline.users.people import LOCAL_USER
from reframer_pipeline.versions import video_id_of
from reframer_pipeline.work.videos import lock_file

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class IngestResult:
    """What came of an upload.

    Attributes:
        upload_id: Its row in `uploads`.
        video_id: The video, or None if the file was refused, or deleted before.
        failure: Why it was refused, or None.
        already_known: Whether the same bytes had been uploaded before.
        filename: What the uploader calls the video: what it was called now, or what they called it when they brought it first.
        was_theirs: Whether they had brought it before.
    """

    upload_id: str
    video_id: str | None = None
    failure: ReframerError | None = None
    already_known: bool = False
    filename: str = ""
    was_theirs: bool = False


def take_in(bucket: Bucket, key: str, etag: str, db: Database, store: ObjectStore, settings: Settings) -> IngestResult:
    """Ingest one version of one file. Once it is taken in, saying so again changes nothing; a refused one is looked at anew.

    Returns:
        The outcome; a refused file is no exception.

    Raises:
        UploadChanged: The file is no longer this version, or ceased to be while it was copied.
        BucketUnavailable, and what `ingest_file` raises: It may be tried again.
    """
    upload = upload_id(key, etag)
    done = db.fetch_one("SELECT video_id::text FROM uploads WHERE id = %s AND status IN ('completed', 'deleted')", (upload,))
    if done is not None:
        return IngestResult(upload, done["video_id"], already_known=True)
    filename = PurePosixPath(key).name
    entry = bucket.expect(key, etag)
    try:
        demand_size(filename, entry.size, settings)  # else it is not worth a download
    except FileTooLarge as failure:
        return refuse_upload(db, failure, filename=filename, bucket_key=key, etag=etag)
    with bucket.local_file(entry, settings.scratch_dir) as path:
        return ingest_file(
            path, db, store, settings, filename=filename, bucket_key=key, etag=etag, beneath=bucket.root,
            confirm=lambda: bucket.expect(key, etag),
        )  # fmt: skip


def ingest_file(
    path: Path,
    db: Database,
    store: ObjectStore,
    settings: Settings,
    *,
    user_email: str = LOCAL_USER,
    filename: str | None = None,
    bucket_key: str | None = None,
    etag: str | None = None,
    beneath: Path | None = None,
    confirm: Callable[[], object] = lambda: None,
) -> IngestResult:
    """Take a local file in. A file of the bucket makes one row per key and tag, however often it is taken in.

    Args:
        path: The file; it is copied, never linked or moved.
        db: Gets the rows.
        store: Gets the copy.
        settings: Limits and the scratch folder.
        user_email: The uploader; made known if new.
        filename: Shown to people; default the path's name.
        bucket_key: Key in the watched bucket, if it came from there.
        etag: The bucket's tag, if it came from there; else the digest is kept.
        beneath: A folder above it that others write to: below that no link is followed.
        confirm: Called when the copy is whole, before it counts: raises if it was not the right file that was copied.

    Returns:
        The outcome; a refused file is no exception.

    Raises:
        DatabaseUnavailable, DatabaseFull: The upload may be tried again; it has left no row.
        StoreUnavailable, DiskFull, MachineTrouble, UploadChanged, HomeNotWritable: The same; its row says why, unless it came from the
            bucket, or it was known already.
        FileNotReadable: The same, for a file of the bucket; any other is refused.
    """
    event = _event_of(filename or path.name, bucket_key, etag, user_email)
    copy = settings.scratch_dir / f"upload-{event.upload_id}-{uuid.uuid4().hex[:8]}"  # a second run of the same upload has its own
    try:
        try:
            with scratch.writing(settings.scratch_dir):
                ingest_file_checks(path, settings, beneath=beneath)
                sha256, size = sha256_copy(path, copy, max_bytes=settings.max_upload_mb * 1_000_000, beneath=beneath)
            confirm()
            _store(copy, sha256, store)
        except ReframerError as failure:
            if bucket_key is not None and isinstance(failure, FileNotReadable):
                raise  # rights and mounts are mended without the file becoming another one
            if failure.retryable or isinstance(failure, HomeNotWritable):  # no fault of the upload
                if bucket_key is None:
                    _refuse(db, event, failure)
                raise
            return _refuse(db, event, failure)

        return _take_up(copy, sha256, size, event, db, store)
    finally:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)


def ingest_received(
    file: Received, upload_id: str, user_email: str, db: Database, store: ObjectStore, note: Callable[[psycopg.Connection[Row]], None]
) -> IngestResult:
    """Take in a file that was received. It may become the object itself, and must not be written to any more.

    Args:
        file: The file; it was judged while it came.
        upload_id: Of its row; the same may be taken in twice, as after an answer that was lost.
        user_email: The uploader; made known if new.
        db: Gets the rows.
        store: Gets the file.
        note: Called in the transaction, after the rows; may raise, and then nothing was written.

    Raises:
        DatabaseUnavailable, DatabaseFull, StoreUnavailable, DiskFull, MachineTrouble: It has left no row.
    """
    _store(file.path, file.sha256, store)
    event = Event(upload_id, user_email, clean_text(file.filename), None, None)
    return _take_up(file.path, file.sha256, file.size, event, db, store, note)


def refuse_upload(db: Database, failure: ReframerError, *, filename: str, bucket_key: str, etag: str) -> IngestResult:
    """Note that a file of the bucket is not taken in, and why: the latest reason stays. What was taken in meanwhile stays so."""
    return _refuse(db, _event_of(filename, bucket_key, etag), failure)


@contextlib.contextmanager
def local_copy(sha256: str, store: ObjectStore, folder: Path) -> Iterator[Path]:
    """The video file as a local path, for programs that need one; read it only.

    Args:
        sha256: Its digest.
        store: Where it lies. A local store's own object is given out, a remote one is downloaded for the block.
        folder: Folder for the download.

    Raises:
        ObjectMissing: It is not in the store, or no longer what was uploaded. The latter is looked at if the block finds fault with the
            video: a program that is given a path cannot tell a bad disk, or one that was unmounted, from a bad file.
        StoreUnavailable: It cannot be read; also after the block.
        DiskFull, MachineTrouble, HomeNotWritable: The folder cannot be used.
    """
    key = video_key(sha256)
    local = store.local_path(key)
    if local is not None:
        store.open_object(key).close()
        with _blaming(sha256, lambda: store.open_object(key)):
            yield local
        return
    with scratch.private(folder) as place:
        download = place / "video"
        store.get(key, download)
        with _blaming(sha256, lambda: download.open("rb")):
            yield download


@contextlib.contextmanager
def _blaming(sha256: str, opened: Callable[[], BinaryIO]) -> Iterator[None]:
    try:
        yield
    except ReframerError as failure:
        if failure.blames_video and not failure.retryable:
            with opened() as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256  # type: ignore[arg-type]
            if not whole:
                remedy = "Delete that object from the store, and upload the file again."
                raise ObjectMissing(f"The object {video_key(sha256)} is no longer what was uploaded.", remedy) from failure
        raise


def _event_of(filename: str, bucket_key: str | None, etag: str | None, email: str = LOCAL_USER) -> Event:
    if bucket_key is None or etag is None:
        return Event(str(uuid.uuid4()), email, clean_text(filename), bucket_key, etag)
    return Event(upload_id(bucket_key, etag), email, clean_text(filename), clean_text(bucket_key), etag)


def _store(copy: Path, sha256: str, store: ObjectStore) -> None:
    key = video_key(sha256)
    if not store.exists(key):
        store.put(copy, key)


def _take_up(
    copy: Path,
    sha256: str,
    size: int,
    event: Event,
    db: Database,
    store: ObjectStore,
    note: Callable[[psycopg.Connection[Row]], None] = lambda conn: None,
) -> IngestResult:
    """The rows of a file that is stored."""

    def act(conn: psycopg.Connection[Row]) -> IngestResult:
        lock_file(conn, sha256)
        if conn.execute("SELECT 1 FROM uploads WHERE id = %s AND status = 'deleted' FOR UPDATE", (event.upload_id,)).fetchone():
            return IngestResult(event.upload_id, already_known=True)
        _store(copy, sha256, store)  # it was an orphan, and a sweep took it away; from now on none can, and no row will be without it
        written = write_video(conn, event, sha256, size)  # last: a store may take minutes, and others want the uploader's row
        note(conn)
        return IngestResult(event.upload_id, video_id_of(sha256), None, not written.is_new, written.filename, written.was_theirs)

    return db.run(act)


def _refuse(db: Database, event: Event, failure: ReframerError) -> IngestResult:
    db.run(lambda conn: write_refusal(conn, event, failure))
    return IngestResult(event.upload_id, failure=failure)
