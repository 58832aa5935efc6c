"""An upgrade with a run in flight: an earlier version was killed in masks. Today's code ends that run, still reads what it had finished,
and completes the video.
"""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from reframer_pipeline.orchestration.upkeep.reconcile import reconcile
from reframer_pipeline.results import parquet
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.faults.invariants import agreeing, clean
from reframer_pipeline_tests.legacy.test_old_results import HERE, Deployment, empty
from reframer_pipeline_tests.servers import Server

FOLDERS = sorted(path.parent.name for path in HERE.glob("*/in-flight.tar.xz"))


@pytest.fixture(params=FOLDERS)
def old(request: pytest.FixtureRequest, embedded_server: Server, tmp_path: Path) -> Iterator[Deployment]:
    """What the version left, with both databases as they were."""
    folder = HERE / request.param
    with tarfile.open(folder / "in-flight.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    with empty(embedded_server, tmp_path, set()) as made:
        for url, name in ((made.database_url, "in-flight.sql.xz"), (made.dagster_url, "in-flight-dagster.sql.xz")):
            with psycopg.connect(url) as conn:
                conn.execute(lzma.decompress((folder / name).read_bytes()))
        yield made


@pytest.mark.models
def test_the_run_is_ended_and_the_video_completed(old: Deployment) -> None:
    (job,) = old.rows("SELECT run_id, video_id::text AS video_id FROM processing_jobs WHERE status = 'processing'")
    assert {row["stage"] for row in old.rows("SELECT stage FROM results")} == {"metadata", "frames", "detections"}
    with open_storage(old.settings) as storage, dagster_home.open_instance(storage.settings) as instance:
        run = instance.get_run_by_id(job["run_id"])
        assert run is not None and not run.is_finished
        reconcile(instance, storage)
        run = instance.get_run_by_id(job["run_id"])
        assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
        (ended,) = old.rows("SELECT status, failure_code FROM processing_jobs")
        assert (ended["status"], ended["failure_code"]) == ("failed", "run_died")
        assert [row["status"] for row in old.rows("SELECT status FROM videos")] == ["pending"]
        assert not old.rows("SELECT 1 FROM leases WHERE expires_at > clock_timestamp()")
        for row in old.rows("SELECT object_key, row_count FROM results"):
            assert sum(batch.num_rows for batch in parquet.read_batches(storage.store.open_object(row["object_key"]))) == row["row_count"]
        (outcome,) = run_videos(old.settings, [job["video_id"]])
        assert outcome.status == "completed", outcome.failure_message
        assert [*agreeing(storage), *clean(storage)] == []
    shown = {row["stage"] for row in old.rows("SELECT r.stage FROM published p JOIN results r USING (result_id)")}
    assert shown == set(NAMES)
