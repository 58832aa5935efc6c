"""Scenes by Gemini through the whole pipeline, against the local stand-in: matched, checked, paid once, and local when it cannot answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from reframer_pipeline import versions
from reframer_pipeline.corrections.events import Delete, Rename
from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.failures import CorrectionRefused
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.reading import sheets
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.scenes.gemini import claims
from reframer_pipeline.scenes.gemini import client as client_module
from reframer_pipeline.scenes.gemini.ask import Asker
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES, describers
from reframer_pipeline.vision import weights
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.command import called, started
from reframer_pipeline_tests.computed import CLIP_SEED
from reframer_pipeline_tests.corrections.walkers import correct, undo
from reframer_pipeline_tests.factories import plan_of
from reframer_pipeline_tests.servers import Server, fresh_database

CUT = make_clip(CLIP_SEED, n_frames=50, shots=2).cuts[0] / 25  # seconds


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.02)


@pytest.fixture
def clean(shared: Storage, done: VideoOutcome) -> Iterator[Storage]:
    """Nothing asked yet; afterwards the local description is what readers see again."""
    shared.db.execute("DELETE FROM gemini_questions")
    yield shared
    shared.db.execute("DELETE FROM gemini_questions")
    forget_gemini(shared)
    list(run_videos(shared.settings, [done.video_id or ""]))


@pytest.fixture
def second(shared: Storage, embedded_server: Server) -> Iterator[Storage]:
    """Another, empty database for the same store."""
    for url in fresh_database(embedded_server):
        with open_storage(shared.settings.model_copy(update={"database_url": SecretStr(url)})) as opened:
            yield opened


def forget_gemini(shared: Storage) -> None:
    """Delete the results that Gemini described."""
    for row in shared.db.fetch("SELECT result_id FROM results WHERE components -> 'settings' ->> 'resolved_describer' = 'gemini'"):
        shared.db.execute("DELETE FROM published WHERE result_id = %s", (row["result_id"],))
        shared.db.execute("DELETE FROM results WHERE result_id = %s", (row["result_id"],))


def asking(shared: Storage, server: FakeGemini, **more: Any) -> Settings:
    given = {"gemini_api_key": "key", "gemini_url": server.url, "gemini_attempts": 2, "gemini_requests_per_minute": 6000, **more}
    return shared.settings.model_copy(update=Settings(**given).model_dump(include=set(given)))


def scenes(shared: Storage, video_id: str) -> list[dict[str, Any]]:
    rows = shared.db.fetch("SELECT analysis_data FROM current_scene_analysis WHERE video_id = %s ORDER BY scene_number", (video_id,))
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


def test_elements_find_their_tracks_and_invented_times_are_refused(clean: Storage, done: VideoOutcome, gemini: FakeGemini) -> None:
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
    assert again.seconds == {} and set(forced.seconds) == set(NAMES)
    assert gemini.accepted_generations == 1 and scenes(clean, video_id) == told
    _cost_is_shown(clean, settings, video_id)


@pytest.mark.parametrize("media", ["video", "keyframes"])
def test_scenes_that_are_corrected_by_hand_are_described_by_the_same_answer(
    clean: Storage, done: VideoOutcome, gemini: FakeGemini, media: str
) -> None:
    video_id = done.video_id or ""
    answer, meant = answer_for(scenes(clean, video_id))
    gemini.script(Behaviour(Kind.ANSWER, answer=answer))
    list(run_videos(asking(clean, gemini, gemini_media=media), [video_id]))
    told = scenes(clean, video_id)
    correct(clean, video_id, Rename(track_id=meant[0][0], label="red mug"), Delete(track_id=meant[1][0]))
    now = scenes(clean, video_id)
    assert [one["describer"] for one in now] == ["gemini", "gemini"] and gemini.accepted_generations == 1
    assert [one["description"] for one in now] == [one["description"] for one in told]
    first, *_ = now[0]["replaceable_elements"]
    assert (first["tracks"], first["label"], first["by_hand"]) == ([meant[0][0]], "red mug", ["label"])
    assert first["model_difficulty"] == "hard" and first["description"] == told[0]["replaceable_elements"][0]["description"]
    assert not any(meant[1][0] in one["tracks"] for one in now[1]["replaceable_elements"])
    clean.db.execute("UPDATE gemini_questions SET digest = 'other ' || digest")
    with pytest.raises(CorrectionRefused, match="answer is not kept"):
        correct(clean, video_id, Rename(track_id=meant[0][0], label="cup"))
    assert scenes(clean, video_id) == now
    clean.db.execute("UPDATE gemini_questions SET digest = substr(digest, 7)")
    undo(clean, video_id, 1), undo(clean, video_id, 2)
    assert scenes(clean, video_id) == told
    clean.db.execute("DELETE FROM corrections")
    clean.db.execute("DELETE FROM results WHERE corrects IS NOT NULL")


@pytest.mark.parametrize("media", ["video", "keyframes"])
def test_a_rebuilt_database_corrects_what_gemini_described_and_asks_nothing(
    clean: Storage, done: VideoOutcome, gemini: FakeGemini, second: Storage, media: str
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini, gemini_media=media)
    answer, meant = answer_for(scenes(clean, video_id))
    gemini.script(Behaviour(Kind.ANSWER, answer=answer))
    list(run_videos(settings, [video_id]))
    told, paid = scenes(clean, video_id), show_video(clean.db, video_id)["gemini"]
    rebuild(second.db, second.store)
    assert scenes(second, video_id) == told
    names = ("model", "model_version", "requests", "input_tokens", "output_tokens", "cost_usd")
    restored = [{name: one[name] for name in names} for one in show_video(second.db, video_id)["gemini"]]
    assert {name: paid[0][name] for name in names} in restored  # beside those whose scenes the database has forgotten and the store has not
    correct(second, video_id, Rename(track_id=meant[0][0], label="red mug"))
    first, *_ = scenes(second, video_id)[0]["replaceable_elements"]
    assert (first["label"], first["model_difficulty"], first["by_hand"]) == ("red mug", "hard", ["label"])
    undo(second, video_id, 1)
    assert scenes(second, video_id) == told and gemini.accepted_generations == 1


def figures_of_scenes(settings: Settings) -> dict[str, Any]:
    """What the UI shows of the latest scenes."""
    with dagster_home.open_instance(settings) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("scenes"))
    assert event is not None and event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def _cost_is_shown(shared: Storage, settings: Settings, video_id: str) -> None:
    (asked,) = show_video(shared.db, video_id)["gemini"]
    prices = (settings.gemini_input_price, settings.gemini_output_price)
    assert asked["cost_usd"] == round((asked["input_tokens"] * prices[0] + asked["output_tokens"] * prices[1]) / 1e6, 6) > 0
    text = called(shared.settings.home_dir, "show", video_id).stdout
    assert f"{asked['input_tokens']} + {asked['output_tokens']} tokens" in text and "in Gemini's opinion" in text
    shown = json.loads(called(shared.settings.home_dir, "show", video_id, "--json").stdout)
    assert shown["gemini"][0]["model_version"] == "gemini-3.8-flash"
    figures = figures_of_scenes(settings)
    assert figures["gemini_answer"] == "paid for earlier" and figures["gemini_cost_in_all_usd"] == asked["cost_usd"]
    assert figures["gemini_cost_usd"] == figures["gemini_input_tokens"] == 0  # over all runs they add up to what was paid


def test_another_prompt_makes_scenes_stale_and_nothing_else(
    clean: Storage, done: VideoOutcome, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini)
    list(run_videos(settings, [video_id]))
    monkeypatch.setattr(versions, "GEMINI_PROMPT_VERSION", 99)
    states = plan_of(clean.db, video_id, settings, weights.digests(clean.settings)).stages
    assert {stage: state.state for stage, state in states.items() if state.state != "fresh"} == {"scenes": "stale"}
    assert states["scenes"].reasons == ("gemini_prompt: 1 → 99",)
    (outcome,) = run_videos(settings, [video_id])
    assert set(outcome.seconds) == {"scenes"} and gemini.accepted_generations == 2
    assert len(show_video(clean.db, video_id)["gemini"]) == 2
    assert "in all for this video" in called(clean.settings.home_dir, "show", video_id).stdout


@pytest.mark.parametrize(("kind", "code"), [(Kind.UNAVAILABLE, "gemini_unavailable"), (Kind.SAFETY, "gemini_blocked")])
def test_when_gemini_cannot_answer_scenes_are_local_and_stay_stale(
    clean: Storage, done: VideoOutcome, gemini: FakeGemini, kind: Kind, code: str
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini)
    before = scenes(clean, video_id)
    gemini.script(Behaviour(kind, times=99))
    (outcome,) = run_videos(settings, [video_id])
    assert outcome.status == "completed" and f"[{code}]" in (outcome.note or "")
    assert scenes(clean, video_id) == before  # exactly what a deployment without a key has
    assert get_video(clean.db, video_id)["status"] == "completed"
    states = plan_of(clean.db, video_id, settings, weights.digests(clean.settings)).stages
    assert states["scenes"].state == "stale" and "resolved_describer: local → gemini" in states["scenes"].reasons
    (asked,) = show_video(clean.db, video_id)["gemini"]
    assert asked["failure_code"] == code and asked["next_ask_at"] is not None
    assert f"did not answer: [{code}]" in called(clean.settings.home_dir, "show", video_id).stdout


def test_or_the_video_fails_if_it_is_told_to(clean: Storage, done: VideoOutcome, gemini: FakeGemini) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini, gemini_on_failure="fail")
    before = scenes(clean, video_id)
    (outcome,) = run_videos(settings.model_copy(update={"gemini_model": "gemini-2.0-flash"}), [video_id])
    assert (outcome.status, outcome.failure_code) == ("failed", "gemini_model_unknown")
    assert "REFRAMER_GEMINI_MODEL" in (outcome.failure_message or "")
    assert scenes(clean, video_id) == before  # readers keep what they had


def test_keyframes_are_sent_in_place_of_the_video(clean: Storage, done: VideoOutcome, gemini: FakeGemini) -> None:
    video_id = done.video_id or ""
    settings = asking(clean, gemini, gemini_media="keyframes", gemini_keyframes=3)
    (outcome,) = run_videos(settings, [video_id])
    assert outcome.status == "completed" and gemini.accepted_generations == 1
    parts = next(one.body for one in gemini.requests if one.body)["contents"][0]["parts"]
    times = [float(part["text"].split()[0]) for part in parts if part.get("text", "").endswith(" s:")]
    assert 1 <= len(times) <= 3 and times == sorted(times)
    assert min(times) < CUT <= max(times)  # each shot is shown
    assert sum("inlineData" in part for part in parts) == len(times)


def test_the_command_line_says_what_happened(clean: Storage, done: VideoOutcome, gemini: FakeGemini, clip: Path) -> None:
    gemini.script(Behaviour(Kind.BLOCKED, times=9))
    variables = {"GEMINI_API_KEY": "very-secret", "GOOGLE_GEMINI_BASE_URL": gemini.url}
    ran = called(clean.settings.home_dir, "run", str(clip), "--models", "demo", **variables)
    assert ran.returncode == 0 and "described locally: [gemini_blocked]" in ran.stdout
    assert "very-secret" not in ran.stdout + ran.stderr
    refused = called(clean.settings.home_dir, "run", str(clip), "--models", "demo", "--describer", "gemini")
    assert refused.returncode != 0 and "GEMINI_API_KEY" in refused.stdout + refused.stderr


# Each scripted behaviour, through the whole pipeline: the code of the failure (None: Gemini answered), requests to generate, those charged.
OUTCOMES: list[tuple[Kind, int, str | None, int, int]] = [
    (Kind.RATE_LIMITED, 1, None, 2, 1),
    (Kind.RATE_LIMITED, 9, "gemini_rate_limited", 3, 0),
    (Kind.INTERNAL, 9, "gemini_unavailable", 3, 0),
    (Kind.UNAVAILABLE, 9, "gemini_unavailable", 3, 0),
    (Kind.HTML, 9, "gemini_unavailable", 3, 0),
    (Kind.HANG, 9, "gemini_unavailable", 2, 2),
    (Kind.DRIP, 9, "gemini_unavailable", 2, 2),
    (Kind.DROP, 9, "gemini_unavailable", 3, 0),
    (Kind.CUT_OFF, 9, "gemini_unavailable", 2, 2),
    (Kind.HALF_JSON, 9, "gemini_unavailable", 2, 2),
    (Kind.EMPTY, 9, "gemini_answer_invalid", 2, 2),
    (Kind.BAD_GZIP, 9, "gemini_unavailable", 2, 2),
    (Kind.MAX_TOKENS, 1, None, 2, 2),
    (Kind.MAX_TOKENS, 9, "gemini_answer_invalid", 2, 2),
    (Kind.FENCED, 9, None, 1, 1),
    (Kind.SAFETY, 9, "gemini_blocked", 1, 1),
    (Kind.BLOCKED, 9, "gemini_blocked", 1, 1),
    (Kind.PAST_END, 9, None, 1, 1),
    (Kind.ODD_TEXT, 9, None, 1, 1),
    (Kind.RETIRED, 9, "gemini_model_unknown", 1, 0),
    (Kind.BAD_REQUEST, 9, "gemini_request_refused", 1, 0),
    (Kind.FILE_FAILS, 9, "gemini_file_refused", 0, 0),
    (Kind.FILE_STAYS, 9, "gemini_file_not_ready", 0, 0),
    (Kind.FILE_EXPIRES, 1, None, 2, 1),
]


def test_each_behaviour_ends_with_the_right_rows(clean: Storage, done: VideoOutcome) -> None:
    video_id = done.video_id or ""
    for kind, times, code, asked, charged in OUTCOMES:
        what = f"{kind} x {times}"
        clean.db.execute("DELETE FROM gemini_questions")
        forget_gemini(clean)
        with FakeGemini() as server:
            server.script(Behaviour(kind, times=times, wait_seconds=0.6 if kind is Kind.HANG else 0))
            timeout, deadline = 0.5 if kind in (Kind.HANG, Kind.DRIP) else 30, 2 if kind is Kind.FILE_STAYS else 60
            settings = asking(clean, server, gemini_attempts=3, gemini_inline_mb=0, gemini_timeout_s=timeout, gemini_deadline_s=deadline)
            began = time.monotonic()
            (outcome,) = run_videos(settings, [video_id])
            assert time.monotonic() - began < 55, what
            patience = time.monotonic() + 60  # the stand-in notes a request once it has dealt with it
            while len(server.requests_of(Endpoint.GENERATE)) < asked and time.monotonic() < patience:
                time.sleep(0.05)
            (row,) = show_video(clean.db, video_id)["gemini"]
            assert (row["failure_code"], row["answered_at"] is not None) == (code, code is None), what
            assert (row["failures"], row["next_ask_at"] is not None) == (int(code is not None), code is not None), what
            assert (len(server.requests_of(Endpoint.GENERATE)), row["requests"]) == (asked, charged), what
            told = scenes(clean, video_id)
            invented = kind is Kind.PAST_END  # the only scene of so short a clip is refused, and nothing is left of the answer
            assert {scene["describer"] for scene in told} == {"local" if code or invented else "gemini"}, what
            assert any(check["action"] == "refused" for scene in told for check in scene["time_checks"]) == invented, what
            assert (outcome.status, get_video(clean.db, video_id)["status"]) == ("completed", "completed"), what
            assert server.file_names == [] and not row["being_asked"], what
            shown = figures_of_scenes(settings)
            assert shown["gemini_cost_usd"] == row["cost_usd"], what
            assert ("described_locally" in shown) == (code is not None), what


def test_forced_runs_and_other_askers_pay_once(clean: Storage, done: VideoOutcome, gemini: FakeGemini, clip: Path) -> None:
    """A forced run here, one in another process, and askers beside them, all at once."""
    video_id, settings = done.video_id or "", asking(clean, gemini)
    gemini.script(Behaviour(Kind.ANSWER, wait_seconds=3.0, times=9))
    facts = next(sheets.published(clean, video_id)["metadata"].batches()).to_pylist()[0]
    were_there: list[bool] = []

    def ask() -> None:
        asker = Asker(clean.db, settings, video_id, facts, lambda: nullcontext(clip), lambda: None)
        were_there.append(asker.answer(None, list)[1])

    variables = {"GEMINI_API_KEY": "key", "GOOGLE_GEMINI_BASE_URL": gemini.url}
    child: list[Any] = []

    def run_elsewhere() -> None:
        child.append(started(clean.settings.home_dir, "run", str(clip), "--models", "demo", "--force", **variables))

    threads = [threading.Thread(target=run_elsewhere), *(threading.Thread(target=ask) for _ in range(3))]
    for thread in threads:
        thread.start()
    (outcome,) = run_videos(settings, [video_id], force=True)
    for thread in threads:
        thread.join()
    assert (outcome.status, outcome.note) == ("completed", None) and child[0].returncode == 0, child[0].stderr
    assert were_there.count(False) == 1 and gemini.accepted_generations == len(gemini.requests_of(Endpoint.GENERATE)) == 1
    assert {scene["describer"] for scene in scenes(clean, video_id)} == {"gemini"}


def test_what_nobody_foresaw_and_a_missing_key_do_not_cost_the_local_description(
    clean: Storage, done: VideoOutcome, gemini: FakeGemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id, settings = done.video_id or "", asking(clean, gemini)
    keyless = settings.model_copy(update={"describer": "gemini", "gemini_api_key": None})  # as overrides that are stored can make it
    (outcome,) = run_videos(keyless, [video_id])
    assert outcome.status == "completed" and "[gemini_key_refused]" in figures_of_scenes(settings)["described_locally"]
    monkeypatch.setattr(describers, "_ask_gemini", lambda *_: 1 / 0)
    (outcome,) = run_videos(settings.model_copy(update={"gemini_api_key": SecretStr("other")}), [video_id])
    assert outcome.status == "completed"
    assert (
        figures_of_scenes(settings)["described_locally"] == "[gemini_unavailable] Asking Gemini ended with an unexpected ZeroDivisionError."
    )


def test_show_says_that_a_question_is_being_asked_or_was_left(clean: Storage, done: VideoOutcome) -> None:
    video_id = done.video_id or ""
    _, claim = claims.take(clean.db, claims.Question("d", video_id, "gemini-x", 1), datetime.now(UTC), 0)
    assert "gemini-x is being asked" in called(clean.settings.home_dir, "show", video_id).stdout
    assert claim is not None
    claim.spent = claims.Spent(2, 100, 10, 0.5)
    claim.end()
    text = called(clean.settings.home_dir, "show", video_id).stdout
    assert "gemini-x was asked, and the asking was interrupted (100 + 10 tokens, $0.5000)" in text and "None" not in text
