"""The upload sensor and the ingest job against a real Dagster instance: from a file in the bucket to a completed video."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import fsspec
import pytest
from dagster_shared.serdes import serialize_value

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import StoreUnavailable
from reframer_pipeline.orchestration.requests.schedules import backfill
from reframer_pipeline.orchestration.requests.video_runs import run_key
from reframer_pipeline.orchestration.tags import FAILURE_TAG, PARTITION_TAG, PRIORITY_TAG, PROCESS_VIDEO
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.uploads import watching
from reframer_pipeline.uploads.watching import Cursor
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.orchestration.requests.daemon import Daemon
from reframer_pipeline_tests.s3 import failing_s3, pointing_at, s3_bucket, s3_server
from reframer_pipeline_tests.servers import Server, embedded_server, fresh_database

pytestmark = pytest.mark.slow

__all__ = ["embedded_server", "s3_bucket", "s3_server"]

SETTLE_S = 0.3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bucket"
    made.mkdir()
    return made


@pytest.fixture
def mine(settings: Settings, embedded_server: Server, tmp_path: Path, folder: Path) -> Iterator[Settings]:
    """The session's settings with a database, a store and a bucket of this test's own."""
    for url in fresh_database(embedded_server):
        made = Settings.model_validate(
            settings.model_dump()
            | {
                "database_url": url, "store_url": str(tmp_path / "objects"), "uploads_url": str(folder), "upload_settle_s": SETTLE_S,
                "home": tmp_path / "home", "vid_stride": 10,
            }
        )  # fmt: skip
        yield made
        storage_of(made).close()


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with dagster_home.open_instance(settings) as opened:
        yield opened
        for run in opened.get_runs(dg.RunsFilter(tags={"dagster/sensor_name": "upload_sensor"})):
            opened.delete_run(run.run_id)


@pytest.fixture
def daemon(mine: Settings, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(mine, instance)


def settled_ticks(daemon: Daemon, count: int = 2) -> list[dg.RunRequest]:
    """The requests of the last of some ticks, each a settle time after the one before."""
    requests: list[dg.RunRequest] = []
    for _ in range(count):
        time.sleep(SETTLE_S + 0.05)
        requests = daemon.tick()
    return requests


def jobs(requests: list[dg.RunRequest]) -> list[str]:
    return [str(request.job_name) for request in requests]


def uploads(daemon: Daemon) -> list[tuple[str, ...]]:
    found = storage_of(daemon.settings).db.fetch("SELECT bucket_key, status, failure_code FROM uploads ORDER BY created_at")
    return [tuple(row.values()) for row in found]


@pytest.mark.models
def test_a_folder_end_to_end(daemon: Daemon, folder: Path, clip: Path, tmp_path: Path) -> None:
    db, content = storage_of(daemon.settings).db, clip.read_bytes()
    third = len(content) // 3
    for part in (content[:third], content[third : 2 * third], content[2 * third :]):  # slowly: each tick finds it longer
        with (folder / "clip.mp4").open("ab") as file:
            file.write(part)
        assert daemon.tick() == []
        time.sleep(SETTLE_S + 0.05)
    (request,) = daemon.tick()
    assert (request.job_name, request.tags[PRIORITY_TAG]) == ("ingest", "10")
    (taken,) = daemon.run([request])
    shown = taken.all_events  # what people see of the run
    metadata = next(event.step_output_data.metadata for event in shown if event.event_type_value == "STEP_OUTPUT")
    assert taken.success and metadata["outcome"].value == "taken in"

    (request,) = daemon.tick()
    assert (request.job_name, request.tags[PRIORITY_TAG]) == ("process_video", "5")
    video_id = request.partition_key
    assert video_id == metadata["video_id"].value and daemon.instance.has_dynamic_partition("videos", str(video_id))
    (computed,) = daemon.run([request])
    assert computed.success and daemon.tick() == []
    assert get_video(db, str(video_id))["status"] == "completed"
    assert Cursor.parse(daemon.cursor) == Cursor()

    (folder / "copy.mp4").write_bytes(content)  # the same bytes under another name: an upload, and nothing to compute
    requests = settled_ticks(daemon)
    assert jobs(requests) == ["ingest"] and daemon.run(requests)[0].success
    assert settled_ticks(daemon) == []

    write_clip(make_clip(2_000_077, n_frames=25, shots=1), tmp_path / "other.mp4")
    (folder / "clip.mp4").write_bytes((tmp_path / "other.mp4").read_bytes())  # another film under the old name
    assert daemon.run(settled_ticks(daemon))[0].success
    (request,) = daemon.tick()
    assert request.job_name == "process_video" and request.partition_key != video_id

    (folder / "notes.mp4").write_text("These are notes.")
    (request,) = [one for one in settled_ticks(daemon) if one.job_name == "ingest"]
    (refused,) = daemon.run([request])
    assert refused.success and daemon.instance.get_run_by_id(refused.run_id).tags[FAILURE_TAG] == "not_a_video"  # type: ignore[union-attr]
    assert "ingest" not in jobs(settled_ticks(daemon, 3))
    assert uploads(daemon) == [
        ("clip.mp4", "completed", None),
        ("copy.mp4", "completed", None),
        ("clip.mp4", "completed", None),
        ("notes.mp4", "failed", "not_a_video"),
    ]
    assert len(db.fetch("SELECT id FROM videos")) == 2


def test_a_tick_that_is_lost_or_repeated_loses_and_doubles_nothing(daemon: Daemon, folder: Path) -> None:
    (folder / "a.mp4").write_bytes(video_bytes())
    daemon.tick()
    time.sleep(SETTLE_S + 0.05)
    lost = list(daemon.evaluate().run_requests or [])  # killed before anything was kept
    again = daemon.tick()
    assert [one.run_key for one in lost] == [one.run_key for one in again] and jobs(again) == ["ingest"]
    unheard = daemon.tick()  # requested, the cursor kept, the run never made
    assert [one.run_key for one in unheard] == [one.run_key for one in again]
    assert len(daemon.run(lost + again + unheard)) == 1
    daemon.cursor = None  # and the memory is lost
    first = [*settled_ticks(daemon, 1), *settled_ticks(daemon, 1)]
    assert len({one.run_key for one in first}) == 1 and str(first[0].run_key).startswith(f"video:{first[0].partition_key}:")
    assert uploads(daemon) == [("a.mp4", "completed", None)]


def test_trouble_is_tried_again_and_given_up_only_if_it_may_be_the_file_s(
    daemon: Daemon, folder: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE_S", 1.5)
    monkeypatch.setattr(watching, "LONGEST_PAUSE_S", 1.5)
    monkeypatch.setattr(watching, "MAX_STRIKES", 2)
    (folder / "a.mp4").write_bytes(video_bytes())
    daemon.tick()
    keys = []
    for failure in (*[StoreUnavailable("The object store cannot be used.")] * 2, *[ValueError("a defect")] * 2):
        monkeypatch.setattr(ObjectStore, "put", _failing(failure))
        time.sleep(1.6 if keys else 0)
        requests = settled_ticks(daemon, 1)
        keys += [str(one.run_key) for one in requests]
        (result,) = daemon.run(requests)
        assert not result.success
        code = getattr(failure, "code", "internal_error")
        assert instance.get_run_by_id(result.run_id).tags[FAILURE_TAG] == code  # type: ignore[union-attr]
        assert daemon.tick() == []  # within the pause, or given up
    assert [key.rsplit(":", 1)[1] for key in keys] == ["1", "2", "3", "4"]
    assert settled_ticks(daemon, 3) == []
    assert uploads(daemon) == [("a.mp4", "failed", "ingest_abandoned")]
    (row,) = storage_of(daemon.settings).db.fetch("SELECT failure_message FROM uploads")
    assert "4 times" in row["failure_message"] and "internal_error" in row["failure_message"]


def test_a_failed_listing_keeps_the_cursor(daemon: Daemon, folder: Path) -> None:
    (folder / "a.mp4").write_bytes(video_bytes())
    daemon.tick()
    before = daemon.cursor
    folder.rename(folder.with_name("away"))
    assert daemon.tick() == [] and daemon.cursor == before and "[bucket_unavailable]" in daemon.skipped[-1]
    folder.with_name("away").rename(folder)
    assert jobs(settled_ticks(daemon, 1)) == ["ingest"]


def test_no_more_than_allowed_at_a_time(mine: Settings, instance: dg.DagsterInstance, folder: Path) -> None:
    daemon = Daemon(mine.model_copy(update={"upload_requests": 2}), instance)
    for seed in range(5):
        (folder / f"{seed}.mp4").write_bytes(video_bytes(seed))
    rounds = []
    daemon.tick()
    for _ in range(4):
        requests = settled_ticks(daemon, 1)
        rounds.append(sorted(jobs(requests)))
        daemon.run([one for one in requests if one.job_name == "ingest"])
    two = ["ingest", "ingest"]
    assert rounds == [two, [*two, *["process_video"] * 2], ["ingest", *["process_video"] * 2], ["process_video"] * 2]


def test_sensor_and_backfill_never_ask_for_the_same_video(mine: Settings, instance: dg.DagsterInstance, folder: Path) -> None:
    daemon = Daemon(mine.model_copy(update={"upload_requests": 2}), instance)
    shared = storage_of(daemon.settings)
    for seed in range(3):
        (folder / f"{seed}.mp4").write_bytes(video_bytes(seed))
    daemon.tick()
    for _ in range(2):
        daemon.run([one for one in settled_ticks(daemon, 1) if one.job_name == "ingest"])
    db = shared.db
    db.execute("UPDATE videos SET created_at = created_at - interval '1 hour'")
    ids = [str(row["id"]) for row in db.fetch("SELECT id FROM videos ORDER BY created_at")]

    def backfilled() -> list[str]:
        ticked = backfill(dg.build_schedule_context(instance=instance, resources={"storage": shared}))
        return [str(one.partition_key) for one in ticked] if isinstance(ticked, list) else []

    def sensed() -> list[str]:
        return [str(one.partition_key) for one in daemon.tick() if one.job_name == PROCESS_VIDEO]

    def make_run(video_id: str, tags: dict[str, str], status: dg.DagsterRunStatus) -> dg.DagsterRun:
        job = daemon.repository.get_job(PROCESS_VIDEO)
        return instance.create_run_for_job(job, tags={**tags, PARTITION_TAG: video_id}, status=status)

    assert backfilled() == [] and sensed() == ids[:2]  # however long they wait: the sensor's
    by_hand = make_run(ids[0], {}, dg.DagsterRunStatus.NOT_STARTED)  # somebody started it in the UI meanwhile
    assert sensed() == ids[1:]
    instance.report_run_failed(by_hand)
    assert backfilled() == [] and sensed() == ids[:2]
    (first,) = db.fetch("SELECT created_at FROM videos WHERE id = %s", (ids[0],))
    tags = {"dagster/run_key": run_key(ids[0], first["created_at"]), "dagster/sensor_name": "upload_sensor"}
    requested = make_run(ids[0], tags, dg.DagsterRunStatus.NOT_STARTED)
    assert backfilled() == [] and sensed() == ids[1:2]  # one is on its way
    instance.report_run_failed(requested)  # before its first stage: the sensor has asked, and does not ask again
    assert sensed() == ids[1:] and backfilled() == ids[:1]


def test_names_that_are_no_text_travel_through_dagster(daemon: Daemon, folder: Path) -> None:
    (folder / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(video_bytes())
    daemon.tick()
    time.sleep(SETTLE_S + 0.05)
    serialize_value(daemon.evaluate()).encode("ascii")  # as it goes from the code server to the daemon
    requests = daemon.tick()
    assert daemon.run(requests)[0].success
    assert uploads(daemon) == [("\ufffd\ufffd.mp4", "completed", None)]


def test_s3_end_to_end(mine: Settings, instance: dg.DagsterInstance, s3_bucket: str) -> None:
    on_s3 = Settings.model_validate(
        mine.model_dump() | {"uploads_url": f"{s3_bucket}/drop", "store_url": f"{s3_bucket}/results", "database_url": mine.database_url}
    )
    daemon, fs = Daemon(on_s3, instance), fsspec.filesystem("s3")
    fs.pipe_file(f"{s3_bucket}/drop/film/a b.mp4", video_bytes())
    fs.pipe_file(f"{s3_bucket}/drop/film/notes.mp4", b"These are notes.")
    daemon.tick()
    time.sleep(1)  # S3 tells times in whole seconds
    requests = settled_ticks(daemon, 1)
    assert jobs(requests) == ["ingest", "ingest"] and all(result.success for result in daemon.run(requests))
    assert jobs(settled_ticks(daemon, 2)) == ["process_video"]
    assert sorted(uploads(daemon)) == [("film/a b.mp4", "completed", None), ("film/notes.mp4", "failed", "not_a_video")]
    storage_of(on_s3).close()


def test_a_failing_s3_server(mine: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_s3(lambda path: (503, "<Error><Code>SlowDown</Code></Error>")) as address, pointing_at(address, monkeypatch):
        daemon = Daemon(mine.model_copy(update={"uploads_url": "s3://bucket"}), instance, cursor=Cursor(seen={"a": ("e", 1)}).text)
        before = time.monotonic()
        assert daemon.tick() == [] and "[bucket_unavailable]" in daemon.skipped[-1]
        assert Cursor.parse(daemon.cursor).seen == {"a": ("e", 1)} and time.monotonic() - before < 150


def _failing(failure: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise failure

    return fail
