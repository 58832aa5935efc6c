"""Retention as Dagster sees it: one job of four independent steps, run by a schedule every night.

What belongs here: calling the core by the settings, and showing what came of it. What does not: what may go and how (`retention.archive`,
`retention.eviction`, `retention.sweep`, `old_runs`).
"""

from collections.abc import Callable
from typing import Any, Final

import dagster as dg

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.failures.typing import as_metadata
from reframer_pipeline.orchestration.tags import CPU_TAGS
from reframer_pipeline.orchestration.upkeep.old_runs import delete_old_runs
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention.idle import WhileIdle

SHOWN: Final = 20  # reasons in the metadata


Act = Callable[[dg.OpExecutionContext, Storage], dict[str, Any]]


def _step(description: str) -> Callable[[Act], dg.OpDefinition]:
    """An op of the same name, which shows what the function returns, and its typed failure with code and remedy."""

    def decorate(act: Act) -> dg.OpDefinition:
        def step(context: dg.OpExecutionContext) -> None:
            try:
                context.add_output_metadata(act(context, context.resources.storage))
            except ReframerError as failure:
                raise dg.Failure(f"[{failure.code}] {failure}", metadata=as_metadata(failure)) from failure

        op = dg.op(name=act.__name__, description=description, required_resource_keys={"storage"}, out=dg.Out(dg.Nothing), tags=CPU_TAGS)
        return op(step)

    return decorate


@_step("Rows of videos older than REFRAMER_ARCHIVE_AFTER_DAYS leave Postgres; `reframer restore` loads them back.")
def archive_rows(context: dg.OpExecutionContext, storage: Storage) -> dict[str, Any]:
    """Archive, and measure the database afterwards."""
    from reframer_pipeline.database.size import database_size
    from reframer_pipeline.retention.archive import archive_older

    days = storage.settings.archive_after_days
    went = WhileIdle() if days is None else archive_older(storage.db, storage.store, days)
    size = database_size(storage.db, storage.settings)
    if size.nearly_full:
        context.log.warning(f"The database is nearly full: {size}.")
    return {**_went(went, "rows"), "database_bytes": size.bytes, "database": str(size)}


@_step("Frame stores of videos older than REFRAMER_EVICT_FRAMES_AFTER_DAYS are deleted; copies, mattes and clips not taken since.")
def evict_frames(context: dg.OpExecutionContext, storage: Storage) -> dict[str, Any]:
    """Evict."""
    from reframer_pipeline.results import proxies
    from reframer_pipeline.retention import deliverables
    from reframer_pipeline.retention.eviction import evict_older

    days = storage.settings.evict_frames_after_days
    went = WhileIdle() if days is None else evict_older(storage.db, storage.store, days)
    copies, copied = (0, 0) if days is None else proxies.evict_older(storage.db, storage.store, days)
    made = deliverables.Gone() if days is None else deliverables.evict_older(storage.db, storage.store, days)
    figures = {"proxies": copies, "proxy_bytes": copied, "deliverables": len(made.objects), "deliverable_bytes": made.bytes}
    return {**_went(went, "bytes"), **figures}


@_step("Results superseded for REFRAMER_KEEP_SUPERSEDED_DAYS, orphans, and what deletions and killed runs left are deleted.")
def sweep_storage(context: dg.OpExecutionContext, storage: Storage) -> dict[str, Any]:
    """Sweep: the scratch folder first, for it needs neither store nor database, and a full disk may keep both from working."""
    from reframer_pipeline.retention import deletion
    from reframer_pipeline.retention.sweep import sweep
    from reframer_pipeline.scratch import sweep_scratch

    scratch = sweep_scratch(storage.settings)
    deletion.finish(storage.db, storage.store, storage.settings)
    swept = sweep(storage.db, storage.store, storage.settings.keep_superseded_days)
    figures = {"superseded_results": swept.results, "superseded_deliverables": swept.deliverables, "orphan_objects": swept.orphans}
    figures |= {"bytes": swept.bytes, "busy_videos": swept.busy}
    return {**figures, "scratch_entries": scratch, "left": swept.left[:SHOWN]}


@_step("Finished Dagster runs older than REFRAMER_DAGSTER_RUNS_DAYS are deleted, with their logs.")
def delete_runs(context: dg.OpExecutionContext, storage: Storage) -> dict[str, Any]:
    """Delete old runs."""
    days = storage.settings.dagster_runs_days
    return {"runs": delete_old_runs(context.instance, days) if days else 0}


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
