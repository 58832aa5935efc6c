"""Jobs as they are submitted: an upload by somebody who asks for its video to be computed, once for each idempotency key.

What belongs here: the job's row beside the upload's, and what a file of the bucket becomes. What does not: receiving the bytes
(`receiving`), how far a job is (`reading.jobs`), who may submit one (`api`), asking Dagster for the run (`orchestration.requests.asking`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline import scratch
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import FileNotReadable, IdempotencyKeyReused
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.content import demand_size, ingest_file_checks, sha256_copy
from reframer_pipeline.uploads.ingest import ingest_received
from reframer_pipeline.uploads.receiving import Received
from reframer_pipeline.uploads.rows import WAS_THEIRS
from reframer_pipeline.users.quotas import demand_place

if TYPE_CHECKING:
    import psycopg

LONGEST_KEY: Final = 255
_SECRET_BYTES: Final = 24  # as the Standard Webhooks specification recommends


@dataclass(frozen=True)
class Asked:
    """Who submits, and what else was said.

    Attributes:
        user_id: The user's id.
        email: Their address.
        idempotency_key: The same for a request that is repeated, or None.
        webhook_url: Is told when the job has ended, or None.
        webhook_secret: Signs what it is told; None: a new one.
        api_key_id: The key that was used, or None.
    """

    user_id: str
    email: str
    _: KW_ONLY
    idempotency_key: str | None = None
    webhook_url: str | None = None
    webhook_secret: str | None = None
    api_key_id: str | None = None


@dataclass(frozen=True)
class Submitted:
    """A job that is accepted: it survives whatever happens to this process.

    Attributes:
        job_id: `uploads.id`.
        video_id: Its video.
        filename: As the sender calls the video.
        was_theirs: Whether they had brought it before; it keeps the name that it has for them.
        repeated: Whether an earlier request under the same key made it.
        webhook_secret: Signs what its webhook is told, or None.
    """

    job_id: str
    video_id: str
    filename: str
    was_theirs: bool = False
    repeated: bool = False
    webhook_secret: str | None = None


def submit(storage: Storage, file: Received, asked: Asked, job_id: str | None = None) -> Submitted:
    """Make a job of a file that was received.

    Args:
        storage: Database and store.
        file: The file; it may be gone afterwards.
        asked: Who asks, and for what.
        job_id: Of the job, where it is known before; it may be submitted again then, and is the same job.

    Raises:
        IdempotencyKeyReused: Something else was submitted under this key.
        QuotaUsedUp: Too many jobs of the API key are open.
        ReframerError: As for `ingest_received`; there is no job.
    """
    job, digest = job_id or str(uuid.uuid4()), _digest(file, asked)
    secret = None if asked.webhook_url is None else asked.webhook_secret or new_secret()
    if asked.idempotency_key is not None:
        known = storage.db.run(lambda conn: _known(conn, asked, digest))
        if known is not None:
            return known

    def note(conn: psycopg.Connection[Row]) -> None:
        if asked.idempotency_key is not None:
            key = f"{asked.user_id} {asked.idempotency_key}"
            conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('reframer job ' || %s, 0))", (key,))
            known = _known(conn, asked, digest)
            if known is not None and known.job_id != job:
                raise _KnownMeanwhile(known)
        if asked.api_key_id is not None:
            demand_place(conn, asked.api_key_id, storage.settings.api_jobs_at_once, job)
        conn.execute(
            "UPDATE uploads SET requested = true, idempotency_key = %s, request_digest = %s, api_key_id = %s WHERE id = %s",
            (asked.idempotency_key, digest if asked.idempotency_key is not None else None, asked.api_key_id, job),
        )
        # of a resumable upload: were its row to stay, a video that is deleted afterwards could come back
        conn.execute("DELETE FROM resumable_uploads WHERE id = %s", (job,))
        if asked.webhook_url is not None:
            # An end that is just being written would not see the row. From now on it waits for it.
            conn.execute("SELECT 1 FROM videos WHERE id = (SELECT video_id FROM uploads WHERE id = %s) FOR SHARE", (job,))
            query = "INSERT INTO webhooks (upload_id, url, secret) VALUES (%s, %s, %s) ON CONFLICT (upload_id) DO NOTHING"
            conn.execute(query, (job, asked.webhook_url, secret))

    try:
        taken = ingest_received(file, job, asked.email, storage.db, storage.store, note)
    except _KnownMeanwhile as meanwhile:
        return meanwhile.known
    assert taken.video_id is not None  # only uploads of the bucket are remembered once they are deleted
    return Submitted(job, taken.video_id, taken.filename, taken.was_theirs, webhook_secret=secret)


def demand_room(storage: Storage, asked: Asked, job_id: str | None = None) -> None:
    """What `submit` will say of the number of jobs, before any byte is received. It judges again: others may be faster.

    Raises:
        QuotaUsedUp: Too many jobs of the API key are open. A repeated request makes none.
    """

    def act(conn: psycopg.Connection[Row]) -> None:
        known = "SELECT 1 FROM uploads WHERE user_id = %s AND idempotency_key = %s"
        if asked.api_key_id is not None and not conn.execute(known, (asked.user_id, asked.idempotency_key)).fetchone():
            demand_place(conn, asked.api_key_id, storage.settings.api_jobs_at_once, job_id)

    storage.db.run(act)


def new_secret() -> str:
    """A secret for a webhook, in the form that Standard Webhooks has."""
    return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


@contextlib.contextmanager
def from_bucket(bucket: Bucket, key: str, settings: Settings) -> Iterator[Received]:
    """A file of the bucket, as it is now, as one that was received. It goes with the block.

    Raises:
        FileNotReadable: There is no such file, or it may not be read.
        FileTooLarge, NotAVideo, UploadChanged, BucketUnavailable: As for an upload of the bucket.
        DiskFull, MachineTrouble, HomeNotWritable: The scratch folder cannot be used.
    """
    path, filename = PurePosixPath(key), PurePosixPath(key).name
    entry = None if path.is_absolute() or ".." in path.parts or not filename or "\0" in key else bucket.find(key)
    if entry is None:
        raise FileNotReadable(f"There is no file {key} in the bucket.", "Name a file of the bucket, by its path below the bucket's URL.")
    demand_size(filename, entry.size, settings)
    with bucket.local_file(entry, settings.scratch_dir) as source, scratch.private(settings.scratch_dir) as folder:
        target = folder / "video"
        with scratch.writing(settings.scratch_dir):
            ingest_file_checks(source, settings, beneath=bucket.root)
            sha256, size = sha256_copy(source, target, max_bytes=settings.max_upload_mb * 1_000_000, beneath=bucket.root)
        bucket.expect(key, entry.etag)
        yield Received(target, filename, sha256, size)


class _KnownMeanwhile(Exception):
    """The same was submitted at the same time, and came first."""

    def __init__(self, known: Submitted) -> None:
        super().__init__()
        self.known = known


def _digest(file: Received, asked: Asked) -> str:
    return hashlib.sha256(json.dumps([file.sha256, file.filename, asked.webhook_url]).encode()).hexdigest()


def _known(conn: psycopg.Connection[Row], asked: Asked, digest: str) -> Submitted | None:
    """The job that was made under this key before. Raises `IdempotencyKeyReused` if it is another one's."""
    row: dict[str, Any] | None = conn.execute(
        f"""SELECT u.id::text, u.video_id::text, u.filename, {WAS_THEIRS} AS was_theirs, u.request_digest, w.secret
           FROM uploads u LEFT JOIN webhooks w ON w.upload_id = u.id
           WHERE u.user_id = %s AND u.idempotency_key = %s""",
        (asked.user_id, asked.idempotency_key),
    ).fetchone()
    if row is None:
        return None
    if row["request_digest"] != digest:
        raise IdempotencyKeyReused(f"Something else was submitted with the Idempotency-Key {asked.idempotency_key} before.")
    return Submitted(row["id"], row["video_id"], row["filename"], row["was_theirs"], True, row["secret"])
