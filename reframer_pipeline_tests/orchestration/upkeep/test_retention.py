"""Retention on a real Dagster instance, and what a run makes of a video that was archived or whose frames were evicted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from reframer_pipeline.cli import app
from reframer_pipeline.database import embedded
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.orchestration.assets import VIDEOS
from reframer_pipeline.orchestration.upkeep.old_runs import delete_old_runs
from reframer_pipeline.orchestration.upkeep.retention_job import retention, retention_schedule
from reframer_pipeline.planning import orders
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.retention.archive import archive_older
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.retention.ages import age_database, archived_videos, evicted_results


@pytest.fixture(scope="module")
def shared(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """A deployment of its own: its days pass quickly here, and its runs are deleted."""
    made = storage_of(settings.model_copy(update={"home": tmp_path_factory.mktemp("old")}))
    yield made
    made.close()
    embedded.stop(made.settings)


@pytest.fixture(scope="module")
def done(shared: Storage, clip: Path) -> VideoOutcome:
    (outcome,) = run_videos(shared.settings, [add(shared, clip)])
    assert outcome.status == "completed", outcome.failure_message
    return outcome


def test_the_job_shows_what_it_did(shared: Storage, done: VideoOutcome) -> None:
    settings = shared.settings.model_copy(
        update={"archive_after_days": 1, "evict_frames_after_days": 1, "database_limit_mb": 512, "dagster_runs_days": 30}
    )
    age_database(shared, 2)
    killed, going_on = (settings.scratch_dir / name / "frames.zip" for name in ("frames-killed", "frames-going-on"))
    for path in (killed, going_on):
        path.parent.mkdir()
        path.write_bytes(b"pictures")
    for path in (killed, killed.parent):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    with dagster_home.open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def(retention.name)
        result = job.execute_in_process(instance=instance)
        assert result.success
        shown = {event.step_key: _metadata(event) for event in result.all_events if event.event_type_value == "STEP_OUTPUT"}
    assert shown["archive_rows"]["videos"] == shown["evict_frames"]["videos"] == 1
    assert shown["archive_rows"]["rows"] == done.detections + done.masks + done.tracks + done.scenes
    assert shown["archive_rows"]["database"].endswith("%)") and shown["evict_frames"]["bytes"] > 1000
    assert shown["sweep_storage"]["superseded_results"] == shown["sweep_storage"]["orphan_objects"] == shown["delete_runs"]["runs"] == 0
    assert shown["sweep_storage"]["scratch_entries"] == 1 and not killed.parent.exists() and going_on.exists()
    assert archived_videos(shared.db, [str(done.video_id)])
    assert retention_schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert retention_schedule.evaluate_tick(dg.build_schedule_context()).run_requests


def test_archived_is_fresh_and_said_and_restored(shared: Storage, done: VideoOutcome) -> None:
    video_id = str(done.video_id)
    _archive(shared, video_id)
    (again,) = run_videos(shared.settings, [video_id])
    assert (again.status, again.seconds, again.detections) == ("completed", {}, done.detections)
    home = ["--home", str(shared.settings.home_dir)]
    listed = json.loads(_cli("list", "--json", *home).splitlines()[0])
    assert listed["archived"] and "archive" in _cli("list", *home)  # narrow columns are folded
    assert f"reframer restore {video_id[:8]}" in _cli("show", video_id, *home)
    assert "rows loaded" in _cli("restore", video_id[:8], *home)
    assert "nothing is archived" in _cli("restore", video_id[:8], *home)
    assert not json.loads(_cli("list", "--json", *home).splitlines()[0])["archived"]
    assert _rows(shared, video_id) == (done.detections, done.masks, done.tracks, done.scenes)


def test_computing_an_archived_video_brings_its_rows_back(shared: Storage, done: VideoOutcome) -> None:
    video_id = str(done.video_id)
    _archive(shared, video_id)
    (changed,) = run_videos(shared.settings.model_copy(update={"track_buffer": 60}), [video_id])
    assert set(changed.seconds) - {"frames"} == {"trajectories", "scenes"}, changed.failure_message  # scenes look at them, if evicted
    assert _rows(shared, video_id) == (done.detections, done.masks, changed.tracks, changed.scenes)
    run_videos(shared.settings, [video_id])


def test_force_brings_back_rows_and_pictures_even_of_a_lost_object(shared: Storage, done: VideoOutcome) -> None:
    video_id = str(done.video_id)
    _archive(shared, video_id)
    evict_older(shared.db, shared.store, 1)
    lost = shared.db.fetch("SELECT object_key FROM current_results WHERE video_id = %s AND stage = 'scenes'", (video_id,))
    shared.store.delete(lost[0]["object_key"])
    (forced,) = run_videos(shared.settings, [video_id], force=True)
    assert forced.status == "completed", forced.failure_message
    assert _rows(shared, video_id) == (done.detections, done.masks, done.tracks, done.scenes)
    assert evicted_results(shared.db, [orders.resolve(shared.db, shared.settings, video_id).key("frames").result_id]) == set()


def test_a_stage_that_misses_its_pictures_says_so(shared: Storage, done: VideoOutcome) -> None:
    video_id = str(done.video_id)
    age_database(shared, 2)
    evict_older(shared.db, shared.store, 1)
    with dagster_home.open_instance(shared.settings) as instance:
        job = build_definitions(shared.settings).resolve_job_def("process_video")

        def materialize(*stages: str) -> dg.ExecuteInProcessResult:
            selection = [dg.AssetKey(stage) for stage in stages]
            return job.execute_in_process(instance=instance, partition_key=video_id, asset_selection=selection, raise_on_error=False)

        assert not materialize("masks").success
        row = shared.db.fetch_one("SELECT failure_code FROM videos WHERE id = %s", (video_id,))
        assert row == {"failure_code": "frames_evicted"}
        assert materialize("frames", "masks").success
    run_videos(shared.settings, [video_id])


def test_old_runs_go_and_partitions_stay_green(shared: Storage, done: VideoOutcome) -> None:
    with dagster_home.open_instance(shared.settings) as instance:
        began = instance.create_run_for_job(build_definitions(shared.settings).resolve_job_def("process_video"), asset_selection=None)
        assert instance.get_runs_count() > 1
        assert delete_old_runs(instance, days=1) == 0
        assert delete_old_runs(instance, days=0) > 0
        assert instance.get_run_ids() == [began.run_id]  # not finished
        assert not instance.fetch_materializations(dg.AssetKey("scenes"), limit=1).records
        for stage in ("metadata", "scenes"):
            status = get_and_update_asset_status_cache_value(instance, dg.AssetKey(stage), VIDEOS)
            assert status is not None
            assert str(done.video_id) in status.deserialize_materialized_partition_subsets(VIDEOS)


def test_sweep_on_the_command_line(shared: Storage, done: VideoOutcome) -> None:
    swept = json.loads(_cli("db", "sweep", "--dry-run", "--json", "--home", str(shared.settings.home_dir)))
    assert swept["dry_run"] is True
    assert set(swept) == {"dry_run", "results", "deliverables", "orphans", "bytes", "busy", "objects", "left"}
    assert _cli("db", "sweep", "--home", str(shared.settings.home_dir)).startswith("Deleted")


def _archive(shared: Storage, video_id: str) -> None:
    age_database(shared, 2)
    assert archive_older(shared.db, shared.store, 1).left == []
    assert archived_videos(shared.db, [video_id])


def _rows(shared: Storage, video_id: str) -> tuple[int, ...]:
    row = shared.db.fetch_one(
        """SELECT (SELECT count(*) FROM current_detections WHERE video_id = %(v)s) AS d,
                  (SELECT count(*) FROM current_segmentation_masks WHERE video_id = %(v)s) AS m,
                  (SELECT count(*) FROM current_tracking_trajectories WHERE video_id = %(v)s) AS t,
                  (SELECT count(*) FROM current_scene_analysis WHERE video_id = %(v)s) AS s""",
        {"v": video_id},
    )
    assert row is not None
    return tuple(row.values())


def _metadata(event: dg.DagsterEvent) -> dict[str, Any]:
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def _cli(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
