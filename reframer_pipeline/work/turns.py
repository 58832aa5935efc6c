"""Turns: the videos that a running command has taken upon itself and not come to yet.

What belongs here: the sign that says so, a pending job per video under the command's own run id, which it refreshes as long as it lives.
What does not: requesting or running (`run_videos`), who may commit (`lease`): others may well work on such a video, but nobody need request
it. A command that died gives no sign: its videos are free again after `QUIET_S`, and whoever holds jobs against runs ends its jobs as
interrupted.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterator
from typing import Final, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.work.heartbeat import beating

QUIET_S: Final = 60.0  # as long as a lease lives
PREFIX: Final = "run_videos:"  # Dagster's run ids are UUIDs
# Takes the prefix and `QUIET_S`.
SPOKEN_FOR: Final[LiteralString] = """
    SELECT video_id::text AS id FROM processing_jobs
    WHERE status = 'pending' AND starts_with(run_id, %s) AND updated_at > now() - %s * interval '1 second'
"""


@contextlib.contextmanager
def waiting(db: Database, video_ids: Collection[str], every_s: float = QUIET_S / 3) -> Iterator[Callable[[str], None]]:
    """Say that these videos wait for their turn, while the block lasts; yields what to call when the turn of one has come.

    Unknown videos are left out.

    Args:
        db: The database.
        video_ids: The videos.
        every_s: Seconds between two signs of life.
    """
    run_id = f"{PREFIX}{uuid.uuid4()}"
    _put_up(db, run_id, video_ids)
    with beating(lambda: refresh(db, run_id), every_s, "the videos that wait for their turn"):
        try:
            yield lambda video_id: _take_away(db, run_id, video_id)
        finally:
            with contextlib.suppress(ReframerError):  # it would be noticed to be quiet
                _take_away(db, run_id)


def refresh(db: Database, run_id: str) -> None:
    """A sign of life for what still waits. A job that was ended meanwhile, because there was none for long, stays ended."""
    db.execute("UPDATE processing_jobs SET updated_at = now() WHERE run_id = %s AND status = 'pending'", (run_id,), QUIET_S / 3)


def _put_up(db: Database, run_id: str, video_ids: Collection[str]) -> None:
    db.execute(
        """INSERT INTO processing_jobs (video_id, run_id, status) SELECT id, %s, 'pending' FROM videos WHERE id::text = ANY(%s)
           ON CONFLICT (video_id, run_id) DO NOTHING""",
        (run_id, list(video_ids)),
    )


def _take_away(db: Database, run_id: str, video_id: str | None = None) -> None:
    """The run itself has a job of its own. What was ended meanwhile stays, as it is true."""
    db.execute(
        "DELETE FROM processing_jobs WHERE run_id = %s AND status = 'pending' AND (%s::text IS NULL OR video_id::text = %s)",
        (run_id, video_id, video_id),
    )
