"""Runs that were handed to the broker and that no worker has taken: why they wait is said, and what the broker has lost is launched anew.

What belongs here: looking, every half minute. What does not: handing over (`launcher`), runs that are taken (`tasks`, `upkeep.life`).
"""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import BrokerUnavailable
from reframer_pipeline.orchestration.dagster_internals import Worker
from reframer_pipeline.orchestration.fleet.app import RUNS
from reframer_pipeline.orchestration.fleet.waiting import waiting
from reframer_pipeline.orchestration.tags import WAITS_TAG
from reframer_pipeline.orchestration.upkeep.life import worker_in_fleet
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import workers

PATIENCE_S: Final = 60.0  # from being launched to being looked at
NOBODY: Final = "No worker lives, so this run waits. Start one: reframer worker."
GONE: Final = "The worker that had taken this run is gone."
LOST: Final = "The broker no longer has this run, and no worker has taken it."


def see_to_waiting(instance: dg.DagsterInstance, db: Database, broker_url: str) -> tuple[int, int]:
    """Say of each waiting run if no worker lives; fail those that the broker has lost, so that Dagster starts them again.

    A run counts as lost when workers are idle, and nothing waits in the broker, now and when the broker was asked.

    Returns:
        How many wait, and how many were lost.
    """
    long_ago = time.time() - PATIENCE_S
    records = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING]))
    old = [one.dagster_run for one in records if one.update_timestamp.timestamp() < long_ago]
    waits, lost = [run for run in old if workers.taker(db, run.run_id) is None], 0
    for run in old:
        if run not in waits and worker_in_fleet(db, run.run_id) is Worker.GONE:  # before it had begun
            instance.report_run_failed(run, message=GONE)
            lost += 1
    if not waits:
        return 0, lost
    living = [row for row in workers.living(db) if row["queue"] == RUNS]
    if not living:
        for run in waits:
            if WAITS_TAG not in run.tags:
                instance.report_engine_event(NOBODY, run)
                instance.add_run_tags(run.run_id, {WAITS_TAG: "no worker"})
        return len(waits), lost
    try:
        idle = all(row["state"] == "ready" for row in living) and waiting(broker_url) == 0
    except BrokerUnavailable:  # it keeps what it has
        idle = False
    for run in waits if idle else []:
        if workers.withdraw(db, run.run_id):  # who gets the message after all does not compute it
            instance.report_run_failed(run, message=LOST)
            lost += 1
    return len(waits), lost


@dg.sensor(
    name="fleet",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks after runs that wait for a worker.",
)
def fleet_sensor(context: dg.SensorEvaluationContext, storage: dg.ResourceParam[Storage]) -> dg.SkipReason:
    """One look; nothing is ever requested."""
    url = storage.settings.broker_url
    waits, lost = see_to_waiting(context.instance, storage.db, url.get_secret_value()) if url is not None else (0, 0)
    return dg.SkipReason(f"{waits} runs wait for a worker; {lost} were lost, and are launched again.")
