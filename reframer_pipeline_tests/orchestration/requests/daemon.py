"""A small stand-in for Dagster's daemon: ticks of a sensor, and the runs that it requests, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.settings import Settings

RUN_KEY = "dagster/run_key"


@dataclass
class Daemon:
    """Evaluates a sensor, that of uploads if none is named, against a real instance and runs what it asks for, each run key once, as the
    daemon does.
    """

    settings: Settings
    instance: dg.DagsterInstance
    cursor: str | None = None
    skipped: list[str] = field(default_factory=list)
    sensor: str = "upload_sensor"

    def __post_init__(self) -> None:
        self.repository = build_definitions(self.settings).get_repository_def()

    def evaluate(self) -> SensorExecutionData:
        """One tick, whose outcome is lost: as when the daemon is killed in the middle of it."""
        context = dg.SensorEvaluationContext(  # `build_sensor_context` passes no instance on to the check of partition keys
            instance_ref=self.instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=self.cursor,
            log_key=None,
            repository_name=None,
            repository_def=self.repository,
            resources={"storage": dg.ResourceDefinition.hardcoded_resource(storage_of(self.settings))},
        )
        with context:
            return self.repository.get_sensor_def(self.sensor).evaluate_tick(context)

    def tick(self) -> list[dg.RunRequest]:
        """One tick, without running anything: cursor and partitions are kept."""
        data = self.evaluate()
        for request in data.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor = data.cursor
        if data.skip_message:
            self.skipped.append(data.skip_message)
        return list(data.run_requests or [])

    def run(self, requests: list[dg.RunRequest]) -> list[dg.ExecuteInProcessResult]:
        """Run what was requested and never ran under the same run key; nothing is raised for a run that fails."""
        results = []
        for request in requests:
            if self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY: str(request.run_key)})):
                continue
            job = self.repository.get_job(str(request.job_name))
            tags = {**request.tags, RUN_KEY: str(request.run_key)}
            results.append(
                job.execute_in_process(
                    dict(request.run_config), self.instance, partition_key=request.partition_key, tags=tags, raise_on_error=False
                )
            )
        return results
