"""Doubts of stored results: found once, kept beside their set, and shown everywhere."""

from __future__ import annotations

import json
import threading
import time

import pytest

from reframer_pipeline.corrections.events import Delete, Merge
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.reading.tables import published_set
from reframer_pipeline.results import doubting
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.scenes.doubts import Doubt
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.corrections.walkers import NOTHING, Thing, Walkers, computed, correct

FLEETING = Thing("product", "cup", 0.65, (20, 25), (45, 2, 53, 12))


class Doubtful(Walkers):
    """Two people of whom one is seen once, and a mask beside its box."""

    things = (*Walkers.things[:3], FLEETING, NOTHING)

    def _masks(self):  # type: ignore[no-untyped-def]
        vase = {row["detection_id"] for row in self._detections() if row["label"] == "vase" and row["frame_number"] == 30}
        rows = list(super()._masks())
        other = next(row for row in rows if row["frame_number"] == 30 and row["detection_id"] not in vase)
        for row in rows:
            yield {**row, **{name: other[name] for name in ("rle", "area")}} if row["detection_id"] in vase else row


def kinds(storage: Storage, video_id: str) -> list[tuple[str, str | None, int | None]]:
    rows = storage.db.fetch("SELECT kind, track_id, frame_number FROM doubts WHERE video_id = %s ORDER BY number", (video_id,))
    return [(row["kind"], row["track_id"], row["frame_number"]) for row in rows]


def test_they_are_found_kept_and_follow_what_is_corrected(storage: Storage) -> None:
    video_id = computed(storage, kind=Doubtful)
    found = doubting.look(storage.db, storage.store, published_set(storage.db, video_id))
    assert kinds(storage, video_id) == [("mask_outside", "obj_005", 30), ("one_sighting", "obj_004", 20)]
    assert [one["says"] for one in found] == ["100% of its mask lies outside its box.", "It was seen only once."]
    assert doubting.look(storage.db, storage.store, published_set(storage.db, video_id)) == found
    correct(storage, video_id, Delete(track_id="obj_004"))
    assert kinds(storage, video_id) == [("mask_outside", "obj_005", 30)]
    correct(storage, video_id, Delete(track_id="obj_005"))
    assert kinds(storage, video_id) == []
    storage.db.execute("DELETE FROM published")
    storage.db.execute("DELETE FROM results")
    assert storage.db.fetch("SELECT * FROM doubted_sets") == storage.db.fetch("SELECT * FROM found_doubts") == []


def test_who_asks_at_the_same_time_waits_and_what_other_rules_found_makes_way(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    set_id, real, asked = published_set(storage.db, computed(storage, kind=Doubtful)), doubting.find, list[str]()

    def slow(db: Database, store: ObjectStore, result_id: str) -> list[Doubt]:
        asked.append(result_id)
        time.sleep(0.3)
        return real(db, store, result_id)

    def together() -> None:
        threads = [threading.Thread(target=doubting.look, args=(storage.db, storage.store, set_id)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    monkeypatch.setattr(doubting, "find", slow)
    together()
    assert asked == [set_id]
    monkeypatch.setattr(doubting, "CODE_VERSION", 2)
    monkeypatch.setattr(doubting, "find", lambda *_: slow(*_)[:1])
    together()
    assert len(asked) == 2 and storage.db.fetch("SELECT number FROM found_doubts") == [{"number": 1}]


def test_a_set_that_is_gone_has_none(storage: Storage) -> None:
    with pytest.raises(ResultsGone):
        doubting.look(storage.db, storage.store, "00000000-0000-4000-8000-000000000000")


def test_a_merge_by_hand_is_not_doubted(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Merge(track_id="obj_001", other_id="obj_005"))
    assert kinds(storage, video_id) == []


def test_show_says_them(storage: Storage) -> None:
    video_id = computed(storage, kind=Doubtful)
    url = storage.settings.database_url
    assert url is not None
    variables = {"REFRAMER_DATABASE_URL": url.get_secret_value()}
    shown = called(storage.settings.home_dir, "show", video_id, **variables).stdout
    assert "doubts" in shown and "It was seen only once." in shown
    said = json.loads(called(storage.settings.home_dir, "show", video_id, "--json", **variables).stdout)["doubts"]
    assert [one["kind"] for one in said] == ["mask_outside", "one_sighting"]


@pytest.mark.models
def test_a_run_leaves_them_behind(shared: Storage, done: VideoOutcome) -> None:
    row = shared.db.fetch_one("SELECT count(*) AS n FROM doubted_sets WHERE video_id = %s", (done.video_id,))
    assert row is not None and row["n"] >= 1
