"""Runs that are interrupted, killed or stand still: nothing is lost, nothing is blocked, and the status is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import StageStalled
from reframer_pipeline.orchestration.stage.interrupting import Watchdog, interruptible
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.work import jobs
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.computed import add


def test_the_watchdog_ends_what_stands_still() -> None:
    with pytest.raises(StageStalled, match="The nap made no progress"), Watchdog(0.2, "The nap"):
        for _ in range(100):
            time.sleep(0.05)


def test_the_watchdog_lets_work_go_on_and_is_over_when_stopped() -> None:
    with Watchdog(0.4, "The work") as watchdog:
        for _ in range(12):
            time.sleep(0.05)
            watchdog.feed()
        watchdog.stop()
        time.sleep(0.6)


def test_interruptible_returns_and_raises_like_a_call() -> None:
    assert interruptible(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)


def test_an_interrupt_reaches_the_work() -> None:
    reached = []

    def work() -> None:
        try:
            for _ in range(2000):
                time.sleep(0.05)
        except KeyboardInterrupt:
            reached.append(True)
            raise

    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert reached == [True]


def test_a_signal_that_reaches_another_thread_ends_the_work_too() -> None:
    """As it may when a stopped process goes on: Python heeds it only once the main thread runs code."""

    def work() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        for _ in range(2000):
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert time.monotonic() - began < 90


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.soak)])
def test_a_run_ended_during_masks_is_taken_up_again(how: signal.Signals, shared: Storage, tmp_path: Path) -> None:
    clip = tmp_path / f"{how.name}.mp4"
    write_clip(make_clip(3_100_000 + how, n_frames=60, shots=1), clip)
    settings = shared.settings.model_copy(update={"vid_stride": 1})
    video_id = add(shared, clip)
    variables = {**os.environ, "REFRAMER_HOME": str(settings.home_dir), "REFRAMER_MODELS": "demo", "REFRAMER_VID_STRIDE": "1"}
    command = [sys.executable, "-m", "reframer_pipeline", "run", str(clip)]
    before, said = set(settings.scratch_dir.iterdir()), tmp_path / "said"
    with said.open("w") as output:  # a pipe that nobody reads would hold it up
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        _wait_for_stage(shared, video_id, "masks", process)
        process.send_signal(signal.SIGSTOP)  # at masks, for as long as this takes
        stop = called(settings.home_dir, "db", "stop")
        process.send_signal(signal.SIGCONT)
        assert stop.returncode == 1
        assert f"`reframer run` (process {process.pid})" in stop.stderr and f"{clip.name} (masks, " in stop.stderr
        process.send_signal(how)
        began = time.monotonic()
        process.wait(240)
    finally:
        process.kill()
        errors = said.read_text()
        print(errors)
    if how == signal.SIGINT:
        assert process.returncode == 130, errors
        assert time.monotonic() - began < 120
        assert "Traceback" not in errors
        row = shared.db.fetch_one("SELECT status FROM videos WHERE id = %s", (video_id,))
        assert row == {"status": "pending"}
        assert _jobs(shared, video_id) == [("failed", "interrupted")]
        assert set(settings.scratch_dir.iterdir()) <= before

    # The pool's slot and the lease of the dead run must not hold the next one up for longer than the lease lives.
    (outcome,) = run_videos(settings, [video_id])
    assert outcome.status == "completed", outcome.failure_message
    assert set(outcome.seconds) == {"masks", "trajectories", "scenes"}
    assert _jobs(shared, video_id) == [("failed", "interrupted"), ("completed", None)]


def _jobs(shared: Storage, video_id: str) -> list[tuple[str, str | None]]:
    rows = shared.db.fetch("SELECT * FROM processing_jobs WHERE video_id = %s ORDER BY created_at", (video_id,))
    return [(row["status"], row["failure_code"]) for row in rows]


def _wait_for_stage(shared: Storage, video_id: str, stage: str, process: subprocess.Popen[bytes]) -> None:
    until, job = time.monotonic() + 600, None
    while time.monotonic() < until and process.poll() is None:
        job = jobs.latest(shared.db, video_id)
        if job is not None and job["stage"] == stage and job["done"] > 0:
            return
        time.sleep(0.2)
    pytest.fail(f"{stage} never began: exit {process.poll()}, job {job}")
