"""Deleting a video: claims, rows, objects, what Gemini has; also when it is cut off, and when the same file comes again."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from reframer_pipeline.failures import LeaseLost
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import deletion
from reframer_pipeline.scratch import DRAWN, made
from reframer_pipeline.store.objects import RESULTS, VIDEOS
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import take_in
from reframer_pipeline.uploads.known import known_uploads
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.work import jobs, lease
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.factories import Maker, commit, commit_all, start_job_under, video_bytes
from reframer_pipeline_tests.scenes.gemini.test_questions import ask_about
from reframer_pipeline_tests.submitted import person, submitted

TABLES = ("videos", "results", "detections", "segmentation_masks", "published", "processing_jobs", "leases", "gemini_questions", "uploads")


def objects(storage: Storage) -> list[str]:
    return [*storage.store.list(VIDEOS), *storage.store.list(RESULTS)]


def rows(storage: Storage) -> dict[str, int]:
    counts = {name: storage.db.fetch(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in TABLES}  # type: ignore[arg-type]
    return {name: count for name, count in counts.items() if count}


def computed(storage: Storage, seed: int = 0, email: str = "ann@example.org") -> str:
    """A video of a person's with all its results."""
    job = submitted(storage, person(storage.db, email), seed)
    commit_all(storage, job.video_id, Maker(hashlib.sha256(video_bytes(seed)).hexdigest(), storage.settings))
    return job.video_id


def finish(storage: Storage) -> int:
    return deletion.finish(storage.db, storage.store, storage.settings)


def test_the_last_claim_takes_all_of_a_video_and_nothing_else(storage: Storage) -> None:
    ann, bob = person(storage.db), person(storage.db, "bob@example.org")
    other = computed(storage, 1)
    kept = rows(storage), objects(storage)
    video = computed(storage)
    submitted(storage, ann)
    submitted(storage, bob)
    assert deletion.delete(storage.db, video, person(storage.db, "eve@example.org").user_id) == deletion.Deleted(0, False)
    assert deletion.delete(storage.db, video, ann.user_id) == deletion.Deleted(2, False)
    assert deletion.delete(storage.db, video, ann.user_id) == deletion.Deleted(0, False)
    drawn = {one: made(storage.settings.scratch_dir) / f"{DRAWN}{one}-{one}.mp4" for one in (video, other)}
    for path in drawn.values():
        path.touch()
    assert finish(storage) == 0 and [row["id"] for row in storage.db.fetch("SELECT id::text FROM videos ORDER BY 1")] == sorted(
        [video, other]
    )
    assert deletion.delete(storage.db, video, bob.user_id) == deletion.Deleted(1, True)
    assert finish(storage) == 1 and finish(storage) == 0
    assert (rows(storage), objects(storage)) == kept
    assert not drawn[video].exists() and drawn[other].exists()


def test_one_that_was_cut_off_is_finished_and_not_brought_back(storage: Storage) -> None:
    video, kept = computed(storage), computed(storage, 1)
    deletion.delete(storage.db, video)  # and the process dies
    assert any(video in key for key in objects(storage))
    rebuilt = rebuild(storage.db, storage.store)
    assert rebuilt.videos == rebuilt.results == 0 and not rebuilt.skipped
    assert [row["id"] for row in storage.db.fetch("SELECT id::text FROM videos")] == [kept]
    assert finish(storage) == 1 and not any(video in key for key in objects(storage))
    assert len(list(storage.store.list(VIDEOS))) == 1


def test_the_same_file_may_come_again_also_before_the_rest_has_gone(storage: Storage) -> None:
    first = storage.db.fetch("SELECT created_at FROM videos WHERE id = %s", (video := computed(storage),))[0]["created_at"]
    deletion.delete(storage.db, video)
    assert computed(storage) == video
    there = rows(storage)
    assert finish(storage) == 1
    assert rows(storage) == there and len(objects(storage)) == 8  # the upload, six results, the frames' attachment
    assert storage.db.fetch("SELECT created_at FROM videos")[0]["created_at"] > first
    assert rebuild(storage.db, storage.store).results == 0
    deletion.delete(storage.db, video)
    assert finish(storage) == 1 and objects(storage) == [] and rows(storage) == {}


def test_a_file_of_the_bucket_is_not_taken_in_again(storage: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(video_bytes())
    bucket = Bucket(str(folder))
    (entry,) = list_bucket(bucket, 5)
    taken = take_in(bucket, entry.key, entry.etag, storage.db, storage.store, storage.settings)
    assert taken.video_id is not None
    deletion.delete(storage.db, taken.video_id)
    finish(storage)
    assert known_uploads(storage.db, [entry]) == {(entry.key, entry.etag)}
    again = take_in(bucket, entry.key, entry.etag, storage.db, storage.store, storage.settings)  # one that had been asked for before
    assert (again.video_id, again.failure) == (None, None) and rows(storage) == {"uploads": 1} and objects(storage) == []
    assert [row["status"] for row in storage.db.fetch("SELECT status FROM uploads")] == ["deleted"]


def test_whoever_is_at_the_video_can_write_no_more(storage: Storage) -> None:
    video = submitted(storage, person(storage.db)).video_id
    maker = Maker(hashlib.sha256(video_bytes()).hexdigest(), storage.settings)
    with lease.hold(storage.db, video, "run") as token:
        commit(storage, video, maker, "metadata", token)
        job = start_job_under(storage.db, video, "run", token, stage="frames")
        assert jobs.progress(storage.db, job, "frames", 1, 2)
        deletion.delete(storage.db, video)
        assert not jobs.progress(storage.db, job, "frames", 2, 2)
        with pytest.raises(LeaseLost):
            lease.heartbeat(storage.db, video, token)
    finish(storage)
    assert rows(storage) == {} and objects(storage) == []


def test_a_commit_that_goes_on_is_waited_for_and_goes_too(storage: Storage) -> None:
    video = submitted(storage, person(storage.db)).video_id
    deleting = threading.Thread(target=lambda: deletion.delete(storage.db, video))
    with storage.db.transaction() as conn:  # as a commit does: a row of the video, which nobody else sees yet
        conn.execute("INSERT INTO processing_jobs (video_id, run_id) VALUES (%s, 'late')", (video,))
        deleting.start()
        deleting.join(0.5)
        assert deleting.is_alive()
    deleting.join(120)
    finish(storage)
    assert rows(storage) == {} and objects(storage) == []


def test_what_gemini_has_goes_too(storage: Storage) -> None:
    video, sha256 = computed(storage), hashlib.sha256(video_bytes()).hexdigest()
    with FakeGemini() as gemini:
        gemini.script(Behaviour(Kind.BAD_REQUEST, Endpoint.DELETE_FILE))
        ask_about(storage, gemini.url, video, sha256, gemini_inline_mb=0)
        assert gemini.file_names and storage.db.fetch("SELECT 1 FROM gemini_questions WHERE answer IS NOT NULL")
        deletion.delete(storage.db, video)
        assert finish(storage) == 0 and gemini.file_names  # without its key nobody can
        assert storage.db.fetch("SELECT objects, sha256 FROM deletions") == [{"objects": [], "sha256": None}]
        known = storage.settings.model_copy(update={"gemini_url": gemini.url, "gemini_api_key": SecretStr("key")})
        assert deletion.finish(storage.db, storage.store, known) == 1
        assert gemini.file_names == [] and rows(storage) == {}


def test_what_cannot_be_deleted_at_gemini_is_gone_by_itself_after_two_days(storage: Storage) -> None:
    video = computed(storage)
    deletion.delete(storage.db, video)
    storage.db.execute("UPDATE deletions SET remote_files = '{files/abc}'")
    assert finish(storage) == 0
    storage.db.execute("UPDATE deletions SET deleted_at = deleted_at - interval '49 hours'")
    finish(storage)
    assert storage.db.fetch("SELECT remote_files FROM deletions") == [{"remote_files": []}]


def test_the_command(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video = computed(storage)
    home = storage.settings.home_dir
    assert storage.settings.database_url is not None
    url = storage.settings.database_url.get_secret_value()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    unanswered = called(home, "delete", video[:8], REFRAMER_DATABASE_URL=url)
    assert unanswered.returncode == 1 and "Nothing was deleted. The option --yes" in unanswered.stderr and rows(storage)["videos"] == 1
    done = called(home, "delete", video[:8], "--yes", REFRAMER_DATABASE_URL=url)
    assert (done.returncode, rows(storage), objects(storage)) == (0, {}, []) and "Deleted clip.mp4" in done.stdout, done
    assert "unknown_video" in called(home, "delete", video[:8], "--yes", REFRAMER_DATABASE_URL=url).stderr
