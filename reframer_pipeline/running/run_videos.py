"""Materialize the assets for given videos: the one way in, whoever asks (CLI, tests, later the sensor and the API).

What belongs here: deciding which stages are needed, running them through Dagster under the video's lease, and saying how it
ended. What does not: how a stage runs (`stage_run`), how people see it (`cli`). One video is one run, so one bad video never
stops the others; those that wait for their turn are spoken for (`work.turns`), and nobody else requests them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError, UnknownVideo, VideoBusy, WeightsChanged
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.planning import orders, result_settings
from reframer_pipeline.planning.result_settings import Noted
from reframer_pipeline.planning.survey import survey
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.dagster_home import Instance
from reframer_pipeline.running.materialize import materialize
from reframer_pipeline.scratch import sweep_scratch
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.stages.order import Order
from reframer_pipeline.work import jobs, lease, status, turns
from reframer_pipeline.work.videos import get_video


@dataclass(frozen=True)
class VideoOutcome:
    """How one video ended.

    Attributes:
        status: completed | failed.
        seconds: Wall seconds by stage; only the stages that this call computed.
        frames: Source frames; `sampled_frames` of them were looked at.
        note: What people should know of a completed video, such as that Gemini did not answer.
    """

    video_id: str | None
    filename: str
    status: str
    failure_code: str | None = None
    failure_message: str | None = None
    frames: int = 0
    sampled_frames: int = 0
    detections: int = 0
    masks: int = 0
    tracks: int = 0
    scenes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    note: str | None = None

    @classmethod
    def failed(cls, filename: str, failure: ReframerError, video_id: str | None = None) -> VideoOutcome:
        """An outcome that says what happened and what to do."""
        return cls(video_id, filename, "failed", failure.code, str(failure))


_log = logging.getLogger(__name__)
Announce = Callable[[str, tuple[str, ...]], None]


def run_videos(
    settings: Settings,
    video_ids: list[str],
    *,
    force: bool = False,
    announce: Announce = lambda video_id, stages: None,
    noted: Callable[[Noted], None] = lambda change: None,
    waits: Callable[[str, VideoBusy], None] = lambda video_id, busy: None,
) -> Iterator[VideoOutcome]:
    """Bring the given videos up to date, one after the other.

    Args:
        settings: What to compute with where they were given: by an option, a variable that is set, a keyword argument or a copy's update
            (`model_fields_set`). For the rest of what changes results, the deployment's settings count, and the defaults where it has
            none. What was given and differs from the deployment's is kept with each video, so that no schedule reverts it.
        video_ids: Ingested videos.
        force: Compute all six stages even where a fresh result exists.
        announce: Called before a video with the stages that will be computed (none: everything is fresh).
        noted: Called at the beginning if videos get other settings of their own than they had, or lose them.
        waits: Called if another run holds a video, before it is waited for as long as the lease of a dead run can last.

    Yields:
        One outcome per video, in order, as each one ends. Nothing is raised for a video that fails.
    """
    storage = storage_of(settings)
    with ExitStack() as line:
        try:
            db = storage.db
            turn_has_come = line.enter_context(turns.waiting(db, video_ids))
            change = result_settings.note_ahead(db, settings, video_ids)
        except Exception as error:  # then it is the same for each of them
            yield from (VideoOutcome.failed(video_id, typed(error), video_id) for video_id in video_ids)
            return
        if change.video_ids:
            noted(change)
        instance = line.enter_context(dagster_home.kept_instance(storage.settings))
        _register_partitions(storage, instance)
        for video_id in video_ids:
            filename = video_id
            try:
                filename = str(get_video(db, video_id)["filename"])
                yield _run_one(storage, instance, settings, video_id, force, announce, partial(waits, video_id), turn_has_come)
            except Exception as error:  # such as Dagster's own storage going away: the other videos go on
                yield VideoOutcome.failed(filename, typed(error), video_id)
            finally:
                turn_has_come(video_id)


def _register_partitions(storage: Storage, instance: Instance) -> None:
    """Have every video among Dagster's partitions, also those of which nothing is missing. Without Dagster these go on all the same."""
    from reframer_pipeline.orchestration import assets

    try:
        with instance() as dagster:
            assets.register_partitions(dagster, storage.db)
    except Exception as error:  # trouble of whichever database it is shows again where it is needed
        _log.warning("Dagster's list of videos was not brought up to date: %s", type(error).__name__)


def needed_stages(db: Database, order: Order, force: bool = False) -> tuple[str, ...]:
    """The stages that have no committed result under this very order, in order; all six when forced.

    Raises:
        ReframerError: The weights cannot be had.
    """
    if force:
        return NAMES
    wanted = {stage: order.key(stage).recipe for stage in NAMES}
    for plan in survey(db, [order.video.video_id], lambda overrides: (wanted, None)):
        return plan.to_compute
    raise UnknownVideo(f"There is no video {order.video.video_id}.")


def _run_one(
    storage: Storage,
    instance: Instance,
    settings: Settings,
    video_id: str,
    force: bool,
    announce: Announce,
    waits: Callable[[VideoBusy], None],
    turn_has_come: Callable[[str], None],
) -> VideoOutcome:
    db = storage.db
    with lease.hold_patiently(db, video_id, f"run_videos:{os.getpid()}", waits) as token:
        turn_has_come(video_id)  # not before there is the lease: one or the other says that it is spoken for
        result_settings.note_overrides(db, settings, video_id)
        order = orders.resolve(db, settings, video_id)
        stages = needed_stages(db, order, force)
        announce(video_id, stages)
        if not stages:
            storage.results.publish(video_id, {stage: key.result_id for stage, key in order.keys.items()}, token)
            return _completed(storage, order, run_id=None)
        sweep_scratch(storage.settings)
        try:
            run_id, failure = materialize(storage, instance, order, stages, token)
        except BaseException:  # Ctrl-C, or Dagster's storage went away: what is finished stays, the video waits for another run
            with suppress(ReframerError):
                jobs.interrupt(db, video_id)
                status.settle(db, video_id, token)
            raise
        if failure is not None:
            jobs.fail(db, video_id, run_id, failure)  # the stage has said so itself, unless its process died
            status.fail(db, video_id, failure, lease_token=token)
            return VideoOutcome.failed(order.video.filename, failure, video_id)
        return _completed(storage, order, run_id)


def _completed(storage: Storage, order: Order, run_id: str | None) -> VideoOutcome:
    local = order.with_settings(describer="local").key("scenes")  # what stands in where Gemini could not answer
    rows = storage.results.find([key.result_id for key in (*order.keys.values(), local)])
    found = {stage: rows[key.result_id] for stage, key in order.keys.items() if key.result_id in rows}
    note = None
    if "scenes" not in found and local.result_id in rows:
        found["scenes"] = rows[local.result_id]
        note = _why_local(found["scenes"])
    if len(found) < len(NAMES):
        raise WeightsChanged("The weights were replaced while the video was running.", "Run it again.")
    counts = {stage: row.count for stage, row in found.items()}
    return VideoOutcome(
        order.video.video_id,
        order.video.filename,
        "completed",
        frames=counts["frames"],
        sampled_frames=int(found["frames"].stats.get("sampled", 0)),
        detections=counts["detections"],
        masks=counts["masks"],
        tracks=counts["trajectories"],
        scenes=counts["scenes"],
        note=note,
        seconds={stage: round(row.seconds, 3) for stage, row in found.items() if run_id is not None and row.run_id == run_id},
    )


def _why_local(scenes: ManifestRow) -> str | None:
    why = scenes.stats.get("fallback")
    return f"Scenes were described locally: [{why['code']}] {why['message']}" if why else None
