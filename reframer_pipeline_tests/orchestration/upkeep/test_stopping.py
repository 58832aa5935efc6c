"""The runs of a `reframer dev` that is stopped: named, and ended where they were killed. A run of the command line goes on."""

from __future__ import annotations

import uuid
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRun

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.stage.runs import token_of
from reframer_pipeline.orchestration.tags import FILENAME_TAG, HOME_TAG, LEASE_TAG, PARTITION_TAG
from reframer_pipeline.orchestration.upkeep import stopping
from reframer_pipeline.orchestration.upkeep.launcher import home_id
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.work import jobs, lease
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.computed import add


@pytest.fixture
def video_ids(shared: Storage, tmp_path: Path) -> list[str]:
    """Four videos of the test's own."""
    for number in range(4):
        write_clip(make_clip(3_540_000 + number, n_frames=5, shots=1), tmp_path / f"{number}.mp4")
    return [add(shared, tmp_path / f"{number}.mp4") for number in range(4)]


def test_killed_runs_are_ended_and_others_go_on(shared: Storage, video_ids: list[str]) -> None:
    db, (killed, starting, elsewhere, neighbour) = shared.db, video_ids
    here, there = home_id(shared.settings), home_id(shared.settings.model_copy(update={"home": Path("/elsewhere")}))
    with dagster_home.open_instance(shared.settings) as instance:

        def run(status: dg.DagsterRunStatus, job: str = "process_video", **tags: str) -> str:
            tags = {HOME_TAG: here} | tags
            return instance.add_run(DagsterRun(job, run_id=str(uuid.uuid4()), status=status, tags=tags)).run_id

        def work_on(video_id: str, run_id: str, token: str) -> None:
            lease.acquire(db, video_id, run_id, token=token)
            started = jobs.start(db, video_id, run_id, lease_token=token, pinned={}, stage="masks")
            assert started is not None
            jobs.progress(db, started.job_id, "masks", 12, 40)

        asleep, began = run(dg.DagsterRunStatus.CANCELING, **{PARTITION_TAG: killed}), dg.DagsterRunStatus.STARTING
        work_on(killed, asleep, token_of(asleep))
        begun = run(began, **{PARTITION_TAG: starting}), run(began, "ingest", **{FILENAME_TAG: "new.mp4"}), run(began, "retention")
        token = str(uuid.uuid4())
        living = run(dg.DagsterRunStatus.STARTED, **{PARTITION_TAG: elsewhere, LEASE_TAG: token})
        work_on(elsewhere, living, token)
        beside = run(dg.DagsterRunStatus.STARTED, **{PARTITION_TAG: neighbour, HOME_TAG: there})  # it shares Dagster's database
        work_on(neighbour, beside, token_of(beside))
        by_hand = run(began, **{PARTITION_TAG: "no video"})  # a partition that somebody made in the UI
        try:
            runs = stopping.going_on(instance, shared.settings)
            assert {one.run_id for one in runs} == {asleep, *begun, by_hand}
            lines = {"0.mp4 (masks, 12 of 40)", "1.mp4 (process_video)", "new.mp4 (ingest)", "retention", "process_video"}
            assert set(stopping.describe(runs, db)) == lines
            stopping.write_ends(instance, shared)
            assert stopping.going_on(instance, shared.settings) == []
            states = {one.run_id: one.status for one in instance.get_runs(dg.RunsFilter(run_ids=[asleep, *begun, living, beside, by_hand]))}
            assert {states.pop(living), states.pop(beside)} == {dg.DagsterRunStatus.STARTED}
            assert set(states.values()) == {dg.DagsterRunStatus.CANCELED}
            assert jobs.latest(db, killed)["failure_code"] == "interrupted"  # type: ignore[index]
            assert [get_video(db, video_id)["status"] for video_id in video_ids] == ["pending", "pending", "processing", "processing"]
            assert lease.held_by(db, elsewhere, token) and lease.held_by(db, neighbour, token_of(beside))
            assert not lease.held_by(db, killed, token_of(asleep))
        finally:
            for run_id in (asleep, *begun, living, beside, by_hand):
                instance.delete_run(run_id)
            lease.release(db, elsewhere, token)
            lease.release(db, neighbour, token_of(beside))
