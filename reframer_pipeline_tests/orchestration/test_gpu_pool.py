"""The GPU pool: with a limit of 1, two simultaneous runs never overlap in a step tagged gpu, whatever the executor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.assets import ALL_ASSETS
from reframer_pipeline.orchestration.stage.resources import Pipeline
from reframer_pipeline.orchestration.tags import GPU_POOL
from reframer_pipeline.running import dagster_home
from reframer_pipeline_tests.computed import add

GPU_STEPS = ("detections", "masks")
Span = tuple[float, float]


def test_tag_and_pool_are_on_the_same_steps() -> None:
    pooled = {asset.key.path[-1] for asset in ALL_ASSETS if asset.op.pool == GPU_POOL}
    tagged = {asset.key.path[-1] for asset in ALL_ASSETS if asset.op.tags.get("reframer/device") == "gpu"}
    assert pooled == tagged == set(GPU_STEPS)


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_two_runs_share_one_gpu(executor: str, pipeline: Pipeline, tmp_path: Path) -> None:
    clips = []
    for number in range(2):
        seed = {"in_process": 3_000_001, "multiprocess": 3_000_011}[executor] + number
        clips.append(tmp_path / f"{seed}.mp4")
        write_clip(make_clip(seed, n_frames=25, shots=1), clips[-1])
    videos = [add(pipeline, clip) for clip in clips]
    variables = {**os.environ, "REFRAMER_HOME": str(pipeline.settings.home_dir), "REFRAMER_MODELS": "demo", "REFRAMER_VID_STRIDE": "2"}
    command = [sys.executable, "-m", "reframer_pipeline", "run", "--executor", executor]
    started = [subprocess.Popen([*command, str(clip)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for clip in clips]
    for process in started:
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors.decode()[-2000:]

    with dagster_home.open_instance(pipeline.settings) as instance:
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        runs = [_spans(instance, video) for video in videos]
    first, second = runs
    assert _overlap(_whole(first), _whole(second)), "the two runs were not simultaneous: nothing was tested"
    for one in GPU_STEPS:
        for other in GPU_STEPS:
            assert not _overlap(first[one], second[other]), f"{one} of one run overlaps {other} of the other"


def _spans(instance: dg.DagsterInstance, video_id: str) -> dict[str, Span]:
    """Start and end of each step of the video's run, from the event log."""
    (run,) = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": video_id}))
    starts: dict[str, float] = {}
    spans: dict[str, Span] = {}
    for entry in instance.all_logs(run.run_id):
        if entry.dagster_event is None or entry.step_key is None:
            continue
        if entry.dagster_event.event_type == dg.DagsterEventType.STEP_START:
            starts[entry.step_key] = entry.timestamp
        elif entry.dagster_event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            spans[entry.step_key] = (starts[entry.step_key], entry.timestamp)
    return spans


def _whole(spans: dict[str, Span]) -> Span:
    return min(start for start, _ in spans.values()), max(end for _, end in spans.values())


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
