"""One stage of one video, as Dagster runs it: lease, scratch folder, progress, watchdog, checks.

What belongs here: everything the six assets have in common. What does not: what a stage computes (`stages`), how it is persisted
(`io_manager`), what is written of its end (`stage_end`).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from reframer_pipeline.failures import InvalidResult, ReframerError, UnknownVideo, WeightsChanged
from reframer_pipeline.handover import Progress, StageInput
from reframer_pipeline.orchestration.dagster_internals import StageCheck
from reframer_pipeline.orchestration.stage.interrupting import Watchdog, raise_if_interrupted, raise_if_leaving
from reframer_pipeline.orchestration.stage.runs import Run, for_request, run_of
from reframer_pipeline.orchestration.stage.stage_end import end_run_if_last, typed_failures
from reframer_pipeline.results.prepare import Prepared, prepare
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.scratch import writing
from reframer_pipeline.stages.checks import CheckResult
from reframer_pipeline.stages.stage import Stage, Work
from reframer_pipeline.uploads.ingest import local_copy
from reframer_pipeline.work import jobs

PROGRESS_EVERY_S = 0.5
TOOLS_FIRST_S = 2.0  # a tool that stands still for as long as a stage may is ended by its own limit, which says whose fault it is


@dataclass(frozen=True)
class FinishedStage:
    """A validated result, ready to be committed: what an asset hands to the I/O manager."""

    run: Run
    prepared: Prepared
    scratch: Path

    def clear(self) -> None:
        """Delete the local files."""
        self.prepared.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)


StageEvents = Iterator[dg.AssetCheckResult | dg.Output[FinishedStage]]


def run_stage(context: dg.AssetExecutionContext, storage: Storage, stage: Stage, inputs: Mapping[str, StageInput]) -> StageEvents:
    """Everything around one stage and its commit, which Dagster makes while the asset waits at its last `yield`.

    The stage's rows are drawn into Parquet and validated, the checks are reported, and the result goes to the I/O manager.
    """
    video_id = context.partition_key
    with typed_failures(context, storage, video_id), _scratch(storage, stage) as scratch:
        run = run_of(context.run, storage, video_id)
        context.log.info(f"{stage.name} of {run.order.video.filename} (video {video_id}){for_request(context.run)}")
        raise_if_leaving()
        job_id = run.start(stage.name, context.retry_number + 1)
        _demand_weights(run, stage)
        watchdog = Watchdog(storage.settings.stall_s + TOOLS_FIRST_S, f"The stage {stage.name}")
        with _work(run, stage, scratch, watchdog, job_id) as work:
            output = stage.compute(work, **inputs)
            try:
                with watchdog:
                    prepared = prepare(
                        run.order.video,
                        work.key,
                        output,
                        run.upstream(stage.name),
                        storage.settings.scratch_dir,
                        run_id=context.run_id,
                        notes=work.notes,
                        answer=work.answer,
                    )
            except InvalidResult as error:
                yield from _check_results(stage, error.checks)
                raise
        try:
            _demand_weights(run, stage)
            yield from _check_results(stage, prepared.checks)
            yield dg.Output(FinishedStage(run, prepared, scratch))
        finally:
            prepared.clear()
        end_run_if_last(run, stage)


def _work(run: Run, stage: Stage, scratch: Path, watchdog: Watchdog, job_id: str) -> Work:
    storage, sha256 = run.storage, run.order.video.sha256

    def alive() -> None:
        raise_if_interrupted()
        watchdog.feed()

    reported = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal reported
        alive()
        now = time.monotonic()
        if now - reported >= PROGRESS_EVERY_S or (total and done >= total):  # people need it no more often
            reported, there = now, True
            with suppress(ReframerError):  # hours of work must not end because a note could not be taken
                there = jobs.progress(storage.db, job_id, stage.name, done, total)
            if not there:
                raise UnknownVideo("The video was deleted while it was computed.", "Nothing to do: nobody asks for it any more.")

    told: Progress = progress
    return Work(run.order, stage.name, storage.db, scratch, lambda: local_copy(sha256, storage.store, scratch), told, alive)


def _demand_weights(run: Run, stage: Stage) -> None:
    """A result must not bear the digest of weights that did not make it."""
    from reframer_pipeline.vision.weights import digest

    if stage.weights is not None and run.order.key(stage.name).recipe.weights != digest(run.order.settings, stage.weights):
        raise WeightsChanged(f"The weights of the stage {stage.name} were replaced after its run had begun.")


@contextmanager
def _scratch(storage: Storage, stage: Stage) -> Iterator[Path]:
    with writing(storage.settings.scratch_dir):
        folder = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=storage.settings.scratch_dir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_results(stage: Stage, checks: Sequence[CheckResult]) -> Iterator[dg.AssetCheckResult]:
    for check in checks:
        severity = dg.AssetCheckSeverity.WARN if check.warns else dg.AssetCheckSeverity.ERROR
        name, said = dg.AssetKey(stage.name), check.detail or None
        yield StageCheck(asset_key=name, check_name=check.name, passed=check.passed, severity=severity, description=said)
