"""Status that is true: queued, ended, cancelled and killed runs, and a video that keeps killing its worker."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.api import execute_run
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._grpc.client import DagsterGrpcClient
from dagster._utils import get_run_crash_explanation
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from reframer_pipeline import failures
from reframer_pipeline.database import embedded
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration import assets
from reframer_pipeline.orchestration.stage import stage_end
from reframer_pipeline.orchestration.stage.runs import give_back, run_of, token_of
from reframer_pipeline.orchestration.tags import HOME_TAG, LEASE_TAG, PROCESS_VIDEO
from reframer_pipeline.orchestration.upkeep import life, reconcile
from reframer_pipeline.results import commit
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.vision import weights
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.factories import plan_of, start_job, start_job_under

RUN = """
import sys
import dagster as dg
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.orchestration import assets
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
settings = Settings()
with dagster_home.open_instance(settings) as instance:
    assets.register_partitions(instance, storage_of(settings).db)
    job = build_definitions(settings).resolve_job_def("process_video")
    job.execute_in_process(instance=instance, partition_key=sys.argv[1], raise_on_error=False)
"""


STARTED = dg.DagsterRunStatus.STARTED


def monitor(instance: dg.DagsterInstance) -> None:
    """What Dagster's daemon does with runs that go on, every half minute."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        trouble = [error for error in execute_run_monitoring_iteration(context, logging.getLogger(__name__)) if error]
    assert not trouble


@pytest.fixture
def video(shared: Storage, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A video of the test's own."""
    path = tmp_path / "one.mp4"
    write_clip(make_clip(3_400_000 + len(request.node.name), n_frames=40, shots=1), path)
    return add(shared, path)


def _started_as_the_ui_does(shared: Storage, video_id: str) -> subprocess.Popen[bytes]:
    """A run of its own process that nobody holds a lease for, stopped at masks by a signal of the test's."""
    home = str(shared.settings.home_dir)
    environment = {**os.environ, "REFRAMER_HOME": home, "REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu", "REFRAMER_VID_STRIDE": "1"}
    return subprocess.Popen([sys.executable, "-c", RUN, video_id], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _until_masks(shared: Storage, video_id: str) -> None:
    until = time.monotonic() + 400
    while time.monotonic() < until:
        job = jobs.latest(shared.db, video_id)
        if job is not None and job["status"] == "processing" and job["stage"] == "masks" and job["done"] > 0:
            return
        time.sleep(0.1)
    pytest.fail("masks never began")


@pytest.mark.soak
def test_a_killed_run_is_found_out_freed_and_in_the_end_quarantined(shared: Storage, video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "DEAD_AFTER_S", 0.5)
    monkeypatch.setattr(lease, "TTL_S", 3.0)
    db = shared.db
    with dagster_home.open_instance(shared.settings) as instance:
        for death in (1, 2, 3):
            process = _started_as_the_ui_does(shared, video)
            _until_masks(shared, video)
            monitor(instance)
            reconcile.reconcile(instance, shared)
            assert jobs.latest(db, video)["status"] == "processing"  # type: ignore[index]  # alive: left alone
            process.send_signal(signal.SIGKILL)
            process.wait()
            if death == 1:  # told by the server that started it, while the lease goes on: its steps may live in other processes
                (run,) = instance.get_runs(dg.RunsFilter(statuses=[STARTED], tags={"dagster/partition": video}))
                instance.report_run_failed(run)
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)  # as Dagster's run monitoring does
                assert reconcile.reconcile(instance, shared).died == 1
                assert get_video(db, video)["status"] == "processing" and lease.revoke(db, video) is False
            db.execute("UPDATE leases SET expires_at = clock_timestamp() WHERE video_id = %s", (video,))
            time.sleep(1)
            monitor(instance)
            done = reconcile.reconcile(instance, shared)
            assert done.died == (0 if death == 1 else 1)
            row = get_video(db, video)
            if death < 3:
                assert jobs.latest(db, video)["failure_code"] == "run_died"  # type: ignore[index]
                assert row["status"] == "pending"
        assert instance.get_runs(dg.RunsFilter(statuses=[STARTED], tags={"dagster/partition": video})) == []
        assert (row["status"], row["failure_code"]) == ("failed", "quarantined")
    wanted = shared.settings.model_copy(update={"vid_stride": 1})
    states = plan_of(db, video, wanted, weights.digests(shared.settings)).stages
    assert states["masks"].state == "failed" and "quarantined" in states["masks"].reasons[0]
    (outcome,) = run_videos(wanted, [video])  # a person who asks for it gets it
    assert outcome.status == "completed"


def test_queued_and_cancelled_runs_are_told(shared: Storage, video: str) -> None:
    db = shared.db
    with dagster_home.open_instance(shared.settings) as instance:
        run = instance.create_run_for_job(_job(shared), tags={"dagster/partition": video}, status=dg.DagsterRunStatus.NOT_STARTED)
        assert reconcile.reconcile(instance, shared).queued >= 1
        assert jobs.latest(db, video)["status"] == "pending"  # type: ignore[index]
        instance.report_run_canceled(run)
        reconcile.reconcile(instance, shared)
    latest = jobs.latest(db, video)
    assert latest is not None and (latest["status"], latest["failure_code"]) == ("failed", "interrupted")
    assert get_video(db, video)["status"] == "pending"


def test_a_cancelled_run_that_never_began_changes_nothing(shared: Storage, video: str) -> None:
    db = shared.db
    start_job(db, video, "before")
    jobs.fail(db, video, "before", failures.TruncatedVideo("Half of it."))
    status.fail(db, video, failures.TruncatedVideo("Half of it."))
    with dagster_home.open_instance(shared.settings) as instance:
        run = instance.create_run_for_job(_job(shared), tags={"dagster/partition": video}, status=dg.DagsterRunStatus.NOT_STARTED)
        reconcile.reconcile(instance, shared)
        instance.report_run_canceled(run)
        reconcile.reconcile(instance, shared)
        assert get_video(db, video)["failure_code"] == "truncated"
        again = instance.create_run_for_job(_job(shared), tags={"dagster/partition": video}, status=dg.DagsterRunStatus.STARTED)
        with lease.hold(db, video, again.run_id) as token:  # this one has begun
            start_job_under(db, video, again.run_id, token)
        instance.report_run_canceled(again)
        reconcile.reconcile(instance, shared)
    row = get_video(db, video)
    assert (row["status"], row["failure_code"]) == ("failed", "truncated")


def test_a_run_is_dead_with_the_server_that_started_it_and_may_not_come_back(
    shared: Storage, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, gone = shared.db, {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(tmp_path / "nobody")})}
    with dagster_home.open_instance(shared.settings) as instance, dagster_server(tmp_path) as there:

        def going_on(**tags: str) -> str:
            return instance.add_run(DagsterRun("ingest", run_id=str(uuid.uuid4()), status=STARTED, tags=tags)).run_id

        def is_over(run_id: str) -> bool:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.is_finished

        of_video = {"dagster/partition": video}
        ingest, unborn, beating, reloaded = going_on(**gone), going_on(**gone, **of_video), going_on(**gone, **of_video), going_on(**there)
        by_hand = going_on(**gone, **{"dagster/partition": "made by hand"})
        token = lease.acquire(db, video, beating, token=token_of(beating))
        start_job_under(db, video, beating, token)
        elsewhere = going_on(**gone, **{HOME_TAG: "of another machine, whose servers nobody here can reach"})
        monitor(instance)
        over = [is_over(one) for one in (ingest, unborn, by_hand, beating, reloaded, elsewhere)]
        assert over == [True, True, True, False, False, False]

        db.execute("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second' WHERE video_id = %s", (video,))
        monitor(instance)
        assert reconcile.reconcile(instance, shared).died == 1
        assert is_over(beating) and not is_over(reloaded)
        monkeypatch.setattr(life, "NO_SIGN_S", 0.0)
        monkeypatch.setattr(life, "DEAD_AFTER_S", 0.0)
        command = going_on(**of_video, **{LEASE_TAG: str(uuid.uuid4())})  # of a `reframer run`: `dead_runs` knows better
        monitor(instance)
        assert is_over(reloaded) and is_over(elsewhere) and not is_over(command)
        instance.delete_run(command)
    assert get_video(db, video)["status"] == "pending"
    with pytest.raises(failures.LeaseLost):
        lease.heartbeat(db, video, token)
    with lease.hold(db, video, beating) as token, pytest.raises(failures.LeaseLost, match="declared dead"):
        start_job_under(db, video, beating, token)


@contextmanager
def database_away(shared: Storage) -> Iterator[None]:
    """The results' database takes nobody in; Dagster's, on the same server, goes on."""
    url, name = conninfo_to_dict(embedded.database_url(shared.settings)), conninfo_to_dict(embedded.database_url(shared.settings))["dbname"]
    with psycopg.connect(**{**url, "dbname": "postgres"}, autocommit=True) as server:  # type: ignore[arg-type]
        server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(str(name))))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            server.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(str(name))))


def test_a_run_whose_database_was_away_at_its_end_has_not_died(shared: Storage, video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db, away = shared.db, ExitStack()
    monkeypatch.setattr(commit, "PAUSES_S", ())
    monkeypatch.setattr(stage_end, "RETRY_PAUSES_S", ())
    put = shared.store.put

    def put_and_lose_the_database(*args: Any) -> int:
        away.enter_context(database_away(shared))
        return put(*args)

    with dagster_home.open_instance(shared.settings) as instance:
        assets.register_partitions(instance, db)
        for _ in range(shared.settings.quarantine_after):
            with away, monkeypatch.context() as losing:
                losing.setattr(shared.store, "put", put_and_lose_the_database)
                losing.setattr(db, "_patience_s", 0.5)
                ran = _job(shared).execute_in_process(instance=instance, partition_key=video, raise_on_error=False)
                assert not ran.success
            job = jobs.latest(db, video)
            assert job is not None and job["status"] == "processing"  # it could not write how it ended
            done = reconcile.reconcile(instance, shared)
            assert (done.ended, done.died, done.quarantined) == (1, 0, 0)
            db.execute("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second' WHERE video_id = %s", (video,))
            assert latest_failure(shared, video) == "database_unavailable"
    assert jobs.deaths(db, video) == 0
    (outcome,) = run_videos(shared.settings, [video])
    assert outcome.status == "completed"


def test_a_partition_deleted_while_its_run_is_queued_is_no_death(shared: Storage, video: str) -> None:
    db = shared.db
    with dagster_home.open_instance(shared.settings) as instance:
        for stage in ("metadata", "masks"):  # the first begins before Dagster misses the partition, the other does not
            assets.register_partitions(instance, db)
            job = _job(shared).get_subset(asset_selection={dg.AssetKey(stage)})
            run = instance.create_run_for_job(job, tags={"dagster/partition": video}, status=dg.DagsterRunStatus.NOT_STARTED)
            assert reconcile.reconcile(instance, shared).queued >= 1
            instance.delete_dynamic_partition("videos", video)  # in the UI
            assert not execute_run(InMemoryJob(job), run, instance).success
            give_back(run.run_id)  # as when its process ends
            done = reconcile.reconcile(instance, shared)
            assert (done.ended, done.died) == (1, 0)
            assert latest_failure(shared, video) == "dagster_failed"
            assert get_video(db, video)["status"] == "pending"
        assert jobs.deaths(db, video) == 0
        assets.register_partitions(instance, db)  # as the backfill does before it asks again
    (outcome,) = run_videos(shared.settings, [video])
    assert outcome.status == "completed"


@pytest.mark.parametrize(
    ("exit_code", "code"),
    # killed; ended by a library; and by an exception that could not be told, Dagster's database being away
    [(-9, "run_died"), (3, "run_died"), (1, "dagster_failed")],
)
def test_a_death_is_a_process_that_no_exception_ended(shared: Storage, video: str, exit_code: int, code: str) -> None:
    db = shared.db
    with dagster_home.open_instance(shared.settings) as instance:
        run = instance.create_run_for_job(_job(shared), tags={"dagster/partition": video}, status=STARTED)
        with lease.hold(db, video, run.run_id) as token:
            start_job_under(db, video, run.run_id, token)
        instance.report_engine_event(get_run_crash_explanation("Run execution process", exit_code), run)  # as the code server does
        instance.report_run_failed(run)
        reconcile.reconcile(instance, shared)
    assert latest_failure(shared, video) == code


def test_a_video_is_quarantined_for_the_recipe_that_its_runs_died_at(shared: Storage, video: str) -> None:
    """However early: a run has its recipe with its first stage. Before that no death is the video's."""
    db = shared.db
    with dagster_home.open_instance(shared.settings) as instance:
        for begins in (False, True):
            for _ in range(shared.settings.quarantine_after):
                run = instance.create_run_for_job(_job(shared), tags={"dagster/partition": video}, status=dg.DagsterRunStatus.NOT_STARTED)
                reconcile.reconcile(instance, shared)
                if begins:
                    run_of(run, shared, video).start("metadata", 1)
                    give_back(run.run_id)
                instance.report_run_failed(run)
                reconcile.reconcile(instance, shared)
            assert latest_failure(shared, video) == ("quarantined" if begins else "interrupted")
    state = plan_of(db, video, shared.settings, weights.digests(shared.settings)).stages["metadata"]
    assert state.state == "failed" and "quarantined" in state.reasons[0]  # so no schedule asks for it again


def latest_failure(shared: Storage, video_id: str) -> str | None:
    job = jobs.latest(shared.db, video_id)
    assert job is not None and job["status"] == "failed"
    code: str | None = job["failure_code"]
    return code


def test_many_queued_runs_are_noted_at_once(shared: Storage, video: str) -> None:
    jobs.queue(shared.db, {"one": video, "two": video, "three": str(uuid.uuid4()), "four": "made by hand"})
    jobs.queue(shared.db, {"one": video})
    rows = [row for row in jobs.open_jobs(shared.db) if row["video_id"] == video]
    assert sorted((row["run_id"], row["status"]) for row in rows) == [("one", "pending"), ("two", "pending")]
    for run_id in ("one", "two"):
        jobs.fail(shared.db, video, run_id, failures.Interrupted("Over."))


@contextmanager
def dagster_server(folder: Path) -> Iterator[dict[str, str]]:
    """A code server that knows no run; yields the tag of runs that it would have started."""
    module, socket = folder / "nothing.py", folder / "socket"
    module.write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", str(module), "--socket", str(socket)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = DagsterGrpcClient(socket=str(socket))
        until = time.monotonic() + 400
        while True:
            try:
                client.ping("")
                break
            except DagsterUserCodeUnreachableError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.2)
        yield {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(socket)})}
    finally:
        process.terminate()
        process.wait(120)


def _job(shared: Storage) -> dg.JobDefinition:
    from reframer_pipeline.definitions import build_definitions

    return build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
