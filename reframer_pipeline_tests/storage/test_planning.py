"""Whose settings, what is due, and what it would take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reframer_pipeline import versions
from reframer_pipeline.planner import UNAVAILABLE, Planner, computable
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import Storage, deployment
from reframer_pipeline.storage.backlog import Waits, due, waits
from reframer_pipeline.storage.estimates import rates
from reframer_pipeline.storage.planning import StageState, VideoPlan
from reframer_pipeline.versions import STAGES
from reframer_pipeline_tests.factories import WEIGHTS, Maker, add_video, commit_all

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECIPES = versions.recipes(Settings(), WEIGHTS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_deployment_names_are_exactly_the_settings_that_change_results(name: str) -> None:
    other = {
        "models": "demo", "yolo_model": "yolov8n.pt", "sam2_model": "sam2_hiera_tiny", "person_labels": ("man",), "product_labels": ("x",),
        "describer": "gemini", "gemini_model": "other", "gemini_media": "keyframes", "track_low_conf": 0.01,
    }  # fmt: skip
    base = Settings(gemini_api_key="k", gemini_media="keyframes" if name == "gemini_keyframes" else "video")
    value = getattr(base, name)
    changed = other.get(name, value + 1 if isinstance(value, int) else value * 0.9 if isinstance(value, float) else "changed")
    if name in ("models", "yolo_model", "sam2_model"):
        assert name in deployment.NAMES  # these change the weights' digests
    elif name == "describer":
        assert name in deployment.NAMES
    else:
        differs = versions.recipes(base.model_copy(update={name: changed}), WEIGHTS) != versions.recipes(base, WEIGHTS)
        assert differs == (name in deployment.NAMES), name


def test_settings_of_deployment_and_video_stand_above_the_process(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    mine = Settings(conf=0.3, batch=7)
    assert deployment.load(storage.db, mine) == mine  # nothing was saved: the process decides
    assert deployment.save(storage.db, Settings(conf=0.4, vid_stride=2)) == {}
    assert deployment.save(storage.db, Settings(conf=0.6, vid_stride=2)) == {"conf": (0.4, 0.6)}
    loaded = deployment.load(storage.db, mine)
    assert (loaded.conf, loaded.vid_stride, loaded.batch) == (0.6, 2, 7)
    assert deployment.note_overrides(storage.db, Settings(conf=0.9, vid_stride=2), video_id) == {"conf": 0.9}
    assert deployment.for_video(storage.db, mine, video_id).conf == 0.9
    assert deployment.note_overrides(storage.db, Settings(conf=0.6, vid_stride=2), video_id) == {}
    assert deployment.for_video(storage.db, mine, video_id).conf == 0.6


def test_a_process_without_a_key_sees_the_describer_that_was_meant(storage: Storage) -> None:
    deployment.save(storage.db, Settings(gemini_api_key="k"))
    assert deployment.load(storage.db, Settings()).resolved_describer == "gemini"


def plan(video_id: str = "v", **states: str) -> VideoPlan:
    stages = {stage: StageState(stage, states.get(stage, "fresh")) for stage in STAGES}  # type: ignore[arg-type]
    return VideoPlan(video_id, 1.0, stages, RECIPES)


def known(**more: object) -> Waits:
    given: dict[str, object] = {
        "busy": frozenset(),
        "attempts": {},
        "failures": {},
        "asked": frozenset(),
        "new": frozenset(),
        "now": NOW,
        **more,
    }
    return Waits(**given)  # type: ignore[arg-type]


STALE = {"scenes": "stale"}
DUE = [
    ({}, {}, False),
    (STALE, {}, True),
    ({"masks": "missing", **STALE}, {}, True),
    ({"masks": "failed", "scenes": "missing"}, {}, False),
    (STALE, {"busy": frozenset("v")}, False),
    (STALE, {"asked": frozenset("v")}, False),
    (STALE, {"new": frozenset("v")}, False),
    ({"masks": "stale", **STALE}, {"asked": frozenset("v")}, True),  # more than the question is open
    (STALE, {"failures": {"v": (1, NOW - timedelta(seconds=30))}}, False),
    (STALE, {"failures": {"v": (1, NOW - timedelta(seconds=61))}}, True),
    (STALE, {"failures": {"v": (3, NOW - timedelta(seconds=200))}}, False),
    (STALE, {"failures": {"v": (3, NOW - timedelta(seconds=241))}}, True),
    (STALE, {"failures": {"v": (5, NOW - timedelta(days=9))}}, False),  # tried often enough
]


@pytest.mark.parametrize(("states", "waiting", "expected"), DUE)
def test_who_is_due(states: dict[str, str], waiting: dict[str, object], expected: bool) -> None:
    requests = list(due([plan(**states)], known(**waiting), set(), 10, 5))
    assert bool(requests) == expected
    if expected:
        assert requests[0].stages == tuple(stage for stage in STAGES if stage in states)


def test_queued_ones_and_the_limit_are_kept_and_keys_tell_work_apart() -> None:
    plans = [plan(name, **STALE) for name in "abcde"]
    requests = list(due(plans, known(attempts={"c": 4}), {"a"}, 2, 5))
    assert [one.video_id for one in requests] == ["b", "c"]
    assert requests[1].key.endswith(":4")
    again = list(due(plans, known(attempts={"c": 5}), {"a"}, 2, 5))
    assert again[0].key == requests[0].key and again[1].key != requests[1].key
    assert list(due(plans, known(), set(), 0, 5)) == []


def test_the_planner_goes_by_overrides_and_by_what_if(storage: Storage) -> None:
    base = storage.settings.model_copy(update={"models": "demo"})
    deployment.save(storage.db, base)
    videos = [add_video(storage, seed) for seed in range(3)]
    weights = Planner.of(storage, base).wanted({})["detections"].weights or ""
    roles = {"detector": weights, "segmenter": Planner.of(storage, base).wanted({})["masks"].weights or ""}
    for video_id, sha in videos:
        commit_all(storage, video_id, Maker(sha, base, weights=roles))
    assert all(one.to_compute == () for one in Planner.of(storage, base).plans())
    changed = list(Planner.of(storage, base, {"conf": 0.4}).plans())
    assert [one.to_compute for one in changed] == [("detections", "masks", "trajectories", "scenes")] * 3
    assert changed[0].stages["detections"].reasons[0] == "conf: 0.5 → 0.4"
    deployment.note_overrides(storage.db, base.model_copy(update={"shot_threshold": 9.0}), videos[1][0])
    stale = {one.video_id: one.to_compute for one in Planner.of(storage, base).plans() if one.to_compute}
    assert stale == {videos[1][0]: ("trajectories", "scenes")}
    found = rates(storage.db)
    assert set(found.seconds) == set(STAGES) and found.usual_duration
    assert found.of_stage("masks", 10.0) is not None and found.of_gemini(videos[0][0], changed[0].wanted, 10.0) == 0


def test_without_weights_nothing_is_requested(storage: Storage) -> None:
    add_video(storage)
    settings = storage.settings.model_copy(update={"models": "official"})
    (one,) = Planner.of(storage, settings).plans()
    assert one.wanted["masks"].weights == UNAVAILABLE and not computable(one)


def test_failures_for_good_and_for_now_are_told_apart(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    storage.db.execute(
        """INSERT INTO processing_jobs
               (video_id, run_id, status, stage, failure_code, failure_message, failed_recipe, retryable, finished_at)
           VALUES (%s, 'r1', 'failed', 'frames', 'truncated', 'Half is missing.', %s, false, now())""",
        (video_id, RECIPES["frames"].digest),
    )
    from reframer_pipeline.storage.planning import stage_states

    states = stage_states(storage.db, [video_id], Settings(), WEIGHTS)[video_id]
    assert (states["frames"].state, states["frames"].reasons) == ("failed", ("[truncated] Half is missing.",))
    assert stage_states(storage.db, [video_id], Settings(vid_stride=9), WEIGHTS)[video_id]["frames"].state == "missing"
    storage.db.execute("UPDATE processing_jobs SET retryable = true")
    assert stage_states(storage.db, [video_id], Settings(), WEIGHTS)[video_id]["frames"].state == "missing"
    assert waits(storage.db).failures[video_id][0] == 1 and waits(storage.db).attempts == {video_id: 1}
    other, _ = add_video(storage, 2)
    assert waits(storage.db).new == {other}
    storage.db.execute("UPDATE videos SET created_at = now() - interval '1 hour'")
    assert waits(storage.db).new == set()
