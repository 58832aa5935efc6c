"""Uploads for people: what came of which file, what is on its way, and looking at a refused one again.

What belongs here: listing and finding uploads, and taking in what was refused. What does not: the sensor's questions (`known`), how a file
is taken in (`ingest.take_in`). The sensor never asks again for a file that it knows, so this is how a limit that was raised, or a cause
that was mended, comes to bear on it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import FileNotReadable
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.uploads.bucket import Bucket, upload_id
from reframer_pipeline.uploads.ingest import IngestResult, take_in
from reframer_pipeline.uploads.known import known_uploads
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.uploads.watching import is_temporary
from reframer_pipeline.work.status import STANDING

LISTING_S: Final = 5.0


def list_uploads(db: Database, *, failed: bool = False, limit: int = 100) -> list[Row]:
    """The uploads of bucket and command line, newest first; `failed` leaves only those that are no video, or whose video has failed.

    Returns:
        Dicts with `upload_id, bucket_key, etag, filename, status, video_id, failure_code, failure_message, created_at` of the upload, and
        `video_status, video_failure_code, video_failure_message` of what became of its video.
    """
    return db.fetch(
        f"""SELECT u.id::text AS upload_id, u.bucket_key, u.etag, u.filename, u.status, u.video_id::text, u.failure_code, u.failure_message,
               u.created_at, stands.status AS video_status, stands.failure_code AS video_failure_code,
               stands.failure_message AS video_failure_message
           FROM uploads u LEFT JOIN videos v ON v.id = u.video_id CROSS JOIN LATERAL ({STANDING}) stands
           WHERE 'failed' IN (u.status, stands.status) OR NOT %s
           ORDER BY u.created_at DESC, u.id LIMIT %s""",
        (failed, limit),
    )


def on_their_way(db: Database, bucket: Bucket, timeout_s: float = LISTING_S) -> list[Row]:
    """The files in the bucket that have not been taken in yet, as rows of `list_uploads`, the newest first.

    Args:
        db: The database.
        bucket: Is listed.
        timeout_s: Longest wait for it.

    Raises:
        BucketUnavailable: It cannot be listed, or not in that time.
    """
    entries = [one for one in list_bucket(bucket, timeout_s) if not is_temporary(one.key)]
    known = known_uploads(db, entries)
    new = sorted((one for one in entries if (one.key, one.etag) not in known), key=lambda one: -(one.mtime or 0.0))
    return [
        {
            "upload_id": upload_id(one.key, one.etag), "bucket_key": clean_text(one.key), "etag": one.etag,
            "filename": clean_text(one.key.rsplit("/", 1)[-1]), "status": "pending", "video_id": None, "failure_code": None,
            "failure_message": None, "created_at": None if one.mtime is None else datetime.fromtimestamp(one.mtime, UTC),
            "video_status": None, "video_failure_code": None, "video_failure_message": None,
        }
        for one in new
    ]  # fmt: skip


def in_folder(db: Database, path: str) -> list[Row]:
    """What was taken in or refused of a folder of the bucket and those below, or of one file; of each file its last version.

    Args:
        db: The database.
        path: Below the bucket's URL, without a slash at its end; empty: the whole bucket.

    Returns:
        Dicts with `bucket_key, video_id, failure_code, failure_message`, by key. Those of deleted videos are left out.
    """
    return db.fetch(
        """SELECT bucket_key, video_id::text, failure_code, failure_message FROM (
               SELECT DISTINCT ON (bucket_key) * FROM uploads WHERE bucket_key = %(path)s OR starts_with(bucket_key, %(below)s)
               ORDER BY bucket_key, created_at DESC, id DESC) latest
           WHERE status <> 'deleted' ORDER BY bucket_key""",
        {"path": clean_text(path), "below": clean_text(path and f"{path}/")},
    )


def refused(db: Database, prefix: str = "", code: str | None = None) -> list[Row]:
    """Files of the bucket that were refused or given up, oldest first.

    Args:
        db: The database.
        prefix: How their ids begin.
        code: With this failure code only.
    """
    return db.fetch(
        """SELECT id::text AS upload_id, bucket_key, etag FROM uploads
           WHERE status = 'failed' AND bucket_key IS NOT NULL AND starts_with(id::text, %s) AND failure_code = coalesce(%s, failure_code)
           ORDER BY created_at, id""",
        (prefix.lower(), code),
    )


def look_again(upload: Row, bucket: Bucket, db: Database, store: ObjectStore, settings: Settings) -> IngestResult:
    """Take in one of `refused`, under the settings of now. Once it is in, the sensor requests its video.

    Returns:
        The outcome; if it is refused again, its row holds the new reason.

    Raises:
        FileNotReadable: Its name is no text, so that the row has only an image of it.
        UploadChanged and others: As for `take_in`; its row stays as it is.
    """
    key, etag = upload["bucket_key"], upload["etag"]
    if upload_id(key, etag) != upload["upload_id"]:
        raise FileNotReadable(f"The name {key} stands for one that is no text.", "Rename the file in the bucket: it is then a new upload.")
    return take_in(bucket, key, etag, db, store, settings)
