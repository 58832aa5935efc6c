"""Jobs: from a run's first stage to its end."""

from __future__ import annotations

import pytest

from reframer_pipeline.failures import LeaseLost, NotAVideo, RunDied
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import Maker, add_video, begin, commit, commit_all, start_job, start_job_under


def states(storage: Storage) -> dict[str, tuple[str, str | None]]:
    """Status and failure code of each run's job."""
    return {row["run_id"]: (row["status"], row["failure_code"]) for row in storage.db.fetch("SELECT * FROM processing_jobs")}


def test_jobs_and_failures(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    job = start_job(storage.db, video_id, "run-1", stage="frames")
    jobs.progress(storage.db, job, "frames", 5, 20)
    assert storage.db.fetch_one("SELECT stage, progress, status, attempts FROM processing_jobs") == {
        "stage": "frames", "progress": 0.25, "status": "processing", "attempts": 1,
    }  # fmt: skip
    failure = NotAVideo("A name with NUL\x00 and \ud800.")
    jobs.fail(storage.db, video_id, "run-1", failure)
    status.fail(storage.db, video_id, failure)
    shown = show_video(storage.db, video_id)
    assert (shown["video"]["status"], shown["video"]["failure_code"]) == ("failed", "not_a_video")
    assert shown["jobs"][0]["failure_message"].startswith("A name with NUL\ufffd and \ufffd.")
    assert start_job(storage.db, video_id, "run-1", attempt=2) == job
    assert start_job(storage.db, video_id, "run-1") == job  # a stage beside the one that failed
    assert states(storage) == {"run-1": ("failed", "not_a_video")}
    begin(storage.db, video_id)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    assert get_video(storage.db, video_id)["failure_code"] is None


def test_a_job_is_completed_with_the_last_of_its_stages(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    start_job(storage.db, video_id, "run-1")
    for stage in ("metadata", "frames"):
        assert not jobs.complete(storage.db, video_id, "run-1", ("metadata", "frames"))
        with lease.hold(storage.db, video_id, "test") as token:
            commit(storage, video_id, maker, stage, token, run_id="run-1")
    assert jobs.complete(storage.db, video_id, "run-1", ("metadata", "frames"))
    assert states(storage) == {"run-1": ("completed", None)}


def test_a_job_whose_process_ended_is_interrupted_by_the_next(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    start_job(storage.db, video_id, "killed")
    start_job(storage.db, video_id, "next")
    assert states(storage) == {"killed": ("failed", "interrupted"), "next": ("processing", None)}


def test_a_video_is_well_again_by_a_run_unless_another_failed_meanwhile(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    start_job(storage.db, video_id, "killed")
    start_job(storage.db, video_id, "next")  # an interruption says nothing of the video
    with lease.hold(storage.db, video_id, "test") as token:
        assert jobs.finish(storage.db, video_id, "next", (), token)
        assert get_video(storage.db, video_id)["status"] == "pending"
        start_job_under(storage.db, video_id, "long", token)
        start_job_under(storage.db, video_id, "bad", token)
        jobs.fail(storage.db, video_id, "bad", NotAVideo("No."))
        status.fail(storage.db, video_id, NotAVideo("No."), token)
        assert jobs.finish(storage.db, video_id, "long", (), token)
        assert get_video(storage.db, video_id)["status"] == "failed"


def test_progress_names_the_stage_it_is_of(storage: Storage) -> None:
    """Masks and trajectories go on side by side."""
    video_id, _ = add_video(storage)
    job = start_job(storage.db, video_id, "run-1", stage="masks")
    start_job(storage.db, video_id, "run-1", stage="trajectories")
    jobs.progress(storage.db, job, "masks", 37, 900)
    latest = jobs.latest(storage.db, video_id)
    assert latest is not None and (latest["stage"], latest["done"], latest["total"]) == ("masks", 37, 900)


def test_of_two_stages_side_by_side_the_one_that_failed_is_named(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    job = start_job(storage.db, video_id, "run-1", stage="masks", recipe="of masks")
    start_job(storage.db, video_id, "run-1", stage="trajectories", recipe="of trajectories")
    jobs.fail(storage.db, video_id, "run-1", NotAVideo("No."), "masks", "of masks")
    jobs.progress(storage.db, job, "trajectories", 3, 4)  # it goes on for a while
    row = storage.db.fetch_one("SELECT stage, failed_recipe, done FROM processing_jobs")
    assert row == {"stage": "masks", "failed_recipe": "of masks", "done": 0}


def test_a_run_that_was_declared_dead_writes_nothing(storage: Storage) -> None:
    """It was only asleep, and takes its lease once more."""
    video_id, _ = add_video(storage)
    start_job(storage.db, video_id, "asleep")
    jobs.fail(storage.db, video_id, "asleep", RunDied("Gone."))
    status.fail(storage.db, video_id, RunDied("Gone."))
    with lease.hold(storage.db, video_id, "asleep") as token, pytest.raises(LeaseLost, match="declared dead"):
        start_job_under(storage.db, video_id, "asleep", token)
    assert states(storage) == {"asleep": ("failed", "run_died")}
    assert (get_video(storage.db, video_id)["status"], get_video(storage.db, video_id)["failure_code"]) == ("failed", "run_died")


def test_a_run_pins_what_it_was_asked_for_with_its_first_stage(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with lease.hold(storage.db, video_id, "test") as token:
        for pinned in ({"settings": {"conf": 0.5}}, {"settings": {"conf": 0.4}}):
            started = jobs.start(storage.db, video_id, "run-1", lease_token=token, pinned=pinned)
            assert started is not None and started.pinned == {"settings": {"conf": 0.5}}
    assert jobs.start(storage.db, video_id, "run-1", lease_token=token, pinned={}) is None  # without the lease nothing begins
