"""Runs that are asked for in Dagster bear the name of their file, whoever asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import DamagedVideo
from reframer_pipeline.orchestration.dagster_internals import SubmitRunContext
from reframer_pipeline.orchestration.requests import coordinator
from reframer_pipeline.orchestration.tags import FAILURE_TAG, FILENAME_TAG, PARTITION_TAG, PROCESS_VIDEO
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.work import jobs, status
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.orchestration.requests.test_backfill import ORIGIN
from reframer_pipeline_tests.orchestration.upkeep.test_reconcile import database_away


@pytest.fixture(scope="module")
def video(shared: Storage, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clips") / "red mug, final.mp4"
    write_clip(make_clip(3_250_001, n_frames=10, shots=1), path)
    return add(shared, path)


@pytest.fixture
def instance(shared: Storage) -> Iterator[dg.DagsterInstance]:
    with dagster_home.open_instance(shared.settings) as opened:
        yield opened
    shared.db.execute("DELETE FROM processing_jobs WHERE status = 'pending'")


@contextmanager
def waiting(shared: Storage, instance: dg.DagsterInstance, parent: str | None = None, **tags: str) -> Iterator[dg.DagsterRun]:
    """A run in the queue; nothing is left of it afterwards."""
    job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
    more = {"parent_run_id": parent, "root_run_id": parent} if parent else {}
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.NOT_STARTED, remote_job_origin=ORIGIN, **more)  # type: ignore[arg-type]
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        submitted = instance.run_coordinator.submit_run(SubmitRunContext(run, workspace.create_request_context()))
    assert submitted.status == dg.DagsterRunStatus.QUEUED
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    yield stored
    instance.delete_run(run.run_id)


def queued(shared: Storage, instance: dg.DagsterInstance, parent: str | None = None, **tags: str) -> dict[str, str]:
    """The tags of a run once it is in the queue."""
    with waiting(shared, instance, parent, **tags) as run:
        return dict(run.tags)


def test_a_video_that_failed_waits_as_soon_as_anybody_asks_for_a_run(shared: Storage, instance: dg.DagsterInstance, video: str) -> None:
    def shown() -> str:
        return str(show_video(shared.db, video)["video"]["status"])

    status.fail(shared.db, video, DamagedVideo("It is damaged."))
    with waiting(shared, instance, **{PARTITION_TAG: video}) as run:
        assert shown() == "pending"
        jobs.forget_queued(shared.db, run.run_id)
        assert shown() == "failed"


def test_a_run_with_nothing_but_its_partition_gets_the_file_s_name(shared: Storage, instance: dg.DagsterInstance, video: str) -> None:
    """As those of the UI and of its backfills have."""
    assert queued(shared, instance, **{PARTITION_TAG: video})[FILENAME_TAG] == "red mug, final.mp4"
    assert FILENAME_TAG not in queued(shared, instance, **{PARTITION_TAG: "made by hand"})
    assert FILENAME_TAG not in queued(shared, instance)


def test_what_the_run_before_met_is_not_what_this_one_meets(shared: Storage, instance: dg.DagsterInstance, video: str) -> None:
    before = instance.create_run_for_job(build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)).run_id
    for told in ("encrypted", "encrypted (the run before)"):
        tags = queued(shared, instance, before, **{PARTITION_TAG: video, FAILURE_TAG: told})
        assert tags[FAILURE_TAG] == "encrypted (the run before)"
    instance.delete_run(before)


def test_a_database_that_is_away_keeps_no_run_out_of_the_queue(
    shared: Storage, instance: dg.DagsterInstance, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {PARTITION_TAG: video}
    with database_away(shared):
        assert FILENAME_TAG not in queued(shared, instance, **tags)
        monkeypatch.setattr(coordinator, "WITHIN_S", 1e9)  # the others of a backfill are not even looked up
        began = time.monotonic()
        assert not any(FILENAME_TAG in queued(shared, instance, **tags) for _ in range(5)) and time.monotonic() - began < 60
    monkeypatch.setattr(instance.run_coordinator, "_away_until", 0.0)
    assert FILENAME_TAG in queued(shared, instance, **tags)


def test_the_database_is_opened_once_whoever_asks_first(shared: Storage, instance: dg.DagsterInstance) -> None:
    for part in (instance.run_coordinator, instance.run_launcher):
        meet, opened = threading.Barrier(4), list[Database]()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _, part=part, meet=meet, opened=opened: meet.wait() >= 0 and opened.append(part._db), range(4)))  # type: ignore[misc]
        assert len(opened) == 4 and len(set(map(id, opened))) == 1
