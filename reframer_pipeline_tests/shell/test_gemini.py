"""Scenes by Gemini through the whole pipeline, against the local stand-in: matched, checked, paid once, and local when it cannot answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline import dagster_home, versions
from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.fake_gemini import Behaviour, FakeGemini, Kind
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.run_videos import VideoOutcome, run_videos
from reframer_pipeline.scenes.gemini import client as client_module
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import questions, status
from reframer_pipeline.storage.planning import stage_states
from reframer_pipeline_tests.shell.conftest import CLIP_SEED
from reframer_pipeline_tests.shell.test_cli import reframer

CUT = make_clip(CLIP_SEED, n_frames=50, shots=2).cuts[0] / 25  # seconds


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.02)


@pytest.fixture
def clean(pipeline: Pipeline, done: VideoOutcome) -> Iterator[Pipeline]:
    """Nothing asked yet; afterwards the local description is what readers see again."""
    pipeline.storage.db.execute("DELETE FROM gemini_questions")
    yield pipeline
    pipeline.storage.db.execute("DELETE FROM gemini_questions")
    for row in pipeline.storage.db.fetch(
        "SELECT result_id FROM results WHERE components -> 'settings' ->> 'resolved_describer' = 'gemini'"
    ):
        pipeline.storage.db.execute("DELETE FROM published WHERE result_id = %s", (row["result_id"],))
        pipeline.storage.db.execute("DELETE FROM results WHERE result_id = %s", (row["result_id"],))
    list(run_videos(pipeline.settings, [done.video_id or ""]))


def asking(pipeline: Pipeline, server: FakeGemini, **more: Any) -> Settings:
    given = {"gemini_api_key": "key", "gemini_url": server.url, "gemini_attempts": 2, "gemini_requests_per_minute": 6000, **more}
    return pipeline.settings.model_copy(update=Settings(**given).model_dump(include=set(given)))


def scenes(pipeline: Pipeline, video_id: str) -> list[dict[str, Any]]:
    rows = pipeline.storage.db.fetch(
        "SELECT analysis_data FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number", (video_id,)
    )
    return [row["analysis_data"] for row in rows]


def answer_for(local: list[dict[str, Any]]) -> tuple[dict[str, Any], list[list[str]]]:
    """What a good model would say of the clip, with times a little off and one invented scene; and the track each element means."""
    told, meant = [], []
    for scene, (start, end) in zip(local, [(0.1, CUT + 0.2), (CUT - 0.1, 2.1)], strict=True):
        tracks = [track for track in scene["tracks"] if track["present"]]
        elements = []
        for track in tracks:
            box = track["bbox"]
            corners = [box["y"] / 360, box["x"] / 640, (box["y"] + box["height"]) / 360, (box["x"] + box["width"]) / 640]
            elements.append(
                {
                    "type": track["object_class"], "description": f"the {track['label']}", "difficulty": "hard",
                    "position": f"{track['vertical']} {track['horizontal']}", "box": [round(1000 * min(max(one, 0), 1)) for one in corners],
                }
            )  # fmt: skip
        elements.append(
            {"type": "product", "description": "a spaceship", "difficulty": "easy", "box": [0, 0, 8, 8], "position": "top left"}
        )
        told.append({"start_seconds": start, "end_seconds": end, "description": "Seen.", "importance": 7, "scene_type": "both",
                     "replaceable_elements": elements})  # fmt: skip
        meant.append([track["track_id"] for track in tracks])
    told.append({"start_seconds": 40, "end_seconds": 50, "description": "Invented.", "importance": 1, "scene_type": "none"})
    return {"scenes": told}, meant


def test_elements_find_their_tracks_and_invented_times_are_refused(clean: Pipeline, done: VideoOutcome, gemini: FakeGemini) -> None:
    video_id = done.video_id or ""
    answer, meant = answer_for(scenes(clean, video_id))
    gemini.script(Behaviour(Kind.ANSWER, answer=answer))
    settings = asking(clean, gemini)
    (outcome,) = run_videos(settings, [video_id])
    assert (outcome.status, outcome.note, set(outcome.seconds)) == ("completed", None, {"scenes"})
    told = scenes(clean, video_id)
    assert [one["describer"] for one in told] == ["gemini", "gemini"]
    for scene, ids in zip(told, meant, strict=True):
        elements = scene["replaceable_elements"]
        assert [one["tracks"] for one in elements] == [[track] for track in ids] + [[]]
        assert not elements[-1]["matched"] and elements[-1]["difficulty"] == "easy"
        for one in elements[:-1]:
            assert one["match_confidence"] > 0.5 and one["model_difficulty"] == "hard" and one["measured_difficulty"] == one["difficulty"]
            assert one["figures"]["visible_seconds"] > 0 and "mask_stability" in one["figures"]
    assert [(check["action"], check["given"]) for check in told[0]["time_checks"]] == [("moved", 0.1), ("moved", CUT + 0.2)]
    assert [check["given"] for check in told[1]["time_checks"] if check["action"] == "refused"] == [40, 50]
    assert all("Invented" not in one["description"] for one in told)
    assert gemini.file_names == []

    (again,) = run_videos(settings, [video_id])  # fresh: nothing is asked, nothing computed
    (forced,) = run_videos(settings, [video_id], force=True)  # everything is computed, nothing is asked
    assert again.seconds == {} and set(forced.seconds) == set(versions.STAGES)
    assert gemini.accepted_generations == 1 and scenes(clean, video_id) == told
    _cost_is_shown(clean, settings, video_id)


def _cost_is_shown(pipeline: Pipeline, settings: Settings, video_id: str) -> None:
    (asked,) = questions.of_video(pipeline.storage.db, video_id)
    prices = (settings.gemini_input_price, settings.gemini_output_price)
    assert asked["cost_usd"] == round((asked["input_tokens"] * prices[0] + asked["output_tokens"] * prices[1]) / 1e6, 6) > 0
    text = reframer(pipeline.settings.home_dir, "show", video_id).stdout
    assert f"{asked['input_tokens']} + {asked['output_tokens']} tokens" in text and "in Gemini's opinion" in text
    shown = json.loads(reframer(pipeline.settings.home_dir, "show", video_id, "--json").stdout)
    assert shown["gemini"][0]["model_version"] == "gemini-3.8-flash"
    with dagster_home.open_instance(settings) as instance:
        import dagster as dg

        event = instance.get_latest_materialization_event(dg.AssetKey("scenes"))
    assert event is not None and event.asset_materialization is not None
    figures = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert figures["gemini_cost_usd"] == asked["cost_usd"] and figures["gemini_input_tokens"] == asked["input_tokens"]
    assert figures["gemini_answer"] == "paid for earlier"


def test_another_prompt_makes_scenes_stale_and_nothing_else(
    clean: Pipeline, done: VideoOutcome, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini)
    list(run_videos(settings, [video_id]))
    monkeypatch.setattr(versions, "GEMINI_PROMPT_VERSION", 99)
    states = stage_states(clean.storage.db, [video_id], settings, clean.weights())[video_id]
    assert {stage: state.state for stage, state in states.items() if state.state != "fresh"} == {"scenes": "stale"}
    assert states["scenes"].reasons == ("gemini_prompt: 1 → 99",)
    (outcome,) = run_videos(settings, [video_id])
    assert set(outcome.seconds) == {"scenes"} and gemini.accepted_generations == 2
    assert len(questions.of_video(clean.storage.db, video_id)) == 2
    assert "in all for this video" in reframer(clean.settings.home_dir, "show", video_id).stdout


@pytest.mark.parametrize(("kind", "code"), [(Kind.UNAVAILABLE, "gemini_unavailable"), (Kind.SAFETY, "gemini_blocked")])
def test_when_gemini_cannot_answer_scenes_are_local_and_stay_stale(
    clean: Pipeline, done: VideoOutcome, gemini: FakeGemini, kind: Kind, code: str
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini)
    before = scenes(clean, video_id)
    gemini.script(Behaviour(kind, times=99))
    (outcome,) = run_videos(settings, [video_id])
    assert outcome.status == "completed" and f"[{code}]" in (outcome.note or "")
    assert scenes(clean, video_id) == before  # exactly what a deployment without a key has
    assert status.get_video(clean.storage.db, video_id)["status"] == "completed"
    states = stage_states(clean.storage.db, [video_id], settings, clean.weights())[video_id]
    assert states["scenes"].state == "stale" and "resolved_describer: local → gemini" in states["scenes"].reasons
    (asked,) = questions.of_video(clean.storage.db, video_id)
    assert asked["failure_code"] == code and asked["next_ask_at"] is not None
    assert f"did not answer: [{code}]" in reframer(clean.settings.home_dir, "show", video_id).stdout


def test_or_the_video_fails_if_it_is_told_to(clean: Pipeline, done: VideoOutcome, gemini: FakeGemini) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini, gemini_on_failure="fail")
    before = scenes(clean, video_id)
    (outcome,) = run_videos(settings.model_copy(update={"gemini_model": "gemini-2.0-flash"}), [video_id])
    assert (outcome.status, outcome.failure_code) == ("failed", "gemini_model_unknown")
    assert "REFRAMER_GEMINI_MODEL" in (outcome.failure_message or "")
    assert scenes(clean, video_id) == before  # readers keep what they had


def test_keyframes_are_sent_in_place_of_the_video(clean: Pipeline, done: VideoOutcome, gemini: FakeGemini) -> None:
    video_id = done.video_id or ""
    settings = asking(clean, gemini, gemini_media="keyframes", gemini_keyframes=3)
    (outcome,) = run_videos(settings, [video_id])
    assert outcome.status == "completed" and gemini.accepted_generations == 1
    parts = next(one.body for one in gemini.requests if one.body)["contents"][0]["parts"]
    times = [float(part["text"].split()[0]) for part in parts if part.get("text", "").endswith(" s:")]
    assert 1 <= len(times) <= 3 and times == sorted(times)
    assert min(times) < CUT <= max(times)  # each shot is shown
    assert sum("inlineData" in part for part in parts) == len(times)


def test_the_command_line_says_what_happened(clean: Pipeline, done: VideoOutcome, gemini: FakeGemini, clip: Path) -> None:
    gemini.script(Behaviour(Kind.BLOCKED, times=9))
    variables = {"GEMINI_API_KEY": "very-secret", "GOOGLE_GEMINI_BASE_URL": gemini.url}
    ran = reframer(clean.settings.home_dir, "run", str(clip), "--models", "demo", **variables)
    assert ran.returncode == 0 and "described locally: [gemini_blocked]" in ran.stdout
    assert "very-secret" not in ran.stdout + ran.stderr
    refused = reframer(clean.settings.home_dir, "run", str(clip), "--models", "demo", "--describer", "gemini")
    assert refused.returncode != 0 and "GEMINI_API_KEY" in refused.stdout + refused.stderr
