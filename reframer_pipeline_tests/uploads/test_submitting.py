"""Jobs as they are submitted: one for each idempotency key, whoever repeats it and however."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from reframer_pipeline.failures import FileNotReadable, FileTooLarge, IdempotencyKeyReused, NotAVideo
from reframer_pipeline.reading import library
from reframer_pipeline.reading.estimates import Rates
from reframer_pipeline.reading.jobs import list_jobs
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.uploads import submitting
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.uploads.known import waiting_videos
from reframer_pipeline.uploads.submitting import from_bucket, submit
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.submitted import fingerprint, person, submitted


def test_a_job_is_an_upload_that_asks_for_computing(storage: Storage) -> None:
    ann, bob = person(storage.db), person(storage.db, "bob@example.org")
    first, second = submitted(storage, ann, filename="a.mp4"), submitted(storage, bob, filename="b.mp4")
    assert first.video_id == second.video_id and first.job_id != second.job_id
    rows = storage.db.fetch("SELECT id::text, user_id::text, filename, status, requested FROM uploads ORDER BY created_at")
    assert [tuple(row.values()) for row in rows] == [
        (first.job_id, ann.user_id, "a.mp4", "completed", True),
        (second.job_id, bob.user_id, "b.mp4", "completed", True),
    ]
    assert list(storage.settings.scratch_dir.iterdir()) == []


def test_who_has_a_film_keeps_its_name(storage: Storage, tmp_path: Path) -> None:
    """By whatever way the same bytes come again; another person's name is their own."""
    ann, bob = person(storage.db, idempotency_key="k1"), person(storage.db, "bob@example.org")
    first = submitted(storage, person(storage.db), filename="demo.mp4")
    copy = submitted(storage, ann, filename="copy.mp4")
    assert (first.filename, first.was_theirs, copy.filename, copy.was_theirs) == ("demo.mp4", False, "demo.mp4", True)
    assert submitted(storage, ann, filename="copy.mp4") == replace(copy, repeated=True)
    assert submitted(storage, ann, filename="copy.mp4", job_id=copy.job_id).filename == "demo.mp4"
    theirs = submitted(storage, bob, filename="mine.mp4")
    assert (theirs.filename, theirs.was_theirs) == ("mine.mp4", False)
    path = tmp_path / "from the terminal.mp4"
    path.write_bytes(video_bytes(0))
    taken = ingest_file(path, storage.db, storage.store, storage.settings, user_email=ann.email)
    assert (taken.filename, taken.was_theirs) == ("demo.mp4", True)
    assert {user.email: library.one(storage.db, user.user_id, first.video_id)["filename"] for user in (ann, bob)} == {
        ann.email: "demo.mp4",
        bob.email: "mine.mp4",
    }
    told = {job.job_id: (job.filename, job.was_theirs) for job in list_jobs(storage.db, ann.user_id, Rates(), 10)[0]}
    assert told == {first.job_id: ("demo.mp4", False), copy.job_id: ("demo.mp4", True)}


def test_a_job_waits_for_its_run_however_often_it_is_submitted_again(storage: Storage) -> None:
    for _ in range(2):
        job = submitted(storage, person(storage.db))
        assert [one.video_id for one in waiting_videos(storage.db)] == [job.video_id]


def test_a_repeated_request_is_one_job_also_after_a_restart(storage: Storage) -> None:
    ann = person(storage.db, idempotency_key="k1", webhook_url="https://example.org/hook")
    first = submitted(storage, ann)
    assert first.webhook_secret is not None and first.webhook_secret.startswith("whsec_")
    before = fingerprint(storage.db)
    storage.close()
    with open_storage(storage.settings) as again:
        repeated = submitted(again, ann)
        assert (repeated.job_id, repeated.repeated, repeated.webhook_secret) == (first.job_id, True, first.webhook_secret)
        assert submitted(again, ann, job_id=first.job_id).job_id == first.job_id
        for other in ({"content": 1}, {"filename": "other.mp4"}):
            with pytest.raises(IdempotencyKeyReused, match="k1"):
                submitted(again, ann, **other)  # type: ignore[arg-type]
        with pytest.raises(IdempotencyKeyReused):
            submitted(again, person(again.db, idempotency_key="k1"))
        assert fingerprint(again.db) == before
        assert submitted(again, person(again.db, "bob@example.org", idempotency_key="k1")).job_id != first.job_id


def test_requests_at_the_same_time_are_one_job(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, together = person(storage.db, idempotency_key="k1"), Barrier(4)
    ingest = submitting.ingest_received

    def all_at_once(*args: object, **more: object) -> object:
        together.wait(120)  # each has found by now that nobody was there before
        return ingest(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(submitting, "ingest_received", all_at_once)
    with ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: submitted(storage, ann), range(4)))
    assert len({job.job_id for job in jobs}) == 1 and sorted(job.repeated for job in jobs) == [False, True, True, True]
    assert [row["count"] for row in storage.db.fetch("SELECT count(*) FROM uploads")] == [1]


def test_a_file_of_the_bucket_becomes_a_job(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "bucket"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "clip.mp4").write_bytes(video_bytes())
    (folder / "notes.mp4").write_text("These are notes.")
    (folder / "large.mp4").write_bytes(video_bytes() + bytes(2_000_000))
    (tmp_path / "outside.mp4").write_bytes(video_bytes(1))
    (folder / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    settings, bucket = storage.settings.model_copy(update={"max_upload_mb": 1}), Bucket(str(folder))
    with from_bucket(bucket, "in/clip.mp4", settings) as file:
        job = submit(storage, file, person(storage.db))
    (row,) = storage.db.fetch("SELECT filename, bucket_key, requested, video_id::text FROM uploads")
    assert tuple(row.values()) == ("clip.mp4", None, True, job.video_id)
    for key in (
        "gone.mp4",
        "in",
        "",
        "../outside.mp4",
        str(tmp_path / "outside.mp4"),
        "link.mp4",
        "in/../../outside.mp4",
        "a\0b",
        "a" * 500,
    ):
        with pytest.raises(FileNotReadable), from_bucket(bucket, key, settings):
            pass
    with pytest.raises(NotAVideo), from_bucket(bucket, "notes.mp4", settings):
        pass
    with pytest.raises(FileTooLarge), from_bucket(bucket, "large.mp4", settings):
        pass
    assert (folder / "in" / "clip.mp4").read_bytes() == video_bytes() and list(settings.scratch_dir.iterdir()) == []
