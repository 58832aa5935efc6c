"""Dagster forgets a deleted video: runs with their logs, and the partition. A run that is at the video ends by itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import dagster as dg

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.assets import register_partitions
from reframer_pipeline.orchestration.tags import PARTITION_TAG, PARTITIONS
from reframer_pipeline.orchestration.upkeep.deleted import forget_deleted
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import deletion
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline_tests.computed import add


def clip(folder: Path, seed: int, frames: int) -> Path:
    path = folder / f"{seed}.mp4"
    write_clip(make_clip(seed, n_frames=frames, shots=1), path)
    return path


def test_runs_and_partition_of_a_deleted_video_go(shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    video = add(shared, clip(tmp_path, 3_600_001, 10))
    (outcome,) = run_videos(shared.settings, [video])
    assert outcome.status == "completed" and done.video_id is not None
    deletion.delete(shared.db, video)
    deletion.finish(shared.db, shared.store, shared.settings)
    with dagster_home.open_instance(shared.settings) as instance:
        register_partitions(instance, shared.db)
        assert instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video})) and video in instance.get_dynamic_partitions(PARTITIONS)
        assert forget_deleted(instance, shared.db) == 1 and forget_deleted(instance, shared.db) == 0
        assert not instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video}))
        assert instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: done.video_id}))
        assert video not in instance.get_dynamic_partitions(PARTITIONS) and done.video_id in instance.get_dynamic_partitions(PARTITIONS)


def test_a_run_whose_video_is_deleted_ends_at_once(shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    video = add(shared, clip(tmp_path, 3_600_002, 400))  # most of a minute to compute
    outcomes: list[VideoOutcome] = []
    running = threading.Thread(target=lambda: outcomes.extend(run_videos(shared.settings, [video])))
    running.start()
    until = time.monotonic() + 300
    while not shared.db.fetch(
        "SELECT 1 FROM processing_jobs WHERE video_id = %s AND stage IN ('detections', 'masks') AND done > 0", (video,)
    ):
        assert time.monotonic() < until and running.is_alive()
        time.sleep(0.05)
    deletion.delete(shared.db, video)
    began = time.monotonic()
    running.join(300)
    assert time.monotonic() - began < 45 and outcomes[0].status == "failed" and outcomes[0].failure_code in ("unknown_video", "lease_lost")
    deletion.finish(shared.db, shared.store, shared.settings)
    assert not [key for key in shared.store.list("results") if video in key]
