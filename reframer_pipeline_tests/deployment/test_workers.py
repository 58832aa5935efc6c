"""`reframer dev --workers 2`: a broker of its own, warm workers, and a run that goes on when its worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.running import embedded_broker
from reframer_pipeline.work import workers
from reframer_pipeline_tests.deployment.deployment import Deployment

pytestmark = [
    pytest.mark.timeout(1500),
    pytest.mark.long,
    pytest.mark.skipif(embedded_broker.program() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path / "home", REFRAMER_WORKERS="2") as deployment:
        yield deployment


def test_a_killed_worker_s_run_goes_on_and_nothing_is_lost(own: Deployment) -> None:
    own.wait("two workers", lambda: [row["state"] for row in workers.living(own.db)] == ["ready", "ready"])
    for name, frames, seed in (("one.mp4", 600, 3_830_001), ("two.mp4", 15, 3_830_002)):
        write_clip(make_clip(seed, n_frames=frames, shots=1), own.uploads.parent / name)
        (own.uploads.parent / name).rename(own.uploads / name)
    own.wait("masks", lambda: [row for row in own.rows("processing_jobs") if row["stage"] == "masks" and row["done"] > 0])
    (at_masks,) = (row["run_id"] for row in own.rows("processing_jobs") if row["stage"] == "masks" and row["status"] == "processing")
    own.wait("its worker", lambda: _at(own, at_masks))
    child = psutil.Process(int(_at(own, at_masks)[0]["name"].rpartition(":")[2]))
    for pid in (child.ppid(), child.pid):
        os.kill(pid, signal.SIGKILL)
    own.wait_for_completed(videos=2)
    jobs = own.rows("processing_jobs")
    assert sorted(row["failure_code"] or row["status"] for row in jobs) == ["completed", "completed", "run_died"]
    made = own.rows("results")
    assert len(made) == 12 and not own.db.fetch("SELECT * FROM leases")
    assert {row["stage"] for row in made if row["run_id"] == at_masks} <= {"metadata", "frames", "detections"}
    own.wait("two workers again", lambda: [row["state"] for row in workers.living(own.db)].count("ready") == 2)
    said = own.stop(signal.SIGINT)
    assert "Stopped." in said
    assert not [process for process in psutil.process_iter(["environ"]) if _is_of(own, process)]


def _at(deployment: Deployment, run_id: str) -> list[dict[str, object]]:
    return [row for row in workers.living(deployment.db) if row["run_id"] == run_id]


def _is_of(deployment: Deployment, process: psutil.Process) -> bool:
    """Whether it is a worker or the broker of this deployment."""
    variables = process.info["environ"] or {}
    home = str(deployment.settings.home_dir)
    with suppress(psutil.Error):  # gone meanwhile
        if "beam" in process.name():
            return variables.get("HOME") == f"{home}/rabbitmq"
        return "worker" in process.cmdline() and variables.get("REFRAMER_HOME") == home
    return False
