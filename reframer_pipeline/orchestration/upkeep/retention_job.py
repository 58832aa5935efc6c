"""Retention as Dagster sees it: one job of four independent steps, run by a schedule every night.

What belongs here: calling the core by the settings, and showing what came of it. What does not: what may go and how (`retention.archive`,
`retention.eviction`, `retention.sweep`, `old_runs`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import dagster as dg

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.failures.typing import as_metadata
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.tags import CPU_TAGS
from reframer_pipeline.orchestration.upkeep.old_runs import delete_old_runs
from reframer_pipeline.retention.idle import WhileIdle

SHOWN: Final = 20  # reasons in the metadata


def _step(name: str, description: str) -> Any:
    return dg.op(name=name, description=description, required_resource_keys={"pipeline"}, out=dg.Out(dg.Nothing), tags=CPU_TAGS)


@_step("archive_rows", "Rows of videos older than REFRAMER_ARCHIVE_AFTER_DAYS leave Postgres; `reframer restore` loads them back.")
def archive_rows(context: dg.OpExecutionContext) -> None:
    """Archive, and measure the database afterwards."""
    from reframer_pipeline.database.size import database_size
    from reframer_pipeline.retention.archive import archive_older

    pipeline: Pipeline = context.resources.pipeline
    with _typed():
        storage, days = pipeline.storage, pipeline.settings.archive_after_days
        went = WhileIdle() if days is None else archive_older(storage.db, storage.store, days)
        size = database_size(storage.db, pipeline.settings)
    if size.nearly_full:
        context.log.warning(f"The database is nearly full: {size}.")
    context.add_output_metadata({**_went(went, "rows"), "database_bytes": size.bytes, "database": str(size)})


@_step("evict_frames", "Frame stores of videos older than REFRAMER_EVICT_FRAMES_AFTER_DAYS are deleted.")
def evict_frames(context: dg.OpExecutionContext) -> None:
    """Evict."""
    from reframer_pipeline.retention.eviction import evict_older

    pipeline: Pipeline = context.resources.pipeline
    with _typed():
        storage, days = pipeline.storage, pipeline.settings.evict_frames_after_days
        went = WhileIdle() if days is None else evict_older(storage.db, storage.store, days)
    context.add_output_metadata(_went(went, "bytes"))


@_step(
    "sweep_storage",
    "Results superseded for REFRAMER_KEEP_SUPERSEDED_DAYS, orphan objects, `.part` files and scratch files of killed runs are deleted.",
)
def sweep_storage(context: dg.OpExecutionContext) -> None:
    """Sweep: the scratch folder first, for it needs neither store nor database, and a full disk may keep both from working."""
    from reframer_pipeline.retention.sweep import sweep
    from reframer_pipeline.scratch import sweep_scratch

    pipeline: Pipeline = context.resources.pipeline
    scratch = sweep_scratch(pipeline.settings)
    with _typed():
        swept = sweep(pipeline.storage.db, pipeline.storage.store, pipeline.settings.keep_superseded_days)
    figures = {"superseded_results": swept.results, "orphan_objects": swept.orphans, "bytes": swept.bytes, "busy_videos": swept.busy}
    context.add_output_metadata({**figures, "scratch_entries": scratch, "left": swept.left[:SHOWN]})


@_step("delete_runs", "Finished Dagster runs older than REFRAMER_DAGSTER_RUNS_DAYS are deleted, with their logs.")
def delete_runs(context: dg.OpExecutionContext) -> None:
    """Delete old runs."""
    days = context.resources.pipeline.settings.dagster_runs_days
    context.add_output_metadata({"runs": delete_old_runs(context.instance, days) if days else 0})


@dg.job(
    name="retention",
    description="What is no longer needed goes: old rows, frame stores, superseded results, orphans, old runs. Each by its setting.",
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Four steps that do not wait for one another: one that fails stops no other."""
    archive_rows()
    evict_frames()
    sweep_storage()
    delete_runs()


retention_schedule = dg.ScheduleDefinition(
    name="retention_nightly",
    job=retention,
    cron_schedule="17 3 * * *",
    description="Every night at 3:17 (UTC).",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def _went(went: WhileIdle, unit: str) -> dict[str, Any]:
    return {"videos": went.videos, unit: went.amount, "busy_videos": went.busy, "left": went.left[:SHOWN]}


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except ReframerError as failure:
        raise dg.Failure(f"[{failure.code}] {failure}", metadata=as_metadata(failure)) from failure
