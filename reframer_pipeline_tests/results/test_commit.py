"""Committing: what the database holds is what Parquet holds, and nobody ever sees half of it."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from reframer_pipeline import schemas
from reframer_pipeline.database import postgres
from reframer_pipeline.failures import (
    DatabaseUnavailable,
    InternalError,
    InvalidResult,
    LeaseLost,
    ObjectMissing,
    StoreUnavailable,
)
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.results.commit import Committed, Prepared
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.stages import BY_NAME, NAMES
from reframer_pipeline.work import lease
from reframer_pipeline_tests.agreement import assert_database_holds_parquet
from reframer_pipeline_tests.factories import Maker, add_video, commit, commit_all, prepare, whole
from reframer_pipeline_tests.retention.ages import age_database, age_objects


def test_database_holds_what_parquet_holds(anywhere: Storage) -> None:
    video_id, sha = add_video(anywhere)
    maker = Maker(sha, anywhere.settings, text='He said "hi" \\ tab\t, NUL\x00, \ud800 and ünïcode\nend')
    commit_all(anywhere, video_id, maker)
    compared = assert_database_holds_parquet(anywhere, video_id)
    assert compared == {stage: len(maker.rows(stage)) for stage in compared} and all(compared.values())
    scene = anywhere.db.fetch_one("SELECT analysis_data FROM current_scene_analysis ORDER BY scene_number")
    assert scene is not None and scene["analysis_data"]["description"] == 'He said "hi" \\ tab\t, NUL\ufffd, \ufffd and ünïcode\nend'


def test_facts_status_and_published_set(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    row = storage.db.fetch_one("SELECT status FROM videos")
    assert row == {"status": "pending"}
    commit_all(storage, video_id, maker, NAMES[:1])
    row = storage.db.fetch_one("SELECT status, resolution, fps, frame_count, duration, codec FROM videos")
    assert row == {"status": "pending", "resolution": "64x48", "fps": 30.0, "frame_count": 50, "duration": 50 / 30, "codec": "h264"}
    commit_all(storage, video_id, maker, NAMES[1:5])
    assert storage.db.fetch("SELECT * FROM current_results") == [] == storage.db.fetch("SELECT * FROM current_detections")
    commit_all(storage, video_id, maker, NAMES[5:])
    assert {r["stage"] for r in storage.db.fetch("SELECT stage FROM current_results")} == set(NAMES)
    assert storage.db.fetch_one("SELECT status FROM videos") == {"status": "completed"}
    commit_all(storage, video_id, Maker(sha, storage.settings), NAMES[:1])  # made again alone, as the UI can
    assert storage.db.fetch_one("SELECT status FROM videos") == {"status": "completed"}


def test_readers_see_the_old_whole_or_the_new_whole(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    old = Maker(sha, storage.settings)
    new = Maker(sha, storage.settings.model_copy(update={"conf": 0.1, "vid_stride": 2}))
    commit_all(storage, video_id, old)
    question = """SELECT (SELECT count(*) FROM current_detections) AS detections,
        (SELECT count(*) FROM current_segmentation_masks) AS masks,
        (SELECT array_agg(DISTINCT jsonb_array_length(trajectory_data -> 'frames')) FROM current_tracking_trajectories) AS steps,
        (SELECT count(DISTINCT result_id) FROM current_results) AS results,
        (SELECT count(*) FROM current_segmentation_masks m LEFT JOIN current_detections d ON d.id = m.detection_id
         WHERE d.id IS NULL) AS orphans"""
    seen: list[dict[str, Any]] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            answer = storage.db.fetch_one(question)
            assert answer is not None
            if answer not in seen:
                seen.append(answer)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        commit_all(storage, video_id, new)
    finally:
        ended.set()
        reader.join()
    read_last = storage.db.fetch_one(question)
    counts = [len(maker.rows("detections")) for maker in (old, new)]
    assert counts[0] != counts[1]
    assert seen[0]["detections"] == counts[0] and read_last is not None and read_last["detections"] == counts[1]
    assert [s for s in seen if s not in (seen[0], read_last)] == []
    assert all(s["masks"] == s["detections"] and s["orphans"] == 0 and s["results"] == 6 for s in seen)


def published(storage: Storage) -> set[str]:
    return {str(row["result_id"]) for row in storage.db.fetch("SELECT result_id FROM current_results")}


def test_publish_goes_back_without_computing(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    old, new = Maker(sha, storage.settings), Maker(sha, storage.settings.model_copy(update={"conf": 0.1}))
    commit_all(storage, video_id, old)
    commit_all(storage, video_id, new)
    with lease.hold(storage.db, video_id, "test") as token:
        storage.results.publish(video_id, whole(old), token)
    assert published(storage) == {key.result_id for key in old.keys.values()}
    stranger = Maker(sha, storage.settings.model_copy(update={"conf": 0.7}))
    with lease.hold(storage.db, video_id, "test") as token, pytest.raises(ObjectMissing):
        storage.results.publish(video_id, whole(stranger), token)
    assert published(storage) == {key.result_id for key in old.keys.values()}


def test_results_are_read_back_by_row_group(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    commit_all(storage, video_id, maker)
    for stage in NAMES:
        result = storage.results.open(maker.keys[stage].result_id)
        rows = [row for batch in result.batches() for row in batch.to_pylist()]
        assert result.row_count == len(rows) == len(maker.rows(stage))
        assert next(result.batches()).schema.equals(BY_NAME[stage].schema)
    with storage.results.open(maker.keys["frames"].result_id).open_attachment() as file:
        file.seek(4)
        assert file.read() == b"ures"
    assert storage.results.open_all([maker.keys["frames"].result_id, "00000000-0000-5000-8000-000000000000"]).keys() == {
        maker.keys["frames"].result_id
    }


def test_invalid_result_leaves_nothing(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    commit_all(storage, video_id, maker, NAMES[:2])
    before = list(storage.store.list("results"))
    with lease.hold(storage.db, video_id, "test") as token, pytest.raises(InvalidResult, match="boxes_inside_frame") as caught:
        rows = [{**row, "x2": row["x2"] + 100} for row in maker.rows("detections")]
        wide = StageOutput("detections", iter([pa.RecordBatch.from_pylist(rows, schema=schemas.DETECTIONS)]))
        commit(storage, video_id, maker, "detections", token, wide)
    assert [check.name for check in caught.value.checks if not check.passed] == ["boxes_inside_frame"]  # type: ignore[attr-defined]
    assert list(storage.store.list("results")) == before and list(storage.settings.scratch_dir.iterdir()) == []


def test_recomputing_the_same_keeps_the_rows(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    first = commit_all(storage, video_id, maker)
    again = commit_all(storage, video_id, maker, batch_rows=3)  # other batches, same content
    assert {c.outcome for c in first.values()} == {"new"} and {c.outcome for c in again.values()} == {"same"}
    assert all(again[s].manifest.object_key == first[s].manifest.object_key and again[s].manifest.recomputed_at for s in NAMES)
    assert len(list(storage.store.list("results"))) == len(NAMES) + 1


@pytest.mark.parametrize("salt", [0, 1])
def test_recomputing_shows_as_that_runs_work(storage: Storage, salt: int) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    again = Maker(sha, storage.settings, salt=salt)
    with lease.hold(storage.db, video_id, "test") as token:
        commit(storage, video_id, again, "detections", token, run_id="second", notes={"skipped": 7})
    row = storage.results.open(again.keys["detections"].result_id).manifest
    assert row.run_id == "second" and row.recomputed_at is not None and row.row_count == len(again.rows("detections"))
    assert row.stats.get("skipped") == (None if salt else 7)  # figures of other rows do not replace these rows' own


def test_recomputing_other_rows_keeps_the_committed(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    before = storage.db.fetch("SELECT * FROM detections ORDER BY id")
    again = commit_all(storage, video_id, Maker(sha, storage.settings, salt=1), ("detections",))
    assert again["detections"].outcome == "differs"
    assert storage.db.fetch("SELECT * FROM detections ORDER BY id") == before


def test_lost_objects_are_replaced_by_recomputing(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    first = commit_all(storage, video_id, maker)
    for stage in ("frames", "masks"):
        storage.store.delete(first[stage].manifest.object_key)
    with pytest.raises(ObjectMissing):
        list(storage.results.open(maker.keys["masks"].result_id).batches())
    again = commit_all(storage, video_id, maker)
    assert again["masks"].manifest.object_key != first["masks"].manifest.object_key
    assert list(storage.results.open(maker.keys["masks"].result_id).batches())

    storage.store.delete(first["detections"].manifest.object_key)
    other = Maker(sha, storage.settings, salt=1)
    assert commit_all(storage, video_id, other, ("detections",))["detections"].outcome == "differs"
    assert {r["stage"] for r in storage.db.fetch("SELECT stage FROM results")} == {"metadata", "frames", "detections"}
    commit_all(storage, video_id, other, NAMES[3:])
    assert len(storage.db.fetch("SELECT * FROM current_results")) == 6


def test_results_that_make_way_for_another_have_as_long_as_the_sweep_gives_them(storage: Storage) -> None:
    """The rows of the longest video go in one statement, here as there."""
    video_id, sha = add_video(storage)
    first = commit_all(storage, video_id, Maker(sha, storage.settings))
    storage.store.delete(first["detections"].manifest.object_key)
    storage.db.execute("""CREATE TABLE noted (had text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO noted VALUES (current_setting('statement_timeout')); RETURN NULL; END $$;
        CREATE TRIGGER note AFTER DELETE ON results FOR EACH STATEMENT EXECUTE FUNCTION note()""")
    commit_all(storage, video_id, Maker(sha, storage.settings, salt=1), ("detections",))
    assert storage.db.fetch("SELECT had FROM noted") == [{"had": "30min"}]


@pytest.mark.parametrize("gone", ["evicted", "lost"])
def test_pictures_that_come_back_beside_other_scores_keep_the_rows(storage: Storage, gone: str) -> None:
    """Made on another processor: deleting the published set for that would be a loss, not a repair."""
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    first = commit_all(storage, video_id, maker)["frames"].manifest
    if gone == "evicted":
        age_database(storage, 3)
        assert evict_older(storage.db, storage.store, 1).videos == 1
    else:
        assert first.attachment_key is not None
        storage.store.delete(first.attachment_key)
    shown = storage.db.fetch("SELECT * FROM current_results ORDER BY stage")
    rows = [{**row, "content_score": row["content_score"] + 0.5} for row in maker.rows("frames")]
    for _ in range(2):  # the second time nothing is missing
        batches = iter([pa.RecordBatch.from_pylist(rows, schema=schemas.FRAMES)])
        output = StageOutput("frames", batches, maker.output("frames", storage.settings.scratch_dir).attachment)
        with lease.hold(storage.db, video_id, "test") as token:
            again = commit(storage, video_id, maker, "frames", token, output)
        assert again.outcome == "differs" and again.manifest.evicted_at is None
        assert again.manifest.object_key == first.object_key and again.manifest.attachment_key != first.attachment_key
    stored = storage.results.open(first.result_id)
    scores = [row["content_score"] for batch in stored.batches() for row in batch.to_pylist()]
    assert scores == pytest.approx([row["content_score"] for row in maker.rows("frames")])
    with stored.open_attachment() as file:
        assert file.read() == b"pictures"
    now = storage.db.fetch("SELECT * FROM current_results ORDER BY stage")
    assert len(now) == 6 and [row["result_id"] for row in now] == [row["result_id"] for row in shown]
    assert len(list(storage.store.list("results"))) == len(NAMES) + 1  # of the two tries nothing is left over


def test_pictures_of_other_frames_do_not_come_back_beside_the_rows(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    age_database(storage, 3)
    evict_older(storage.db, storage.store, 1)
    other = Maker(sha, storage.settings, frame_count=49)
    assert commit_all(storage, video_id, other, ("frames",))["frames"].manifest.row_count == 49
    assert storage.db.fetch("SELECT * FROM current_results") == []


def test_what_was_swept_while_the_process_slept_is_put_again(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asleep for over a day between put and COMMIT: another machine's sweep took the objects for left over."""
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    commit_all(storage, video_id, maker, NAMES[:1])
    prepared, store, clock = prepare(storage, video_id, maker, "frames"), storage.store, time.time
    transaction, slept = storage.results._transaction, list[int]()

    def asleep(*args: Any, **more: Any) -> Committed:
        if not slept:
            slept.append(1)
            age_database(storage, 9)
            age_objects(storage, 2)
            assert sweep(storage.db, store, 7).orphans == 2
            monkeypatch.setattr(time, "time", lambda: clock() + 2 * 86400)
        return transaction(*args, **more)

    monkeypatch.setattr(storage.results, "_transaction", asleep)
    with lease.hold(storage.db, video_id, "test") as token:
        done = storage.results.commit_prepared(prepared, {}, lease_token=token)
    assert slept and all(map(storage.store.exists, done.manifest.objects)) and done.outcome == "new"
    assert sum(batch.num_rows for batch in storage.results.open(done.manifest.result_id).batches()) == 50


def test_a_lost_lease_cannot_commit(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    sleepy = lease.acquire(storage.db, video_id, "sleepy", ttl_s=0)
    second = lease.acquire(storage.db, video_id, "second")
    with pytest.raises(LeaseLost):
        commit(storage, video_id, maker, "metadata", sleepy)
    assert storage.db.fetch("SELECT * FROM results") == [] and list(storage.store.list("results")) == []
    commit(storage, video_id, maker, "metadata", second)


def test_a_failure_after_the_rows_rolls_everything_back(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    commit_all(storage, video_id, maker, NAMES[:5])
    # A row that only the database refuses, at the end of the COPY.
    storage.db.execute("ALTER TABLE scene_analysis ADD CONSTRAINT refuse CHECK (scene_number < 2)")
    with lease.hold(storage.db, video_id, "test") as token, pytest.raises(InternalError):
        commit(storage, video_id, maker, "scenes", token)
    assert storage.db.fetch("SELECT * FROM scene_analysis") == [] == storage.db.fetch("SELECT * FROM published")
    assert not any("/scenes/" in key for key in storage.store.list("results"))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    monkeypatch.setattr("reframer_pipeline.results.commit.PAUSES_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(postgres, "_ATTEMPTS", 1)


def prepared_metadata(storage: Storage, video_id: str, sha: str) -> Prepared:
    maker = Maker(sha, storage.settings)
    return prepare(storage, video_id, maker, "metadata")


@pytest.mark.usefixtures("brief")
def test_a_blip_of_store_and_database_is_waited_out(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, sha = add_video(storage)
    prepared = prepared_metadata(storage, video_id, sha)
    put, transaction = storage.store.put, storage.results._transaction
    fails = {"put": 2, "transaction": 3}
    fed: list[int] = []

    def flaky_put(source: Path, key: str, *alive: Any) -> int:
        fails["put"] -= 1
        if fails["put"] >= 0:
            raise StoreUnavailable("gone")
        return put(source, key, *alive)

    def flaky_transaction(*args: Any, **more: Any) -> Committed:
        fails["transaction"] -= 1
        if fails["transaction"] >= 0:
            raise DatabaseUnavailable("gone")
        return transaction(*args, **more)

    monkeypatch.setattr(storage.store, "put", flaky_put)
    monkeypatch.setattr(storage.results, "_transaction", flaky_transaction)
    with lease.hold(storage.db, video_id, "test") as token:
        done = storage.results.commit_prepared(prepared, {}, lease_token=token, alive=lambda: fed.append(1))
    assert done.outcome == "new" and fails == {"put": -1, "transaction": -1}
    assert len(fed) >= 3 + 4  # at each try at least
    assert all(map(storage.store.exists, done.manifest.objects)) and not prepared.local.exists()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("failure", [DatabaseUnavailable("gone"), StoreUnavailable("gone"), KeyboardInterrupt()])
def test_a_commit_that_fails_for_good_leaves_no_local_files(
    storage: Storage, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id, sha = add_video(storage)
    prepared = prepared_metadata(storage, video_id, sha)

    def down(*args: Any, **more: Any) -> Committed:
        raise failure

    monkeypatch.setattr(storage.results, "_transaction", down)
    with lease.hold(storage.db, video_id, "test") as token, pytest.raises(type(failure)):
        storage.results.commit_prepared(prepared, {}, lease_token=token)
    assert list(storage.settings.scratch_dir.iterdir()) == []


@pytest.mark.usefixtures("brief")
def test_a_commit_that_was_not_heard_of_keeps_its_objects(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to COMMIT is lost, and by the next try the lease is another one's."""
    video_id, sha = add_video(storage)
    prepared = prepared_metadata(storage, video_id, sha)
    token = lease.acquire(storage.db, video_id, "test")
    transaction = storage.results._transaction
    tries: list[int] = []

    def unheard(conn: Any, *args: Any, **more: Any) -> Committed:
        tries.append(1)
        if len(tries) > 1:
            return transaction(conn, *args, **more)
        storage.db.run(lambda other: transaction(other, *args, **more))
        lease.release(storage.db, video_id, token)
        raise DatabaseUnavailable("cut off")

    monkeypatch.setattr(storage.results, "_transaction", unheard)
    with pytest.raises(LeaseLost):
        storage.results.commit_prepared(prepared, {}, lease_token=token)
    assert all(map(storage.store.exists, storage.results.open(prepared.row.result_id).manifest.objects)) and not prepared.local.exists()


def test_a_commit_that_was_never_heard_of_keeps_its_objects(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to COMMIT is lost, and the database stays away: perhaps it was committed, and then the objects are needed."""
    video_id, sha = add_video(storage)
    prepared = prepared_metadata(storage, video_id, sha)
    token = lease.acquire(storage.db, video_id, "test")
    transaction = storage.results._transaction
    committed: list[Committed] = []

    def unheard(conn: Any, *args: Any, **more: Any) -> Committed:
        if not committed:
            committed.append(storage.db.run(lambda other: transaction(other, *args, **more)))
        raise DatabaseUnavailable("cut off")

    monkeypatch.setattr(storage.results, "_transaction", unheard)
    monkeypatch.setattr("reframer_pipeline.results.commit.PAUSES_S", (0.0,))
    monkeypatch.setattr(postgres, "_ATTEMPTS", 1)
    with pytest.raises(DatabaseUnavailable):
        storage.results.commit_prepared(prepared, {}, lease_token=token)
    assert committed and all(map(storage.store.exists, storage.results.open(prepared.row.result_id).manifest.objects))


def test_a_set_of_which_a_result_is_missing_is_not_shown(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    commit_all(storage, video_id, maker, NAMES[:5])
    with lease.hold(storage.db, video_id, "test") as token:
        last = prepare(storage, video_id, maker, "scenes")
        storage.results.commit_prepared(last, {**whole(maker), "masks": str(uuid.uuid4())}, lease_token=token)
    assert storage.db.fetch("SELECT 1 FROM published") == []


def test_remote_results_work_too(storage: Storage) -> None:
    """The same commit with a store that is no folder (fsspec's own memory file system)."""
    from reframer_pipeline.uploads.ingest import local_copy

    settings = storage.settings.model_copy(update={"store_url": f"memory://{storage.settings.home_dir.name}-{time.monotonic_ns()}"})
    with open_storage(settings) as there:
        video_id, sha = add_video(there)
        commit_all(there, video_id, Maker(sha, settings))
        assert there.store.root is None and len(list(there.store.list("results"))) == 7
        with local_copy(sha, there.store, settings.scratch_dir) as path:
            content = path.read_bytes()
        assert not path.exists() and content.startswith(b"\x00\x00\x00\x18ftyp")
        assert list(settings.scratch_dir.iterdir()) == []
    fsspec.filesystem("memory").store.clear()
