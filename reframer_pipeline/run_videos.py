"""Materialize the assets for given videos: the one way in, whoever asks (CLI, tests, later the sensor and the API).

What belongs here: deciding which stages are needed, running them through Dagster under the video's lease, and saying how it
ended. What does not: how a stage runs (`stage_run`), how people see it (`cli`). One video is one run, so one bad video never
stops the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline import failures, versions
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import lease, planning, questions, status
from reframer_pipeline.storage.postgres import Database
from reframer_pipeline.storage.scratch import sweep_scratch
from reframer_pipeline.tags import FILENAME_TAG, LEASE_TAG

if TYPE_CHECKING:
    import dagster as dg


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
    def failed(cls, filename: str, failure: failures.ReframerError, video_id: str | None = None) -> VideoOutcome:
        """An outcome that says what happened and what to do."""
        return cls(video_id, filename, "failed", failure.code, str(failure))


# Failures are returned, and everything is in the event log: the console stays the caller's.
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Announce = Callable[[str, tuple[str, ...]], None]


def run_videos(
    settings: Settings, video_ids: list[str], *, force: bool = False, announce: Announce = lambda video_id, stages: None
) -> Iterator[VideoOutcome]:
    """Bring the given videos up to date, one after the other.

    Args:
        settings: What to compute with; compared with what the manifest holds.
        video_ids: Ingested videos.
        force: Compute all six stages even where a fresh result exists.
        announce: Called before a video with the stages that will be computed (none: everything is fresh).

    Yields:
        One outcome per video, in order, as each one ends. Nothing is raised for a video that fails.
    """
    pipeline = Pipeline(settings)
    for video_id in video_ids:
        filename = video_id
        try:
            filename = str(status.get_video(pipeline.storage.db, video_id)["filename"])
            yield _run_one(pipeline, video_id, filename, force, announce)
        except failures.ReframerError as failure:
            yield VideoOutcome.failed(filename, failure, video_id)
        except Exception as error:  # such as Dagster's own storage going away: the other videos go on
            yield VideoOutcome.failed(filename, failures.InternalError(f"{type(error).__name__}: {error}"), video_id)


def needed_stages(pipeline: Pipeline, video_id: str, force: bool = False) -> tuple[str, ...]:
    """The stages that have no committed result under the present settings, in order; all six when forced.

    Raises:
        UnknownVideo: There is no such video.
    """
    if force:
        return versions.STAGES
    states = planning.stage_states(pipeline.storage.db, [video_id], pipeline.settings, pipeline.weights())
    if video_id not in states:
        raise failures.UnknownVideo(f"There is no video {video_id}.")
    return tuple(planning.to_compute(states[video_id]))


def _run_one(pipeline: Pipeline, video_id: str, filename: str, force: bool, announce: Announce) -> VideoOutcome:
    db = pipeline.storage.db
    with _patient_lease(db, video_id) as token:
        keys = versions.stage_keys(pipeline.sha256(video_id), pipeline.settings, pipeline.weights())
        stages = needed_stages(pipeline, video_id, force)
        announce(video_id, stages)
        if not stages:
            pipeline.storage.results.publish(video_id, keys, token)
            return _completed(pipeline, video_id, filename, keys, run_id=None)
        sweep_scratch(pipeline.settings)
        status.processing(db, video_id, lease_token=token)
        try:
            run_id, failure = _materialize(pipeline, video_id, filename, stages, token)
        except BaseException:  # Ctrl-C, or Dagster's storage went away: what is finished stays, the video waits for another run
            with suppress(failures.ReframerError):
                status.settle(db, video_id)
            raise
        if failure is not None:
            status.fail(db, video_id, failure, lease_token=token)
            return VideoOutcome.failed(filename, failure, video_id)
        return _completed(pipeline, video_id, filename, keys, run_id)


@contextmanager
def _patient_lease(db: Database, video_id: str) -> Iterator[str]:
    """Hold the video's lease. One that a killed run left behind runs out within a minute, which is waited for."""
    until = time.monotonic() + lease.TTL_S + 5
    with ExitStack() as stack:
        while True:
            try:
                token = stack.enter_context(lease.hold(db, video_id, owner=f"run_videos:{os.getpid()}"))
                break
            except failures.VideoBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(1)
        yield token


def _materialize(
    pipeline: Pipeline, video_id: str, filename: str, stages: tuple[str, ...], token: str
) -> tuple[str, failures.ReframerError | None]:
    """One Dagster run over the given assets of one partition. Returns its id and the failure, if any."""
    import dagster as dg

    from reframer_pipeline import dagster_home, partitions
    from reframer_pipeline.dead_runs import ending_dead_runs
    from reframer_pipeline.definitions import build_definitions
    from reframer_pipeline.interruptible import interruptible
    from reframer_pipeline.jobs import PROCESS_VIDEO

    with dagster_home.open_instance(pipeline.settings) as instance, ending_dead_runs(instance, pipeline.storage.db, token):
        partitions.register(instance, [video_id])
        tags = {LEASE_TAG: token, FILENAME_TAG: filename[:200]}
        selection = [dg.AssetKey(stage) for stage in stages]
        if pipeline.settings.executor != "in_process":
            return interruptible(lambda: _execute_in_children(pipeline.settings, instance, video_id, tags, selection))
        job = build_definitions(pipeline.settings).resolve_job_def(PROCESS_VIDEO)
        result = interruptible(
            lambda: job.execute_in_process(
                QUIET, instance, partition_key=video_id, tags=tags, asset_selection=selection, raise_on_error=False
            )
        )
        return result.run_id, _failure_of(result.all_events, result.success)


def _execute_in_children(
    settings: Settings, instance: dg.DagsterInstance, video_id: str, tags: dict[str, str], selection: list[dg.AssetKey]
) -> tuple[str, failures.ReframerError | None]:
    """The same run with a process per stage. Children load the definitions anew, so the settings travel as environment."""
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    from reframer_pipeline.jobs import PROCESS_VIDEO

    with _environment(settings.as_environment()):
        job = ReconstructableRepository.for_module("reframer_pipeline.definitions", "defs").get_reconstructable_job(PROCESS_VIDEO)
        with dg.execute_job(
            job, instance, run_config=QUIET, tags={**tags, "dagster/partition": video_id}, asset_selection=selection, raise_on_error=False
        ) as result:
            return result.run_id, _failure_of(result.all_events, result.success)


def _failure_of(events: Any, success: bool) -> failures.ReframerError | None:
    """The typed failure that a run's events tell of."""
    if success:
        return None
    by_code = {cls.code: cls for cls in failures.all_failures()}
    for event in events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        details = event.step_failure_data.user_failure_data
        metadata = dict(details.metadata) if details is not None else {}
        if "failure_code" in metadata:
            cls = by_code.get(metadata["failure_code"].value, failures.InternalError)
            return cls(metadata["message"].value, metadata["remedy"].value)
        error = event.step_failure_data.error
        return failures.InternalError(f"The step {event.step_key} failed: {error.message.strip() if error else 'no reason given'}")
    return failures.InternalError("The run ended without success and without a failed step.")


def _completed(pipeline: Pipeline, video_id: str, filename: str, keys: dict[str, versions.StageKey], run_id: str | None) -> VideoOutcome:
    rows = pipeline.storage.results.find([key.result_id for key in keys.values()])
    by_stage = {row.stage: row for row in rows.values()}
    note = None
    if "scenes" not in by_stage:  # Gemini could not answer: the local description stands in
        fallback = pipeline.key(video_id, "scenes", pipeline.settings.model_copy(update={"describer": "local"}))
        by_stage |= {row.stage: row for row in pipeline.storage.results.find([fallback.result_id]).values()}
        note = _why_local(pipeline, video_id)
    if len(by_stage) < len(keys):
        raise failures.WeightsChanged("The weights were replaced while the video was running.", "Run it again.")
    outcome = VideoOutcome(video_id, filename, "completed")
    counts = {stage: row.row_count for stage, row in by_stage.items()}
    return replace(
        outcome,
        frames=counts["frames"],
        sampled_frames=int(by_stage["frames"].stats.get("sampled", 0)),
        detections=counts["detections"],
        masks=counts["masks"],
        tracks=counts["trajectories"],
        scenes=counts["scenes"],
        note=note,
        seconds={stage: round(row.seconds, 3) for stage, row in by_stage.items() if run_id is not None and row.run_id == run_id},
    )


def _why_local(pipeline: Pipeline, video_id: str) -> str | None:
    asked = [one for one in questions.of_video(pipeline.storage.db, video_id) if one["failure_code"]]
    return f"Scenes were described locally: [{asked[0]['failure_code']}] {asked[0]['failure_message']}" if asked else None


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
