"""What Dagster loads: the six assets, the two of editing, jobs, schedules and sensors, the executor and the resources.

Settings are read here, once.
"""

from __future__ import annotations

import functools
import warnings

import dagster as dg

from reframer_pipeline.orchestration.assets import all_assets, process_video
from reframer_pipeline.orchestration.deliverables import all_deliverables, job_of
from reframer_pipeline.orchestration.executors import executor_for, waits_for_gpu
from reframer_pipeline.orchestration.requests.deliverable_sensor import deliverable_sensor
from reframer_pipeline.orchestration.requests.ingest_job import ingest
from reframer_pipeline.orchestration.requests.schedules import backfill
from reframer_pipeline.orchestration.requests.sensors import upload_sensor
from reframer_pipeline.orchestration.stage.io_manager import ResultsIOManager
from reframer_pipeline.orchestration.upkeep.reconcile import status_sensor
from reframer_pipeline.orchestration.upkeep.retention_job import retention, retention_schedule
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.settings import Settings

# Dagster itself passes this argument when it binds a sensor, and then warns of it.
warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)


@functools.cache  # one deployment runs many videos, one after the other
def build_definitions(settings: Settings) -> dg.Definitions:
    """The code location for these settings. Opens no file, no connection, and loads no model."""
    storage, gpu_pool = storage_of(settings), waits_for_gpu(settings)
    return dg.Definitions(
        assets=[*all_assets(gpu_pool), *all_deliverables(gpu_pool)],
        jobs=[process_video(), job_of("matte"), job_of("reframe"), ingest, retention],
        schedules=[backfill, retention_schedule],
        sensors=[upload_sensor, deliverable_sensor, status_sensor, *_fleet(settings)],
        executor=executor_for(settings),
        resources={"storage": storage, "io_manager": ResultsIOManager(storage)},
    )


def _fleet(settings: Settings) -> list[dg.SensorDefinition]:
    """What a fleet needs beside. Celery is an extra, and imported for it alone."""
    if settings.launcher != "celery":
        return []
    from reframer_pipeline.orchestration.fleet.sensor import fleet_sensor

    return [fleet_sensor]


defs = build_definitions(Settings())
