"""How a stage ends, well or badly, in the rows of its video and its job.

What belongs here: typed failures, what is written of them, and the end of a run that has all its stages. What does not: the statements
(`work.status`, `work.jobs`), the run of a stage (`stage_run`), its commit (`io_manager`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from reframer_pipeline import failures
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.stage.stage_lease import give_back, lease_of
from reframer_pipeline.versions import STAGES
from reframer_pipeline.work import jobs, status

MAX_RETRIES = 2
Context = dg.AssetExecutionContext | dg.OutputContext | dg.InputContext


@contextmanager
def typed_failures(context: Context, pipeline: Pipeline, video_id: str, lease_token: str | None = None) -> Iterator[None]:
    """Turn every exception into a `dg.Failure` with a code; one that is not tried again is written to the video and the job.

    Retryable failures are tried again by the asset's retry policy; permanent ones never.

    Args:
        context: Of whatever runs: the asset, or the I/O manager around it.
        pipeline: Of this deployment.
        video_id: The video.
        lease_token: Under which this works, if the run's own code holds the lease.
    """
    run, tries = _run_and_tries(context)
    try:
        yield
    except (dg.Failure, GeneratorExit):  # the second: the I/O manager has failed, and has written so
        raise
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        _record(pipeline, run, video_id, failures.Interrupted("The run was interrupted."), lease_token)
        give_back(run.run_id)
        raise
    except Exception as error:
        failure = _typed(error)
        again = failure.retryable and tries < MAX_RETRIES and not isinstance(failure, failures.VideoBusy)  # that has waited already
        if not again:
            _record(pipeline, run, video_id, failure, lease_token)
            give_back(run.run_id)
        raise dg.Failure(
            description=f"[{failure.code}] {failure}",
            metadata={"failure_code": failure.code, "message": failure.message, "remedy": failure.remedy},
            allow_retries=again,
        ) from error


def end_run_if_last(run: dg.DagsterRun, pipeline: Pipeline, video_id: str, lease_token: str) -> None:
    """After a stage's commit: if the run has all its stages now, its job is completed and the video's status settles.

    A video that failed before is well again by that, unless another run has failed while this one went on.
    """
    db, asked = pipeline.storage.db, run.step_keys_to_execute or [key.path[-1] for key in run.asset_selection or ()] or STAGES
    with suppress(failures.ReframerError):  # a note: what was committed stays committed
        if not jobs.complete(db, video_id, run.run_id, asked):
            return
        if not jobs.failed_since(db, video_id, run.run_id):
            status.settle(db, video_id, lease_token)
        give_back(run.run_id)


def _typed(error: Exception) -> failures.ReframerError:
    return error if isinstance(error, failures.ReframerError) else failures.InternalError(f"{type(error).__name__}: {error}")


def _record(pipeline: Pipeline, run: dg.DagsterRun, video_id: str, failure: failures.ReframerError, token: str | None) -> None:
    # The failure itself is what the user must see: a database that cannot take the note must not hide it.
    db = pipeline.storage.db
    with suppress(failures.ReframerError):
        jobs.fail(db, video_id, run.run_id, failure)
    if isinstance(failure, failures.LeaseLost | failures.VideoBusy | failures.UnknownVideo):
        return
    with suppress(failures.ReframerError), nullcontext(token) if token else lease_of(run, db, video_id, patience_s=0) as token:
        if isinstance(failure, failures.Interrupted):
            status.settle(db, video_id, token)
        else:
            status.fail(db, video_id, failure, token)


def _run_and_tries(context: Context) -> tuple[dg.DagsterRun, int]:
    """The run, and how often this step was tried before."""
    if isinstance(context, dg.AssetExecutionContext):
        return context.run, context.retry_number
    return context.step_context.dagster_run, context.step_context.previous_attempt_count
