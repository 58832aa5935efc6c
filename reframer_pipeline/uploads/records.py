"""The rows of `uploads` for people: what came of which file, and looking at a refused one again.

What belongs here: listing and finding rows, and taking in what was refused. What does not: the sensor's questions (`known`), how a file
is taken in (`ingest.take_in`). The sensor never asks again for a file that it knows, so this is how a limit that was raised, or a cause
that was mended, comes to bear on it.
"""

from __future__ import annotations

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import FileNotReadable
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.uploads.bucket import Bucket, upload_id
from reframer_pipeline.uploads.ingest import IngestResult, take_in


def list_uploads(db: Database, *, failed: bool = False, limit: int = 100) -> list[Row]:
    """The uploads of bucket and command line, newest first; `failed` leaves only those that are no video."""
    return db.fetch(
        """SELECT id::text AS upload_id, bucket_key, etag, filename, status, video_id::text, failure_code, failure_message, created_at
           FROM uploads WHERE status = 'failed' OR NOT %s ORDER BY created_at DESC, id LIMIT %s""",
        (failed, limit),
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
