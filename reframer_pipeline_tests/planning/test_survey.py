"""Whose settings, what is due, and what it would take."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from reframer_pipeline import versions
from reframer_pipeline.planning import orders, result_settings, showing
from reframer_pipeline.planning.backlog import LONGEST_PAUSE_S, Failed, Waits, due, held_back, waits
from reframer_pipeline.planning.planner import UNAVAILABLE, Planner
from reframer_pipeline.planning.survey import NOT_SHOWN, StageState, VideoPlan, survey
from reframer_pipeline.reading.estimates import rates
from reframer_pipeline.results import manifest
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES, STAGES
from reframer_pipeline.stages.order import recipes
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import WEIGHTS, Maker, add_video, commit_all, plan_of

T = TypeVar("T")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECIPES = recipes(Settings(), WEIGHTS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_deployment_names_are_exactly_the_settings_that_change_results(name: str) -> None:
    other = {
        "models": "demo", "yolo_model": "yolov8n.pt", "sam2_model": "sam2_hiera_tiny", "person_labels": ("man",), "product_labels": ("x",),
        "describer": "gemini", "gemini_model": "other", "gemini_media": "keyframes", "track_low_conf": 0.01, "mask_conf": 0.7,
        "precision": "bfloat16",
    }  # fmt: skip
    base = Settings(gemini_api_key="k", gemini_media="keyframes" if name == "gemini_keyframes" else "video")
    value = getattr(base, name)
    changed = other.get(name, value + 1 if isinstance(value, int) else value * 0.9 if isinstance(value, float) else "changed")
    if name in ("models", "yolo_model", "sam2_model"):
        assert name in result_settings.NAMES  # these change the weights' digests
    elif name == "describer":
        assert name in result_settings.NAMES
    else:
        differs = recipes(base.model_copy(update={name: changed}), WEIGHTS) != recipes(base, WEIGHTS)
        assert differs == (name in result_settings.NAMES), name


def test_settings_of_deployment_and_video_stand_above_the_process(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    mine = Settings(conf=0.3, batch=7)
    assert result_settings.load(storage.db, mine) == mine  # nothing was saved: the process decides
    assert result_settings.save(storage.db, Settings(conf=0.4, vid_stride=2)) == {}
    assert result_settings.save(storage.db, Settings(conf=0.6, vid_stride=2)) == {"conf": (0.4, 0.6)}
    loaded = result_settings.load(storage.db, mine)
    assert (loaded.conf, loaded.vid_stride, loaded.batch) == (0.6, 2, 7)
    assert result_settings.note_overrides(storage.db, Settings(conf=0.9, vid_stride=2), video_id) == {"conf": 0.9}
    assert orders.resolve(storage.db, mine, video_id).settings.conf == 0.9
    assert result_settings.note_overrides(storage.db, Settings(conf=0.6, vid_stride=2), video_id) == {}
    assert orders.resolve(storage.db, mine, video_id).settings.conf == 0.6


def test_a_process_without_a_key_sees_the_describer_that_was_meant(storage: Storage) -> None:
    result_settings.save(storage.db, Settings(gemini_api_key="k"))
    assert result_settings.load(storage.db, Settings()).resolved_describer == "gemini"


ASKING = recipes(Settings(gemini_api_key="k"), WEIGHTS)
QUESTION = ("v", ASKING["scenes"].settings["gemini_model"], versions.GEMINI_PROMPT_VERSION)


def plan(video_id: str = "v", wanted: dict[str, versions.Recipe] = RECIPES, trouble: str | None = None, **states: str) -> VideoPlan:
    stages = {stage: StageState(stage, states.get(stage, "fresh"), published=True) for stage in NAMES}  # type: ignore[arg-type]
    return VideoPlan(video_id, 1.0, stages, wanted, trouble)


def fail_job(storage: Storage, video_id: str, run: str, code: str, recipe: str | None, retryable: bool = True, ago: str = "0") -> None:
    storage.db.execute(
        """INSERT INTO processing_jobs
               (video_id, run_id, status, failure_code, failure_message, failed_recipe, retryable, created_at, finished_at)
           VALUES (%(v)s, %(run)s, 'failed', %(code)s, 'So it was.', %(recipe)s, %(retryable)s, now() - %(ago)s::interval,
               clock_timestamp() - %(ago)s::interval)""",
        {"v": video_id, "run": run, "code": code, "recipe": recipe, "retryable": retryable, "ago": ago},
    )


def known(**more: object) -> Waits:
    given: dict[str, object] = {
        "busy": frozenset(),
        "failed": {},
        "asked": {},
        "new": {},
        "now": NOW,
        **more,
    }
    return Waits(**given)  # type: ignore[arg-type]


def failed(times: int, seconds_ago: float, *recipes: str) -> dict[str, object]:
    return {"failed": {"v": Failed(times, NOW - timedelta(seconds=seconds_ago), "stalled", recipes)}}


STALE = {"scenes": "stale"}
HERE, ELSEWHERE = RECIPES["masks"].digest, "another recipe"
DUE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, False),
    (STALE, {}, True),
    ({"masks": "missing", **STALE}, {}, True),
    ({"masks": "failed", "scenes": "missing"}, {}, False),
    (STALE, {"busy": frozenset("v")}, False),
    (STALE, {"new": {"v": True}}, False),  # the upload sensor's
    (STALE, {"new": {"v": False}}, False),
    ({"trouble": "No weights.", **STALE}, {}, False),
    ({"wanted": ASKING, **STALE}, {"asked": {QUESTION: NOW}}, False),
    ({"wanted": ASKING, **STALE}, {"asked": {("v", "retired", QUESTION[2]): NOW, ("v", QUESTION[1], 0): NOW}}, True),  # other questions
    ({"wanted": ASKING, "masks": "stale", **STALE}, {"asked": {QUESTION: NOW}}, True),  # more than the question is open
    (STALE, {"asked": {QUESTION: NOW}}, True),  # nobody is to be asked
    (STALE, failed(1, 30), False),
    (STALE, failed(1, 61), True),
    (STALE, failed(3, 200), False),
    (STALE, failed(3, 241), True),
    (STALE, failed(5, 9 * 86_400, *[HERE] * 5), False),  # tried often enough
    (STALE, failed(5, 9 * 86_400, *[ELSEWHERE] * 5), True),  # but not at what is wanted now
    (STALE, failed(5, 9 * 86_400, *[HERE] * 4), True),  # or not by its own fault
    (STALE, failed(2_000, LONGEST_PAUSE_S - 1), False),
    (STALE, failed(2_000, LONGEST_PAUSE_S + 1), True),
]


@pytest.mark.parametrize(("states", "waiting", "expected"), DUE)
def test_who_is_due(states: dict[str, Any], waiting: dict[str, object], expected: bool) -> None:
    requests = list(due([plan(**states)], known(**waiting), set(), 10, 5))
    assert bool(requests) == expected
    if not expected and "missing" not in states.values() and set(states) & {"scenes"}:
        assert held_back(plan(**states), known(**waiting), 5)  # and nothing is silent
    if expected:
        assert requests[0].stages == tuple(stage for stage in NAMES if stage in states)


def test_queued_ones_and_the_limit_are_kept_and_keys_tell_videos_apart() -> None:
    plans = [plan(name, **STALE) for name in "abcde"]
    requests = list(due(plans, known(), {"a"}, 2, 5))
    assert [one.video_id for one in requests] == ["b", "c"]
    assert len({one.key for one in requests}) == 2
    assert list(due(plans, known(), {"a"}, 2, 5)) == requests  # a tick that is repeated asks for the same
    assert list(due(plans, known(), set(), 0, 5)) == []


def test_what_people_are_told_of_one_that_waits() -> None:
    def told(**more: Any) -> str | None:
        return held_back(plan(**STALE), known(**more), 5)

    assert told() is None
    assert told(**failed(2, 0)) == "waits until 2026-01-01 00:02 UTC after 2 failed runs, the last with [stalled]"
    assert told(**failed(7, 0, *[HERE] * 5)) == "given up after 5 attempts, the last run ended with [stalled]; run it by hand to try again"
    asked = held_back(plan(wanted=ASKING, **STALE), known(asked={QUESTION: NOW + timedelta(hours=20)}), 5)
    assert asked == "waits until 2026-01-01 20:00 UTC because Gemini did not answer"


def test_the_planner_goes_by_overrides_and_by_what_if(storage: Storage) -> None:
    base = storage.settings.model_copy(update={"models": "demo"})
    result_settings.save(storage.db, base)
    videos = [add_video(storage, seed) for seed in range(3)]
    weights = Planner.of(storage, base).recipes({})[0]["detections"].weights or ""
    roles = {"detector": weights, "segmenter": Planner.of(storage, base).recipes({})[0]["masks"].weights or ""}
    for video_id, sha in videos:
        commit_all(storage, video_id, Maker(sha, base, weights=roles))
    assert all(one.to_compute == () for one in Planner.of(storage, base).plans())
    changed = list(Planner.of(storage, base, {"conf": 0.4}).plans())
    assert [one.to_compute for one in changed] == [("detections", "masks", "trajectories", "scenes")] * 3
    assert changed[0].stages["detections"].reasons[0] == "conf: 0.5 → 0.4"
    result_settings.note_overrides(storage.db, base.model_copy(update={"shot_threshold": 9.0}), videos[1][0])
    stale = {one.video_id: one.to_compute for one in Planner.of(storage, base).plans() if one.to_compute}
    assert stale == {videos[1][0]: ("trajectories", "scenes")}
    found = rates(storage.db)
    assert set(found.seconds) == set(NAMES) and found.usual_duration
    assert found.of_stage("masks", 10.0) is not None and found.of_gemini(videos[0][0], changed[0].wanted, 10.0) == 0


def test_a_stage_takes_what_results_made_like_it_took(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    for conf, seconds in ((0.5, 50.0), (0.4, 10.0)):
        maker = Maker(sha, storage.settings.model_copy(update={"conf": conf}))
        commit_all(storage, video_id, maker)
        storage.db.execute("UPDATE results SET seconds = %s WHERE result_id = %s", (seconds, maker.keys["masks"].result_id))
    storage.db.execute("UPDATE videos SET duration = 10")
    found = rates(storage.db)
    wanted = [recipes(storage.settings.model_copy(update={"conf": conf}), WEIGHTS) for conf in (0.5, 0.4, 0.3)]
    assert [found.of_stage("masks", 10.0, one) for one in wanted] == [50.0, 10.0, 30.0]  # of what was never made, the median of all


def test_without_weights_nothing_is_requested(storage: Storage) -> None:
    add_video(storage)
    settings = storage.settings.model_copy(update={"models": "official"})
    (one,) = Planner.of(storage, settings).plans()
    assert one.wanted["masks"].weights == UNAVAILABLE and one.trouble and one.trouble.startswith("[weights_missing]")
    assert list(due([one], known(), set(), 10, 5)) == []


@pytest.mark.parametrize(
    "own",
    [
        {"models": "official", "yolo_model": "OWN"},
        {"models": "official", "yolo_model": "OWN", "sam2_model": "gone"},
        {"conf": {"never": "a number"}},
    ],
)
def test_trouble_with_one_videos_own_settings_stops_no_other(storage: Storage, own: dict[str, Any], tmp_path: Path) -> None:
    base = storage.settings.model_copy(update={"models": "demo"})
    weights = tmp_path / "own.pt"
    weights.write_bytes(b"one")
    segmenter = storage.settings.weights_folder / "sam2_hiera_base_plus.pt"
    segmenter.parent.mkdir(parents=True)
    segmenter.write_bytes(b"any")
    overrides = {name: str(weights) if value == "OWN" else value for name, value in own.items()}
    troubled, healthy = add_video(storage, 1)[0], add_video(storage, 2)[0]
    storage.db.execute("UPDATE videos SET settings_overrides = %s WHERE id = %s", (json.dumps(overrides), troubled))
    before = {one.video_id: one.trouble for one in Planner.of(storage, base).plans()}
    assert (before[troubled] is None) == ("yolo_model" in own and "sam2_model" not in own)
    weights.write_bytes(b"trained on")  # since it was first looked at: another digest than the recorded one
    plans = {one.video_id: one for one in Planner.of(storage, base).plans()}
    assert plans[healthy].trouble is None and plans[troubled].trouble
    assert any(word in str(plans[troubled].trouble) for word in ("[weights_corrupt]", "'gone'", "never"))
    assert [one.video_id for one in due(plans.values(), known(), set(), 10, 5)] == [healthy]


def test_what_was_computed_before_is_shown_again_without_a_run(storage: Storage) -> None:
    base = storage.settings.model_copy(update={"models": "demo"})
    weights = {role: recipe.weights or "" for role, recipe in _by_role(Planner.of(storage, base)).items()}
    other = base.model_copy(update={"conf": 0.4})
    videos = [add_video(storage, seed) for seed in range(3)]
    for video_id, sha in videos:
        for settings in (base, other):
            commit_all(storage, video_id, Maker(sha, settings, weights=weights))
    planner, ids = Planner.of(storage, base), [video_id for video_id, _ in videos]
    plans = list(planner.plans())
    assert all(one.unshown and one.to_compute == () for one in plans)
    assert plans[0].stages["detections"] == StageState("detections", "fresh", (NOT_SHOWN,))
    assert plans[0].stages["frames"] == StageState("frames", "fresh", published=True)
    with lease.hold(storage.db, ids[0], "a run"):
        result_settings.note_overrides(storage.db, other, ids[1])  # somebody wanted what is shown after all
        went = showing.show_computed(planner, ids)
    assert (went.videos, went.busy, went.left) == (1, 1, [])
    shown = [manifest.published(storage.db, video_id)["scenes"].recipe for video_id in ids]
    assert shown == [planner.recipes({"conf": conf})[0]["scenes"].digest for conf in (0.4, 0.4, 0.5)]
    assert [one.video_id for one in planner.plans() if one.unshown] == [ids[0]]


def _by_role(planner: Planner) -> dict[str, versions.Recipe]:
    return {role: planner.recipes({})[0][stage] for stage, role in ((stage.name, stage.weights) for stage in STAGES if stage.weights)}


def test_failures_for_good_and_for_now_are_told_apart(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    storage.db.execute(
        """INSERT INTO processing_jobs
               (video_id, run_id, status, stage, failure_code, failure_message, failed_recipe, retryable, finished_at)
           VALUES (%s, 'r1', 'failed', 'frames', 'truncated', 'Half is missing.', %s, false, now())""",
        (video_id, RECIPES["frames"].digest),
    )
    states = plan_of(storage.db, video_id, Settings()).stages
    assert (states["frames"].state, states["frames"].reasons) == ("failed", ("[truncated] Half is missing.",))
    assert plan_of(storage.db, video_id, Settings(vid_stride=9)).stages["frames"].state == "missing"
    storage.db.execute("UPDATE processing_jobs SET retryable = true")
    assert plan_of(storage.db, video_id, Settings()).stages["frames"].state == "missing"


def test_what_failed_counts_as_a_pause_and_only_the_videos_own_as_an_attempt(storage: Storage) -> None:
    (video_id, _), (other, _) = add_video(storage, 1), add_video(storage, 2)
    codes = ["stalled", "store_unavailable", "interrupted", "weights_untrusted", "disk_full", "video_busy", "gemini_unavailable"]
    for number, code in enumerate(codes):
        fail_job(storage, video_id, f"r{number}", code, HERE, ago=f"{number} minutes")
    fail_job(storage, video_id, "for good", "truncated", "frames recipe", retryable=False, ago="2 hours")
    fail_job(storage, video_id, "no stage", "run_died", None, ago="3 hours")
    found = waits(storage.db).failed
    assert set(found) == {video_id} and (found[video_id].times, found[video_id].code) == (9, "stalled")
    assert sorted(found[video_id].recipes) == sorted([HERE, "frames recipe"])
    storage.db.execute(
        """INSERT INTO processing_jobs (video_id, run_id, status, created_at, finished_at)
           VALUES (%s, 'good', 'completed', now() - interval '9 hours', now() - interval '90 seconds')""",
        (video_id,),
    )
    assert waits(storage.db).failed[video_id].times == 2  # what failed while the good one waited is over as well
    assert other in waits(storage.db).new and video_id not in waits(storage.db).new


def test_pictures_that_were_evicted_and_cannot_be_made_again_are_a_failure(storage: Storage) -> None:
    base = storage.settings
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, base))
    storage.db.execute("UPDATE results SET evicted_at = now() WHERE stage = 'frames'")
    fail_job(storage, video_id, "r1", "object_missing", RECIPES["frames"].digest, retryable=False)
    assert plan_of(storage.db, video_id, base).stages["frames"].state == "fresh"  # nobody needs them
    changed = base.model_copy(update={"conf": 0.4})
    states = plan_of(storage.db, video_id, changed).stages
    assert (states["frames"].state, states["frames"].reasons) == ("failed", ("[object_missing] So it was.",))
    storage.db.execute("UPDATE results SET recomputed_at = now() + interval '1 second' WHERE stage = 'frames'")  # made, and evicted, since
    assert plan_of(storage.db, video_id, changed).stages["frames"].state == "fresh"


def test_uploads_are_left_to_the_sensor_until_they_ran_and_others_for_a_while(storage: Storage) -> None:
    ran, by_hand, uploaded = (add_video(storage, seed)[0] for seed in range(3))
    storage.db.execute("UPDATE uploads SET bucket_key = 'a.mp4' WHERE video_id = ANY(%s)", ([ran, uploaded],))
    fail_job(storage, ran, "r", "interrupted", None)
    assert waits(storage.db).new == {by_hand: False, uploaded: True}
    storage.db.execute("UPDATE videos SET created_at = now() - interval '9 days'")
    assert waits(storage.db).new == {uploaded: True}
    storage.db.execute("UPDATE videos SET status = 'completed'")  # by a rebuild: not the sensor's
    assert waits(storage.db).new == {}


def test_states_say_what_is_stale_and_why(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    other_id, _ = add_video(storage, seed=2)
    base = storage.settings

    def states(settings: Settings = base, weights: dict[str, str] = WEIGHTS) -> dict[str, str]:
        found = plan_of(storage.db, video_id, settings, weights).stages
        return {stage: state.state for stage, state in found.items()}

    assert set(states().values()) == {"missing"}
    commit_all(storage, video_id, Maker(sha, base))
    assert set(states().values()) == {"fresh"}
    assert plan_of(storage.db, video_id, base).to_compute == () and plan_of(storage.db, other_id, base).to_compute == NAMES
    assert all(state.published for state in plan_of(storage.db, video_id, base).stages.values())

    conf = plan_of(storage.db, video_id, base.model_copy(update={"conf": 0.25}))
    assert conf.to_compute == ("detections", "masks", "trajectories", "scenes")
    assert conf.stages["detections"].reasons == ("conf: 0.5 → 0.25", "detector_floor: 0.5 → 0.25")
    assert conf.stages["masks"].reasons == ("other detections",)
    assert states(weights={**WEIGHTS, "segmenter": "new"}) == {
        **dict.fromkeys(("metadata", "frames", "detections", "trajectories"), "fresh"), "masks": "stale", "scenes": "stale",
    }  # fmt: skip
    assert states(base.model_copy(update={"batch": 1, "device": "cpu", "stall_s": 5.0})) == dict.fromkeys(NAMES, "fresh")
    assert list(survey(storage.db, ["00000000-0000-5000-8000-000000000000"], lambda overrides: (RECIPES, None))) == []


def test_a_recipe_that_comes_in_while_plans_are_made(storage: Storage) -> None:
    """The recipes have been read, the results have not: the first result of a new recipe comes in."""
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    with _others_in_the_middle(storage, lambda: list(survey(storage.db, None, lambda _: (RECIPES, None)))) as (other, reading):
        other.execute(
            """INSERT INTO recipes SELECT (jsonb_populate_record(r, '{"digest": "new"}')).* FROM recipes r WHERE stage = 'scenes' LIMIT 1"""
        )
        other.execute("UPDATE results SET recipe = 'new' WHERE stage = 'scenes'")
    (plan,) = reading.result()
    assert plan.video_id == video_id


def test_a_video_that_is_taken_up_meanwhile_is_still_new_or_busy(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with _others_in_the_middle(storage, lambda: waits(storage.db)) as (other, reading):
        other.execute("INSERT INTO processing_jobs (video_id, run_id) VALUES (%s, 'a run')", (video_id,))
        other.execute(
            """INSERT INTO leases (video_id, token, owner, acquired_at, heartbeat_at, expires_at)
               VALUES (%s, gen_random_uuid(), 'a run', now(), now(), now() + interval '1 hour')""",
            (video_id,),
        )
    found = reading.result()
    assert (video_id in found.busy) != (video_id in found.new)


@contextlib.contextmanager
def _others_in_the_middle(storage: Storage, read: Callable[[], T]) -> Iterator[tuple[psycopg.Connection[Any], Future[T]]]:
    """A reader that has come as far as the videos, and the connection that keeps it there and commits at the end."""
    secret = storage.settings.database_url
    assert secret is not None
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'videos'::regclass"
    with psycopg.connect(secret.get_secret_value()) as other, ThreadPoolExecutor(1) as threads:
        other.execute("LOCK TABLE videos IN ACCESS EXCLUSIVE MODE")
        reading = threads.submit(read)
        deadline = time.monotonic() + 180
        while other.execute(waiting).fetchone() is None:
            assert time.monotonic() < deadline and not reading.done()
        yield other, reading
        other.commit()
