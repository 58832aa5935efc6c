"""How runs end, in the rows that people read: one job a run, true to its end, and a video that is well again when a run went well."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.failures import DiskFull, SchemaMismatch, StoreUnavailable, all_failures
from reframer_pipeline.orchestration.stage import stage_run
from reframer_pipeline.orchestration.tags import FAILURE_TAG, PROCESS_VIDEO
from reframer_pipeline.results import commit
from reframer_pipeline.results.commit import Committed, Prepared
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.store.objects import video_key
from reframer_pipeline.vision import weights
from reframer_pipeline_tests.factories import plan_of
from reframer_pipeline_tests.machine import FAILING_FILE, fill, small_disk


def materialize_as_the_ui(settings: Settings, video_id: str, *stages: str) -> dg.ExecuteInProcessResult:
    """A run that nobody holds the lease for."""
    with dagster_home.open_instance(settings) as instance:
        job = build_definitions(settings).resolve_job_def(PROCESS_VIDEO)
        selection = [dg.AssetKey(stage) for stage in stages]
        return job.execute_in_process(instance=instance, partition_key=video_id, asset_selection=selection, raise_on_error=False)


@contextmanager
def masks_refused(shared: Storage) -> Iterator[None]:
    """The database refuses rows of masks, for good."""
    shared.db.execute("ALTER TABLE segmentation_masks ADD CONSTRAINT refuse CHECK (height < 0) NOT VALID")
    try:
        yield
    finally:
        shared.db.execute("ALTER TABLE segmentation_masks DROP CONSTRAINT refuse")


def video_of(shared: Storage, video_id: str) -> tuple[str, str | None]:
    row = shared.db.fetch_one("SELECT status, failure_code FROM videos WHERE id = %s", (video_id,))
    assert row is not None
    return row["status"], row["failure_code"]


def scratch_files(shared: Storage) -> set[Path]:
    """What is in the scratch folder: runs that other tests killed have left things there, until they are swept."""
    return set(shared.settings.scratch_dir.iterdir())


def last_job(shared: Storage, video_id: str) -> dict[str, Any]:
    row = shared.db.fetch_one("SELECT * FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 1", (video_id,))
    assert row is not None
    return row


def test_a_commit_that_fails_for_good_fails_job_and_video_until_a_run_goes_well(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    other, before = shared.settings.model_copy(update={"conf": 0.61}), scratch_files(shared)
    with masks_refused(shared):
        (outcome,) = run_videos(other, [done.video_id])
    assert outcome.failure_code == "internal_error"
    job = last_job(shared, done.video_id)
    assert (job["status"], job["failure_code"]) == ("failed", "internal_error") and job["finished_at"] is not None
    assert video_of(shared, done.video_id) == ("failed", "internal_error")
    assert scratch_files(shared) == before

    assert materialize_as_the_ui(other, done.video_id, "masks").success
    assert video_of(shared, done.video_id) == ("completed", None)  # readers see the old whole
    assert last_job(shared, done.video_id)["status"] == "completed"


def test_a_full_disk_is_no_fault_of_the_video(shared: Storage, done: VideoOutcome) -> None:
    """It would else be `failed` for good, and a backfill would mark a whole library so."""
    assert done.video_id is not None
    shared.settings.scratch_dir.mkdir(parents=True, exist_ok=True)
    with small_disk(shared.settings.scratch_dir) as disk:
        filler = fill(disk)
        assert not materialize_as_the_ui(shared.settings, done.video_id, "metadata").success
        job = last_job(shared, done.video_id)
        assert (job["status"], job["failure_code"], job["retryable"]) == ("failed", "disk_full", True)
        assert DiskFull.code not in {cls.code for cls in all_failures() if cls.blames_video}
        filler.unlink()
        assert materialize_as_the_ui(shared.settings, done.video_id, "metadata").success
    assert video_of(shared, done.video_id) == ("completed", None)


def test_scratch_files_that_somebody_takes_away_are_no_fault_of_the_video(shared: Storage, done: VideoOutcome) -> None:
    """As where another disk is mounted on the folder, or a cleaner goes through it: the stage is tried again."""
    assert done.video_id is not None
    taken: list[Path] = []

    def take_one() -> None:
        until = time.monotonic() + 120
        while not taken and time.monotonic() < until:
            for path in shared.settings.scratch_dir.glob("*.parquet"):
                path.unlink()
                taken.append(path)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(take_one)
        assert materialize_as_the_ui(shared.settings, done.video_id, "frames").success
    assert taken and video_of(shared, done.video_id) == ("completed", None)


def test_a_disk_that_fails_under_ffmpeg_is_no_damaged_video(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    row = shared.db.fetch_one("SELECT sha256 FROM videos WHERE id = %s", (done.video_id,))
    path = shared.store.local_path(video_key(row["sha256"])) if row else None
    assert path is not None
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(FAILING_FILE)  # it opens, and cannot be read
    try:
        assert not materialize_as_the_ui(shared.settings, done.video_id, "frames").success
    finally:
        aside.replace(path)
    job = last_job(shared, done.video_id)
    assert (job["failure_code"], job["retryable"]) == ("store_unavailable", True)
    assert materialize_as_the_ui(shared.settings, done.video_id, "frames").success


def test_a_commit_that_fails_for_a_moment_is_tried_again_by_a_job_that_goes_on(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert done.video_id is not None
    monkeypatch.setattr(commit, "PAUSES_S", ())
    put, seen, leases = shared.store.put, list[tuple[str, str | None]](), list[Any]()

    def away_once(*args: Any) -> int:
        leases.append(shared.db.fetch_one("SELECT acquired_at FROM leases WHERE video_id = %s", (done.video_id,)))
        seen.append((last_job(shared, done.video_id or "")["status"], video_of(shared, done.video_id or "")[1]))
        if len(seen) == 1:
            raise StoreUnavailable("away")
        return put(*args)

    monkeypatch.setattr(shared.store, "put", away_once)
    result = materialize_as_the_ui(shared.settings, done.video_id, "trajectories")
    assert result.success
    assert seen == [("processing", None), ("processing", None)]
    assert leases[0] is not None and leases[0] == leases[1]  # kept over the pause: nobody came in between
    assert (last_job(shared, done.video_id)["status"], last_job(shared, done.video_id)["attempts"]) == ("completed", 2)


def test_a_database_that_cannot_be_opened_does_not_hide_the_failure(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(storage: Storage) -> Database:
        raise SchemaMismatch("Not for this version.")

    monkeypatch.setattr(Storage, "db", property(closed))
    result = materialize_as_the_ui(shared.settings, done.video_id or "", "trajectories")
    (failed,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    told = failed.user_failure_data
    assert told is not None and told.description is not None and told.description.startswith("[schema_mismatch] Not for this version.")


def test_what_was_wiped_in_the_ui_is_fresh_and_is_shown_again_by_materializing_it(shared: Storage, done: VideoOutcome, clip: Path) -> None:
    key, video_id = dg.AssetKey("trajectories"), done.video_id or ""
    with dagster_home.open_instance(shared.settings) as instance:
        instance.wipe_assets([key])
        assert instance.get_latest_materialization_event(key) is None
        assert set(plan_of(shared.db, video_id, shared.settings, weights.digests(shared.settings)).to_compute) == set()
        assert materialize_as_the_ui(shared.settings, video_id, "trajectories").success
        event = instance.get_latest_materialization_event(key)
    assert event is not None and event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert (shown["video"].value, shown["outcome"].value) == (clip.name, "same")


def test_a_partition_that_is_no_video_fails_as_that_and_the_run_says_so(shared: Storage) -> None:
    with dagster_home.open_instance(shared.settings) as instance:
        instance.add_dynamic_partitions("videos", ["made by hand"])
        ran = materialize_as_the_ui(shared.settings, "made by hand", "metadata")
        instance.delete_dynamic_partition("videos", "made by hand")
        run = instance.get_run_by_id(ran.run_id)
    assert run is not None and run.tags[FAILURE_TAG] == "unknown_video"


def test_a_long_statement_of_a_commit_does_not_look_stalled(shared: Storage, done: VideoOutcome) -> None:
    """As the cascade of deletes of a long video's results: one statement, which tells nothing until it is done."""
    assert done.video_id is not None
    impatient = shared.settings.model_copy(update={"stall_s": 6.0})
    shared.db.execute("""CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(9); RETURN NULL; END $$;
        CREATE TRIGGER long BEFORE INSERT OR UPDATE ON results FOR EACH STATEMENT EXECUTE FUNCTION take_long()""")
    try:
        assert materialize_as_the_ui(impatient, done.video_id, "trajectories").success
    finally:
        shared.db.execute("DROP TRIGGER long ON results; DROP FUNCTION take_long()")
    assert (last_job(shared, done.video_id)["status"], last_job(shared, done.video_id)["attempts"]) == ("completed", 1)


def test_a_tool_that_stands_still_is_ended_by_its_own_limit(
    shared: Storage, done: VideoOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that the file is to blame; a stage that stands still blames nothing. The tools before it take time, too."""
    assert done.video_id is not None
    ffprobe = tmp_path / "ffprobe"
    ffprobe.write_text(f'#!/bin/sh\ncase "$*" in *packet=pts*) sleep 60;; esac\nsleep 1.2\nexec {shutil.which("ffprobe")} "$@"\n')
    ffprobe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    impatient = shared.settings.model_copy(update={"stall_s": 4.0})
    assert not materialize_as_the_ui(impatient, done.video_id, "metadata").success
    assert last_job(shared, done.video_id)["failure_code"] == "media_limit_exceeded"
    monkeypatch.undo()
    (outcome,) = run_videos(shared.settings, [done.video_id])  # for the tests after it
    assert outcome.status == "completed", outcome.failure_message


def test_a_library_that_ends_the_process_is_a_failure_like_any_other(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could count it else: no other event tells of it."""
    assert done.video_id is not None
    with monkeypatch.context() as ending:
        ending.setattr(shared.store, "put", lambda *_: sys.exit(3))
        assert not materialize_as_the_ui(shared.settings, done.video_id, "trajectories").success
    job = last_job(shared, done.video_id)
    assert (job["status"], job["failure_code"]) == ("failed", "internal_error") and "SystemExit: 3" in job["failure_message"]
    assert materialize_as_the_ui(shared.settings, done.video_id, "trajectories").success


def test_an_interrupted_stage_is_not_tried_again(shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done.video_id is not None
    put, asked = shared.store.put, list[Any]()

    def interrupted(*args: Any) -> int:
        asked.append(args)
        signal.raise_signal(signal.SIGINT)
        return put(*args)

    monkeypatch.setattr(shared.store, "put", interrupted)
    assert not materialize_as_the_ui(shared.settings, done.video_id, "trajectories").success
    assert len(asked) == 1
    assert (last_job(shared, done.video_id)["status"], last_job(shared, done.video_id)["failure_code"]) == ("failed", "interrupted")
    assert video_of(shared, done.video_id) == ("completed", None)
    assert shared.db.fetch("SELECT * FROM leases WHERE video_id = %s", (done.video_id,)) == []


def test_a_job_goes_on_until_its_last_stage(shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done.video_id is not None
    states, commit = list[str](), shared.results.commit_prepared

    def noting(*args: Any, **more: Any) -> Committed:
        committed = commit(*args, **more)
        states.append(last_job(shared, done.video_id or "")["status"])
        return committed

    monkeypatch.setattr(shared.results, "commit_prepared", noting)
    (outcome,) = run_videos(shared.settings, [done.video_id], force=True)
    assert outcome.status == "completed", outcome.failure_message
    assert states == ["processing"] * 6
    assert last_job(shared, done.video_id)["status"] == "completed"
    assert set(outcome.seconds) == set(NAMES)
    assert outcome.seconds["metadata"] > 0.01  # programs were started, and that is its work


def test_a_failure_of_the_caller_s_leaves_the_video_completed(shared: Storage, done: VideoOutcome) -> None:
    assert done.video_id is not None
    elsewhere = shared.settings.model_copy(update={"device": "cuda:99"})
    (outcome,) = run_videos(elsewhere, [done.video_id], force=True)
    assert outcome.failure_code == "settings_invalid"
    assert video_of(shared, done.video_id) == ("completed", None)
    unseen = shared.settings.model_copy(update={"vid_stride": 11})
    assert not materialize_as_the_ui(unseen, done.video_id, "masks").success
    assert video_of(shared, done.video_id) == ("completed", None)


def test_who_lost_the_lease_does_not_tell_the_status(shared: Storage, done: VideoOutcome) -> None:
    from reframer_pipeline.work import lease

    assert done.video_id is not None
    with lease.hold(shared.db, done.video_id, "another"):
        broken = shared.settings.model_copy(update={"vid_stride": 13})
        assert not materialize_as_the_ui(broken, done.video_id, "trajectories").success
        assert video_of(shared, done.video_id) == ("completed", None)


def test_a_result_that_never_reaches_its_commit_leaves_no_file(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert done.video_id is not None
    before, seen = scratch_files(shared), list[int]()

    def interrupted(*args: Any, **more: Any) -> Committed:  # drawn and checked: there is a file
        seen.append(len(scratch_files(shared) - before))
        raise KeyboardInterrupt

    monkeypatch.setattr(shared.results, "commit_prepared", interrupted)
    assert not materialize_as_the_ui(shared.settings, done.video_id, "trajectories").success
    assert set(seen) == {2}  # the rows, and the stage's own folder
    assert scratch_files(shared) == before
    assert last_job(shared, done.video_id)["failure_code"] == "interrupted"
    assert video_of(shared, done.video_id) == ("completed", None)


def test_a_result_never_bears_the_digest_of_weights_that_did_not_make_it(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert done.video_id is not None
    before, prepare = scratch_files(shared), stage_run.prepare

    def replaced(*args: Any, **more: Any) -> Prepared:  # while the rows are drawn
        prepared = prepare(*args, **more)
        monkeypatch.setattr(weights, "digest", lambda settings, role: "sha256:other")
        return prepared

    monkeypatch.setattr(stage_run, "prepare", replaced)
    result = materialize_as_the_ui(shared.settings, done.video_id, "masks")
    assert not result.success and last_job(shared, done.video_id)["failure_code"] == "weights_changed"
    assert last_job(shared, done.video_id)["attempts"] == 1  # the same run would only meet it again
    assert scratch_files(shared) == before
