"""Jobs for tests, submitted as the API does it."""

from __future__ import annotations

import json

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.receiving import receiving
from reframer_pipeline.uploads.submitting import Asked, Submitted, submit
from reframer_pipeline_tests.factories import video_bytes


def person(db: Database, email: str = "ann@example.org", **more: str) -> Asked:
    """Somebody who submits, and what they say beside the file."""
    db.execute("INSERT INTO users (email) VALUES (%s) ON CONFLICT (email) DO NOTHING", (email,))
    (row,) = db.fetch("SELECT id::text FROM users WHERE email = %s", (email,))
    return Asked(row["id"], email, **more)


def submitted(storage: Storage, asked: Asked, content: bytes | int = 0, filename: str = "clip.mp4", job_id: str | None = None) -> Submitted:
    """A job of these bytes, or of the bytes of this seed."""
    with receiving(filename, storage.settings) as receiver:
        receiver.write(video_bytes(content) if isinstance(content, int) else content)
        return submit(storage, receiver.finish(), asked, job_id)


def fingerprint(db: Database) -> str:
    """All rows that submitting may write."""
    return json.dumps([db.fetch(f"SELECT * FROM {name} ORDER BY 1") for name in ("uploads", "videos", "webhooks")], default=str)  # type: ignore[arg-type]
