"""Runs whose process is gone are ended in Dagster's storage; those that live are left alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRun

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import LeaseLost
from reframer_pipeline.orchestration.tags import LEASE_TAG
from reframer_pipeline.orchestration.upkeep import dead_runs
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.work import lease
from reframer_pipeline_tests.computed import add


@pytest.fixture(scope="module")
def video_id(shared: Storage, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clips") / "never run.mp4"
    write_clip(make_clip(3_200_001, n_frames=10, shots=1), path)
    return add(shared, path)


@contextmanager
def going_on(shared: Storage, video_id: str, token: str, **more: str) -> Iterator[tuple[dg.DagsterInstance, str]]:
    """A run that Dagster lists as started under this lease."""
    with dagster_home.open_instance(shared.settings) as instance:
        run = DagsterRun("process_video", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED, **more)  # type: ignore[arg-type]
        instance.add_run(run.with_tags({LEASE_TAG: token, "dagster/partition": video_id}))
        try:
            yield instance, run.run_id
        finally:
            instance.delete_run(run.run_id)


def test_a_living_run_is_left_alone_and_an_overtaken_one_is_ended(shared: Storage, video_id: str) -> None:
    db = shared.db
    with lease.hold(db, video_id, "living") as token, going_on(shared, video_id, token) as (instance, run_id):
        assert run_id not in dead_runs.end_dead_runs(instance, db)
        lease.release(db, video_id, token)
        assert run_id in dead_runs.end_dead_runs(instance, db)
        run = instance.get_run_by_id(run_id)
        assert run is not None and run.status == dg.DagsterRunStatus.FAILURE


def test_a_lease_that_ran_out_just_now_proves_nothing(shared: Storage, video_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db = shared.db
    token = lease.acquire(db, video_id, "late", ttl_s=0)
    with going_on(shared, video_id, token) as (instance, run_id):
        assert run_id not in dead_runs.end_dead_runs(instance, db)
        monkeypatch.setattr(dead_runs, "GRACE_S", 0.0)
        assert run_id in dead_runs.end_dead_runs(instance, db)
    lease.release(db, video_id, token)


def test_nobody_ends_his_own_run(shared: Storage, video_id: str) -> None:
    token = str(uuid.uuid4())  # of a lease that is gone
    with going_on(shared, video_id, token) as (instance, run_id):
        assert run_id not in dead_runs.end_dead_runs(instance, shared.db, own_token=token)


def test_a_run_started_again_from_the_ui_is_not_judged_by_its_parent_s_lease(shared: Storage, video_id: str) -> None:
    parent = str(uuid.uuid4())
    with going_on(shared, video_id, str(uuid.uuid4()), parent_run_id=parent, root_run_id=parent) as (instance, run_id):
        assert run_id not in dead_runs.end_dead_runs(instance, shared.db)


def test_one_that_was_only_asleep_cannot_commit_any_more(shared: Storage, video_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db = shared.db
    monkeypatch.setattr(dead_runs, "GRACE_S", 0.0)
    token = lease.acquire(db, video_id, "asleep", ttl_s=0)
    with going_on(shared, video_id, token) as (instance, run_id):
        with db.transaction() as conn:
            lease.demand(conn, video_id, token)  # it is just committing
            assert run_id not in dead_runs.end_dead_runs(instance, db)
        assert run_id in dead_runs.end_dead_runs(instance, db)
        with pytest.raises(LeaseLost):
            lease.heartbeat(db, video_id, token)
        with pytest.raises(LeaseLost), db.transaction() as conn:
            lease.demand(conn, video_id, token)


def test_one_that_has_just_ended_keeps_its_end(shared: Storage, video_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with going_on(shared, video_id, str(uuid.uuid4())) as (instance, run_id):
        revoke = lease.revoke

        def meanwhile(db: Database, video: str, token: str) -> bool:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name), run_id)
            return revoke(db, video, token)

        monkeypatch.setattr(lease, "revoke", meanwhile)
        assert run_id not in dead_runs.end_dead_runs(instance, shared.db)
        run = instance.get_run_by_id(run_id)
        assert run is not None and run.status == dg.DagsterRunStatus.SUCCESS
