"""Ctrl-C on `reframer dev` in the middle of its work: it says what it ends, ends it, and loses nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.tags import PROCESS_VIDEO
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline_tests.deployment.deployment import Deployment

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

QUEUED, STARTING, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED
CANCELING, CANCELED = dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Deployment]:
    # Many masks: on a busy machine it may take half a minute until the other upload is in the queue, and the first must still be at work.
    with Deployment(tmp_path / "home", REFRAMER_MAX_CONCURRENT_RUNS="1", REFRAMER_VID_STRIDE="1") as deployment:
        yield deployment


def test_ctrl_c_ends_what_runs_and_loses_nothing(own: Deployment) -> None:
    with dagster_home.open_instance(own.settings) as instance:

        def names(*statuses: dg.DagsterRunStatus) -> list[str]:
            runs = instance.get_runs(dg.RunsFilter(job_name=PROCESS_VIDEO, statuses=statuses))
            return sorted(run.tags["reframer/filename"] for run in runs)

        def rests() -> bool:
            """No run goes on, no job is open, nothing is held; what was interrupted waits, and is not the video's fault."""
            jobs, claims = own.rows("processing_jobs"), instance.event_log_storage
            assert not names(STARTING, STARTED, CANCELING)
            assert {(row["status"], row["failure_code"]) for row in jobs if row["stage"]} <= {("failed", "interrupted")}
            assert {row["status"] for row in own.rows("videos")} == {"pending"}
            assert own.db.fetch("SELECT * FROM leases") == []
            assert not any(claims.get_concurrency_info(key).claimed_slots for key in claims.get_concurrency_keys())
            return True

        for name, seed in (("one.mp4", 3_530_001), ("two.mp4", 3_530_002)):
            write_clip(make_clip(seed, n_frames=200, shots=1), own.uploads.parent / name)
            (own.uploads.parent / name).rename(own.uploads / name)
        own.wait("masks", lambda: [row for row in own.rows("processing_jobs") if row["stage"] == "masks" and row["done"] > 0])
        own.wait("a run in the queue", lambda: names(QUEUED))
        (at_work,), (waiting,) = names(STARTED), names(QUEUED)
        said = own.stop(signal.SIGINT)
        assert f"{at_work} (masks, " in said and "1 run waits in the queue" in said and waiting not in said
        assert rests() and names(QUEUED) == [waiting] and names(CANCELED) == [at_work]
        kept = [row["stage"] for row in own.rows("results")]
        assert {"metadata", "frames", "detections"} <= set(kept) and "masks" not in kept

        own.start()
        own.wait("the run that waited", lambda: waiting in names(STARTING, STARTED))  # it begins with loading libraries and models
        assert waiting in own.stop(signal.SIGTERM)
        assert rests()

    (video,) = [row for row in own.rows("videos") if row["filename"] == at_work]
    (outcome,) = run_videos(own.settings, [str(video["id"])])
    assert outcome.status == "completed" and set(outcome.seconds) == {"masks", "trajectories", "scenes"}
