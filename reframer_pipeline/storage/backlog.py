"""The backlog: of the videos that have work, those that may be requested now.

What belongs here: who is busy, who has to wait, who has been tried often enough. What does not: what is stale (`planning`), requesting
(the shell). A video waits after a passing failure, longer each time, and as long as Gemini's question about it waits; it is not tried again
at the same recipes once that has happened `max_attempts` times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reframer_pipeline.storage.planning import VideoPlan
from reframer_pipeline.storage.postgres import Database

FIRST_PAUSE_S: Final = 60.0  # after the first passing failure; doubled with each further one
LONGEST_PAUSE_S: Final = 6 * 3600.0
NEW_S: Final = 600.0


@dataclass(frozen=True)
class Request:
    """A video that may be run now.

    Attributes:
        video_id: The video.
        stages: What is to be computed, in order.
        key: The same for the same work after the same number of runs, so that no work is requested twice.
    """

    video_id: str
    stages: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Waits:
    """Why videos have to wait.

    Attributes:
        busy: Videos whose lease somebody holds.
        attempts: Video id to number of its runs.
        failures: Video id to passing failures since its last good run, and the time of the last.
        asked: Videos whose question to Gemini failed and is not asked again yet.
        new: Videos that were taken in a moment ago and never run: whoever took them in requests them.
        now: The server's time.
    """

    busy: frozenset[str]
    attempts: dict[str, int]
    failures: dict[str, tuple[int, datetime]]
    asked: frozenset[str]
    new: frozenset[str]
    now: datetime


def waits(db: Database) -> Waits:
    """What the database knows of busy and waiting videos."""
    now = db.fetch_one("SELECT clock_timestamp() AS now")
    assert now is not None
    jobs = db.fetch(
        """SELECT video_id::text AS id, count(*) AS attempts,
               count(*) FILTER (WHERE status = 'failed' AND retryable AND created_at > last_good) AS failures,
               max(finished_at) FILTER (WHERE status = 'failed' AND retryable) AS failed_at
           FROM (SELECT *, coalesce(max(created_at) FILTER (WHERE status = 'completed') OVER (PARTITION BY video_id), '-infinity')
                     AS last_good FROM processing_jobs) j
           GROUP BY video_id"""
    )
    busy = db.fetch("SELECT video_id::text AS id FROM leases WHERE expires_at > clock_timestamp()")
    asked = db.fetch("SELECT video_id::text AS id FROM gemini_questions WHERE answer IS NULL AND next_ask_at > clock_timestamp()")
    new = db.fetch(
        """SELECT v.id::text AS id FROM videos v WHERE v.created_at > now() - %s * interval '1 second'
               AND NOT EXISTS (SELECT 1 FROM processing_jobs j WHERE j.video_id = v.id)""",
        (NEW_S,),
    )
    return Waits(
        busy=frozenset(row["id"] for row in busy),
        attempts={row["id"]: row["attempts"] for row in jobs},
        failures={row["id"]: (row["failures"], row["failed_at"]) for row in jobs if row["failures"] and row["failed_at"]},
        asked=frozenset(row["id"] for row in asked),
        new=frozenset(row["id"] for row in new),
        now=now["now"],
    )


def due(plans: Iterable[VideoPlan], known: Waits, queued: Collection[str], limit: int, max_attempts: int) -> Iterator[Request]:
    """The videos to request now, in the order of the plans.

    Args:
        plans: How videos stand, the oldest first.
        known: Why videos have to wait.
        queued: Videos with a run that waits or goes on.
        limit: Most requests.
        max_attempts: Passing failures after which a video is left alone.
    """
    if limit <= 0:
        return
    for plan in plans:
        stages = plan.to_compute
        if not stages or plan.failed or plan.video_id in queued or plan.video_id in known.busy or plan.video_id in known.new:
            continue
        if stages == ("scenes",) and plan.video_id in known.asked:
            continue
        if _pauses(known.failures.get(plan.video_id), known.now, max_attempts):
            continue
        key = f"{plan.video_id}:{plan.wanted[stages[-1]].digest}:{known.attempts.get(plan.video_id, 0)}"
        yield Request(plan.video_id, stages, key)
        limit -= 1
        if limit == 0:
            return


def _pauses(failed: tuple[int, Any] | None, now: datetime, max_attempts: int) -> bool:
    if failed is None:
        return False
    times, last = failed
    pause = min(FIRST_PAUSE_S * 2 ** (times - 1), LONGEST_PAUSE_S)
    return times >= max_attempts or (now - last).total_seconds() < pause
