"""Taking one file of the bucket in: the copy is made of exactly the version that was asked for, or of none.

What belongs here: what `ingest` needs to know of buckets. What does not: choosing the file (`watching`), Dagster (`ingest_job`).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import FileTooLarge
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.uploads.bucket import Bucket, upload_id
from reframer_pipeline.uploads.ingest import IngestResult, ingest_file, refuse_upload


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
            path, db, store, settings, filename=filename, bucket_key=key, etag=etag, confirm=lambda: bucket.expect(key, etag)
        )  # fmt: skip
