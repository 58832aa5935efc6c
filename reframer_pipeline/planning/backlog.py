"""The backlog: of the videos that have work, those that may be requested now, and what keeps the others.

What belongs here: who is busy, who has to wait, who has been tried often enough. What does not: what is stale (`planning`), requesting
(the shell). A video waits after every failed run, longer each time up to `LONGEST_PAUSE_S`, whatever the cause; it is left alone once
`max_attempts` runs failed that may be its own fault, at recipes that are wanted now. Scenes wait as long as the question to Gemini does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import all_failures
from reframer_pipeline.planning.survey import VideoPlan
from reframer_pipeline.uploads.known import FOR_THE_SENSOR, NEVER_RAN
from reframer_pipeline.work import turns

if TYPE_CHECKING:
    import psycopg

FIRST_PAUSE_S: Final = 60.0  # after the first failure; doubled with each further one
LONGEST_PAUSE_S: Final = 6 * 3600.0
NEW_S: Final = 600.0


@dataclass(frozen=True)
class DueVideo:
    """A video that may be run now.

    Attributes:
        video_id: The video.
        stages: What is to be computed, in order.
        key: Names the work within one tick. Dagster compares it with the runs of the same tick alone: one that is repeated after a
            crash requests nothing twice. What earlier ticks requested is known by its unfinished runs.
        awaited: Its runs failed, and none was ever good: somebody waits for it as for a new one.
    """

    video_id: str
    stages: tuple[str, ...]
    key: str
    awaited: bool = False


@dataclass(frozen=True)
class Failed:
    """The failed runs of a video since its last good one.

    Attributes:
        times: How many, whatever the cause.
        last: When the last one ended.
        code: Of the last one's failure.
        recipes: Where the video may have been the cause, the recipe that failed, once for each run.
        never_good: There was no good one before them, either.
    """

    times: int
    last: datetime
    code: str
    recipes: tuple[str, ...] = ()
    never_good: bool = False


@dataclass(frozen=True)
class Waits:
    """Why videos have to wait.

    Attributes:
        busy: Videos whose lease somebody holds, or that wait for their turn, in Dagster's queue or in a command.
        failed: Video id to what went wrong since its last good run.
        asked: Video id, model and prompt version of questions that Gemini did not answer, to when the next may be asked.
        new: Videos that never ran, oldest first, to whether they wait for the upload sensor; the others came in a moment ago by
            another way. Whoever took them in requests them.
        now: The server's time.
    """

    busy: frozenset[str]
    failed: dict[str, Failed]
    asked: dict[tuple[str, str, int], datetime]
    new: dict[str, bool]
    now: datetime


def waits(db: Database) -> Waits:
    """What the database knows of busy and waiting videos, at one moment: one that is taken up meanwhile is either still new or busy."""
    return db.run(_waits, snapshot=True)


def _waits(conn: psycopg.Connection[Row]) -> Waits:
    (clock,) = conn.execute("SELECT clock_timestamp() AS now").fetchall()
    busy = conn.execute(
        f"""SELECT video_id::text AS id FROM leases WHERE expires_at > clock_timestamp()
            UNION SELECT video_id::text FROM processing_jobs WHERE status = 'pending' AND NOT starts_with(run_id, %s)
            UNION {turns.SPOKEN_FOR}""",
        (turns.PREFIX, turns.PREFIX, turns.QUIET_S),
    ).fetchall()
    failed = conn.execute(  # a command that died before a video's turn has tried nothing
        """SELECT video_id::text AS id, count(*) AS times, max(finished_at) AS last,
               (array_agg(failure_code ORDER BY finished_at DESC))[1] AS code,
               coalesce(array_agg(failed_recipe) FILTER (WHERE failed_recipe IS NOT NULL AND NOT failure_code = ANY(%s)), '{}') AS recipes,
               NOT EXISTS (SELECT FROM processing_jobs AS good
                   WHERE good.video_id = job.video_id AND good.status = 'completed') AS never_good
           FROM processing_jobs AS job
           WHERE status = 'failed' AND NOT starts_with(run_id, %s)
               AND finished_at > coalesce((SELECT max(good.finished_at) FROM processing_jobs AS good
                   WHERE good.video_id = job.video_id AND good.status = 'completed'), '-infinity')
           GROUP BY video_id""",
        ([cls.code for cls in all_failures() if not cls.blames_video], turns.PREFIX),
    ).fetchall()
    asked = conn.execute(
        """SELECT video_id::text AS id, model, prompt_version, max(next_ask_at) AS until FROM gemini_questions
           WHERE answer IS NULL AND next_ask_at > clock_timestamp() GROUP BY video_id, model, prompt_version"""
    ).fetchall()
    new = conn.execute(
        f"""SELECT id::text AS id, uploaded FROM (
               SELECT id, created_at, {FOR_THE_SENSOR} AS uploaded
               FROM videos WHERE (status = 'pending' OR created_at > now() - %(s)s * interval '1 second') AND {NEVER_RAN}
           ) never_ran
           WHERE uploaded OR created_at > now() - %(s)s * interval '1 second' ORDER BY created_at, id""",
        {"s": NEW_S},
    ).fetchall()
    return Waits(
        busy=frozenset(row["id"] for row in busy),
        failed={row["id"]: Failed(row["times"], row["last"], row["code"], tuple(row["recipes"]), row["never_good"]) for row in failed},
        asked={(row["id"], row["model"], row["prompt_version"]): row["until"] for row in asked},
        new={row["id"]: row["uploaded"] for row in new},
        now=clock["now"],
    )


def due(plans: Iterable[VideoPlan], known: Waits, queued: Collection[str], limit: int, max_attempts: int) -> Iterator[DueVideo]:
    """The videos to request now, in the order of the plans.

    Args:
        plans: How videos stand, the oldest first.
        known: Why videos have to wait.
        queued: Videos with a run that waits or goes on.
        limit: Most requests.
        max_attempts: Failures that may be its own fault after which a video is left alone.
    """
    awaited = {video_id for video_id, failed in known.failed.items() if failed.never_good}
    ready = (
        DueVideo(plan.video_id, plan.to_compute, f"{plan.video_id}:{plan.wanted[plan.to_compute[-1]].digest}", plan.video_id in awaited)
        for plan in plans
        if plan.to_compute and not plan.failed and plan.video_id not in queued and not held_back(plan, known, max_attempts)
    )
    return islice(ready, max(limit, 0))


def held_back(plan: VideoPlan, known: Waits, max_attempts: int) -> str | None:
    """Why a video that has work is not requested now, in words for people; None if nothing keeps it.

    A stage that failed for good says so itself (`VideoPlan.failed`).
    """
    if plan.trouble is not None:
        return plan.trouble
    if plan.video_id in known.busy:
        return "a run is at it, or has it next"
    if plan.video_id in known.new:
        return "waits for the upload sensor" if known.new[plan.video_id] else "taken in a moment ago, and requested by whoever did that"
    return _pauses(plan, known, max_attempts) or _waits_for_gemini(plan, known)


def _pauses(plan: VideoPlan, known: Waits, max_attempts: int) -> str | None:
    failed = known.failed.get(plan.video_id)
    if failed is None:
        return None
    wanted = {recipe.digest for recipe in plan.wanted.values()}
    attempts = sum(recipe in wanted for recipe in failed.recipes)
    if attempts >= max_attempts:
        return f"given up after {attempts} attempts, the last run ended with [{failed.code}]; run it by hand to try again"
    pause = min(FIRST_PAUSE_S * 2 ** min(failed.times - 1, 30), LONGEST_PAUSE_S)
    until = failed.last + timedelta(seconds=pause)
    return f"waits until {_clock(until)} after {failed.times} failed runs, the last with [{failed.code}]" if known.now < until else None


def _waits_for_gemini(plan: VideoPlan, known: Waits) -> str | None:
    """Of a video of which nothing but the answer is missing, and frames perhaps that were evicted and would be sent."""
    asked = plan.wanted["scenes"].settings
    if asked["resolved_describer"] != "gemini" or any(
        plan.stages[stage].state != "fresh" for stage in plan.to_compute if stage != "scenes"
    ):
        return None
    until = known.asked.get((plan.video_id, asked["gemini_model"], asked["gemini_prompt"]))
    return None if until is None else f"waits until {_clock(until)} because Gemini did not answer"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
