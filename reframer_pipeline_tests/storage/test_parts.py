"""The smaller parts: leases, plans, objects, digests, texts and status."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from reframer_pipeline import schemas
from reframer_pipeline.failures import (
    DatabaseUnavailable,
    InternalError,
    LeaseLost,
    NotAVideo,
    ObjectMissing,
    SettingsInvalid,
    StoreUnavailable,
    UnknownVideo,
    VideoBusy,
)
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import Storage, jobs, lease, parquet, status
from reframer_pipeline.storage.digest import ContentDigest
from reframer_pipeline.storage.objects import ObjectStore
from reframer_pipeline.storage.planning import stage_states, to_compute
from reframer_pipeline.storage.scratch import sweep_scratch
from reframer_pipeline.storage.text import clean_json_text
from reframer_pipeline.versions import STAGES
from reframer_pipeline_tests.factories import WEIGHTS, Maker, add_video, commit_all

# --- leases -----------------------------------------------------------------------------------------------------------


def test_one_lease_a_video(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    token = lease.acquire(storage.db, video_id, "first")
    with pytest.raises(VideoBusy, match="first"):
        lease.acquire(storage.db, video_id, "second")
    lease.heartbeat(storage.db, video_id, token)
    lease.release(storage.db, video_id, token)
    second = lease.acquire(storage.db, video_id, "second", ttl_s=0)
    third = lease.acquire(storage.db, video_id, "third")
    with pytest.raises(LeaseLost):
        lease.heartbeat(storage.db, video_id, second)
    lease.release(storage.db, video_id, second)  # no longer its own: nothing happens
    lease.heartbeat(storage.db, video_id, third)
    with pytest.raises(UnknownVideo):
        lease.acquire(storage.db, "00000000-0000-5000-8000-000000000000", "nobody")


def test_of_many_at_once_one_gets_the_lease(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    outcomes: list[str] = []

    def try_it(name: str) -> None:
        try:
            lease.acquire(storage.db, video_id, name)
            outcomes.append("got")
        except VideoBusy:
            outcomes.append("busy")

    threads = [threading.Thread(target=try_it, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy"] * 5 + ["got"]


def test_hold_beats_while_it_lasts(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with lease.hold(storage.db, video_id, "long", ttl_s=0.9):
        time.sleep(1.5)
        with pytest.raises(VideoBusy):
            lease.acquire(storage.db, video_id, "other")
    assert storage.db.fetch("SELECT * FROM leases") == []


def test_hold_outlasts_a_database_that_is_away_for_a_moment(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, _ = add_video(storage)
    beat, fails = lease.heartbeat, [1, 2, 3, 4]

    def flaky(*args: Any) -> None:
        if fails:
            raise DatabaseUnavailable(f"gone {fails.pop()}")
        beat(*args)

    monkeypatch.setattr(lease, "heartbeat", flaky)
    with lease.hold(storage.db, video_id, "long", ttl_s=0.9) as token:
        time.sleep(1.1)
        assert lease.held_by(storage.db, video_id, token)


def test_held_by_means_this_token_now(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    first = lease.acquire(storage.db, video_id, "first", ttl_s=0)
    assert not lease.held_by(storage.db, video_id, first)  # run out
    second = lease.acquire(storage.db, video_id, "second")
    assert lease.held_by(storage.db, video_id, second) and not lease.held_by(storage.db, video_id, first)
    lease.release(storage.db, video_id, second)
    assert not lease.held_by(storage.db, video_id, second)


# --- plans ------------------------------------------------------------------------------------------------------------


def test_states_say_what_is_stale_and_why(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    other_id, _ = add_video(storage, seed=2)
    base = storage.settings

    def states(settings: Settings = base, weights: dict[str, str] = WEIGHTS) -> dict[str, str]:
        found = stage_states(storage.db, [video_id], settings, weights)[video_id]
        return {stage: state.state for stage, state in found.items()}

    assert set(states().values()) == {"missing"}
    commit_all(storage, video_id, Maker(sha, base))
    assert set(states().values()) == {"fresh"}
    both = stage_states(storage.db, None, base, WEIGHTS)
    assert to_compute(both[video_id]) == () and to_compute(both[other_id]) == STAGES
    assert all(state.published for state in both[video_id].values())

    conf = stage_states(storage.db, [video_id], base.model_copy(update={"conf": 0.25}), WEIGHTS)[video_id]
    assert to_compute(conf) == ("detections", "masks", "trajectories", "scenes")
    assert conf["detections"].reasons == ("conf: 0.5 → 0.25", "detector_floor: 0.5 → 0.25")
    assert conf["masks"].reasons == ("other detections",)
    assert states(weights={**WEIGHTS, "segmenter": "new"}) == {
        **dict.fromkeys(("metadata", "frames", "detections", "trajectories"), "fresh"), "masks": "stale", "scenes": "stale",
    }  # fmt: skip
    assert states(base.model_copy(update={"batch": 1, "device": "cpu", "stall_s": 5.0})) == dict.fromkeys(STAGES, "fresh")
    assert stage_states(storage.db, ["00000000-0000-5000-8000-000000000000"], base, WEIGHTS) == {}


# --- objects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["{tmp}/store", "file://{tmp}/store", "memory://{name}"])
def test_objects_come_back(url: str, tmp_path: Path) -> None:
    store = ObjectStore(url.format(tmp=tmp_path, name=tmp_path.name))
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    assert store.put(source, "a/b.bin") == 10
    store.put_bytes(b"x", "a/c")
    assert list(store.list("a")) == ["a/b.bin", "a/c"] and list(store.list("nothing")) == []
    with store.open_object("a/b.bin") as file:
        file.seek(3)
        assert file.read(2) == b"34"
    store.get("a/b.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"0123456789"
    assert store.exists("a/b.bin")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")
    with pytest.raises(ObjectMissing):
        store.open_object("a/b.bin")
    for key in ("../x", "/etc/passwd", "", "a/../../b"):
        with pytest.raises(InternalError):
            store.put_bytes(b"", key)


def test_a_failed_put_leaves_no_object(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "store"))
    with pytest.raises(StoreUnavailable):
        store.put(tmp_path / "not there", "a/b")
    (tmp_path / "store" / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        store.put_bytes(b"x", "file/below")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["file"]
    with pytest.raises(SettingsInvalid):
        ObjectStore("nosuch://bucket")


def test_remote_results_work_too(storage: Storage) -> None:
    """The same commit with a store that is no folder (fsspec's own memory file system)."""
    from reframer_pipeline.storage.commit import Results
    from reframer_pipeline.uploads.ingest import local_copy

    remote = ObjectStore(f"memory://{storage.settings.home_dir.name}-{time.monotonic_ns()}")
    there = Storage(storage.settings, storage.db, remote, Results(storage.db, remote, storage.settings))
    video_id, sha = add_video(there)
    commit_all(there, video_id, Maker(sha, storage.settings))
    assert remote.root is None and len(list(remote.list("results"))) == 7
    with local_copy(sha, remote, storage.settings.scratch_dir) as path:
        content = path.read_bytes()
    assert not path.exists() and content.startswith(b"\x00\x00\x00\x18ftyp")
    assert list(storage.settings.scratch_dir.iterdir()) == []
    fsspec.filesystem("memory").store.clear()


def test_scratch_is_swept_of_what_is_a_day_old(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert sweep_scratch(settings) == 0  # no folder yet
    old, young, busy = (settings.scratch_dir / name for name in ("old", "young", "busy"))
    for folder in (old, young, busy):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    loose = settings.scratch_dir / "upload-1"
    loose.touch()
    long_ago = time.time() - 25 * 3600
    for path in (old / "file", old, young / "file", busy, loose):  # into busy's file something was written just now
        os.utime(path, (long_ago, long_ago))
    assert sweep_scratch(settings) == 2
    assert sorted(path.name for path in settings.scratch_dir.iterdir()) == ["busy", "young"]


# --- digests, row groups, texts ---------------------------------------------------------------------------------------


def _digest(rows: list[dict[str, object]], stage: str, borders: list[int]) -> str:
    digest = ContentDigest()
    for start, end in zip([0, *borders], [*borders, len(rows)], strict=True):
        digest.update(pa.RecordBatch.from_pylist(rows[start:end], schema=schemas.TABLES[stage]))
    return digest.hexdigest()


@pytest.mark.parametrize("stage", STAGES)
def test_digest_knows_rows_not_batches(stage: str) -> None:
    rows = Maker("ab" * 32, Settings()).rows(stage)
    chance = random.Random(7)
    whole = _digest(rows, stage, [])
    for _ in range(5):
        assert _digest(rows, stage, sorted(chance.sample(range(len(rows) + 1), min(3, len(rows))))) == whole
    assert _digest(rows[:-1], stage, []) != whole
    for name in schemas.TABLES[stage].names:
        value = rows[-1][name]
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else value[:-1]
        assert _digest([*rows[:-1], {**rows[-1], name: other}], stage, []) != whole, name


def test_digest_tells_shifted_texts_and_nulls_apart() -> None:
    def digest(values: list[str | None]) -> str:
        content = ContentDigest()
        content.update(pa.record_batch({"a": pa.array(values, pa.string())}))
        return content.hexdigest()

    assert len({digest(values) for values in (["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["abc"])}) == 5


def test_row_groups_are_bounded() -> None:
    wide = pa.record_batch({"text": ["x" * 1_000_000] * 40})
    narrow = [pa.record_batch({"text": ["x"] * 5000}) for _ in range(4)]
    groups = list(parquet._groups(iter([wide, *narrow])))
    assert sum(group.num_rows for group in groups) == 40 + 4 * 5000
    assert all(group.num_rows <= parquet.GROUP_ROWS and group.nbytes <= 1.1 * parquet.GROUP_BYTES for group in groups)


def test_text_that_json_columns_refuse_is_cleaned() -> None:
    assert clean_json_text('{"a\\u0000": ["\\ud800", NaN, 1e999, "\\ud83d\\ude00"]}') == '{"a\ufffd": ["\ufffd", null, null, "\U0001f600"]}'
    with pytest.raises(ValueError, match="Expecting"):
        clean_json_text("{")


# --- status -----------------------------------------------------------------------------------------------------------


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
    shown = status.show_video(storage.db, video_id)
    assert (shown["video"]["status"], shown["video"]["failure_code"]) == ("failed", "not_a_video")
    assert shown["jobs"][0]["failure_message"].startswith("A name with NUL\ufffd and \ufffd.")
    assert jobs.start(storage.db, video_id, "run-1", attempt=2) == job
    assert jobs.start(storage.db, video_id, "run-1") == job  # a stage beside the one that failed
    assert states(storage) == {"run-1": ("failed", "not_a_video")}
    status.processing(storage.db, video_id)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    assert status.get_video(storage.db, video_id)["failure_code"] is None


def states(storage: Storage) -> dict[str, tuple[str, str | None]]:
    """Status and failure code of each run's job."""
    return {row["run_id"]: (row["status"], row["failure_code"]) for row in storage.db.fetch("SELECT * FROM processing_jobs")}


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


def test_a_failure_of_the_caller_s_leaves_a_completed_video_completed(storage: Storage) -> None:
    video_id, sha = add_video(storage)

    def now() -> tuple[str, str | None]:
        row = status.get_video(storage.db, video_id)
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
        return str(status.get_video(storage.db, video_id)["status"])

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
    assert status.get_video(storage.db, video_id)["status"] == "pending"
    commit_all(storage, video_id, Maker(sha, storage.settings))
    status.processing(storage.db, video_id)
    status.settle(storage.db, video_id)
    assert status.get_video(storage.db, video_id)["status"] == "completed"


def test_list_and_show(storage: Storage) -> None:
    settings = storage.settings.model_copy(update={"track_low_conf": 0.1})
    video_id, sha = add_video(storage)
    add_video(storage, seed=2)
    commit_all(storage, video_id, Maker(sha, settings, candidates=True))
    listed = {row["video_id"]: row for row in status.list_videos(storage.db)}
    detections = [row for row in Maker(sha, settings).rows("detections") if not row["candidate"]]
    assert listed[video_id]["counts"]["detections"] == listed[video_id]["counts"]["masks"] == len(detections)
    assert [row["counts"] for key, row in listed.items() if key != video_id] == [{}]
    shown = status.show_video(storage.db, status.find_video(storage.db, video_id[:6]))
    assert shown["counts"] == listed[video_id]["counts"] and [row["stage"] for row in shown["stages"]] == list(STAGES)
    assert shown["classes"] == {"person": len(detections) // 2, "product": len(detections) // 2}
    assert [track["track_id"] for track in shown["tracks"]] == ["obj_001", "obj_002"] and len(shown["scenes"]) == 2
    assert len(shown["uploads"]) == 1
    for wrong in ("", "%", "zzz"):
        with pytest.raises(UnknownVideo):
            status.find_video(storage.db, wrong)
