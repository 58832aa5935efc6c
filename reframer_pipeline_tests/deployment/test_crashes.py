"""Kill -9 of a whole deployment at its worst moments: no upload is lost, nothing is done twice, and the status comes true again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import dagster as dg
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.dagster_internals import Worker, worker_of
from reframer_pipeline.orchestration.tags import PROCESS_VIDEO
from reframer_pipeline.orchestration.upkeep.life import DEAD_AFTER_S
from reframer_pipeline.planning.backlog import FIRST_PAUSE_S
from reframer_pipeline.running import dagster_home
from reframer_pipeline_tests.deployment.deployment import Deployment, is_running

pytestmark = [pytest.mark.timeout(1500), pytest.mark.long]  # most of it is waiting

STARTED = dg.DagsterRunStatus.STARTED
ODD_FILES = 6
KEPT_WAITING: Final = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = to_regclass('uploads')"
ENDED = ("run_died", "interrupted")  # the latter if the next run takes the video up before the death is noticed
LOOKS_S = 90.0  # of the status sensor and the schedule, one after the other


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path / "home") as deployment:
        yield deployment


def test_nothing_is_lost_and_nothing_done_twice(own: Deployment, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(make_clip(3_520_001, n_frames=50, shots=1), clip)
    with dagster_home.open_instance(own.settings) as instance:

        def runs(*statuses: dg.DagsterRunStatus, job: str = "ingest") -> list[dg.DagsterRun]:
            return instance.get_runs(dg.RunsFilter(job_name=job, statuses=statuses))

        for number in range(ODD_FILES):
            (own.uploads / f"{number}.mp4").write_text(f"no video, {number}")
        shutil.copy(clip, own.uploads)
        own.wait("the daemon", lambda: own.processes("dagster._daemon"))
        daemon = own.processes("dagster._daemon")
        own.wait("the first request of a tick", runs, every_s=0.01)
        for pid in daemon:  # at once: looking for all processes takes longer than the tick
            os.kill(pid, signal.SIGKILL)
        own.kill()
        assert 0 < len(runs()) < ODD_FILES + 1  # in the middle of the tick: some are requested, others not

        with own.db.transaction() as conn:  # an ingest may take less time than looking for it: this one cannot write its upload down
            conn.execute("LOCK TABLE uploads IN SHARE MODE")
            own.start()
            own.wait("an ingest that goes on", lambda: runs(STARTED) and own.db.fetch(KEPT_WAITING))
            own.kill()
        assert runs(STARTED)  # nobody could say that it is over

        own.start()
        own.wait("masks", lambda: [row for row in own.rows("processing_jobs") if row["stage"] == "masks" and row["done"] > 0])
        (run,) = runs(STARTED, job=PROCESS_VIDEO)
        assert worker_of(run) is Worker.ALIVE
        own.kill()
        assert worker_of(run) is Worker.GONE
        assert [row["status"] for row in own.rows("videos")] == ["processing"]

        own.start()
        own.wait("the true status", lambda: _first_end(own) in ENDED, DEAD_AFTER_S + LOOKS_S)
        own.wait("the run after it", lambda: len(own.rows("processing_jobs")) == 2, FIRST_PAUSE_S + LOOKS_S)
        own.wait_for_completed(videos=1)
        own.wait("all uploads", lambda: len(own.rows("uploads")) == ODD_FILES + 1)
        own.wait("the runs' end", lambda: not runs(STARTED) and not runs(STARTED, job=PROCESS_VIDEO))
        taken = own.rows("uploads")
        assert sorted(row["filename"] for row in taken) == sorted([*(f"{number}.mp4" for number in range(ODD_FILES)), clip.name])
        assert [row["failure_code"] for row in taken if row["status"] == "failed"] == ["not_a_video"] * ODD_FILES
        assert _first_end(own) in ENDED and [row["failure_code"] for row in own.rows("processing_jobs")][1:] == [None]
        made = [(row["stage"], row["run_id"]) for row in own.rows("results")]
        assert len(made) == 6 and len({run for _, run in made}) == 2  # the second run went on where the first had come to
        assert len(runs(dg.DagsterRunStatus.SUCCESS)) in (ODD_FILES, ODD_FILES + 1)  # one less if it was killed at its very end

        left = own.kill_the_first()  # as somebody does who knows no better: the others go on without it
        own.start()  # perhaps it was still the old web server that answered
        own.wait("the end of what was left", lambda: not any(map(is_running, left)))
        shutil.copy(own.uploads / "0.mp4", own.uploads / "once more.mp4")
        own.wait("another upload", lambda: len(own.rows("uploads")) == ODD_FILES + 2)


def _first_end(deployment: Deployment) -> str | None:
    codes: list[str | None] = [row["failure_code"] for row in deployment.rows("processing_jobs")]
    return codes[0] if codes else None
