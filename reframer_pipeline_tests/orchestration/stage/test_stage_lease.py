"""The lease of a run that nobody holds one for: all its processes share it, and another run's keep out."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest
from dagster._core.storage.dagster_run import DagsterRun

from reframer_pipeline.failures import VideoBusy
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.stage.stage_lease import give_back, lease_of
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.work import lease

STAGE = """
import sys
from dagster._core.storage.dagster_run import DagsterRun
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.settings import Settings
from reframer_pipeline.orchestration.stage.stage_lease import lease_of
with lease_of(DagsterRun("process_video", run_id=sys.argv[2]), Pipeline(Settings()).storage.db, sys.argv[1]) as token:
    print(token)
"""


def stage(pipeline: Pipeline, video_id: str, run_id: str) -> str:
    """A stage in a process of its own; returns its token."""
    environment = {**os.environ, "REFRAMER_HOME": str(pipeline.settings.home_dir)}
    command = [sys.executable, "-c", STAGE, video_id, run_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=lease.TTL_S - 5)
    assert done.stderr == ""
    return done.stdout.strip()


def test_stages_with_processes_of_their_own_share_one_lease(pipeline: Pipeline, done: VideoOutcome) -> None:
    db, run_id, video_id = pipeline.storage.db, str(uuid.uuid4()), done.video_id or ""
    first = stage(pipeline, video_id, run_id)
    assert lease.held_by(db, video_id, first)  # between two stages, too
    with pytest.raises(VideoBusy), lease_of(DagsterRun("process_video"), db, video_id, patience_s=0):
        pass
    run = DagsterRun("process_video", run_id=run_id)
    with lease_of(run, db, video_id) as second:  # masks and trajectories at a time
        assert stage(pipeline, video_id, run_id) == second == first
    give_back(run_id)
    assert not lease.held_by(db, video_id, first)
