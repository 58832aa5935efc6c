"""What a run costs that the daemon launches, beside the same work in a process that has done it before.

    python benchmarks/cold_start.py [--runs 3]

A real `reframer dev` with the demo models; clips of one second are dropped into its folder, one after the other. Each run is a process of
its own: it starts, imports, loads both models and computes six stages. Beside it, in the same minutes: clips like them through `run_videos`
in one process, the first of which loads the models.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import dagster as dg

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.deployment.deployment import Deployment

E = dg.DagsterEventType
SEED = 3_800_001


def clip(folder: Path, number: int) -> Path:
    path = folder / f"{number}.mp4"
    write_clip(make_clip(SEED + number, n_frames=25, shots=1), path)
    return path


def daemon_launched(deployment: Deployment, path: Path, count: int) -> dict[str, float]:
    """Seconds of each part, from the file's arrival to the end."""
    dropped = time.time()
    (deployment.uploads / path.name).write_bytes(path.read_bytes())
    deployment.wait("the video", lambda: len(deployment.rows("videos")) == count)
    deployment.wait_for_completed(count)
    with dagster_home.open_instance(deployment.settings) as instance:
        deployment.wait("the run's end", lambda: E.PIPELINE_SUCCESS in times(instance, "process_video"))  # the video is completed before
        run = times(instance, "process_video")
        ingest = times(instance, "ingest")
    return {
        "file arrives -> ingest run requested (settling, sensor)": ingest[E.PIPELINE_ENQUEUED][0] - dropped,
        "ingest run": ingest[E.PIPELINE_SUCCESS][0] - ingest[E.PIPELINE_ENQUEUED][0],
        "ingest done -> six assets requested": run[E.PIPELINE_ENQUEUED][0] - ingest[E.PIPELINE_SUCCESS][0],
        "queue": run[E.PIPELINE_STARTING][0] - run[E.PIPELINE_ENQUEUED][0],
        "process start and imports": run[E.STEP_START][0] - run[E.PIPELINE_STARTING][0],
        "six stages, both models loaded": run[E.STEP_SUCCESS][-1] - run[E.STEP_START][0],
        "run, without the queue": run[E.PIPELINE_SUCCESS][0] - run[E.PIPELINE_STARTING][0],
        "file arrives -> completed": run[E.PIPELINE_SUCCESS][0] - dropped,
    }


def times(instance: dg.DagsterInstance, job: str) -> dict[E, list[float]]:
    """When each kind of event happened in the job's last run."""
    (record,) = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    found: dict[E, list[float]] = {}
    for entry in instance.all_logs(record.dagster_run.run_id):
        if entry.dagster_event:
            found.setdefault(entry.dagster_event.event_type, []).append(entry.timestamp)
    return found


def in_process(storage: Storage, path: Path) -> float:
    """Seconds of the six stages where everything is imported."""
    video_id, began = add(storage, path), time.perf_counter()
    (outcome,) = run_videos(storage.settings, [video_id])
    assert outcome.status == "completed", outcome.failure_message
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Deployment(folder / "daemon") as deployment:
            launched = [daemon_launched(deployment, clip(folder, number), number + 1) for number in range(runs)]
        with Deployment(folder / "process") as deployment:  # its database, and the same neighbours on the machine
            storage = storage_of(deployment.settings)
            first, *warm = [in_process(storage, clip(folder, number)) for number in range(runs, 2 * runs + 2)]
            storage.close()
    parts = {part: statistics.median(one[part] for one in launched) for part in launched[0]}
    parts |= {"in a process: the first clip, models loaded": first, "in a process: every further clip": statistics.median(warm)}
    for part, seconds in parts.items():
        print(f"{part:58} {seconds:6.1f} s")
    print(f"ratio, daemon-launched run : clip in a warm process {parts['run, without the queue'] / statistics.median(warm):17.1f}")


if __name__ == "__main__":
    main()
