"""The GPU pool: with a limit of 1, two simultaneous runs never overlap in a step tagged gpu, whatever the executor. Who waits, sleeps; on
a machine without a GPU nobody waits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.assets import all_assets
from reframer_pipeline.orchestration.executors import waits_for_gpu
from reframer_pipeline.orchestration.tags import GPU_POOL
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.computed import add

GPU_STEPS = ("detections", "masks")
EXECUTORS = pytest.mark.parametrize("executor", ["in_process", pytest.param("multiprocess", marks=pytest.mark.long)])
Span = tuple[float, float]


def test_tag_and_pool_are_on_the_same_steps() -> None:
    for gpu_pool in (True, False):
        assets = all_assets(gpu_pool)
        assert {asset.key.path[-1] for asset in assets if asset.op.tags.get("reframer/device") == "gpu"} == set(GPU_STEPS)
        assert {asset.key.path[-1] for asset in assets if asset.op.pool == GPU_POOL} == (set(GPU_STEPS) if gpu_pool else set())


def test_without_a_gpu_only_processes_of_their_own_wait(gpu_in_sight: None) -> None:
    assert waits_for_gpu(Settings())
    assert waits_for_gpu(Settings(device="cuda:1"))
    assert not waits_for_gpu(Settings(device="cpu"))
    assert waits_for_gpu(Settings(device="cpu", executor="multiprocess"))


@EXECUTORS
def test_two_runs_share_one_gpu(executor: str, shared: Storage, tmp_path: Path, gpu_in_sight: None) -> None:
    clips = [_clip(tmp_path, {"in_process": 3_000_001, "multiprocess": 3_000_011}[executor] + number, 25) for number in range(2)]
    videos = [add(shared, clip) for clip in clips]
    started = [_started(shared, clip, executor) for clip in clips]
    for process in started:
        _ended_well(process)

    with dagster_home.open_instance(shared.settings) as instance:
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        runs = [_spans(instance, video) for video in videos]
    first, second = runs
    assert _overlap(_whole(first), _whole(second)), "the two runs were not simultaneous: nothing was tested"
    for one in GPU_STEPS:
        for other in GPU_STEPS:
            assert not _overlap(first[one], second[other]), f"{one} of one run overlaps {other} of the other"


@EXECUTORS
def test_who_waits_for_the_gpu_leaves_the_processor_to_others(executor: str, shared: Storage, tmp_path: Path, gpu_in_sight: None) -> None:
    clip = _clip(tmp_path, {"in_process": 3_000_021, "multiprocess": 3_000_031}[executor], 10)
    with dagster_home.open_instance(shared.settings) as instance, _taken(instance):
        process = _started(shared, clip, executor)
        while not instance.event_log_storage.get_concurrency_info(GPU_POOL).pending_step_count:
            assert process.poll() is None, process.communicate()[1].decode()[-2000:]
            time.sleep(0.1)
        waiting = psutil.Process(process.pid)
        before, began = sum(waiting.cpu_times()[:2]), time.monotonic()
        time.sleep(5)
        share = (sum(waiting.cpu_times()[:2]) - before) / (time.monotonic() - began)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=240)  # nor does the wait hold up Ctrl-C
    assert share < 0.03  # of a core: 0.006 here, and as much as it gets when Dagster waits by itself


def test_without_a_gpu_a_run_does_not_wait_for_another(shared: Storage, tmp_path: Path) -> None:
    video_id = add(shared, _clip(tmp_path, 3_000_041, 10))
    with dagster_home.open_instance(shared.settings) as instance, _taken(instance):
        (outcome,) = run_videos(shared.settings, [video_id])
    assert outcome.status == "completed", outcome.failure_message


@pytest.fixture
def gpu_in_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's program is there, as where its driver is installed; torch still finds no device."""
    program = tmp_path / "driver" / "nvidia-smi"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@contextmanager
def _taken(instance: dg.DagsterInstance) -> Iterator[None]:
    """The pool's only slot is another run's."""
    storage, run_id = instance.event_log_storage, str(uuid.uuid4())
    storage.initialize_concurrency_limit_to_default(GPU_POOL)
    assert storage.claim_concurrency_slot(GPU_POOL, run_id, "masks").is_claimed
    try:
        yield
    finally:
        storage.free_concurrency_slots_for_run(run_id)


def _clip(folder: Path, seed: int, frames: int) -> Path:
    path = folder / f"{seed}.mp4"
    write_clip(make_clip(seed, n_frames=frames, shots=1), path)
    return path


def _started(shared: Storage, clip: Path, executor: str) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "REFRAMER_HOME": str(shared.settings.home_dir), "REFRAMER_MODELS": "demo", "REFRAMER_VID_STRIDE": "2"}
    command = [sys.executable, "-m", "reframer_pipeline", "run", "--executor", executor, str(clip)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _ended_well(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors.decode()[-2000:]


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
