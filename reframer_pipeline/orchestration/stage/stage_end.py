"""How a stage ends, well or badly, in the rows of its video and its job.

What belongs here: failures as Dagster understands them, what is written of them, and the end of a run that has all its stages. What does
not: the statements (`work.status`, `work.jobs`), the run of a stage (`stage_run`), its commit (`io_manager`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from reframer_pipeline.failures import Interrupted, LeaseLost, ReframerError, UnknownVideo, VideoBusy, WeightsChanged
from reframer_pipeline.failures.typing import as_metadata, typed
from reframer_pipeline.orchestration.stage.runs import Run, for_request, give_back, run_of, vanish_if_overtaken
from reframer_pipeline.orchestration.tags import FAILURE_TAG
from reframer_pipeline.results import doubting
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import upstream
from reframer_pipeline.stages.stage import Stage
from reframer_pipeline.work import jobs, status

RETRY_PAUSES_S: Final = (2, 6)  # before the second and the third try. Not by a policy of Dagster's: that tries again what was interrupted
# Passing failures that the same run would only meet again: it has waited already, or is asked for what is no more.
FOR_ANOTHER_RUN: Final = (VideoBusy, WeightsChanged, Interrupted)
Context = dg.AssetExecutionContext | dg.OutputContext | dg.InputContext


@contextmanager
def typed_failures(context: Context, storage: Storage, video_id: str) -> Iterator[None]:
    """Turn every exception into a `dg.Failure` with a code, which is written to the video and the job, or into a request to try again.

    Retryable failures are tried again; permanent ones and interruptions never.

    Args:
        context: Of whatever runs: the asset, or the I/O manager around it.
        storage: Of this deployment.
        video_id: The video.
    """
    run, stage, tries = _step(context)
    try:
        yield
    except (dg.Failure, dg.RetryRequested, GeneratorExit):  # the last: the I/O manager has failed, and has written so
        raise
    except (KeyboardInterrupt, DagsterExecutionInterruptedError) as interrupt:
        _record(storage, run, stage, video_id, Interrupted("The run was interrupted."))
        raise type(interrupt) from None  # anew: where it happened to arrive is a long story that tells nothing
    except (Exception, SystemExit) as error:  # the latter is a library's
        failure = typed(error, storage.settings.scratch_dir)
        vanish_if_overtaken(run.run_id)
        if failure.retryable and tries < len(RETRY_PAUSES_S) and not isinstance(failure, FOR_ANOTHER_RUN):
            raise dg.RetryRequested(len(RETRY_PAUSES_S), RETRY_PAUSES_S[tries]) from error
        _record(storage, run, stage, video_id, failure)
        with suppress(Exception):  # Dagster's database may be away
            _instance(context).add_run_tags(run.run_id, {FAILURE_TAG: failure.code})
        raise dg.Failure(f"[{failure.code}] {failure}{for_request(run)}", as_metadata(failure)) from error


def end_run_if_last(run: Run, stage: Stage) -> None:
    """After a stage's commit: if the run has all its stages now, its job is completed and the video's status settles."""
    if any(stage.name in upstream(other) for other in run.stages):  # that one comes later
        return
    with suppress(ReframerError):  # a note: what was committed stays committed
        if jobs.finish(run.storage.db, run.order.video.video_id, run.run.run_id, run.stages, run.token):
            give_back(run.run.run_id)
    with suppress(Exception):  # hints: no run fails for them, and they are found when somebody asks
        doubting.look_published(run.storage.db, run.storage.store, run.order.video.video_id)


def _record(storage: Storage, run: dg.DagsterRun, stage: str, video_id: str, failure: ReframerError) -> None:
    """Write a failure down, and give the video back. The failure itself is what the user must see: a database that cannot take the note
    must not hide it.
    """
    with suppress(ReframerError):
        key = run_of(run, storage, video_id).order.keys.get(stage)
        jobs.fail(storage.db, video_id, run.run_id, failure, stage, key.recipe.digest if key is not None else None)
    if not isinstance(failure, LeaseLost | VideoBusy | UnknownVideo):
        with suppress(ReframerError):
            token = run_of(run, storage, video_id).take_lease(patience_s=0)
            if isinstance(failure, Interrupted):
                status.settle(storage.db, video_id, token)
            else:
                status.fail(storage.db, video_id, failure, token)
    give_back(run.run_id)


def _instance(context: Context) -> dg.DagsterInstance:
    return context.instance if isinstance(context, dg.AssetExecutionContext) else context.step_context.instance


def _step(context: Context) -> tuple[dg.DagsterRun, str, int]:
    """The run, the stage, and how often it was tried before."""
    if isinstance(context, dg.AssetExecutionContext):
        return context.run, context.asset_key.path[-1], context.retry_number
    step = context.step_context
    return step.dagster_run, step.step.key, step.previous_attempt_count
