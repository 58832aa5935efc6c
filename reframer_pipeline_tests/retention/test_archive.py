"""Archive and restore: rows go and come whole, exactly as they were, and count as fresh all the time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from reframer_pipeline.failures import LeaseLost, ObjectMissing
from reframer_pipeline.results import manifest
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import archive
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import Maker, add_video, commit_all, plan_of
from reframer_pipeline_tests.retention.ages import age_database, archived_videos
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

TABLES = ("detections", "segmentation_masks", "tracking_trajectories", "scene_analysis")
CHILD = """
import sys
from reframer_pipeline.settings import Settings
from reframer_pipeline.retention import archive
from reframer_pipeline.work import lease
from reframer_pipeline.results.storage import open_storage
home, url, video_id = sys.argv[1:]
with open_storage(Settings(home=home, database_url=url)) as storage:
    archive.archive(storage.db, storage.store, video_id, lease.acquire(storage.db, video_id, "child", ttl_s=1))
"""


def rows(storage: Storage) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables; only when a row was inserted is its own."""
    tables = {table: storage.db.fetch(f"SELECT * FROM {table} ORDER BY result_id, id") for table in TABLES}  # type: ignore[arg-type]
    return {table: [{k: v for k, v in row.items() if k != "created_at"} for row in found] for table, found in tables.items()}


def count(storage: Storage) -> int:
    return sum(len(found) for found in rows(storage).values())


def restore(storage: Storage, video_id: str, **options: Any) -> int:
    with lease.hold(storage.db, video_id, "test") as token:
        return archive.restore(storage.db, storage.store, video_id, token, **options)


def fresh(storage: Storage, video_id: str) -> bool:
    return plan_of(storage.db, video_id, storage.settings).to_compute == ()


def test_rows_go_and_come_back_exactly(anywhere: Storage) -> None:
    storage = anywhere
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"conf": 0.4, "track_low_conf": 0.1}), candidates=True))
    commit_all(storage, video_id, Maker(sha, storage.settings))
    before = rows(storage)
    assert archive.archive_older(storage.db, storage.store, 1).videos == 0  # young
    age_database(storage, 2)
    went = archive.archive_older(storage.db, storage.store, 1)
    assert (went.videos, went.amount, went.busy, went.left) == (1, sum(map(len, before.values())), 0, [])
    assert count(storage) == 0
    assert fresh(storage, video_id)
    assert archived_videos(storage.db, [video_id]) == {video_id}
    assert len(manifest.published(storage.db, video_id)) == 6
    assert archive.archive_older(storage.db, storage.store, 1).videos == 0
    assert restore(storage, video_id) == went.amount
    assert rows(storage) == before
    assert archived_videos(storage.db, [video_id]) == set()
    assert restore(storage, video_id) == 0
    assert archive.archive_older(storage.db, storage.store, 1).videos == 0  # it was wanted just now


def test_what_runs_or_failed_is_left_alone(storage: Storage) -> None:
    (busy, busy_sha), (failed, failed_sha) = add_video(storage), add_video(storage, 2)
    for video_id, sha in ((busy, busy_sha), (failed, failed_sha)):
        commit_all(storage, video_id, Maker(sha, storage.settings))
    age_database(storage, 9)
    storage.db.execute("UPDATE videos SET status = 'failed', failure_code = 'x' WHERE id = %s", (failed,))
    before = count(storage)
    with lease.hold(storage.db, busy, "a run"):
        assert archive.archive_older(storage.db, storage.store, 1).busy == 1
    assert count(storage) == before
    token = lease.acquire(storage.db, busy, "overtaken", ttl_s=0)
    time.sleep(0.01)
    with lease.hold(storage.db, busy, "a run"), pytest.raises(LeaseLost):
        archive.archive(storage.db, storage.store, busy, token)
    assert count(storage) == before


def test_rows_whose_object_is_lost_or_another_stay(storage: Storage) -> None:
    (lost, lost_sha), (mixed, mixed_sha), (good, good_sha) = (add_video(storage, seed) for seed in (1, 2, 3))
    made = {
        video_id: commit_all(storage, video_id, Maker(sha, storage.settings)) for video_id, sha in ((lost, lost_sha), (mixed, mixed_sha))
    }
    commit_all(storage, good, Maker(good_sha, storage.settings))
    storage.store.delete(made[lost]["masks"].manifest.object_key)
    other = storage.store.local_path(made[lost]["scenes"].manifest.object_key)
    target = storage.store.local_path(made[mixed]["masks"].manifest.object_key)
    assert other is not None and target is not None
    target.write_bytes(other.read_bytes())
    age_database(storage, 9)
    went = archive.archive_older(storage.db, storage.store, 1)
    assert went.videos == 1 and len(went.left) == 2
    assert archived_videos(storage.db, [lost, mixed, good]) == {good}
    assert len(storage.db.fetch("SELECT DISTINCT video_id FROM segmentation_masks")) == 2


def test_restore_without_an_object_says_so_and_changes_nothing(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    before = rows(storage)
    age_database(storage, 9)
    archive.archive_older(storage.db, storage.store, 1)
    storage.store.delete(done["masks"].manifest.object_key)
    with pytest.raises(ObjectMissing, match="masks"):
        restore(storage, video_id)
    assert count(storage) == 0
    # as a forced run does: what is there comes back, without what was made from the lost
    assert restore(storage, video_id, skip_lost=True) > 0
    assert {table for table, found in rows(storage).items() if found} == {"detections", "tracking_trajectories"}
    commit_all(storage, video_id, Maker(sha, storage.settings), ("masks",))  # made anew, the same
    restore(storage, video_id, skip_lost=True)
    assert rows(storage) == before


def test_killed_in_the_middle_of_archiving(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    before, secret = rows(storage), storage.settings.database_url
    assert secret is not None
    arguments = [str(storage.settings.home_dir), secret.get_secret_value(), video_id]
    with psycopg.connect(secret.get_secret_value()) as blocker:
        blocker.execute("LOCK TABLE detections IN SHARE MODE")  # masks are deleted, detections have to wait
        child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=REPOSITORY)
        _until(lambda: storage.db.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%%'"))
        assert rows(storage) == before  # readers see the whole
        child.send_signal(signal.SIGKILL)
        child.wait()
    _until(lambda: storage.db.fetch("SELECT 1 FROM leases WHERE expires_at < clock_timestamp()"))
    assert rows(storage) == before
    assert archived_videos(storage.db, [video_id]) == set()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
