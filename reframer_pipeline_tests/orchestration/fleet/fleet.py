"""A fleet over one data folder: a real RabbitMQ, workers as the processes that people start, runs launched as the daemon does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import dagster as dg
import kombu
import psutil
from pydantic import SecretStr

from reframer_pipeline.database.postgres import Row
from reframer_pipeline.orchestration.dagster_internals import reconstructable_job
from reframer_pipeline.orchestration.requests.deliverable_runs import run_config
from reframer_pipeline.orchestration.tags import ASSET_OF, JOB_OF, PARTITION_TAG, PARTITIONS, PROCESS_VIDEO
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.embedded_broker import broker
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.work import workers
from reframer_pipeline_tests.processes import is_setting

FINISHED_S = 900.0
HERE = ("worker", "--same-machine")


class RunningBroker:
    """A RabbitMQ of its own.

    Attributes:
        url: How clients reach it.
    """

    def __init__(self, home: Path, terms: str = "") -> None:
        """Start it, with these Erlang terms for its application `rabbit`."""
        self._made = broker(Settings(home=home))
        Path(self._made.environment["RABBITMQ_ADVANCED_CONFIG_FILE"]).write_text(f"[{{rabbit, [{terms}]}}].\n")
        self.url = self._made.url
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self._made.command, env={**os.environ, **self._made.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        with kombu.Connection(self.url, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=240, interval_start=0.5, interval_step=0)

    def kill(self) -> None:
        """Kill -9."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(180)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(180)


@contextmanager
def running_broker(home: Path, terms: str = "") -> Iterator[RunningBroker]:
    """A RabbitMQ, for a while."""
    made = RunningBroker(home, terms)
    try:
        yield made
    finally:
        made.end()


class Worker:
    """A `reframer worker`: its parent process, and the child that computes."""

    def __init__(self, home: Path, environment: dict[str, str], prefix: Sequence[str] = (), words: Sequence[str] = HERE) -> None:
        self.log = home / f"worker-{time.monotonic_ns()}.log"
        with self.log.open("wb") as out:
            command = [*prefix, sys.executable, "-m", "reframer_pipeline", *words]
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)

    @property
    def child(self) -> int:
        """The process that computes now."""
        (child,) = psutil.Process(self.process.pid).children()
        return child.pid

    def has(self, child: int) -> bool:
        """Whether that process computes still."""
        with suppress(psutil.NoSuchProcess):
            return child in [one.pid for one in psutil.Process(self.process.pid).children()]
        return False

    def send(self, number: signal.Signals) -> None:
        """To both processes, as the machine's going would."""
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for pid in [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]:
                os.kill(pid, number)
            os.kill(self.process.pid, number)

    def end(self) -> None:
        """Kill -9, if it is still there."""
        self.send(signal.SIGKILL)
        self.process.wait(60)


class Fleet:
    """Workers and runs over one data folder.

    Attributes:
        settings: Of the deployment.
        broker_url: Of its broker.
        instance: Dagster's.
    """

    def __init__(self, settings: Settings, broker_url: str, instance: dg.DagsterInstance) -> None:
        self.settings, self.broker_url = settings, broker_url
        self.instance = instance
        self.workers: list[Worker] = []

    @property
    def storage(self) -> Storage:
        return storage_of(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """Of all its processes."""
        others = {name: value for name, value in os.environ.items() if not is_setting(name)}
        return others | {name: value for name, value in dagster_home.as_environment(self.settings).items() if value}

    @contextmanager
    def beside(self, *words: str) -> Iterator[None]:
        """`reframer` with these words, until the block ends: then SIGTERM, after which nothing of it is left."""
        log = self.settings.home_dir / f"{words[0]}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "reframer_pipeline", *words]
            process = psutil.Popen(command, env=self.environment, stdout=out, stderr=out, start_new_session=True)
        try:
            yield
            assert process.is_running() and process.status() != psutil.STATUS_ZOMBIE, log.read_text()[-3000:]
            family = [process, *process.children(recursive=True)]
            process.terminate()
            assert psutil.wait_procs(family, 60)[1] == [], log.read_text()[-3000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def start(self, count: int = 1, *options: str, **variables: str) -> list[Worker]:
        """Start workers, and wait until all of them have said that they are ready."""
        started = [Worker(self.settings.home_dir, self.environment | variables, words=(*HERE, *options)) for _ in range(count)]
        self.workers += started
        self.wait(lambda: all(self.row_of(one).get("state") == "ready" for one in started))
        return started

    def row_of(self, worker: Worker) -> Row:
        """The row of a worker; empty as long as there is none."""
        with suppress(psutil.NoSuchProcess, ValueError):
            return next((row for row in workers.living(self.storage.db) if row["name"].endswith(f":{worker.child}")), {})
        return {}

    def worker_at(self, run_id: str) -> Worker:
        """Who computes a run."""
        return next(one for one in self.workers if self.row_of(one).get("run_id") == run_id)

    def ingest(self, clip: Path) -> str:
        """Take in a file; the video's id."""
        video_id = ingest_file(clip, self.storage.db, self.storage.store, self.settings).video_id
        assert video_id is not None
        self.instance.add_dynamic_partitions(PARTITIONS, [video_id])
        return video_id

    def launch(self, video_id: str, *stages: str) -> str:
        """Launch a run of these stages, or of all; the run's id."""
        return self._launch(PROCESS_VIDEO, video_id, stages or NAMES)

    def launch_deliverable(self, one: Deliverable) -> str:
        """Launch the run that makes it; the run's id."""
        return self._launch(JOB_OF[one.kind], one.video_id, [ASSET_OF[one.kind]], run_config(one))

    def _launch(self, name: str, video_id: str, assets: Sequence[str], config: dict[str, Any] | None = None) -> str:
        job = reconstructable_job(name)
        run = self.instance.create_run_for_job(
            job.get_definition(), run_config=config, tags={PARTITION_TAG: video_id}, job_code_origin=job.get_python_origin(),
            asset_selection=frozenset(map(dg.AssetKey, assets)),
        )  # fmt: skip
        self.instance.launch_run(run.run_id, workspace=cast("Any", None))
        return run.run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        return self.run(run_id).status

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        """Wait for a run's end; how it ended."""
        self.wait(lambda: self.run(run_id).is_finished)
        return self.status(run_id)

    def at(self, run_id: str, stage: str) -> None:
        """Wait until a run is in the middle of a stage."""
        self.wait(lambda: self.rows("SELECT 1 FROM processing_jobs WHERE run_id = %s AND stage = %s AND done > 0", run_id, stage))

    def rows(self, query: str, *values: Any) -> list[Row]:
        return self.storage.db.fetch(query, values)  # type: ignore[arg-type]

    def made(self, video_id: str) -> dict[str, str]:
        """The runs that made the results of a video, by stage."""
        rows = self.rows("SELECT stage, run_id FROM results WHERE video_id = %s", video_id)
        assert len({row["stage"] for row in rows}) == len(rows)
        return {row["stage"]: row["run_id"] for row in rows}

    def leases(self) -> list[Row]:
        return self.rows("SELECT * FROM leases")

    def wait(self, done: Callable[[], object], seconds: float = FINISHED_S) -> None:
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, "\n".join(one.log.read_text()[-3000:] for one in self.workers)
            time.sleep(0.1)

    def end(self) -> None:
        for one in self.workers:
            one.end()


@contextmanager
def fleet_over(home: Path, broker_url: str, **places: Any) -> Iterator[Fleet]:
    """A fleet without workers yet; on one machine, unless places are named."""
    settings = Settings(home=home, models="demo", device="cpu", launcher="celery", broker_url=SecretStr(broker_url), **places)
    variables = {name: value for name, value in dagster_home.as_environment(settings).items() if value}
    with dagster_home.environment(variables), dagster_home.open_instance(settings) as instance:
        fleet = Fleet(settings, broker_url, instance)
        try:
            yield fleet
        finally:
            fleet.end()
            fleet.storage.close()
