"""The list, and everything about one video."""

from __future__ import annotations

import pytest

from reframer_pipeline.failures import (
    UnknownVideo,
)
from reframer_pipeline.reading.videos import list_videos, show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import lease
from reframer_pipeline.work.videos import find_video, get_video
from reframer_pipeline_tests.factories import Maker, add_video, commit_all


def test_list_and_show(storage: Storage) -> None:
    settings = storage.settings.model_copy(update={"track_low_conf": 0.1})
    video_id, sha = add_video(storage)
    add_video(storage, seed=2)
    commit_all(storage, video_id, Maker(sha, settings, candidates=True))
    listed = {row["video_id"]: row for row in list_videos(storage.db)}
    detections = [row for row in Maker(sha, settings).rows("detections") if not row["candidate"]]
    assert listed[video_id]["counts"]["detections"] == listed[video_id]["counts"]["masks"] == len(detections)
    assert [row["counts"] for key, row in listed.items() if key != video_id] == [{}]
    shown = show_video(storage.db, find_video(storage.db, video_id[:6]))
    assert shown["counts"] == listed[video_id]["counts"] and [row["stage"] for row in shown["stages"]] == list(NAMES)
    assert shown["classes"] == {"person": len(detections) // 2, "product": len(detections) // 2}
    assert [track["track_id"] for track in shown["tracks"]] == ["obj_001", "obj_002"] and len(shown["scenes"]) == 2
    assert len(shown["uploads"]) == 1
    assert find_video(storage.db, video_id.upper()) == video_id
    for wrong in ("", "%", "zzz"):
        with pytest.raises(UnknownVideo):
            find_video(storage.db, wrong)


def test_a_partition_that_is_spelt_otherwise_is_no_video(storage: Storage) -> None:
    """Postgres reads any spelling of a UUID, but the lock of a lease goes by the text: two runs would commit to one video."""
    video_id, _ = add_video(storage)
    assert get_video(storage.db, video_id)["id"] == video_id
    for spelt in (video_id.upper(), f"{{{video_id}}}", video_id.replace("-", "")):
        with pytest.raises(UnknownVideo):
            get_video(storage.db, spelt)
        with storage.db.transaction() as one, storage.db.transaction() as other:
            for conn, text in ((one, video_id), (other, spelt)):  # what `is_video_id` keeps out
                assert conn.execute(f"SELECT pg_try_advisory_xact_lock({lease._LOCK_KEY}) AS got", (text,)).fetchone() == {"got": True}
