"""Corrections of a real result: the drawn clip by the demo models, through Dagster, with other settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Delete, Regrade, Rename
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.reading.tables import ELEMENTS, TRACKS, published_set
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import deletion
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.corrections.walkers import correct, everything, seen, undo

pytestmark = pytest.mark.models
SEED = 2_000_017


def run(shared: Storage, video_id: str, force: bool = False, **changed: Any) -> VideoOutcome:
    (outcome,) = run_videos(shared.settings.model_copy(update=changed), [video_id], force=force)
    assert outcome.status == "completed", outcome.failure_message
    return outcome


@pytest.fixture
def video_id(shared: Storage, tmp_path: Path) -> Iterator[str]:
    """A clip of its own: others read the shared one."""
    path = tmp_path / "own.mp4"
    write_clip(make_clip(SEED, n_frames=50, shots=2), path)
    made = add(shared, path)
    run(shared, made)
    yield made
    deletion.delete(shared.db, made)
    deletion.finish(shared.db, shared.store, shared.settings)


def test_corrections_outlive_force_and_other_settings(shared: Storage, video_id: str) -> None:
    computed, before = published_set(shared.db, video_id), everything(shared, video_id)
    first, *_, last = sorted(seen(shared, video_id, TRACKS), key=lambda row: -row["seconds"])
    element = before["elements"][0]
    other = "hard" if element["difficulty"] != "hard" else "easy"
    correct(
        shared, video_id, Rename(track_id=first["track_id"], label="Red Mug"), Delete(track_id=last["track_id"]),
        Regrade(scene_number=element["scene_number"], element_number=element["element_number"], difficulty=other),
    )  # fmt: skip
    corrected = everything(shared, video_id)
    assert any("Red Mug" in row["description"] for row in corrected["scenes"])

    run(shared, video_id)  # nothing to compute
    assert everything(shared, video_id) == corrected
    run(shared, video_id, force=True)
    assert everything(shared, video_id) == corrected
    run(shared, video_id, conf=0.4, vid_stride=3)
    assert published_set(shared.db, video_id) != computed
    (mug,) = [row for row in seen(shared, video_id, TRACKS) if row["label"] == "Red Mug"]
    assert mug["class"] == first["class"] and mug["sightings"] > first["sightings"]
    assert [row["applied"] for row in log.list_(shared.db, video_id)] == [True, True, True], log.list_(shared.db, video_id)
    assert any("difficulty" in row["by_hand"] and row["difficulty"] == other for row in seen(shared, video_id, ELEMENTS))

    run(shared, video_id)  # as it was at first
    assert everything(shared, video_id) == corrected
    for number in (1, 2, 3):
        undo(shared, video_id, number)
    assert published_set(shared.db, video_id) == computed and everything(shared, video_id) == before
