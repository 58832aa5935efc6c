"""The document of all results: flat in memory, and whole or broken off."""

from __future__ import annotations

import json
import tracemalloc
from itertools import islice

import pytest

from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.reading import library
from reframer_pipeline.reading.document import PARTS, document
from reframer_pipeline.reading.tables import MASKS, SIGHTINGS, page, published_set
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import people
from reframer_pipeline.users.people import LOCAL_USER
from reframer_pipeline_tests.factories import Maker, add_video, commit_all


def facts(storage: Storage, seed: int, frame_count: int) -> dict[str, object]:
    video_id, sha = add_video(storage, seed)
    commit_all(storage, video_id, Maker(sha, storage.settings, frame_count=frame_count, width=8_000), batch_rows=1_000)
    return library.one(storage.db, people.named(storage.db, LOCAL_USER), video_id)


@pytest.mark.slow
def test_a_longer_video_takes_no_more_memory(storage: Storage) -> None:
    peaks, parts = [], set(PARTS) - {"tracks"}  # one track is held at a time, however long it is
    for seed, frame_count in ((1, 15_000), (2, 30_000)):
        video = facts(storage, seed, frame_count)
        tracemalloc.start()
        length = sum(map(len, document(storage.db, video, parts)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert length > frame_count * 100
    assert peaks[1] < 1.2 * peaks[0]


def test_a_document_of_results_that_go_breaks_off(storage: Storage) -> None:
    video = facts(storage, 1, 50)
    for parts in ({"tracks"}, {"masks"}, set(PARTS)):
        assert json.loads("".join(document(storage.db, video, parts)))["video_id"] == video["video_id"]
    begun = document(storage.db, video, {"scenes"})
    assert len(list(islice(begun, 4))) == 4  # as far as the second scene
    storage.db.execute("DELETE FROM published")
    storage.db.execute("DELETE FROM results WHERE stage = 'scenes'")
    with pytest.raises(ResultsGone):
        list(begun)


def test_every_mask_is_told_with_its_sighting(storage: Storage) -> None:
    """Also if frames have sightings and no masks."""
    video = facts(storage, 1, 200)
    result_id = published_set(storage.db, str(video["video_id"]))
    gone = page(storage.db, MASKS, result_id)[::3]
    storage.db.execute("DELETE FROM segmentation_masks WHERE id = ANY(%s::uuid[])", ([row["mask_id"] for row in gone],))
    its = {row["detection_id"]: row for row in page(storage.db, SIGHTINGS, result_id)}
    masks = json.loads("".join(document(storage.db, video, {"masks"})))["masks"]
    assert [mask["detection_id"] for mask in masks] == [row["detection_id"] for row in page(storage.db, MASKS, result_id)]
    assert all(mask["track_id"] == its[mask["detection_id"]]["track_id"] is not None for mask in masks)
