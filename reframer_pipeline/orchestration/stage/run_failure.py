"""What a Dagster run failed by, as its own events tell.

What belongs here: reading the failure out of the events, whoever asks. What does not: making the events (`stage_end`), what is written of a
failed run (`upkeep.reconcile`, `running.run_videos`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dagster as dg

from reframer_pipeline.failures import DagsterFailed, ReframerError, RunDied
from reframer_pipeline.failures.typing import from_metadata

STEP, RUN, ENGINE = dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.ENGINE_EVENT
STEP_PROCESS_DIED: Final = "ChildProcessCrashException"  # of the multiprocess executor
# What the code server says of a run's process that Python ended, for an exception that could not be told: Dagster's own database was away.
# Whatever else ends it, a signal or a library that calls exit(), is a death.
ENDED_BY_EXCEPTION: Final = "unexpectedly exited with code 1."


def failure_of(events: Iterable[dg.DagsterEvent]) -> ReframerError | None:
    """The failure that a failed run's events tell of: the first failed step's, else the run's own, else what else Dagster met.

    Returns:
        None if they tell of none: the process of the run vanished, and somebody else called the run failed.
    """
    told: dict[dg.DagsterEventType, ReframerError] = {}
    for event in events:
        failure = _TELLING[event.event_type](event) if event.event_type in _TELLING else None
        if failure is not None:
            told.setdefault(event.event_type, failure)
    return told.get(STEP) or told.get(RUN) or told.get(ENGINE)


def failure_of_run(instance: dg.DagsterInstance, run_id: str) -> ReframerError | None:
    """`failure_of` a run that this process has not executed."""
    return failure_of(entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=set(_TELLING)))


def _of_step(event: dg.DagsterEvent) -> ReframerError:
    details, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
    told = from_metadata({name: entry.value for name, entry in details.metadata.items()}) if details is not None else None
    if told is not None:
        return told
    if error is not None and error.cls_name == STEP_PROCESS_DIED:
        return RunDied(f"The process of the stage {event.step_key} ended without a word.")
    # A stage turns whatever it meets into a typed failure, so this is Dagster's own: its database was away, the partition is gone
    return DagsterFailed(f"The step {event.step_key} failed: {_line(error.message) if error is not None else 'no reason given'}")


def _of_run(event: dg.DagsterEvent) -> ReframerError | None:
    error = event.job_failure_data.error if event.event_specific_data is not None else None
    return DagsterFailed(f"The run failed: {_line(error.message)}") if error is not None else None


def _of_engine(event: dg.DagsterEvent) -> ReframerError | None:
    error = event.engine_event_data.error
    if error is not None:
        return DagsterFailed(f"The run failed: {_line(error.message)}")
    return DagsterFailed(_line(event.message or "")) if ENDED_BY_EXCEPTION in (event.message or "") else None


_TELLING: Final = {STEP: _of_step, RUN: _of_run, ENGINE: _of_engine}


def _line(message: str) -> str:
    return " ".join(message.split())[:500]
