"""Eviction: the frame store goes, the frames stay fresh, and whoever needs pictures is told or gets them anew."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from reframer_pipeline.failures import FramesEvicted
from reframer_pipeline.planning.survey import StageState, to_compute
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.stages.order import recipes
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import WEIGHTS, Maker, add_video, commit_all, plan_of
from reframer_pipeline_tests.retention.ages import age_database, evicted_results
from reframer_pipeline_tests.servers import Server, fresh_database

KEYFRAMES = {"gemini_api_key": SecretStr("k"), "describer": "gemini", "gemini_media": "keyframes"}


def test_the_frame_store_goes_and_the_frames_stay_fresh(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings)
    frames = commit_all(storage, video_id, maker)["frames"].manifest
    assert frames.attachment_key is not None
    assert evict_older(storage.db, storage.store, 1).videos == 0
    age_database(storage, 3)
    with lease.hold(storage.db, video_id, "a run"):
        assert evict_older(storage.db, storage.store, 1).busy == 1
    went = evict_older(storage.db, storage.store, 1)
    assert (went.videos, went.amount) == (1, len(b"pictures"))
    assert not storage.store.exists(frames.attachment_key)
    assert storage.store.exists(frames.object_key)
    assert plan_of(storage.db, video_id, storage.settings).to_compute == ()
    assert evicted_results(storage.db, [frames.result_id]) == {frames.result_id}
    assert evict_older(storage.db, storage.store, 1).videos == 0
    stored = storage.results.open(frames.result_id)
    assert sum(batch.num_rows for batch in stored.batches()) == 50  # the times
    with pytest.raises(FramesEvicted, match="--force"):
        stored.open_attachment()
    # frames run again: the same result, with pictures
    assert commit_all(storage, video_id, maker, ("frames",))["frames"].outcome == "same"
    with storage.results.open(frames.result_id).open_attachment() as file:
        assert file.read() == b"pictures"
    assert evicted_results(storage.db, [frames.result_id]) == set()


@pytest.mark.parametrize(
    ("stages", "settings", "expected"),
    [
        ((), {}, ()),
        (("masks",), {}, ("frames", "masks")),
        (("scenes", "detections"), {}, ("frames", "detections", "scenes")),
        (("trajectories",), {}, ("trajectories",)),
        (("trajectories", "scenes"), {}, ("frames", "trajectories", "scenes")),
        (("scenes",), KEYFRAMES, ("frames", "scenes")),
        (("scenes",), {**KEYFRAMES, "gemini_media": "video"}, ("frames", "scenes")),
        (("metadata", "frames", "masks"), {}, ("metadata", "frames", "masks")),
    ],
)
def test_who_looks_at_pictures(stages: tuple[str, ...], settings: dict[str, Any], expected: tuple[str, ...]) -> None:
    states = {stage: StageState(stage, "stale" if stage in stages else "fresh", evicted=stage == "frames") for stage in NAMES}
    assert to_compute(states, recipes(Settings(**settings), WEIGHTS)) == expected


def test_a_rebuilt_database_knows_what_is_evicted(storage: Storage, embedded_server: Server) -> None:
    video_id, sha = add_video(storage)
    frames = commit_all(storage, video_id, Maker(sha, storage.settings))["frames"].manifest
    age_database(storage, 3)
    evict_older(storage.db, storage.store, 1)
    for url in fresh_database(embedded_server):
        with open_storage(storage.settings.model_copy(update={"database_url": SecretStr(url)})) as second:
            assert rebuild(second.db, second.store).results == 6
            assert evicted_results(second.db, [frames.result_id]) == {frames.result_id}
