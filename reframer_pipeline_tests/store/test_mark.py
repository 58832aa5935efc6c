"""Store and database belong together: an empty mount point, a mistyped URL and a disk that went away are not the store."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from reframer_pipeline.failures import ReframerError, StoreMismatch, StoreUnavailable
from reframer_pipeline.results import commit
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.mark import adopt
from reframer_pipeline.store.objects import MARK, ObjectStore, video_key
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.machine import small_disk
from reframer_pipeline_tests.retention import ages


def elsewhere(storage: Storage, url: str) -> Settings:
    return storage.settings.model_copy(update={"store_url": url})


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("kind", ["empty folder", "no folder", "remote"])
def test_a_used_database_takes_no_store_without_a_mark(storage: Storage, tmp_path: Path, kind: str) -> None:
    add_video(storage)
    mount = tmp_path / "mount"
    if kind == "empty folder":
        mount.mkdir()
    url = f"memory://{tmp_path.name}" if kind == "remote" else str(mount)
    with pytest.raises(StoreMismatch, match="adopt-store"), open_storage(elsewhere(storage, url)):
        pass
    assert everything(mount) == [] and not ObjectStore(url).exists(MARK)


def test_a_database_without_videos_takes_a_new_one(storage: Storage, tmp_path: Path) -> None:
    with open_storage(elsewhere(storage, str(tmp_path / "new"))) as there:
        assert (tmp_path / "new" / MARK).exists()
        add_video(there)
    with open_storage(elsewhere(storage, str(tmp_path / "new"))):
        pass


def test_an_operator_who_moved_says_so(storage: Storage, tmp_path: Path) -> None:
    video_id, sha = add_video(storage)
    moved, url = elsewhere(storage, str(tmp_path / "moved")), storage.settings.database_url
    assert isinstance(url, SecretStr)
    place = {"REFRAMER_DATABASE_URL": url.get_secret_value(), "REFRAMER_STORE_URL": str(tmp_path / "moved")}
    orphan = tmp_path / "moved" / f"videos/ab/ab{62 * '0'}"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"may be anything")
    told = called(storage.settings.home_dir, "db", "adopt-store", **place)
    assert told.returncode == 0 and "moved" in told.stdout, told.stderr
    with open_storage(moved) as there:
        assert there.db.fetch_one("SELECT now() - created_at < interval '1 minute' AS young FROM deployment") == {"young": True}
        assert not there.store.exists(video_key(sha))
        assert add_video(there) == (video_id, sha) and there.store.exists(video_key(sha))
    (tmp_path / "moved" / MARK).write_text('{"store_id": "00000000-0000-0000-0000-000000000001"}')
    with pytest.raises(StoreMismatch):
        adopt(storage.db, ObjectStore(str(tmp_path / "moved")))
    refused = called(storage.settings.home_dir, "db", "adopt-store", **place)
    assert refused.returncode == 1 and "[store_mismatch]" in refused.stderr


@pytest.mark.parametrize("listing", ["inventory", "list"])
def test_a_store_that_goes_away_in_mid_listing_is_no_short_list(storage: Storage, monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    for seed in range(2):
        video_id, sha = add_video(storage, seed)
        commit_all(storage, video_id, Maker(sha, storage.settings))
    root, ls, seen = storage.store.root, storage.store._fs.ls, list[str]()
    assert root is not None

    def and_then_it_is_unmounted(folder: str, **more: object) -> object:
        found = ls(folder, **more)
        seen.append(folder)
        if len(seen) == 2:
            root.rename(root.with_name("away"))
            root.mkdir()
        return found

    monkeypatch.setattr(storage.store._fs, "ls", and_then_it_is_unmounted)
    with pytest.raises(StoreUnavailable, match="no longer bears the mark"):
        list(getattr(storage.store, listing)("results"))


@pytest.fixture
def mounted(storage: Storage, tmp_path: Path) -> Iterator[tuple[Storage, Path]]:
    """Storage in use whose store is a disk of its own."""
    with small_disk(tmp_path / "disk", 4096) as disk, open_storage(elsewhere(storage, str(disk))) as there:
        yield there, disk


def test_a_disk_that_is_unmounted_is_away_and_not_empty(mounted: tuple[Storage, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "PAUSES_S", ())
    there, disk = mounted
    video_id, sha = add_video(there)
    made = commit_all(there, video_id, Maker(sha, there.settings))
    ages.age_database(there, 9)
    key, frames = video_key(sha), made["frames"].manifest
    store, bare = there.store, disk.parent / "bare"
    # what a lazy unmount shows to those who look anew; the disk lives on below the other name
    bare.mkdir()
    subprocess.run(["mount", "--move", disk, bare], check=True)
    try:
        for act in (
            lambda: store.exists(key),
            lambda: store.open_object(key),
            lambda: store.delete(key),
            lambda: store.put_bytes(b"x", "results/x"),
            lambda: store.put(Path(__file__), "results/x"),
            lambda: list(store.list("results")),
            lambda: list(store.inventory("results")),
            lambda: add_video(there, 2),
            lambda: commit_all(there, video_id, Maker(sha, there.settings, salt=1), ("detections",)),
        ):
            with pytest.raises(StoreUnavailable):
                act()
        with pytest.raises(ReframerError):
            evict_older(there.db, store, 1)
        assert everything(disk) == []
        with pytest.raises(StoreMismatch), open_storage(there.settings):  # a process that begins now
            pass
        assert everything(disk) == []
    finally:
        subprocess.run(["mount", "--move", bare, disk], check=True)
    assert all(map(store.exists, frames.objects)) and len(there.db.fetch("SELECT * FROM current_results")) == 6
    assert there.db.fetch("SELECT 1 FROM results WHERE evicted_at IS NOT NULL") == []
    assert [row["status"] for row in there.db.fetch("SELECT status FROM uploads ORDER BY created_at")] == ["completed", "failed"]
