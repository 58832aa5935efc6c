"""Dagster's private names: what the rest of the package needs of them, and what it mends in Dagster.

What belongs here: every import of a name that Dagster does not promise to keep, so that an update of Dagster is a look into one folder.
What does not: what is done with it. Dagster is pinned; each mend says what it is for. The storage has a module of its own, because its
imports take longer than all others.
"""

from __future__ import annotations

import functools
import json
import time
from enum import Enum
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.launcher import CheckRunHealthResult as CheckRunHealthResult
from dagster._core.launcher import LaunchRunContext as LaunchRunContext
from dagster._core.launcher import ResumeRunContext as ResumeRunContext
from dagster._core.launcher import WorkerStatus as WorkerStatus
from dagster._core.run_coordinator.base import SubmitRunContext as SubmitRunContext
from dagster._core.storage.tags import GRPC_INFO_TAG as GRPC_INFO_TAG
from dagster._core.storage.tags import MAX_RETRIES_TAG as MAX_RETRIES_TAG
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG as RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from dagster._serdes import ConfigurableClassData as ConfigurableClassData
from dagster._serdes import deserialize_value

PAUSE_S: Final = 0.1  # between two looks at a pool; Ctrl-C and the events of other steps wait for it
SERVER_TRIES: Final = 3  # of reaching a code server, a second apart: one that is just busy must not count as gone
SERVER_S: Final = 5


class StageCheck(dg.AssetCheckResult):
    """A check of what is about to be materialized: no earlier materialization is its target, so none is looked up."""

    def _get_target_materialization_data(self, *_: Any) -> None:
        return None


@functools.cache
def wait_asleep() -> None:
    """Whoever waits for a slot of a pool asks Dagster again without any pause, in every executor, and takes a whole core for it: from
    here on this process pauses before it asks again.
    """
    claim = InstanceConcurrencyContext.claim

    def claim_or_pause(self: InstanceConcurrencyContext, *args: Any, **kwargs: Any) -> bool:
        claimed = claim(self, *args, **kwargs)
        if not claimed:
            time.sleep(PAUSE_S)
        return claimed

    InstanceConcurrencyContext.claim = claim_or_pause  # type: ignore[method-assign]


class Worker(Enum):
    """What is known of a run's process."""

    ALIVE = "alive"
    GONE = "gone"  # with the server that started it
    UNKNOWN = "unknown"  # no server started it, or the server was started anew since, or reloaded


def worker_of(run: dg.DagsterRun) -> Worker:
    """Whether the process of a run is there, as far as the code server knows that started it."""
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult

    if GRPC_INFO_TAG not in run.tags:
        return Worker.UNKNOWN
    info = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(info.get("port"), info.get("socket"), info.get("host") or "localhost", use_ssl=bool(info.get("use_ssl")))
    if not _reaches(client):
        return Worker.GONE
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=SERVER_S)
    except Exception:  # of whichever kind: it was there a moment ago
        return Worker.UNKNOWN
    return Worker.ALIVE if deserialize_value(answer, CanCancelExecutionResult).can_cancel else Worker.UNKNOWN


def _reaches(client: Any) -> bool:
    for number in range(SERVER_TRIES):
        if number:
            time.sleep(1)
        try:
            client.ping("")
            return True
        except Exception:  # gRPC's, or Dagster's of its own
            continue
    return False


def execute_launched(run_id: str, instance: dg.DagsterInstance) -> None:
    """Execute a run that a launcher was given, in this process. What becomes of it stands in Dagster's event log; nothing is raised."""
    from dagster._cli.api import _execute_run_command_body

    _execute_run_command_body(run_id=run_id, instance=instance, write_stream_fn=lambda event: None, set_exit_code_on_failure=False)


def execute_stage(run: dg.DagsterRun, step: str, known_state: str, instance: dg.DagsterInstance) -> None:
    """Execute one step of a run in this process. What becomes of it stands in Dagster's event log.

    Args:
        run: The run.
        step: Its key.
        known_state: Of the plan, as `known_state_of` has written it.
        instance: Dagster's.

    Raises:
        Whatever keeps Dagster from executing it, of which the run then knows no end.
    """
    from dagster._cli.api import _execute_step_command_body
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._core.execution.retries import RetryMode
    from dagster._grpc.types import ExecuteStepArgs

    assert run.job_code_origin is not None  # a launched run has one
    args = ExecuteStepArgs(
        job_origin=run.job_code_origin, run_id=run.run_id, step_keys_to_execute=[step], retry_mode=RetryMode.DEFERRED,
        known_state=deserialize_value(known_state, KnownExecutionState), instance_ref=None, print_serialized_events=False,
    )  # fmt: skip
    for _ in _execute_step_command_body(args, instance, run):
        pass


def ends_of(instance: dg.DagsterInstance, run_id: str, step: str) -> int:
    """How many tries of a step have ended, as its run's log tells."""
    from dagster._core.events import DagsterEventType

    kinds = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY}
    records = instance.get_records_for_run(run_id, of_type=kinds).records
    return sum(record.event_log_entry.step_key == step for record in records)


def reconstructable_job(name: str) -> ReconstructableJob:
    """One of our jobs, as processes of their own load it anew."""
    return ReconstructableRepository.for_module("reframer_pipeline.definitions", "defs").get_reconstructable_job(name)


def remember_partitions(instance: dg.DagsterInstance, asset: str, partitions: dg.PartitionsDefinition[str]) -> None:
    """Bring Dagster's own cache of an asset's materialized partitions up to date: from then on it only adds to it."""
    from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

    get_and_update_asset_status_cache_value(instance, dg.AssetKey(asset), partitions)
