"""Rebuild: an empty database and a store give back what was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from reframer_pipeline.failures import StoreMismatch, StoreUnavailable
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention.sweep import INCOMPLETE, sweep
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.factories import Maker, add_video, commit_all, prepare
from reframer_pipeline_tests.machine import FAILING_FILE
from reframer_pipeline_tests.retention import ages
from reframer_pipeline_tests.servers import Server, fresh_database

TABLES = ("videos", "results", "published", "detections", "segmentation_masks", "tracking_trajectories", "scene_analysis")
OWN = {"user_id", "updated_at", "published_at"}  # made anew by each database


def contents(storage: Storage, table: str) -> list[dict[str, Any]]:
    ours = OWN | ({"created_at"} if table not in ("videos", "results") else set())
    rows = [{k: v for k, v in row.items() if k not in ours} for row in storage.db.fetch(f"SELECT * FROM {table}")]  # type: ignore[arg-type]
    return sorted(rows, key=lambda row: (str(row.get("result_id")), str(row.get("id"))))


@pytest.fixture
def second(storage: Storage, embedded_server: Server) -> Any:
    """Another, empty database for the same store."""
    for url in fresh_database(embedded_server):
        settings = storage.settings.model_copy(update={"database_url": SecretStr(url)})
        with open_storage(settings) as opened:
            yield opened


def test_rebuild_gives_equal_tables(storage: Storage, second: Storage) -> None:
    for seed in (1, 2):
        video_id, sha = add_video(storage, seed)
        commit_all(storage, video_id, Maker(sha, storage.settings, candidates=False))
        newer = Maker(sha, storage.settings.model_copy(update={"conf": 0.4, "track_low_conf": 0.1}), candidates=True)
        commit_all(storage, video_id, newer)
        commit_all(storage, video_id, newer, ("masks",))  # recomputed: no second object may stay
    rebuilt = rebuild(second.db, second.store)
    assert (rebuilt.videos, rebuilt.results, rebuilt.published, rebuilt.skipped) == (2, 2 * (6 + 4), 2, [])
    for table in TABLES:
        expected, actual = contents(storage, table), contents(second, table)
        for row in [*expected, *actual]:
            for name in ("recomputed_at", "seconds"):  # the footers tell of the first time and are never rewritten
                row.pop(name, None)
        assert actual == expected and expected, table
    again = rebuild(second.db, second.store)
    assert (again.videos, again.results, again.published) == (0, 0, 0)


def test_rebuild_leaves_out_what_it_cannot_use(storage: Storage, second: Storage) -> None:
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    storage.store.put_bytes(b"no parquet", "results/x/y.parquet")
    storage.store.delete(done["detections"].manifest.object_key)
    rebuilt = rebuild(second.db, second.store)
    assert (rebuilt.results, rebuilt.published) == (2, 0)
    assert len(rebuilt.skipped) == 4 and rebuilt.skipped[0].startswith("results/x/y.parquet")


def test_one_bad_result_does_not_stop_the_others(storage: Storage, second: Storage) -> None:
    (good, good_sha), (bad, bad_sha) = add_video(storage), add_video(storage, 2)
    done = commit_all(storage, bad, Maker(bad_sha, storage.settings, text="refused"))
    commit_all(storage, good, Maker(good_sha, storage.settings))
    second.db.execute("ALTER TABLE scene_analysis ADD CONSTRAINT refuse CHECK (analysis_data ->> 'description' <> 'refused')")
    rebuilt = rebuild(second.db, second.store)
    assert (rebuilt.videos, rebuilt.results, rebuilt.published) == (2, 6 + 5, 1)
    assert [line.split(": ")[0] for line in rebuilt.skipped] == [done["scenes"].manifest.object_key]


def test_a_store_that_goes_away_breaks_it_off_and_nothing_is_swept(storage: Storage, second: Storage) -> None:
    """What was left out for a SlowDown would be garbage to the next sweep, in a database that is as old as its backup."""
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    ages.age_objects(storage, 5)
    ages.age_database(second, 30)
    kept = ages.objects(storage)
    masks = storage.store.local_path(done["masks"].manifest.object_key)
    assert masks is not None
    aside = masks.with_name("aside")
    masks.rename(aside)
    masks.symlink_to(FAILING_FILE)  # a disk that does not answer
    with pytest.raises(StoreUnavailable):
        rebuild(second.db, second.store)
    assert run_sweep(second) == (0, 0, [INCOMPLETE])
    masks.unlink()
    aside.rename(masks)
    assert rebuild(second.db, second.store).skipped == []
    assert run_sweep(second) == (0, 0, [])
    assert ages.objects(storage) == kept and len(second.db.fetch("SELECT * FROM current_results")) == 6


def run_sweep(storage: Storage) -> tuple[int, int, list[str]]:
    swept = sweep(storage.db, storage.store, 1)
    return swept.results, swept.orphans, swept.left


@pytest.mark.slow
def test_what_is_left_out_is_not_swept_and_said_by_the_exit_status(storage: Storage, second: Storage) -> None:
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    damaged = storage.store.local_path(done["detections"].manifest.object_key)
    assert damaged is not None
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-100])
    ages.age_objects(storage, 5)
    ages.age_database(second, 30)
    kept = ages.objects(storage)
    url = second.settings.database_url
    assert url is not None
    place = {"REFRAMER_DATABASE_URL": url.get_secret_value()}
    told = called(storage.settings.home_dir, "db", "rebuild", **place)
    assert told.returncode == 1 and done["detections"].manifest.object_key in told.stdout
    assert run_sweep(second) == (0, 0, [INCOMPLETE]) and ages.objects(storage) == kept
    damaged.write_bytes(content)
    assert called(storage.settings.home_dir, "db", "rebuild", **place).returncode == 0
    assert run_sweep(second) == (0, 0, [])


@pytest.mark.parametrize("anew", ["metadata", "detections"])
def test_what_was_made_from_rows_that_are_no_more_does_not_keep_the_sweep_off(storage: Storage, second: Storage, anew: str) -> None:
    """A lost object was made anew, with other rows; of what had been made from the old ones the objects were left."""
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings))
    storage.store.delete(done[anew].manifest.object_key)
    commit_all(storage, video_id, Maker(sha, storage.settings, salt=1, frame_count=49), (anew,))
    left = {key for stage in NAMES[NAMES.index(anew) + 1 :] for key in done[stage].manifest.objects}
    rebuilt = rebuild(second.db, second.store)
    assert {line.split(": ")[0] for line in rebuilt.skipped} == {key for key in left if key.endswith(".parquet")}
    ages.age_objects(storage, 5)
    ages.age_database(second, 30)
    assert run_sweep(second) == (0, len(left), []) and not left & ages.objects(storage)


def test_what_was_made_after_the_databases_backup_is_not_swept(storage: Storage, second: Storage) -> None:
    """The backup knows other rows of the same result; their object is lost."""
    video_id, sha = add_video(storage)
    done = commit_all(storage, video_id, Maker(sha, storage.settings), NAMES[:3])
    assert rebuild(second.db, second.store).skipped == []  # the backup
    storage.store.delete(done["detections"].manifest.object_key)
    commit_all(storage, video_id, Maker(sha, storage.settings, salt=1), NAMES[2:])
    ages.age_objects(storage, 5)
    ages.age_database(second, 30)
    kept = ages.objects(storage)
    assert len(rebuild(second.db, second.store).skipped) == 3
    assert run_sweep(second) == (0, 0, [INCOMPLETE]) and ages.objects(storage) == kept


@pytest.mark.parametrize("orphan_first", [True, False])
def test_of_several_objects_that_counts_which_others_were_made_from(storage: Storage, second: Storage, orphan_first: bool) -> None:
    """A run was killed between put and COMMIT: its object stays, with the id of the committed result and other rows."""
    video_id, sha = add_video(storage)
    maker, other = Maker(sha, storage.settings), Maker(sha, storage.settings, salt=1)

    def leave_orphan() -> None:
        prepared = prepare(storage, video_id, other, "detections")
        storage.store.put(prepared.local, prepared.row.object_key)
        prepared.clear()

    commit_all(storage, video_id, maker, NAMES[:2])
    if orphan_first:
        leave_orphan()
    commit_all(storage, video_id, maker, NAMES[2:3])
    if not orphan_first:
        leave_orphan()
    commit_all(storage, video_id, maker, NAMES[3:])
    rebuilt = rebuild(second.db, second.store)
    assert (rebuilt.results, rebuilt.published, rebuilt.skipped) == (6, 1, [])
    assert contents(second, "detections") == contents(storage, "detections")


def test_a_store_of_another_database_is_refused(storage: Storage, second: Storage, tmp_path: Path) -> None:
    third = storage.settings.model_copy(update={"store_url": str(tmp_path / "elsewhere")})
    with open_storage(third):  # a new store joins the database it meets first
        pass
    stranger = tmp_path / "strange"
    stranger.mkdir()
    (stranger / "store.json").write_text('{"store_id": "00000000-0000-0000-0000-000000000001"}')
    with pytest.raises(StoreMismatch), open_storage(storage.settings.model_copy(update={"store_url": str(stranger)})):
        pass
    (stranger / "store.json").write_text("?")
    with pytest.raises(StoreMismatch), open_storage(storage.settings.model_copy(update={"store_url": str(stranger)})):
        pass
