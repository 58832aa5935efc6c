"""Ingest: from a file to a video that can be computed.

What belongs here: the copy by content into the store, of a local file or of exactly the version in the bucket that was asked for, and the
rows of `uploads` and `videos`. What does not: looking into the file (`content`, `media`), watching a bucket, computing.
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
from reframer_pipeline.uploads.content import ingest_file_checks, sha256_copy
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
        video_id: The video, or None if the file was refused.
        failure: Why it was refused, or None.
        already_known: Whether the same bytes had been uploaded before.
    """

    upload_id: str
    video_id: str | None = None
    failure: ReframerError | None = None
    already_known: bool = False


def take_in(bucket: Bucket, key: str, etag: str, db: Database, store: ObjectStore, settings: Settings) -> IngestResult:
    """Ingest one version of one file. Once it is taken in, saying so again changes nothing; a refused one is looked at anew.

    Returns:
        The outcome; a refused file is no exception.

    Raises:
        UploadChanged: The file is no longer this version, or ceased to be while it was copied.
        BucketUnavailable, and what `ingest_file` raises: It may be tried again.
    """
    upload = upload_id(key, etag)
    done = db.fetch_one("SELECT video_id::text FROM uploads WHERE id = %s AND status = 'completed' AND video_id IS NOT NULL", (upload,))
    if done is not None:
        return IngestResult(upload, done["video_id"], already_known=True)
    filename = PurePosixPath(key).name
    entry = bucket.expect(key, etag)
    if entry.size > settings.max_upload_mb * 1_000_000:  # not worth a download
        failure = FileTooLarge(f"{filename} has {entry.size / 1e6:.1f} MB; {settings.max_upload_mb} MB are allowed.")
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
    event = _event(filename or path.name, bucket_key, etag, user_email)
    copy = settings.scratch_dir / f"upload-{event.upload_id}-{uuid.uuid4().hex[:8]}"  # a second run of the same upload has its own
    try:
        try:
            with scratch.writing(settings.scratch_dir):
                ingest_file_checks(path, settings, beneath=beneath)
                sha256, size = sha256_copy(path, copy, max_bytes=settings.max_upload_mb * 1_000_000, beneath=beneath)
            confirm()
            key = video_key(sha256)
            if not store.exists(key):
                store.put(copy, key)
        except ReframerError as failure:
            if bucket_key is not None and isinstance(failure, FileNotReadable):
                raise  # rights and mounts are mended without the file becoming another one
            if failure.retryable or isinstance(failure, HomeNotWritable):  # no fault of the upload
                if bucket_key is None:
                    _refuse(db, event, failure)
                raise
            return _refuse(db, event, failure)

        def act(conn: psycopg.Connection[Row]) -> bool:
            lock_file(conn, sha256)
            if not store.exists(key):  # it was an orphan, and a sweep took it away; from now on none can, and no row will be without it
                store.put(copy, key)
            return _write_video(conn, event, sha256, size)  # last: a store may take minutes, and others want the uploader's row

        is_new = db.run(act)
        return IngestResult(event.upload_id, video_id_of(sha256), already_known=not is_new)
    finally:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)


def refuse_upload(db: Database, failure: ReframerError, *, filename: str, bucket_key: str, etag: str) -> IngestResult:
    """Note that a file of the bucket is not taken in, and why: the latest reason stays. What was taken in meanwhile stays so."""
    return _refuse(db, _event(filename, bucket_key, etag), failure)


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


@dataclass(frozen=True)
class _Event:
    upload_id: str
    email: str
    filename: str
    bucket_key: str | None
    etag: str | None


def _event(filename: str, bucket_key: str | None, etag: str | None, email: str = LOCAL_USER) -> _Event:
    if bucket_key is None or etag is None:
        return _Event(str(uuid.uuid4()), email, clean_text(filename), bucket_key, etag)
    return _Event(upload_id(bucket_key, etag), email, clean_text(filename), clean_text(bucket_key), etag)


def _refuse(db: Database, event: _Event, failure: ReframerError) -> IngestResult:
    def act(conn: psycopg.Connection[Row]) -> None:
        user, said = _user(conn, event.email), clean_text(str(failure))
        conn.execute(
            """INSERT INTO uploads (id, user_id, bucket_key, etag, filename, status, failure_code, failure_message)
               VALUES (%s, %s, %s, %s, %s, 'failed', %s, %s)
               ON CONFLICT (id) DO UPDATE SET failure_code = EXCLUDED.failure_code, failure_message = EXCLUDED.failure_message
                   WHERE uploads.status = 'failed'""",
            (event.upload_id, user, event.bucket_key, event.etag, event.filename, failure.code, said),
        )

    db.run(act)
    return IngestResult(event.upload_id, failure=failure)


def _user(conn: psycopg.Connection[Row], email: str) -> str:
    conn.execute("INSERT INTO users (email) VALUES (%s) ON CONFLICT (email) DO NOTHING", (email,))
    row = conn.execute("SELECT id FROM users WHERE email = %s", (email,)).fetchone()
    assert row is not None
    return str(row["id"])


def _write_video(conn: psycopg.Connection[Row], event: _Event, sha256: str, size: int) -> bool:
    user, video = _user(conn, event.email), video_id_of(sha256)
    added = conn.execute(
        "INSERT INTO videos (id, user_id, sha256, filename, size_bytes) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (video, user, sha256, event.filename, size),
    )
    conn.execute(
        """INSERT INTO uploads (id, user_id, video_id, bucket_key, etag, filename, size_bytes, status)
           VALUES (%s, %s, %s, %s, %s, %s, %s, 'completed')
           ON CONFLICT (id) DO UPDATE SET video_id = EXCLUDED.video_id, size_bytes = EXCLUDED.size_bytes, status = 'completed',
               failure_code = NULL, failure_message = NULL""",
        (event.upload_id, user, video, event.bucket_key, event.etag or sha256, event.filename, size),
    )
    return added.rowcount == 1
