"""Workers on machines of their own, with nothing in common but PostgreSQL on TCP (a pooler with TLS), S3 and the broker; a cable is cut."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest

from reframer_pipeline.orchestration.fleet.stages import key_of
from reframer_pipeline.orchestration.stage.runs import token_of
from reframer_pipeline.running import dagster_home, embedded_broker
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import lease, workers
from reframer_pipeline_tests.orchestration.fleet.fleet import Fleet, Worker, fleet_over, running_broker
from reframer_pipeline_tests.orchestration.fleet.hosts import Host, host
from reframer_pipeline_tests.orchestration.fleet.test_fleet import drawn
from reframer_pipeline_tests.processes import is_setting
from reframer_pipeline_tests.s3 import VARIABLES, pointing_at, s3_server
from reframer_pipeline_tests.servers import Server, short_folder

__all__ = ["s3_server"]
pytestmark = [
    pytest.mark.models,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(embedded_broker.program() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
]
CUT_S = 90.0


class Machines:
    """Two machines beside this one, with a worker each."""

    def __init__(self, fleet: Fleet, hosts: list[Host], started: list[Worker]) -> None:
        self.fleet, self.hosts, self.workers = fleet, hosts, started

    def of(self, run_id: str) -> tuple[Host, Worker]:
        """Who computes a run, or a stage by its key, and where."""
        (row,) = (row for row in workers.living(self.fleet.storage.db) if row["run_id"] == run_id)
        place = next(n for n, one in enumerate(self.workers) if row["name"].endswith(f":{one.child}"))
        return self.hosts[place], self.workers[place]


@pytest.fixture
def machines(
    postgres15: Server,
    pgbouncer_tls: Server,
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Machines]:
    """Both compute whole runs; or, with `celery` as parameter, the stages that want a GPU, and the rest is computed here."""
    executor = getattr(request, "param", "in_process")
    with ExitStack() as stack:
        for name in ("fleet_results", "fleet_dagster"):
            with psycopg.connect(postgres15.direct.format(database="postgres"), autocommit=True) as conn:
                conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]
                conn.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        stack.enter_context(pointing_at(s3_server, monkeypatch))
        import s3fs

        s3fs.S3FileSystem().mkdir("fleet")
        broker_url = stack.enter_context(running_broker(short_folder("broker"))).url
        pooled = pgbouncer_tls.url.format(database="fleet_results").partition("?")[0] + "?sslmode=require"
        direct = postgres15.direct.format(database="fleet_dagster")
        places = {
            "database_url": pooled,
            "dagster_database_url": direct,
            "store_url": "s3://fleet/objects",
            "uploads_url": "s3://fleet/drop",
        }
        fleet = stack.enter_context(fleet_over(tmp_path / "daemon", broker_url, executor=executor, **places))
        fleet.instance.get_runs(limit=1)
        hosts, started = [], []
        for number in range(2):
            there = stack.enter_context(host())
            ways = {name: _from(there, url) for name, url in {**places, "broker_url": broker_url}.items()}
            settings = Settings(home=tmp_path / f"worker{number}", models="demo", device="cpu", executor=executor, **ways)
            others = {name: value for name, value in os.environ.items() if not is_setting(name) and not name.startswith("DAGSTER_")}
            chosen = {name: value for name, value in dagster_home.as_environment(settings).items() if value}
            s3 = {**VARIABLES, "AWS_ENDPOINT_URL": _from(there, s3_server)}
            (tmp_path / f"worker{number}").mkdir()
            hosts.append(there)
            words = ["worker", "--queue", "gpu"] if executor == "celery" else ["worker"]
            started.append(Worker(settings.home_dir, others | s3 | chosen, [*there.prefix], words))
        fleet.workers = [*started]
        fleet.wait(lambda: [row["state"] for row in workers.living(fleet.storage.db)] == ["ready", "ready"])
        for queue in ("runs", "cpu") if executor == "celery" else ():
            fleet.start(1, "--queue", queue)
        yield Machines(fleet, hosts, started)


def _from(there: Host, url: str) -> str:
    """A URL of something on this machine's loopback, as it is reached from there."""
    parts = urlsplit(url)
    if parts.hostname != "127.0.0.1" or parts.port is None:
        return url
    return url.replace(f"127.0.0.1:{parts.port}", f"{there.here}:{there.forward(parts.port)}")


def test_a_machine_that_is_cut_off_loses_its_run_and_commits_nothing_when_it_is_back(machines: Machines, tmp_path: Path) -> None:
    fleet = machines.fleet
    short, long = fleet.ingest(drawn(tmp_path, 3_840_001, frames=15)), fleet.ingest(drawn(tmp_path, 3_840_002, frames=900))
    first = fleet.launch(short)
    assert fleet.ended(first) is dg.DagsterRunStatus.SUCCESS and set(fleet.made(short)) == set(NAMES)

    run_id = fleet.launch(long)
    fleet.at(run_id, "masks")
    there, worker = machines.of(run_id)
    before, child = fleet.made(long), worker.child
    there.cut()
    began = time.monotonic()
    assert fleet.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert not lease.held_by(fleet.storage.db, long, token_of(run_id))
    rest = fleet.launch(long, *(stage for stage in NAMES if stage not in before))
    time.sleep(max(CUT_S - (time.monotonic() - began), 0))
    there.mend()
    assert fleet.ended(rest) is dg.DagsterRunStatus.SUCCESS
    fleet.wait(lambda: [row["state"] for row in workers.living(fleet.storage.db)] == ["ready", "ready"])
    assert fleet.made(long) == before | {stage: rest for stage in NAMES if stage not in before}
    assert fleet.status(run_id) is dg.DagsterRunStatus.FAILURE and fleet.leases() == []
    assert worker.child == child  # it was only out of reach, and is warm still
    assert fleet.ended(fleet.launch(short, "scenes")) is dg.DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("machines", ["celery"], indirect=True)
def test_a_machine_that_is_cut_off_in_a_stage_loses_it_to_another_within_the_same_run(machines: Machines, tmp_path: Path) -> None:
    fleet = machines.fleet
    long = fleet.ingest(drawn(tmp_path, 3_840_003, frames=900))
    run_id = fleet.launch(long)
    fleet.at(run_id, "masks")
    key = key_of(run_id, "masks", 0)
    there, worker = machines.of(key)
    child, (first,) = worker.child, fleet.rows("SELECT worker_id FROM worker_runs WHERE run_id = %s", key)
    there.cut()
    began = time.monotonic()
    fleet.wait(lambda: fleet.rows("SELECT worker_id FROM worker_runs WHERE run_id = %s", key) != [first])
    time.sleep(max(CUT_S - (time.monotonic() - began), 0))
    there.mend()
    assert fleet.ended(run_id) is dg.DagsterRunStatus.SUCCESS
    assert fleet.made(long) == dict.fromkeys(NAMES, run_id) and fleet.leases() == []
    fleet.wait(lambda: not worker.has(child))  # it found out, and began a process anew
    fleet.wait(lambda: [row["state"] for row in workers.living(fleet.storage.db)] == ["ready"] * 4)
    again = fleet.launch(long, "scenes")
    assert fleet.ended(again) is dg.DagsterRunStatus.SUCCESS
