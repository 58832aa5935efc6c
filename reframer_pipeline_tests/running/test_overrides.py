"""Runs beside a deployment: whose settings count, what is kept with a video, and videos that wait for their turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.upkeep.life import DEAD_AFTER_S
from reframer_pipeline.orchestration.upkeep.reconcile import reconcile
from reframer_pipeline.planning import result_settings
from reframer_pipeline.planning.result_settings import Noted
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.factories import spoken_for


@pytest.fixture
def loose(shared: Storage, done: VideoOutcome) -> Iterator[Settings]:
    """The deployment, by an option of `reframer dev`, at another confidence than the default."""
    saved = shared.settings.model_copy(update={"conf": 0.43})
    result_settings.save(shared.db, saved)
    shared.db.execute("UPDATE videos SET settings_overrides = '{}'")
    yield saved
    shared.db.execute("UPDATE deployment SET settings = '{}'")
    shared.db.execute("UPDATE videos SET settings_overrides = '{}'")


@pytest.fixture
def other(shared: Storage, tmp_path: Path) -> Iterator[str]:
    """A second video, not computed; gone afterwards, since others look for work."""
    path = tmp_path / "other.mp4"
    write_clip(make_clip(3_600_001, n_frames=10, shots=1), path)
    video_id = add(shared, path)
    yield video_id
    shared.db.execute("DELETE FROM uploads WHERE video_id = %s", (video_id,))
    shared.db.execute("DELETE FROM videos WHERE id = %s", (video_id,))


def overrides(shared: Storage, video_id: str) -> dict[str, Any]:
    row = shared.db.fetch_one("SELECT settings_overrides FROM videos WHERE id = %s", (video_id,))
    assert row is not None
    return dict(row["settings_overrides"])


def test_a_run_takes_the_deployments_settings_and_keeps_what_was_asked_for(
    shared: Storage, loose: Settings, done: VideoOutcome, clip: Path
) -> None:
    home, video_id = shared.settings.home_dir, done.video_id or ""
    plain = called(home, "run", str(clip), "--json")
    assert plain.returncode == 0, plain.stderr
    assert "Own settings" not in plain.stderr and "Demonstration models" in plain.stderr  # the deployment's models, too
    assert overrides(shared, video_id) == {}
    detections = "SELECT components -> 'settings' ->> 'conf' AS conf FROM current_results WHERE video_id = %s AND stage = 'detections'"
    assert shared.db.fetch_one(detections, (video_id,)) == {"conf": "0.43"}

    asked = called(home, "run", str(clip), "--conf", "0.5")
    assert asked.stderr.count(f"Own settings kept with {clip.name}: conf 0.5") == 1
    assert "settings of its own: conf 0.5" in called(home, "show", video_id).stdout
    assert json.loads(called(home, "show", video_id, "--json").stdout)["video"]["settings_overrides"] == {"conf": 0.5}
    assert "Own settings" not in called(home, "run", str(clip), "--conf", "0.5").stderr

    again = called(home, "run", str(clip))
    assert again.stderr.count(f"Own settings taken from {clip.name}") == 1
    assert "settings of its own" not in called(home, "show", video_id).stdout
    assert list(run_videos(shared.settings.model_copy(update={"conf": 0.5}), [video_id]))[0].seconds == {}


def test_runs_of_one_process_ask_each_for_their_own(shared: Storage, loose: Settings, done: VideoOutcome) -> None:
    """Settings with the same values differ in what somebody gave."""
    video_id, asked = done.video_id or "", shared.settings.model_copy(update={"conf": 0.5})
    assert asked == shared.settings
    for settings, kept in ((shared.settings, {}), (asked, {"conf": 0.5})):
        (outcome,) = run_videos(settings, [video_id])
        assert outcome.status == "completed" and overrides(shared, video_id) == kept


def test_an_option_of_plan_counts_where_it_is_the_default(shared: Storage, loose: Settings, done: VideoOutcome) -> None:
    def conf_of_plan(*options: str) -> str:
        told = json.loads(called(shared.settings.home_dir, "plan", done.video_id or "", "--json", *options).stdout)
        (detections,) = [stage for stage in told["videos"][0]["stages"] if stage["stage"] == "detections"]
        return f"{detections['state']} {detections['reason'] or ''}"

    result_settings.save(shared.db, loose.model_copy(update={"conf": 0.46}))
    assert conf_of_plan().startswith("stale conf: 0.5 → 0.46")
    assert conf_of_plan("--conf", "0.5") == "fresh "


def test_those_that_wait_for_their_turn_are_spoken_for_with_their_settings(shared: Storage, done: VideoOutcome, other: str) -> None:
    seen: list[tuple[frozenset[str], dict[str, Any]]] = []
    said: list[Noted] = []
    asked = shared.settings.model_copy(update={"conf": 0.8})
    ids = [done.video_id or "", other]
    running = run_videos(
        asked,
        ids,
        announce=lambda video_id, stages: seen.append((spoken_for(shared.db), overrides(shared, other))),
        noted=said.append,
    )
    next(running)
    assert spoken_for(shared.db) == {other}
    with dagster_home.open_instance(shared.settings) as instance:
        reconcile(instance, shared)  # knows no such run, and leaves it alone
    assert spoken_for(shared.db) == {other}
    running.close()  # type: ignore[attr-defined]
    assert seen == [(frozenset({other}), {"conf": 0.8, "models": "demo"})]
    assert [set(one.video_ids) for one in said] == [set(ids)]
    assert spoken_for(shared.db) == set() and jobs.latest(shared.db, other) is None
    (back,) = run_videos(shared.settings, [done.video_id or ""])
    assert back.seconds == {}


def test_a_killed_command_ends_as_interrupted_and_its_settings_stay(shared: Storage, done: VideoOutcome, other: str) -> None:
    running = run_videos(shared.settings.model_copy(update={"conf": 0.8}), [done.video_id or "", other])
    next(running)
    db = shared.db
    db.execute("UPDATE processing_jobs SET updated_at = now() - %s * interval '1 second' WHERE status = 'pending'", (DEAD_AFTER_S + 1,))
    assert spoken_for(db) == set()
    with dagster_home.open_instance(shared.settings) as instance:
        reconcile(instance, shared)
    job = jobs.latest(db, other)
    assert job is not None and (job["status"], job["failure_code"]) == ("failed", "interrupted")
    running.close()  # type: ignore[attr-defined]
    assert overrides(shared, other)["conf"] == 0.8
    list(run_videos(shared.settings, [done.video_id or ""]))
