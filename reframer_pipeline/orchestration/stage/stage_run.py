"""One stage of one video, as Dagster runs it: lease, scratch folder, progress, watchdog, checks.

What belongs here: everything the six assets have in common, so that an asset's body is its own sentence and no more. What does
not: what a stage computes (the core), how it is persisted (`io_manager`), what is written of its end (`stage_end`).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from reframer_pipeline import failures, versions
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.orchestration.dagster_internals import StageCheck
from reframer_pipeline.orchestration.stage.interruptible import raise_if_interrupted
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.stage.stage_end import end_run_if_last, typed_failures
from reframer_pipeline.orchestration.stage.stage_lease import lease_of
from reframer_pipeline.orchestration.stage.watchdog import Watchdog
from reframer_pipeline.results.commit import Prepared
from reframer_pipeline.results.validation import CheckResult
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import local_copy
from reframer_pipeline.work import jobs, status

PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class FinishedStage:
    """A validated result, ready to be committed: what an asset hands to the I/O manager."""

    video_id: str
    prepared: Prepared
    lease_token: str
    scratch: Path

    def clear(self) -> None:
        """Delete the local files."""
        self.prepared.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)


StageEvents = Iterator[dg.AssetCheckResult | dg.Output[FinishedStage]]


class StageRun:
    """What an asset's body works with.

    Attributes:
        settings: The video's, unless the body decided for others (`use`).
        key: What the result will be a function of.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        video_id: str,
        key: versions.StageKey,
        lease_token: str,
        scratch: Path,
        job_id: str,
        run_id: str,
    ) -> None:
        self.pipeline = pipeline
        self.video_id = video_id
        self.key = key
        self.lease_token = lease_token
        self.scratch = scratch
        self.settings = settings
        self._stats: dict[str, Any] = {}
        self._watchdog: Watchdog | None = None
        self._job_id = job_id
        self._run_id = run_id
        self._reported = 0.0

    @property
    def result_id(self) -> str:
        """The id that this result will have."""
        return self.key.result_id

    @property
    def sha256(self) -> str:
        """Digest of the video's bytes."""
        return str(self.key.components["video"])

    def upload(self) -> AbstractContextManager[Path]:
        """The video file, on a local path while the context lasts."""
        return local_copy(self.sha256, self.pipeline.storage.store, self.scratch)

    def use(self, settings: Settings) -> None:
        """Compute with other settings from here on: the result gets their key."""
        self.settings = settings
        self.key = self.pipeline.key(self.video_id, self.key.stage, settings)

    def note(self, stats: Mapping[str, Any]) -> None:
        """Keep figures beside the result, in its manifest row."""
        self._stats.update(stats)

    def alive(self) -> None:
        """Note that work goes on, of which nothing can be counted. Raises `KeyboardInterrupt` once the run is interrupted."""
        raise_if_interrupted()
        if self._watchdog is not None:
            self._watchdog.feed()

    def progress(self, done: int, total: int) -> None:
        """Note that work goes on; shown to people at most twice a second. Raises `KeyboardInterrupt` once the run is interrupted."""
        self.alive()
        now = time.monotonic()
        if now - self._reported >= PROGRESS_EVERY_S or (total and done >= total):
            self._reported = now
            with suppress(failures.ReframerError):  # hours of work must not end because a note could not be taken
                jobs.progress(self.pipeline.storage.db, self._job_id, self.key.stage, done, total)

    def finish(self, batches: Iterator[pa.RecordBatch], attachment: Path | None = None) -> StageEvents:
        """Draw the stream into Parquet, validate it, report the checks, hand the result to the I/O manager.

        Args:
            batches: The stage's rows; its work happens while they are drawn.
            attachment: File that belongs to the result, complete when the rows are drawn.
        """
        output = StageOutput(self.key.stage, batches, attachment)
        with Watchdog(self.settings.stall_s, f"The stage {self.key.stage}") as self._watchdog:
            try:
                prepared = self.pipeline.storage.results.prepare(self.video_id, self.key, output, run_id=self._run_id, stats=self._stats)
            except failures.InvalidResult as error:
                yield from _check_results(self.key.stage, error.checks)
                raise
        try:
            if self.pipeline.key(self.video_id, self.key.stage, self.settings) != self.key:
                raise failures.WeightsChanged(f"The weights of the stage {self.key.stage} were replaced while it ran.")
            yield from _check_results(self.key.stage, prepared.checks)
            yield dg.Output(FinishedStage(self.video_id, prepared, self.lease_token, self.scratch))
        finally:
            prepared.clear()


@contextmanager
def stage_run(context: dg.AssetExecutionContext, pipeline: Pipeline, stage: str) -> Iterator[StageRun]:
    """Everything around one stage and its commit, which Dagster makes while the asset waits at its last `yield`."""
    video_id, run = context.partition_key, context.run
    db = pipeline.storage.db
    with typed_failures(context, pipeline, video_id), lease_of(run, db, video_id) as token:
        job_id = jobs.start(db, video_id, run.run_id, context.retry_number + 1)
        status.processing(db, video_id, token)
        settings = pipeline.settings_for(video_id)
        key = pipeline.key(video_id, stage, settings)
        jobs.at_recipe(db, job_id, key.recipe.digest)
        pipeline.settings.scratch_dir.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{stage}-", dir=pipeline.settings.scratch_dir))
        try:
            this = StageRun(pipeline, settings, video_id, key, token, scratch, job_id, run.run_id)
            this.progress(0, 0)
            yield this
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        end_run_if_last(run, pipeline, video_id, token)


def _check_results(stage: str, checks: Sequence[CheckResult]) -> Iterator[dg.AssetCheckResult]:
    for check in checks:
        yield StageCheck(asset_key=dg.AssetKey(stage), check_name=check.name, passed=check.passed, description=check.detail or None)
