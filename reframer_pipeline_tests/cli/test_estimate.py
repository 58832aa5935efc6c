"""What `run` says before slow work: from this database's own figures for these very weights, else from the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from reframer_pipeline.cli import estimate
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.media import commands
from reframer_pipeline.reading.estimates import seconds_a_frame
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import DEMO_IMGSZ
from reframer_pipeline.stages import STAGES
from reframer_pipeline.stages.order import recipes
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.versions import Recipe
from reframer_pipeline.vision import weights
from reframer_pipeline.work import videos
from reframer_pipeline.work.videos import get_video


def measured(storage: Storage, wanted: Mapping[str, Recipe], alike: Callable[[Row, Recipe], bool]) -> float:
    """Seconds a frame by the last ten results of each stage that are alike."""
    rows = {str(row["result_id"]): row for row in storage.db.fetch("SELECT * FROM results ORDER BY created_at")}
    seconds = 0.0
    for recipe in (wanted[stage.name] for stage in STAGES if stage.weights):
        own = [row for row in rows.values() if row["stage"] == recipe.stage and alike(row, recipe)][-10:]
        frames = [rows[row["components"]["inputs"]["frames"]]["stats"]["sampled"] for row in own]
        seconds += sum(row["seconds"] for row in own) / sum(frames)
    return seconds


def test_results_that_were_made_alike_are_measured_else_those_of_the_same_weights(shared: Storage, done: VideoOutcome) -> None:
    list(run_videos(shared.settings.model_copy(update={"mask_stride": 5}), [str(done.video_id)]))
    list(run_videos(shared.settings, [str(done.video_id)]))  # readers see the former results again
    present = weights.digests(shared.settings)
    found = []
    for changed in ({}, {"mask_stride": 5}):
        wanted = recipes(shared.settings.model_copy(update=changed), present)
        found.append(seconds_a_frame(shared.db, wanted))
        assert found[-1] == pytest.approx(measured(shared, wanted, lambda row, recipe: row["recipe"] == recipe.digest))
    assert found[0] != found[1]
    never = recipes(shared.settings.model_copy(update={"conf": 0.77}), present)
    of_these_weights = measured(shared, never, lambda row, recipe: row["components"]["weights"] == recipe.weights)
    assert seconds_a_frame(shared.db, never) == pytest.approx(of_these_weights)
    for role in weights.ROLES:
        assert seconds_a_frame(shared.db, recipes(shared.settings, {**present, role: "sha256:of other weights"})) is None


def test_a_frame_is_counted_once_whatever_other_strides_were_tried(shared: Storage, done: VideoOutcome) -> None:
    db, wanted = shared.db, recipes(shared.settings, weights.digests(shared.settings))
    before = seconds_a_frame(db, wanted)
    with db.transaction() as conn:  # another frames result of the same video, that no detections come from
        conn.execute(
            """INSERT INTO results (result_id, video_id, stage, stage_key, recipe, components, object_key, object_bytes, row_count,
                   content_digest, seconds, stats, created_at)
               SELECT gen_random_uuid(), video_id, stage, 'another', recipe, components, object_key, object_bytes, row_count,
                   content_digest, seconds, '{"sampled": 1000000}', created_at
               FROM results WHERE video_id = %s AND stage = 'frames' LIMIT 1""",
            (done.video_id,),
        )
    try:
        assert seconds_a_frame(db, wanted) == before
    finally:
        with db.transaction() as conn:
            conn.execute("DELETE FROM results WHERE stage_key = 'another'")


def looked_at(storage: Storage, done: VideoOutcome) -> int:
    """Frames that were looked at."""
    (frames,) = storage.db.fetch("SELECT stats FROM current_results WHERE video_id = %s AND stage = 'frames'", (done.video_id,))
    return int(frames["stats"]["sampled"])


def test_forced_work_is_announced_though_all_is_fresh(shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(estimate, "notice", said.append)
    monkeypatch.setattr(estimate, "SLOW_S", 0.0)
    official = shared.settings.model_copy(update={"models": "official", "device": "cpu", "imgsz": DEMO_IMGSZ})
    present = weights.digests(shared.settings)  # the demo models under another name: these are fresh
    monkeypatch.setattr(weights, "digests", lambda settings: present)
    assert done.video_id is not None
    estimate.warn_if_slow(official, shared, [done.video_id])
    assert said == []
    estimate.warn_if_slow(official, shared, [done.video_id], force=True)
    assert len(said) == 1 and f"for {looked_at(shared, done)} frames" in said[0]


def test_a_remote_video_is_not_downloaded_for_an_estimate(shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done.video_id is not None
    monkeypatch.setattr(ObjectStore, "local_path", lambda store, key: None)
    monkeypatch.setattr(ObjectStore, "get", lambda *args: pytest.fail("downloaded"))

    def sampled() -> int:
        return estimate._sampled_frames(shared.settings, shared, done.video_id or "")

    assert sampled() == looked_at(shared, done)  # the metadata is there
    known = get_video(shared.db, done.video_id)
    monkeypatch.setattr(videos, "get_video", lambda db, video_id: {**known, "frame_count": None})
    assert sampled() == 0


def test_an_estimate_asks_no_more_than_the_header(shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert done.video_id is not None
    known = get_video(shared.db, done.video_id)
    monkeypatch.setattr(videos, "get_video", lambda db, video_id: {**known, "frame_count": None})
    for name in ("look", "packets", "pictures"):
        monkeypatch.setattr(commands, name, lambda *args: pytest.fail("read before anything was said"))
    assert estimate._sampled_frames(shared.settings, shared, done.video_id) == looked_at(shared, done)
