"""The status of a video."""

from __future__ import annotations

from reframer_pipeline.failures import (
    NotAVideo,
    SettingsInvalid,
)
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease, status
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import Maker, add_video, commit_all


def test_a_failure_of_the_caller_s_leaves_a_completed_video_completed(storage: Storage) -> None:
    video_id, sha = add_video(storage)

    def now() -> tuple[str, str | None]:
        row = get_video(storage.db, video_id)
        return row["status"], row["failure_code"]

    status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
    assert now() == ("failed", "settings_invalid")  # nothing is published: somebody must do something
    commit_all(storage, video_id, Maker(sha, storage.settings))
    for before in (lambda: None, lambda: status.processing(storage.db, video_id)):
        before()
        status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
        assert now() == ("completed", None)
    status.fail(storage.db, video_id, NotAVideo("No."))
    assert now() == ("failed", "not_a_video")
    status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
    assert now() == ("failed", "not_a_video")


def test_only_the_lease_s_holder_tells_the_status(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    loser = lease.acquire(storage.db, video_id, "loser", ttl_s=0)
    winner = lease.acquire(storage.db, video_id, "winner")

    def now() -> str:
        return str(get_video(storage.db, video_id)["status"])

    status.processing(storage.db, video_id, loser)
    assert now() == "pending"
    status.processing(storage.db, video_id, winner)
    assert now() == "processing"
    status.fail(storage.db, video_id, NotAVideo("No."), loser)
    assert now() == "processing"
    status.fail(storage.db, video_id, NotAVideo("No."), winner)
    assert now() == "failed"


def test_an_interrupted_run_leaves_the_status_it_found(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    status.processing(storage.db, video_id)
    status.settle(storage.db, video_id)
    assert get_video(storage.db, video_id)["status"] == "pending"
    commit_all(storage, video_id, Maker(sha, storage.settings))
    status.processing(storage.db, video_id)
    status.settle(storage.db, video_id)
    assert get_video(storage.db, video_id)["status"] == "completed"
