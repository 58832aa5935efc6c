"""Jobs as people see them, from what the database knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reframer_pipeline.failures import DamagedVideo, NobodyToRun
from reframer_pipeline.reading import estimates, library
from reframer_pipeline.reading.estimates import Rates
from reframer_pipeline.reading.jobs import Failure, Job, get_job, list_jobs
from reframer_pipeline.reading.videos import list_videos, show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline_tests.factories import Maker, commit_all, start_job
from reframer_pipeline_tests.submitted import person, submitted

RATES = Rates(dict.fromkeys(NAMES, 2.0), usual_duration=10.0)  # 20 seconds a stage, 120 a video


def seen(storage: Storage, job_id: str, email: str = "ann@example.org", rates: Rates = RATES) -> Job:
    job = get_job(storage.db, person(storage.db, email).user_id, job_id, rates, at_once=2)
    assert job is not None
    return job


def test_a_job_from_the_queue_to_its_end(storage: Storage) -> None:
    job = submitted(storage, person(storage.db), filename="mine.mp4")
    jobs.queue(storage.db, {"run": job.video_id})
    waits = seen(storage, job.job_id)
    assert (waits.status, waits.filename, waits.place_in_queue, waits.progress, waits.seconds_left) == (
        "pending",
        "mine.mp4",
        1,
        0.0,
        120.0,
    )
    run = start_job(storage.db, job.video_id, "run", stage="frames")
    jobs.progress(storage.db, run, "frames", 30, 40)
    runs = seen(storage, job.job_id)
    assert runs.stage is not None and (runs.stage.name, runs.stage.progress, runs.stage.done, runs.stage.total) == ("frames", 0.75, 30, 40)
    assert (runs.status, runs.progress, runs.seconds_left, runs.place_in_queue) == ("processing", round(1.75 / 6, 4), 85.0, None)
    jobs.fail(storage.db, job.video_id, "run", DamagedVideo("It is damaged."))
    status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))
    failed = seen(storage, job.job_id)
    assert (failed.status, failed.ended, failed.seconds_left) == ("failed", True, None)
    assert failed.failure == Failure("damaged", "It is damaged.", DamagedVideo.default_remedy)
    sha256 = storage.db.fetch("SELECT sha256 FROM videos")[0]["sha256"]
    commit_all(storage, job.video_id, Maker(sha256, storage.settings))
    done = seen(storage, job.job_id)
    assert (done.status, done.progress, done.failure, done.ended) == ("completed", 1.0, None, True)
    assert len({waits.state, runs.state, failed.state, done.state}) == 4 and seen(storage, job.job_id).state == done.state
    measured = seen(storage, submitted(storage, person(storage.db), 1).job_id, rates=estimates.speeds(storage.db))
    assert measured.seconds_left is not None


def test_the_queue_is_counted_and_timed(storage: Storage) -> None:
    first, second, third = (submitted(storage, person(storage.db), seed) for seed in range(3))
    assert [seen(storage, job.job_id).place_in_queue for job in (first, second, third)] == [1, 2, 3]
    jobs.queue(storage.db, {"run": first.video_id})
    assert [seen(storage, job.job_id).seconds_left for job in (first, second, third)] == [120.0, 180.0, 240.0]
    run = start_job(storage.db, first.video_id, "run", stage="scenes")
    jobs.progress(storage.db, run, "scenes", 1, 2)
    assert seen(storage, third.job_id).seconds_left == 120 + (10 + 120) / 2
    assert seen(storage, third.job_id, rates=Rates()).seconds_left is None
    assert seen(storage, third.job_id, rates=replace(RATES, usual_duration=None)).seconds_left is None


def test_nothing_is_estimated_while_nobody_computes(storage: Storage) -> None:
    ann = person(storage.db)
    job = submitted(storage, ann)
    soon = seen(storage, job.job_id)
    assert (soon.place_in_queue, soon.seconds_left, soon.held_up_by) == (1, None, None)  # it may begin any moment
    later(storage)
    waits = seen(storage, job.job_id)
    assert waits.held_up_by == Failure(NobodyToRun.code, "", NobodyToRun.default_remedy) and waits.seconds_left is None
    assert list_jobs(storage.db, ann.user_id, RATES, 10)[0][0].held_up_by == waits.held_up_by
    other = submitted(storage, person(storage.db, "bob@example.org"), 1)
    with lease.hold(storage.db, other.video_id, "run"):  # somebody is at another one's
        goes_on = seen(storage, job.job_id)
        assert goes_on.held_up_by is None and goes_on.seconds_left is not None
    run = start_job(storage.db, job.video_id, "run", stage="frames")
    jobs.progress(storage.db, run, "frames", 30, 40)
    later(storage)
    died = seen(storage, job.job_id)
    assert died.status == "processing" and died.held_up_by is not None and died.seconds_left is None


def later(storage: Storage) -> None:
    """Much time has passed in silence."""
    for table, columns in {"uploads": ("created_at",), "videos": ("updated_at",), "processing_jobs": ("updated_at",)}.items():
        for column in columns:
            storage.db.execute(f"UPDATE {table} SET {column} = {column} - interval '1 hour'")  # type: ignore[arg-type]
    storage.db.execute("DELETE FROM leases")


def test_a_failed_job_waits_from_the_moment_another_run_is_asked_for(storage: Storage) -> None:
    ann = person(storage.db)
    job, later = (submitted(storage, ann, seed) for seed in range(2))
    start_job(storage.db, job.video_id, "run", stage="frames")
    jobs.fail(storage.db, job.video_id, "run", DamagedVideo("It is damaged."))
    status.fail(storage.db, job.video_id, DamagedVideo("It is damaged."))

    def now() -> tuple[Any, ...]:
        shown, of_two = seen(storage, job.job_id), list_jobs(storage.db, ann.user_id, RATES, 2)[0]
        video = library.one(storage.db, ann.user_id, job.video_id)
        found = {one: [row["video_id"] for row in library.page(storage.db, ann.user_id, 9, status=one)[0]] for one in ("pending", "failed")}
        assert shown.status == of_two[1].status == video["status"] == list_videos(storage.db)[1]["status"]
        assert shown.status == show_video(storage.db, job.video_id)["video"]["status"]
        assert job.video_id in found[shown.status] and len(found["pending"]) + len(found["failed"]) == 2
        told = shown.failure and shown.failure.code, video["failure_code"], list_videos(storage.db)[1]["failure_code"]
        return shown.status, *told, shown.place_in_queue, seen(storage, later.job_id).place_in_queue

    assert now() == ("failed", "damaged", "damaged", "damaged", None, 1)
    failed_at = seen(storage, job.job_id).updated_at
    jobs.queue(storage.db, {"again": job.video_id})
    assert now() == ("pending", None, None, None, 1, 2) and seen(storage, job.job_id).updated_at > failed_at
    jobs.forget_queued(storage.db, "again")  # it was taken out of the queue
    assert now() == ("failed", "damaged", "damaged", "damaged", None, 1)
    jobs.queue(storage.db, {"again": job.video_id})
    start_job(storage.db, job.video_id, "again")
    assert seen(storage, job.job_id).status == "processing"


def test_people_see_their_own_jobs_only_and_page_through_them(storage: Storage) -> None:
    ann, bob = person(storage.db), person(storage.db, "bob@example.org")
    mine = [submitted(storage, ann, seed).job_id for seed in range(5)]
    theirs = submitted(storage, bob, 0, filename="theirs.mp4")
    assert get_job(storage.db, ann.user_id, theirs.job_id, RATES, 2) is None and get_job(storage.db, ann.user_id, "x", RATES, 2) is None
    assert seen(storage, theirs.job_id, "bob@example.org").filename == "theirs.mp4"
    pages: list[str] = []
    after: tuple[object, ...] = ()
    more = True
    while more:
        page, more = list_jobs(storage.db, ann.user_id, RATES, 2, after)
        pages += [job.job_id for job in page]
        after = (page[-1].created_at, page[-1].job_id)
    assert pages == mine[::-1]
    storage.db.execute("UPDATE uploads SET requested = false")
    assert list_jobs(storage.db, ann.user_id, RATES, 10) == ([], False)
