"""The plan and the schedule that follows it: exactly what is stale, for every video, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.requests.schedules import backfill
from reframer_pipeline.orchestration.tags import PROCESS_VIDEO
from reframer_pipeline.planning import result_settings
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention.eviction import evict_older
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import jobs, lease
from reframer_pipeline_tests.command import called, started
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.factories import add_video

ORIGIN = RemoteJobOrigin(  # where a queued run is to be started from
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("reframer_pipeline.definitions"), SINGLETON_REPOSITORY_NAME), PROCESS_VIDEO
)
AFTER_CONF = ["detections", "masks", "trajectories", "scenes"]


@pytest.fixture(scope="module", autouse=True)
def _as_before(shared: Storage, done: VideoOutcome) -> Iterator[None]:
    """What other files' tests share is left as it was."""
    (row,) = shared.db.fetch("SELECT settings_overrides FROM videos WHERE id = %s", (done.video_id,))
    shared.db.execute("DELETE FROM processing_jobs WHERE status = 'failed'")  # other tests': the backfill would pause after them
    yield
    query = "UPDATE videos SET settings_overrides = %s WHERE id = %s"
    shared.db.execute(query, (json.dumps(row["settings_overrides"]), done.video_id))


@pytest.fixture(scope="module")
def three(shared: Storage, done: VideoOutcome, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three finished videos."""
    ids = [done.video_id or ""]
    for seed in (3_300_001, 3_300_002):
        path = tmp_path_factory.mktemp("more") / f"{seed}.mp4"
        write_clip(make_clip(seed, n_frames=20, shots=1), path)
        ids.append(add(shared, path))
    outcomes = list(run_videos(shared.settings, ids))
    assert [one.status for one in outcomes] == ["completed"] * 3
    return ids


@pytest.fixture
def conf(shared: Storage, three: list[str]) -> Iterator[Settings]:
    """The deployment with another confidence."""
    changed = shared.settings.model_copy(update={"conf": 0.4})
    result_settings.save(shared.db, changed)
    shared.db.execute("UPDATE videos SET settings_overrides = '{}'")
    yield changed
    shared.db.execute("UPDATE deployment SET settings = '{}'")


def tick(shared: Storage) -> list[dg.RunRequest] | dg.SkipReason:
    with dagster_home.open_instance(shared.settings) as instance:
        context = dg.build_schedule_context(instance=instance, resources={"storage": shared})
        return backfill(context)  # type: ignore[return-value]


def test_the_plan_names_what_another_confidence_makes_stale(shared: Storage, conf: Settings, three: list[str]) -> None:
    told = json.loads(started(shared.settings.home_dir, "plan", *three, "--json").stdout)
    assert [one["video_id"] for one in told["videos"]] == sorted(three, key=three.index)
    for one in told["videos"]:
        stale = [stage for stage in one["stages"] if stage["state"] != "fresh"]
        assert [stage["stage"] for stage in stale] == AFTER_CONF and {stage["state"] for stage in stale} == {"stale"}
        assert stale[0]["reason"] == "conf: 0.5 → 0.4; detector_floor: 0.5 → 0.4"
        assert stale[1]["reason"] == "other detections"
        assert all(stage["estimated_seconds"] > 0 and stage["estimated_cost"] == 0 for stage in stale)
    people = called(shared.settings.home_dir, "plan").stdout
    assert "conf: 0.5 → 0.4" in people and "have work" in people
    what_if = json.loads(called(shared.settings.home_dir, "plan", three[0], "--conf", "0.5", "--json").stdout)
    assert len(what_if["videos"]) == 1


def test_one_tick_requests_just_that_for_all(shared: Storage, conf: Settings, three: list[str]) -> None:
    requests = tick(shared)
    assert isinstance(requests, list)
    wanted = [one for one in requests if one.partition_key in three]
    assert [one.partition_key for one in wanted] == three
    for one in wanted:
        assert [key.to_user_string() for key in one.asset_selection or []] == AFTER_CONF
        assert one.tags["dagster/priority"] == "-5" and one.run_key
    again = tick(shared)
    assert isinstance(again, list) and [one.run_key for one in again] == [one.run_key for one in requests]  # nothing ran: the same work
    with lease.hold(shared.db, three[0], owner="test"):
        busy = tick(shared)
        assert isinstance(busy, list) and three[0] not in [one.partition_key for one in busy]


def test_a_run_with_other_settings_is_not_reverted(shared: Storage, three: list[str]) -> None:
    own = shared.settings.model_copy(update={"shot_threshold": 20.0})
    result_settings.save(shared.db, shared.settings)
    list(run_videos(own, [three[1]]))
    told = json.loads(called(shared.settings.home_dir, "plan", three[1], "--json").stdout)
    assert {stage["state"] for stage in told["videos"][0]["stages"]} == {"fresh"}
    requests = tick(shared)
    assert isinstance(requests, dg.SkipReason) or three[1] not in [one.partition_key for one in requests]
    list(run_videos(shared.settings, [three[1]]))
    row = shared.db.fetch_one("SELECT settings_overrides FROM videos WHERE id = %s", (three[1],))
    assert row == {"settings_overrides": {}}
    shared.db.execute("UPDATE deployment SET settings = '{}'")


def test_the_requested_run_computes_with_the_deployments_settings(shared: Storage, conf: Settings, three: list[str]) -> None:
    with dagster_home.open_instance(shared.settings) as instance:
        job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)  # a process that knows only the defaults
        ran = job.execute_in_process(
            instance=instance, partition_key=three[2], asset_selection=[dg.AssetKey(stage) for stage in AFTER_CONF], raise_on_error=False
        )
    assert ran.success
    told = json.loads(called(shared.settings.home_dir, "plan", three[2], "--json").stdout)
    assert {stage["state"] for stage in told["videos"][0]["stages"]} == {"fresh"}
    result_settings.save(shared.db, shared.settings)
    assert [one.status for one in run_videos(shared.settings, [three[2]])] == ["completed"]


def test_pictures_that_were_evicted_are_made_again_for_what_looks_at_them(shared: Storage, conf: Settings, three: list[str]) -> None:
    shared.db.execute("UPDATE videos SET updated_at = now() - interval '2 days' WHERE id = %s", (three[1],))
    assert evict_older(shared.db, shared.store, 1).videos == 1
    requests = tick(shared)
    assert isinstance(requests, list)
    (request,) = [one for one in requests if one.partition_key == three[1]]
    assert [key.to_user_string() for key in request.asset_selection or []] == ["frames", *AFTER_CONF]
    with dagster_home.open_instance(shared.settings) as instance:
        job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
        assert job.execute_in_process(instance=instance, partition_key=three[1], asset_selection=request.asset_selection).success
    told = json.loads(called(shared.settings.home_dir, "plan", three[1], "--json").stdout)
    assert {stage["state"] for stage in told["videos"][0]["stages"]} == {"fresh"}
    result_settings.save(shared.db, shared.settings)
    assert [one.status for one in run_videos(shared.settings, [three[1]])] == ["completed"]


def test_a_queued_run_that_is_wanted_no_more_is_taken_out_of_the_queue(shared: Storage, conf: Settings, three: list[str]) -> None:
    requests = tick(shared)
    assert isinstance(requests, list)
    (request,) = [one for one in requests if one.partition_key == three[0]]
    with dagster_home.open_instance(shared.settings) as instance:
        job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
        tags = {**request.tags, "dagster/partition": three[0]}
        queued = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=ORIGIN)
        by_hand = instance.create_run_for_job(  # somebody ran it again in the UI, which copies the tags
            job,
            tags=tags,
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=ORIGIN,
            parent_run_id=queued.run_id,
            root_run_id=queued.run_id,
        )
        jobs.queue(shared.db, {queued.run_id: three[0]})

        def is_queued(one: dg.DagsterRun = queued) -> bool:
            run = instance.get_run_by_id(one.run_id)
            assert run is not None
            return run.status == dg.DagsterRunStatus.QUEUED

        tick(shared)
        assert is_queued()  # it does what is wanted
        result_settings.save(shared.db, shared.settings)  # changed back: there is nothing to compute
        tick(shared)
        assert is_queued(by_hand)
        instance.delete_run(by_hand.run_id)
        assert not is_queued() and not shared.db.fetch("SELECT FROM processing_jobs WHERE run_id = %s", (queued.run_id,))


def test_help_teaches(tmp_path: Path) -> None:
    assert "what if" in called(tmp_path, "plan", "--help").stdout


def test_settings_changed_back_are_shown_again_by_a_tick(shared: Storage, three: list[str]) -> None:
    db, before = shared.db, shared.settings
    other = before.model_copy(update={"shot_threshold": 19.0})
    list(run_videos(other, [three[0]]))
    db.execute("UPDATE videos SET settings_overrides = '{}'")
    result_settings.save(db, before)
    (told,) = json.loads(called(before.home_dir, "plan", three[0], "--json").stdout)["videos"]
    assert {stage["state"] for stage in told["stages"]} == {"fresh"}
    reasons = {stage["stage"]: stage["reason"] for stage in told["stages"]}
    assert reasons["scenes"] == "computed before, not shown yet" and reasons["metadata"] is None
    people = called(before.home_dir, "plan", three[0]).stdout
    assert "1 videos are fresh (1 of them computed before and not shown yet), 0 have work." in people and "not shown yet" in people
    ticked = tick(shared)
    if isinstance(ticked, dg.SkipReason):
        assert "had their results already" in str(ticked.skip_message)
    else:  # another file's videos, in the same library, have work
        assert not {one.partition_key for one in ticked} & set(three)
    (told,) = json.loads(called(before.home_dir, "plan", three[0], "--json").stdout)["videos"]
    assert [stage["reason"] for stage in told["stages"]] == [None] * 6
    db.execute("UPDATE deployment SET settings = '{}'")


def test_plan_says_what_keeps_a_video(shared: Storage, conf: Settings, three: list[str]) -> None:
    db, recipe = shared.db, Planner.of(shared, conf).recipes({})[0]["detections"].digest

    def fail(run: str, code: str) -> None:
        db.execute(
            """INSERT INTO processing_jobs (video_id, run_id, status, failure_code, failure_message, failed_recipe, retryable, finished_at)
               VALUES (%s, %s, 'failed', %s, 'It failed.', %s, true, clock_timestamp())""",
            (three[0], run, code, recipe),
        )

    def told() -> tuple[str, bool]:
        """The first reason, and whether a tick asks for it."""
        (one,) = json.loads(called(shared.settings.home_dir, "plan", three[0], "--json").stdout)["videos"]
        (first, *_) = [stage for stage in one["stages"] if stage["state"] != "fresh"]
        requests = tick(shared)
        return first["reason"], isinstance(requests, list) and three[0] in [one.partition_key for one in requests]

    db.execute("UPDATE processing_jobs SET finished_at = finished_at - interval '1 day' WHERE video_id = %s", (three[0],))  # the good ones
    try:
        for number in range(shared.settings.max_attempts):
            fail(f"disk {number}", "disk_full")
        reason, asked = told()
        assert "conf: 0.5 → 0.4" in reason and "; waits until " in reason and "after 5 failed runs, the last with [disk_full]" in reason
        assert not asked
        db.execute("UPDATE processing_jobs SET finished_at = now() - interval '7 hours' WHERE failure_code = 'disk_full'")
        assert told()[1]  # however often: a full disk is not the video's fault
        for number in range(shared.settings.max_attempts):
            fail(f"stall {number}", "stalled")
        db.execute("UPDATE processing_jobs SET finished_at = now() - interval '7 hours' WHERE failure_code = 'stalled'")
        reason, asked = told()
        assert "given up after 5 attempts" in reason and not asked
    finally:
        db.execute("DELETE FROM processing_jobs WHERE failure_message = 'It failed.'")


def test_a_new_video_whose_run_failed_waits_in_one_line_with_uploads(shared: Storage, conf: Settings, three: list[str]) -> None:
    """Behind all of them it would wait for as long as uploads come in. One that has results to show is backlog as before."""
    new, _ = add_video(shared, seed=3_300_007)
    try:
        for video_id in (new, three[0]):
            shared.db.execute(
                """INSERT INTO processing_jobs (video_id, run_id, status, failure_code, failure_message, retryable, finished_at)
                   VALUES (%s, %s, 'failed', 'interrupted', 'It failed.', true, clock_timestamp() - interval '2 minutes')""",
                (video_id, f"run of {video_id}"),
            )
        shared.db.execute("UPDATE processing_jobs SET finished_at = finished_at - interval '1 day' WHERE status = 'completed'")
        shared.db.execute("UPDATE videos SET status = 'failed', failure_code = 'interrupted' WHERE id = %s", (new,))
        requests = tick(shared)
        assert isinstance(requests, list)
        assert {one.partition_key: one.tags["dagster/priority"] for one in requests if one.partition_key in (new, three[0])} == {
            new: "5", three[0]: "-5"
        }  # fmt: skip
    finally:
        shared.db.execute("DELETE FROM processing_jobs WHERE failure_message = 'It failed.'")
        shared.db.execute("DELETE FROM uploads WHERE video_id = %s", (new,))
        shared.db.execute("DELETE FROM videos WHERE id = %s", (new,))


def test_one_videos_own_weights_keep_no_other_waiting(shared: Storage, conf: Settings, three: list[str]) -> None:
    result_settings.save(shared.db, conf.model_copy(update={"conf": 0.37}))  # that nobody has computed yet
    db, own = shared.db, json.dumps({"models": "official", "sam2_model": "no such model", "yolo_model": str(Path(__file__))})
    db.execute("UPDATE videos SET settings_overrides = %s WHERE id = %s", (own, three[0]))
    requests = tick(shared)
    assert isinstance(requests, list) and [one.partition_key for one in requests if one.partition_key in three] == three[1:]
    told = json.loads(called(shared.settings.home_dir, "plan", *three, "--json").stdout)["videos"]
    said = [[stage["reason"] for stage in one["stages"] if "no such model" in (stage["reason"] or "")] for one in told]
    assert [len(reasons) for reasons in said] == [1, 0, 0] and "[settings_invalid]" in said[0][0]
    db.execute("UPDATE videos SET settings_overrides = '{}' WHERE id = %s", (three[0],))
