"""Jobs: from a run's first stage to its end."""

from __future__ import annotations

from reframer_pipeline.failures import (
    NotAVideo,
)
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import Maker, add_video, commit_all


def states(storage: Storage) -> dict[str, tuple[str, str | None]]:
    """Status and failure code of each run's job."""
    return {row["run_id"]: (row["status"], row["failure_code"]) for row in storage.db.fetch("SELECT * FROM processing_jobs")}


def test_jobs_and_failures(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    job = jobs.start(storage.db, video_id, "run-1")
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
    assert jobs.start(storage.db, video_id, "run-1", attempt=2) == job
    assert jobs.start(storage.db, video_id, "run-1") == job  # a stage beside the one that failed
    assert states(storage) == {"run-1": ("failed", "not_a_video")}
    status.processing(storage.db, video_id)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    assert get_video(storage.db, video_id)["failure_code"] is None


def test_a_job_is_completed_with_the_last_of_its_stages(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    jobs.start(storage.db, video_id, "run-1")
    for stage in ("metadata", "frames"):
        assert not jobs.complete(storage.db, video_id, "run-1", ("metadata", "frames"))
        with lease.hold(storage.db, video_id, "test") as token:
            storage.results.commit(
                video_id, maker.keys[stage], maker.output(stage, storage.settings.scratch_dir), lease_token=token, run_id="run-1"
            )
    assert jobs.complete(storage.db, video_id, "run-1", ("metadata", "frames"))
    assert states(storage) == {"run-1": ("completed", None)}


def test_a_job_whose_process_ended_is_interrupted_by_the_next(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    jobs.start(storage.db, video_id, "killed")
    jobs.start(storage.db, video_id, "next")
    assert states(storage) == {"killed": ("failed", "interrupted"), "next": ("processing", None)}
    assert not jobs.failed_since(storage.db, video_id, "next")  # an interruption says nothing of the video
    jobs.fail(storage.db, video_id, "next", NotAVideo("No."))
    assert jobs.failed_since(storage.db, video_id, "killed")
