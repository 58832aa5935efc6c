"""One Dagster run for one video, in this process or with a process per stage.

What belongs here: starting it, waiting for it, and telling from its events what failed. What does not: which stages are needed, the
video's lease and status (`run_videos`). Dagster is imported when it is needed: a video that is up to date does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from reframer_pipeline import failures
from reframer_pipeline.orchestration.tags import FILENAME_TAG, LEASE_TAG, PARTITION_TAG, PARTITIONS, PROCESS_VIDEO
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.dagster_home import Instance, as_environment, environment
from reframer_pipeline.stages.order import Order

if TYPE_CHECKING:
    import dagster as dg

# Failures are returned, and everything is in the event log: the console stays the caller's.
QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize(
    storage: Storage, instance: Instance, order: Order, stages: tuple[str, ...], token: str
) -> tuple[str, failures.ReframerError | None]:
    """One Dagster run over the given assets of one partition.

    Args:
        storage: Of this deployment.
        instance: Dagster's.
        order: What is asked for, of which video.
        stages: The assets to compute.
        token: Of the video's lease, held by the caller.

    Returns:
        The run's id and the failure, if any.
    """
    import dagster as dg

    from reframer_pipeline.definitions import build_definitions
    from reframer_pipeline.orchestration.stage.interrupting import interruptible
    from reframer_pipeline.orchestration.stage.runs import expecting, for_children
    from reframer_pipeline.orchestration.upkeep.dead_runs import ending_dead_runs

    video_id = order.video.video_id
    with (
        instance() as dagster,
        ending_dead_runs(dagster, storage.db, token),
        expecting(token, order),
    ):
        dagster.add_dynamic_partitions(PARTITIONS, [video_id])
        tags = {LEASE_TAG: token, FILENAME_TAG: order.video.filename[:200]}
        selection = [dg.AssetKey(stage) for stage in stages]
        if storage.settings.executor == "multiprocess":
            variables = {**as_environment(storage.settings), **for_children(token, order)}
            return interruptible(lambda: _execute_in_children(variables, dagster, video_id, tags, selection))
        job = build_definitions(storage.settings).resolve_job_def(PROCESS_VIDEO)
        result = interruptible(
            lambda: job.execute_in_process(
                QUIET, dagster, partition_key=video_id, tags=tags, asset_selection=selection, raise_on_error=False
            )
        )
        return result.run_id, _failure_of(result.all_events, result.success)


def _execute_in_children(
    variables: Mapping[str, str], instance: dg.DagsterInstance, video_id: str, tags: dict[str, str], selection: list[dg.AssetKey]
) -> tuple[str, failures.ReframerError | None]:
    """The same run with a process per stage. Children load the definitions anew, so settings and order travel as environment."""
    import dagster as dg

    from reframer_pipeline.orchestration.dagster_internals import reconstructable_job

    job, tags = reconstructable_job(PROCESS_VIDEO), {**tags, PARTITION_TAG: video_id}
    with (
        environment(variables),
        dg.execute_job(job, instance, run_config=QUIET, tags=tags, asset_selection=selection, raise_on_error=False) as result,
    ):
        return result.run_id, _failure_of(result.all_events, result.success)


def _failure_of(events: Iterable[dg.DagsterEvent], success: bool) -> failures.ReframerError | None:
    from reframer_pipeline.orchestration.stage.run_failure import failure_of

    return None if success else failure_of(events) or failures.DagsterFailed("The run ended without success and without a failed step.")
