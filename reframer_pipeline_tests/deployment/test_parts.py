"""Whatever part of a deployment is killed comes back by itself. Runs go on meanwhile, and what is handed in afterwards is computed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from reframer_pipeline.cli.parts import LOOK_S
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline_tests.deployment.deployment import Deployment

pytestmark = [pytest.mark.timeout(1500), pytest.mark.soak]  # six minutes, most of it waiting
PARTS = {
    "daemon": "dagster._daemon", "web server": "dagster_webserver", "code server": "dagster api grpc", "first process": "dagster dev"
}  # fmt: skip


def test_a_killed_part_comes_back_and_runs_go_on(tmp_path: Path) -> None:
    with Deployment(tmp_path / "home") as own:

        def hand_in(number: int) -> None:
            clip = tmp_path / f"{number}.mp4"
            write_clip(make_clip(3_990_000 + number, width=320, height=180, n_frames=60, shots=1), clip)
            clip.rename(own.uploads / clip.name)

        for number, (name, word) in enumerate(PARTS.items(), start=1):
            own.wait("all parts", lambda: all(own.processes(each) for each in PARTS.values()))
            time.sleep(2 * LOOK_S)  # what was never seen is not missed
            hand_in(number)
            own.wait("a run", lambda: [row for row in own.rows("processing_jobs") if row["stage"] in ("detections", "masks")])
            before, told = own.processes(word), len(own.said())
            for pid in before:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            own.wait(f"another {name}", lambda word=word, before=before: set(own.processes(word)) - set(before))
            assert "Dagster has ended" in own.said()[told:]
            own.wait_for_completed(videos=number)
            own.wait("one daemon", lambda: len(own.processes("dagster._daemon")) == 1)
        hand_in(len(PARTS) + 1)
        own.wait_for_completed(videos=len(PARTS) + 1)
        assert [row["status"] for row in own.rows("processing_jobs")] == ["completed"] * (len(PARTS) + 1)
