"""Warm workers on a real RabbitMQ: what they compute, how runs end, and what becomes of a run whose worker goes."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import kombu
import pytest
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import BrokerUnavailable
from reframer_pipeline.orchestration.fleet import sensor
from reframer_pipeline.orchestration.fleet.app import RUNS, TASK, celery_app
from reframer_pipeline.orchestration.fleet.sensor import see_to_waiting
from reframer_pipeline.orchestration.fleet.tasks import END_S
from reframer_pipeline.orchestration.fleet.waiting import waiting
from reframer_pipeline.orchestration.stage.runs import token_of
from reframer_pipeline.running import embedded_broker
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import lease, workers
from reframer_pipeline_tests.command import started
from reframer_pipeline_tests.orchestration.fleet.fleet import Fleet, RunningBroker, fleet_over, running_broker
from reframer_pipeline_tests.servers import free_port, short_folder

pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(900),
    pytest.mark.skipif(embedded_broker.program() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
]
AWAY_S = 30.0
SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    with running_broker(short_folder("broker")) as made:
        yield made


@pytest.fixture(scope="module")
def fleet(broker: RunningBroker) -> Iterator[Fleet]:
    with fleet_over(short_folder("fleet"), broker.url) as made:
        yield made


@pytest.fixture(scope="module")
def short(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fleet.ingest(drawn(tmp_path_factory.mktemp("short"), 3_820_001, frames=15))


@pytest.fixture
def long(fleet: Fleet, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A video whose masks take some seconds, another one for each test."""
    return fleet.ingest(drawn(tmp_path, 3_820_100 + sum(map(ord, request.node.name)), frames=300))


def drawn(folder: Path, seed: int, frames: int) -> Path:
    path = folder / f"{seed}.mp4"
    write_clip(make_clip(seed, n_frames=frames, shots=1), path)
    return path


@pytest.fixture
def two(fleet: Fleet) -> Fleet:
    """The fleet with two workers that are ready."""
    fleet.workers = [one for one in fleet.workers if one.process.poll() is None]
    fleet.start(2 - len(fleet.workers))
    fleet.wait(lambda: [row["state"] for row in workers.living(fleet.storage.db)].count("ready") >= 2)
    return fleet


def takers(fleet: Fleet, *run_ids: str) -> set[str]:
    return {row["id"] for row in fleet.rows("SELECT worker_id::text AS id FROM worker_runs WHERE run_id = ANY(%s)", list(run_ids))}


def test_a_run_that_nobody_takes_says_why_it_waits_and_one_that_the_broker_lost_is_launched_again(fleet: Fleet, short: str) -> None:
    run_id = fleet.launch(short, "metadata")
    look = partial(see_to_waiting, fleet.instance, fleet.storage.db, fleet.broker_url)
    assert look() == (0, 0)  # it was launched just now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensor, "PATIENCE_S", -1.0)
        assert look() == look() == (1, 0)
        monitored = list(
            execute_run_monitoring_iteration(
                SimpleNamespace(instance=fleet.instance, create_request_context=lambda: None), logging.getLogger()
            )
        )  # type: ignore[arg-type]
        assert not any(monitored) and not fleet.run(run_id).is_finished  # it may wait for as long as it takes
        assert sum(sensor.NOBODY in str(entry.message) for entry in fleet.instance.all_logs(run_id)) == 1
        with kombu.Connection(fleet.broker_url) as connection:
            assert connection.default_channel.queue_purge(RUNS) == 1
        fleet.start()
        assert look() == (1, 1)
    assert fleet.status(run_id) is FAILURE and fleet.run(run_id).tags["dagster/will_retry"] == "true"
    fleet.end()
    fleet.workers.clear()


def test_one_that_nobody_took_is_cancelled_at_once_and_never_computed(fleet: Fleet, short: str) -> None:
    run_id = fleet.launch(short)
    assert fleet.instance.run_launcher.terminate(run_id)
    assert fleet.status(run_id) is CANCELED
    fleet.start()
    assert fleet.ended(fleet.launch(short, "metadata")) is SUCCESS  # the cancelled one's message came first
    assert set(fleet.made(short)) == {"metadata"} and fleet.status(run_id) is CANCELED


def test_a_worker_computes_one_run_after_the_other_and_keeps_its_models(fleet: Fleet, short: str) -> None:
    (worker,) = fleet.workers
    child = worker.child
    whole = fleet.launch(short)
    assert fleet.ended(whole) is SUCCESS
    assert set(fleet.made(short)) == set(NAMES)
    failed = fleet.launch("00000000-0000-4000-8000-000000000000", "frames")
    assert fleet.ended(failed) is FAILURE
    again = fleet.launch(short, "scenes")
    assert fleet.ended(again) is SUCCESS
    assert len(takers(fleet, whole, failed, again)) == 1 and worker.child == child
    assert worker.log.read_text().count("loads its models") == 1
    fleet.wait(lambda: fleet.row_of(worker)["state"] == "ready")
    assert fleet.leases() == []


@pytest.mark.long
def test_a_message_that_comes_twice_is_computed_once(two: Fleet, long: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "frames")
    celery_app(two.broker_url).signature(TASK, args=(run_id,)).apply_async()
    assert two.ended(run_id) is SUCCESS
    assert set(two.made(long).values()) == {run_id} and len(takers(two, run_id)) == 1
    two.wait(lambda: [row["state"] for row in workers.living(two.storage.db)].count("ready") == 2)
    (job,) = two.rows("SELECT status FROM processing_jobs WHERE run_id = %s", run_id)
    assert job["status"] == "completed"


def test_a_cancelled_run_ends_soon_and_its_worker_stays_warm(two: Fleet, long: str, short: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker, token = two.worker_at(run_id), token_of(run_id)
    child = worker.child
    assert two.instance.run_launcher.terminate(run_id)
    two.wait(lambda: two.status(run_id) is CANCELED, END_S + 20)
    two.wait(lambda: two.row_of(worker)["state"] == "ready")
    assert worker.child == child and not lease.held_by(two.storage.db, long, token)
    assert two.run(run_id).tags.get("dagster/will_retry") != "true"
    (job,) = two.rows("SELECT failure_code FROM processing_jobs WHERE run_id = %s", run_id)
    assert job["failure_code"] == "interrupted"
    assert "masks" not in two.made(long)
    assert two.ended(two.launch(short, "scenes")) is SUCCESS


@pytest.mark.long
def test_a_run_that_is_cancelled_by_force_ends_too(two: Fleet, long: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker = two.worker_at(run_id)
    child = worker.child
    two.instance.report_run_canceled(two.run(run_id), message="By force, as the UI does it.")
    two.wait(lambda: two.row_of(worker).get("state") == "ready", END_S + 30)
    assert two.status(run_id) is CANCELED and two.run(run_id).tags.get("dagster/will_retry") != "true"
    assert "masks" not in two.made(long) and two.leases() == [] and worker.child == child


@pytest.mark.soak
@pytest.mark.parametrize("which", [pytest.param("both processes", marks=pytest.mark.long), "the one that computes"])
def test_the_run_of_a_killed_worker_ends_and_another_goes_on(two: Fleet, long: str, which: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker = two.worker_at(run_id)
    before, (taker,) = two.made(long), two.rows("SELECT worker_id FROM worker_runs WHERE run_id = %s", run_id)
    if which == "both processes":
        worker.send(signal.SIGKILL)
    else:
        os.kill(worker.child, signal.SIGKILL)
    assert two.ended(run_id) is FAILURE
    told = not two.rows("SELECT 1 FROM workers WHERE id = %s", taker["worker_id"])
    assert told is (which != "both processes")  # by the parent, so that nobody waits for a sign
    two.wait(lambda: two.rows("SELECT 1 FROM processing_jobs WHERE run_id = %s AND failure_code = 'run_died'", run_id), 50)
    assert two.run(run_id).tags["dagster/will_retry"] == "true"  # Dagster's daemon starts the rest again
    assert two.leases() == []  # without waiting for its end
    rest = two.launch(long, *(stage for stage in NAMES if stage not in before))
    assert two.ended(rest) is SUCCESS
    assert two.made(long) == before | {stage: rest for stage in NAMES if stage not in before}
    assert set(before) == {"metadata", "frames", "detections"}


@pytest.mark.long
@pytest.mark.parametrize("whom", ["the parent", pytest.param("both processes, as a service manager does", marks=pytest.mark.long)])
def test_a_worker_that_is_told_to_end_finishes_its_stage(two: Fleet, long: str, whom: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker = two.worker_at(run_id)
    worker.process.send_signal(signal.SIGTERM) if whom == "the parent" else worker.send(signal.SIGTERM)
    assert worker.process.wait(300) == 0
    assert two.status(run_id) is FAILURE and two.run(run_id).tags["dagster/will_retry"] == "true"
    assert set(two.made(long)) == {"metadata", "frames", "detections", "masks"}
    (job,) = two.rows("SELECT failure_code FROM processing_jobs WHERE run_id = %s", run_id)
    (video,) = two.rows("SELECT status FROM videos WHERE id = %s", long)
    assert (job["failure_code"], video["status"], two.leases()) == ("interrupted", "pending", [])
    assert two.row_of(worker) == {}


@pytest.mark.long
def test_told_twice_it_ends_at_once(two: Fleet, long: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker = two.worker_at(run_id)
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    worker.process.send_signal(signal.SIGTERM)
    worker.process.wait(120)
    assert two.ended(run_id) is FAILURE
    assert "masks" not in two.made(long) and two.leases() == []
    assert two.run(run_id).tags["dagster/will_retry"] == "true"


@pytest.mark.long
def test_a_broker_that_is_away_loses_nothing(two: Fleet, broker: RunningBroker, long: str, short: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    broker.kill()
    back = threading.Timer(AWAY_S, broker.start)
    back.start()
    with pytest.raises(kombu.exceptions.OperationalError):
        two.launch(short)  # Dagster's daemon calls such a run failed, and the backfill asks again
    back.join()
    submitted = two.launch(short)
    assert [two.ended(run_id), two.ended(submitted)] == [SUCCESS, SUCCESS]
    two.wait(lambda: [row["state"] for row in workers.living(two.storage.db)].count("ready") == 2)
    assert set(two.made(long).values()) == {run_id} and len(takers(two, run_id)) == 1
    for one in (run_id, submitted):
        (job,) = two.rows("SELECT status FROM processing_jobs WHERE run_id = %s", one)
        assert job["status"] == "completed"
    assert two.leases() == []


@pytest.mark.long
def test_one_that_was_suspended_commits_nothing_after_another_took_over(two: Fleet, long: str) -> None:
    run_id = two.launch(long)
    two.at(run_id, "masks")
    worker = two.worker_at(run_id)
    before = two.made(long)
    worker.send(signal.SIGSTOP)
    assert two.ended(run_id) is FAILURE  # the broker misses its heartbeats
    rest = two.launch(long, *(stage for stage in NAMES if stage not in before))
    two.at(rest, "masks")
    worker.send(signal.SIGCONT)
    assert two.ended(rest) is SUCCESS
    two.wait(lambda: two.row_of(worker).get("state") == "ready")
    assert two.made(long) == before | {stage: rest for stage in NAMES if stage not in before}
    assert two.status(run_id) is FAILURE and two.leases() == []


def test_doctor_lists_the_workers_and_what_waits(two: Fleet, short: str) -> None:
    report = started(
        two.settings.home_dir, "doctor", REFRAMER_LAUNCHER="celery", REFRAMER_BROKER_URL=two.broker_url, REFRAMER_MODELS="demo"
    )
    lines = [line for line in report.stdout.splitlines() if "worker" in line]
    assert sum("ready, runs on cpu" in line for line in lines) == 2, report.stdout
    assert any("0 runs wait for a worker" in line for line in lines)
    assert two.broker_url.split(":")[2].split("@")[0] not in report.stdout + report.stderr  # the broker's password
    away = started(two.settings.home_dir, "doctor", REFRAMER_LAUNCHER="celery", REFRAMER_BROKER_URL="amqp://a:b@127.0.0.1:9//")
    assert away.returncode == 1 and "The broker does not answer" in away.stdout
    with pytest.raises(BrokerUnavailable, match="AccessRefused"):
        waiting(two.broker_url.replace("reframer:", "reframer:no", 1))


def test_a_worker_that_no_run_comes_to_ends_by_itself(fleet: Fleet) -> None:
    (worker,) = fleet.start(1, "--idle-s", "5")
    child = worker.child
    fleet.wait(lambda: worker.process.poll() is not None, 240)
    assert worker.process.returncode == 0
    assert not [row for row in workers.living(fleet.storage.db) if row["name"].endswith(f":{child}")]


def test_doctor_tells_probes_whether_a_worker_of_this_machine_is_ready(two: Fleet, tmp_path: Path) -> None:
    probed = started(two.settings.home_dir, "doctor", "--worker")
    assert probed.returncode == 0 and "ready, ready" in probed.stdout, probed.stdout
    assert "ffmpeg" not in probed.stdout
    two.storage.db.execute("UPDATE workers SET name = 'elsewhere' || name")  # another machine's
    probed = started(two.settings.home_dir, "doctor", "--worker")
    assert probed.returncode == 1 and "none lives here" in probed.stdout, probed.stdout
    two.storage.db.execute("UPDATE workers SET name = substr(name, 10)")


def test_daemon_and_ui_alone_take_in_a_file_that_a_worker_computes(two: Fleet, tmp_path: Path) -> None:
    clip, port = drawn(tmp_path, 3_820_900, frames=30), free_port()
    with two.beside("daemon"), two.beside("web", "--port", str(port)):
        uploads = Path(two.settings.bucket_url)
        two.wait(uploads.is_dir)
        shutil.copy(clip, uploads)
        two.wait(lambda: two.rows("SELECT 1 FROM videos WHERE filename = %s AND status = 'completed'", clip.name))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=120) as answer:
            assert answer.status == 200
        assert len(two.rows("SELECT name FROM daemon_lease")) == 1
    assert two.rows("SELECT name FROM daemon_lease") == []
    (deployment,) = two.rows("SELECT settings FROM deployment")
    assert deployment["settings"]["models"] == "demo"
