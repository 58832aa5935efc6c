"""The sweep: what is superseded and orphaned goes; what is published, in use, young or foreign never does."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from reframer_pipeline.database.size import DatabaseSize, database_size
from reframer_pipeline.failures import StoreMismatch
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention import orphans, superseded
from reframer_pipeline.retention.superseded import Candidate
from reframer_pipeline.retention.sweep import Swept, sweep
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import MARK, video_key
from reframer_pipeline.uploads import ingest
from reframer_pipeline.work import lease
from reframer_pipeline.work.videos import lock_file
from reframer_pipeline_tests.factories import Maker, add_video, commit_all, video_bytes
from reframer_pipeline_tests.retention import ages
from reframer_pipeline_tests.retention.test_archive import rows
from reframer_pipeline_tests.servers import Server, fresh_database

CHILD = """
import os, signal, sys
from reframer_pipeline.settings import Settings
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.retention.sweep import sweep
with open_storage(Settings(home=sys.argv[1], database_url=sys.argv[2])) as storage:
    storage.store.delete = lambda key: os.kill(os.getpid(), signal.SIGKILL)
    {act}
"""
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
OLD, YOUNG = NOW - 9 * DAY, NOW
WEEK = NOW - 7 * DAY


def run(storage: Storage, dry_run: bool = False) -> Swept:
    return sweep(storage.db, storage.store, 7, dry_run=dry_run)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([("a", "", True, OLD)], ""),
        ([("a", "", True, OLD), ("b", "", False, OLD)], "b"),
        ([("a", "", True, OLD), ("b", "", False, YOUNG)], ""),
        ([("a", "", False, OLD), ("b", "a", False, OLD)], "ab"),
        ([("a", "", False, OLD), ("b", "a", False, YOUNG)], ""),  # the younger one was made from it
        ([("a", "", False, OLD), ("b", "a", False, OLD), ("c", "b", True, OLD), ("d", "a", False, OLD)], "d"),
        ([("a", "", True, OLD), ("b", "", False, YOUNG + 90 * DAY), ("c", "", False, OLD)], "c"),  # b is newer than what readers see
    ],
)
def test_which_results_are_superseded(candidates: list[tuple[str, str, bool, datetime]], expected: str) -> None:
    made = [Candidate(name, tuple(inputs), published, since) for name, inputs, published, since in candidates]
    assert "".join(one.result_id for one in superseded.superseded(made, WEEK)) == expected


def test_superseded_results_go_and_the_published_stay(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    new = Maker(sha, storage.settings)
    commit_all(storage, video_id, new)
    kept, before = ages.objects(storage), rows(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"vid_stride": 3})))
    commit_all(storage, video_id, new, ("scenes",))  # readers see the first again
    assert run(storage).results == 0
    ages.age_database(storage, 6)
    ages.age_objects(storage, 6)
    assert run(storage).results == 0
    ages.age_database(storage, 2)
    with lease.hold(storage.db, video_id, "a run"):
        busy = run(storage)
        assert (busy.results, busy.orphans, busy.busy) == (0, 0, 1)
    dry = run(storage, dry_run=True)
    assert (dry.results, dry.orphans, len(dry.objects), dry.dry_run) == (5, 0, 6, True)
    assert kept < ages.objects(storage)
    swept = run(storage)
    assert (swept.results, swept.bytes, swept.objects) == (5, dry.bytes, dry.objects)
    assert ages.objects(storage) == kept
    assert rows(storage) == before
    assert run(storage).results == 0


def test_unfinished_work_is_not_superseded(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings), ("metadata", "frames", "detections"))
    commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"conf": 0.4})), ("detections",))
    ages.age_database(storage, 99)
    ages.age_objects(storage, 99)
    assert run(storage).objects == []  # nothing has taken anything's place


def test_results_that_wait_for_a_stage_which_fails_are_kept(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    wanted = Maker(sha, storage.settings.model_copy(update={"vid_stride": 3}))
    commit_all(storage, video_id, wanted, ("metadata", "frames", "detections", "masks", "trajectories"))  # scenes fail
    ages.age_database(storage, 96)
    ages.age_objects(storage, 96)
    kept = ages.objects(storage)
    assert run(storage, dry_run=True).objects == run(storage).objects == [] and ages.objects(storage) == kept
    commit_all(storage, video_id, wanted, ("scenes",))  # which costs no more than this
    ages.age_database(storage, 9)
    assert run(storage).results == 5  # those of the first
    assert len(storage.results.find([key.result_id for key in wanted.keys.values()])) == 6


def test_a_setting_that_was_tried_and_given_up_does_not_stay_for_ever(storage: Storage) -> None:
    """What readers see did not change with it, and so is older than what nobody will go on with."""
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    kept, before = ages.objects(storage), rows(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"conf": 0.4})), ("detections", "masks"))
    ages.age_database(storage, 98)
    swept = run(storage)
    assert (swept.results, ages.objects(storage), rows(storage)) == (2, kept, before)


def test_orphans_and_parts_go_once_they_are_a_day_old(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    ages.age_database(storage, 9)
    ages.age_objects(storage, 8)
    kept = ages.objects(storage)
    result = f"results/{video_id}/masks/{uuid.uuid4()}.0123456789ab.parquet"
    stranger = f"results/{uuid.uuid4()}/frames/{uuid.uuid4()}.0123456789ab.zip"
    video = f"videos/ab/ab{62 * '0'}"
    doomed = [result, stranger, video, f"{next(iter(kept))}.01234567.part", f"{video}.01234567.part"]
    foreign = [
        "results/README.txt",
        f"results/{video_id}/masks/notes.parquet",
        "videos/holiday.mp4",
        f"results/{video_id}/x/{uuid.uuid4()}.0.zip",
    ]
    for key in (*doomed, *foreign):
        path = storage.store.local_path(key)
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left over")
    assert run(storage).orphans == 0  # young
    ages.age_objects(storage, 0.9, (*doomed, *foreign))
    assert run(storage).orphans == 0
    ages.age_objects(storage, 1.1, (*doomed, *foreign))
    assert sorted(run(storage, dry_run=True).objects) == sorted(doomed)
    swept = run(storage)
    assert (swept.orphans, swept.bytes) == (5, 5 * len(b"left over"))
    assert ages.objects(storage) == kept | set(foreign)


def test_a_new_database_does_not_sweep_what_it_does_not_know_yet(storage: Storage, embedded_server: Server) -> None:
    """The database was lost: for the new one, all of the store is orphans, until it is rebuilt."""
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    ages.age_objects(storage, 30)
    kept = ages.objects(storage)
    for url in fresh_database(embedded_server):
        with open_storage(storage.settings.model_copy(update={"database_url": SecretStr(url)})) as second:
            second.db.execute("UPDATE deployment SET created_at = created_at - interval '20 days'")
            assert run(second).objects == []
            assert rebuild(second.db, second.store).published == 1
    assert ages.objects(storage) == kept


def test_a_store_of_another_database_is_never_touched(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    ages.age_database(storage, 9)
    orphan = f"videos/ab/ab{62 * '0'}"
    storage.store.put_bytes(b"x", orphan)
    ages.age_objects(storage, 5)
    storage.store.put_bytes(b'{"store_id": "00000000-0000-0000-0000-000000000001"}', MARK)
    with pytest.raises(StoreMismatch):
        run(storage)
    assert storage.store.exists(orphan)


@pytest.mark.parametrize("act", ["sweep(storage.db, storage.store, 7)", "evict_older(storage.db, storage.store, 1)"])
def test_killed_between_rows_and_objects(storage: Storage, act: str) -> None:
    """Rows and marks go first: what is left of a crash are orphans, which the next sweep takes."""
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"conf": 0.4})))
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    ages.age_database(storage, 9)
    ages.age_objects(storage, 8)
    before, secret = ages.objects(storage), storage.settings.database_url
    assert secret is not None
    child = subprocess.run([sys.executable, "-c", CHILD.format(act=act), str(storage.settings.home_dir), secret.get_secret_value()])
    assert child.returncode == -signal.SIGKILL and ages.objects(storage) == before
    storage.db.execute("UPDATE leases SET expires_at = clock_timestamp()")
    evicted = act.startswith("evict")
    assert len(storage.db.fetch("SELECT 1 FROM results")) == (10 if evicted else 6)
    swept = run(storage)
    assert (swept.results, swept.orphans) == ((4, 1) if evicted else (0, 4))
    named = {key for one in done.values() for key in (one.manifest.object_key, one.manifest.attachment_key) if key}
    assert ages.objects(storage) == named - ({done["frames"].manifest.attachment_key} if evicted else set()) | {video_key(sha)}


def test_a_video_that_comes_in_again_while_it_is_swept(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed ingest left the object; the same file comes in again, and a sweep takes the object just before its row is there."""
    video_id, sha = add_video(storage)
    storage.db.execute("DELETE FROM uploads")
    storage.db.execute("DELETE FROM videos")
    ages.age_database(storage, 9)
    ages.age_objects(storage, 5)
    (orphan,) = orphans.find(storage.db, storage.store)

    def sweep_first(*arguments: Any) -> bool:
        storage.store.delete(orphan.key)
        return lock_file(*arguments)

    monkeypatch.setattr(ingest, "lock_file", sweep_first)
    assert add_video(storage) == (video_id, sha)
    with storage.store.open_object(orphan.key) as file:
        assert file.read() == video_bytes()
    assert not orphans.delete(storage.db, storage.store, orphan)  # it has an owner again
    assert storage.store.exists(orphan.key)


def test_a_slow_delete_keeps_nobody_else_from_writing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may take minutes; all other uploads, commits and ends of runs wrote to the same table meanwhile."""
    add_video(storage)
    storage.db.execute("DELETE FROM uploads")
    storage.db.execute("DELETE FROM videos")
    ages.age_database(storage, 9)
    ages.age_objects(storage, 5)
    (orphan,) = orphans.find(storage.db, storage.store)
    delete, others_went_on, again = storage.store.delete, list[bool](), list[Future[tuple[str, str]]]()

    def others() -> None:
        add_video(storage, 2)
        storage.db.execute("UPDATE videos SET updated_at = now()")

    def slow(key: str) -> None:
        writing = pool.submit(others)
        wait([writing], timeout=120)
        others_went_on.append(writing.done())
        again.append(pool.submit(add_video, storage))  # the same file comes in just now
        delete(key)

    monkeypatch.setattr(storage.store, "delete", slow)
    with ThreadPoolExecutor(2) as pool:
        assert orphans.delete(storage.db, storage.store, orphan)
        _, sha = again[0].result(timeout=240)
    assert others_went_on == [True] and storage.store.exists(video_key(sha))


def test_a_file_that_is_just_coming_in_is_left_alone(storage: Storage) -> None:
    _, sha = add_video(storage)
    storage.db.execute("DELETE FROM uploads")
    storage.db.execute("DELETE FROM videos")
    ages.age_database(storage, 9)
    ages.age_objects(storage, 5)
    (orphan,) = orphans.find(storage.db, storage.store)
    with storage.db.transaction() as conn:
        assert lock_file(conn, sha)
        assert not orphans.delete(storage.db, storage.store, orphan)
    assert orphans.delete(storage.db, storage.store, orphan) and not storage.store.exists(video_key(sha))


def test_a_remote_store(tmp_path: Any, embedded_server: Server) -> None:
    """fsspec's memory file system: keys and times come from its listing."""
    for url in fresh_database(embedded_server):
        with open_storage(Settings(home=tmp_path, database_url=url, store_url=f"memory://{uuid.uuid4().hex}")) as storage:
            video_id, sha = add_video(storage)
            commit_all(storage, video_id, Maker(sha, storage.settings))
            ages.age_database(storage, 9)
            orphan = f"results/{video_id}/masks/{uuid.uuid4()}.0123456789ab.parquet"
            storage.store.put_bytes(b"x", orphan)
            for entry in storage.store._fs.store.values():
                entry.created -= timedelta(days=3)
            assert run(storage).objects == [orphan]
            assert len(list(storage.store.list("results"))) == 7


def test_the_size_of_the_database(storage: Storage) -> None:
    size = database_size(storage.db, storage.settings.model_copy(update={"database_limit_mb": 512}))
    assert 1_000_000 < size.bytes < 100_000_000 and not size.nearly_full
    assert str(DatabaseSize(450_000_000, 512_000_000)) == "450 MB of 512 MB (88%)"
    assert DatabaseSize(450_000_000, 512_000_000).nearly_full
    assert str(DatabaseSize(450_000_000)) == "450 MB"
