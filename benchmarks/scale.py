"""Warm workers beside a process for each run, and beside each other.

    python -m benchmarks.scale [beside stages killed many ends handing] [--pairs 5] [--clips 200]

Two real deployments with the demo models, `reframer dev` and `reframer dev --workers 1`, get clips of one second in turn, through their
watched folders; the same kind of clip is computed in a warm process of its own in between. The same again with workers for single stages.
Workers are killed in the middle of masks. Then many clips through one worker, with some that fail and some that are cancelled, and a
stand-in that sleeps (`sleeping`) through one, two and four workers: it says how runs are handed out, not how fast models are.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import dagster as dg

from benchmarks import sleeping
from benchmarks.cold_start import clip, in_process, times
from benchmarks.homes import fresh_home
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import workers
from reframer_pipeline_tests.deployment.deployment import Deployment
from reframer_pipeline_tests.orchestration.fleet.fleet import Fleet, fleet_over, running_broker

E = dg.DagsterEventType
SETTLED: Final = 20  # clips after which memory is what it will be
SLEEPS: Final = 24
AT_MASKS: Final = "SELECT 1 FROM processing_jobs WHERE stage = 'masks' AND done > 0 AND status = 'processing'"
_numbers = iter(range(100, 1_000_000))


def through(deployment: Deployment, folder: Path) -> tuple[float, float]:
    """A clip through the watched folder: seconds from launch to the first step, and to the end."""
    count = len(deployment.rows("videos")) + 1
    path = clip(folder, next(_numbers))
    path.rename(deployment.uploads / path.name)
    deployment.wait("the video", lambda: len(deployment.rows("videos")) == count)
    deployment.wait_for_completed(count)
    with dagster_home.open_instance(deployment.settings) as instance:
        deployment.wait("the run's end", lambda: E.PIPELINE_SUCCESS in times(instance, "process_video"))
        run = times(instance, "process_video")
    launched = run[E.PIPELINE_STARTING][0]
    return run[E.STEP_START][0] - launched, run[E.PIPELINE_SUCCESS][0] - launched


def spread(values: list[float]) -> str:
    """The median, and the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def beside(pairs: int, say: Callable[[str], None]) -> None:
    """The two deployments and the warm process."""
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        cold = stack.enter_context(Deployment(folder / "cold"))
        warm = stack.enter_context(Deployment(folder / "warm", REFRAMER_WORKERS="1"))
        warm.wait("a ready worker", lambda: [row["state"] for row in workers.living(warm.db)] == ["ready"])
        storage = storage_of(Settings(home=stack.enter_context(fresh_home()), models="demo", device="cpu"))
        in_process(storage, clip(folder, next(_numbers)))
        first = through(warm, folder)
        fleet, default, alone = [], [], []
        for _ in range(pairs):
            fleet.append(through(warm, folder))
            default.append(through(cold, folder))
            alone.append(in_process(storage, clip(folder, next(_numbers))))
        storage.close()

    whole = [end for _, end in fleet]
    say(f"launch to first step, s: worker {spread([step for step, _ in fleet])}, default launcher {spread([step for step, _ in default])}")
    say(f"launch to end, s: worker {spread(whole)}, default launcher {spread([end for _, end in default])}, in process {spread(alone)}")
    say(f"whole clip, worker : default launcher {spread([a / b for a, (_, b) in zip(whole, default, strict=True)])}")
    say(f"whole clip, worker : warm process {spread([a / b for a, b in zip(whole, alone, strict=True)])}")
    say(f"first clip of a ready worker : later ones {first[1] / statistics.median(whole):.2f}")


def by_stage(fleet: Fleet, pairs: int, say: Callable[[str], None]) -> None:
    """Workers for single stages beside a warm process; then one that computes masks is killed, and another is there."""
    for queue in ("runs", "cpu", "gpu"):
        fleet.start(1, "--queue", queue)
    first_step, whole, alone = [], [], []
    with tempfile.TemporaryDirectory() as name, fresh_home() as home:
        storage, folder = storage_of(Settings(home=home, models="demo", device="cpu")), Path(name)
        for pair in range(pairs + 1):
            run_id = fleet.launch(fleet.ingest(clip(folder, next(_numbers))))
            assert fleet.ended(run_id) is dg.DagsterRunStatus.SUCCESS
            own = in_process(storage, clip(folder, next(_numbers)))
            if pair:  # the first one warms both up
                began = first(fleet, run_id, E.PIPELINE_STARTING)
                first_step.append(first(fleet, run_id, E.STEP_START) - began)
                whole.append(first(fleet, run_id, E.PIPELINE_SUCCESS) - began)
                alone.append(own)
        storage.close()
        fleet.start(1, "--queue", "gpu")
        again, rest = [], []
        for _ in range(pairs):
            run_id = fleet.launch(fleet.ingest(long_clip(folder)))
            fleet.at(run_id, "masks")
            killed = time.time()
            fleet.worker_at(f"{run_id}/masks/0").end()
            assert fleet.ended(run_id) is dg.DagsterRunStatus.SUCCESS
            tries = [entry.timestamp for entry in fleet.instance.all_logs(run_id) if "computes masks on" in (entry.message or "")]
            assert len(tries) == 2 and len(fleet.rows("SELECT 1 FROM results WHERE run_id = %s", run_id)) == 6
            again.append(tries[1] - killed)
            rest.append(first(fleet, run_id, E.PIPELINE_SUCCESS) - killed)
            fleet.start(1, "--queue", "gpu")
    say(f"by stage: launch to first step, s {spread(first_step)}; launch to end {spread(whole)}, in process {spread(alone)}")
    say(f"by stage: whole clip, workers : warm process {spread([a / b for a, b in zip(whole, alone, strict=True)])}")
    say(f"by stage: killed in masks: elsewhere again after {spread(again)} s, the run's end after {spread(rest)} s")


def killed_run(pairs: int, say: Callable[[str], None]) -> None:
    """A worker that computes a whole run is killed in masks; a real daemon starts the rest again, and another worker is there."""
    noticed, completed = [], []
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Deployment(folder / "home", REFRAMER_WORKERS="2", REFRAMER_MAX_CONCURRENT_RUNS="2") as own:
            for number in range(pairs):
                own.wait("two workers", lambda: [row["state"] for row in workers.living(own.db)].count("ready") == 2)
                path = long_clip(folder)
                path.rename(own.uploads / path.name)
                own.wait("masks", lambda: own.db.fetch(AT_MASKS))
                (row,) = (row for row in workers.living(own.db) if row["run_id"])
                killed = time.time()
                os.kill(int(row["name"].rsplit(":", 1)[1]), signal.SIGKILL)
                own.wait_for_completed(number + 1)
                completed.append(time.time() - killed)
                with dagster_home.open_instance(own.settings) as instance:
                    (failed,) = instance.all_logs(row["run_id"], of_type=E.PIPELINE_FAILURE)
                    noticed.append(failed.timestamp - killed)
                made = own.db.fetch("SELECT stage, count(*) AS n FROM results GROUP BY stage")
                assert all(one["n"] == number + 1 for one in made) and len(made) == 6
    say(f"a run's worker killed in masks: noticed after {spread(noticed)} s, completed after {spread(completed)} s")


def long_clip(folder: Path) -> Path:
    """One whose masks take some seconds."""
    path = folder / f"{next(_numbers)}.mp4"
    write_clip(make_clip(5_400_000 + next(_numbers), n_frames=300, shots=1), path)
    return path


def first(fleet: Fleet, run_id: str, kind: E) -> float:
    """When a run first said so."""
    return min(entry.timestamp for entry in fleet.instance.all_logs(run_id, of_type=kind))


def many(fleet: Fleet, clips: int, say: Callable[[str], None]) -> None:
    """Memory of one worker over many clips."""
    (worker,) = fleet.start()
    memory = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(clips):
            path = clip(Path(name), next(_numbers))
            assert fleet.ended(fleet.launch(fleet.ingest(path))) is dg.DagsterRunStatus.SUCCESS
            fleet.wait(lambda number=number: fleet.row_of(worker)["runs"] == number + 1)  # type: ignore[misc]
            memory.append(fleet.row_of(worker)["memory_bytes"] / 1e6)
    loads = worker.log.read_text().count("loads its models")
    settled = memory[min(SETTLED, clips - 1)]
    say(f"{clips} clips through one worker: {settled:.0f} MB after {SETTLED}, {memory[-1]:.0f} MB at the end, models loaded {loads} times")


def ends(fleet: Fleet, clips: int, say: Callable[[str], None]) -> None:
    """What is held after runs that end in each way."""
    ended: list[dg.DagsterRunStatus] = []
    fleet.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def launch(path: Path, *stages: str) -> str:
            return fleet.launch(fleet.ingest(path), *stages)

        for _ in range(clips):
            ended.append(fleet.ended(launch(clip(folder, next(_numbers)))))
        for _ in range(clips // 5):
            ended.append(fleet.ended(launch(clip(folder, next(_numbers)), "masks")))  # of detections that are not there
        for _ in range(clips // 10):
            run_id = launch(long_clip(folder))
            fleet.at(run_id, "masks")
            fleet.instance.run_launcher.terminate(run_id)
            ended.append(fleet.ended(run_id))
    time.sleep(70)
    counts = ", ".join(f"{ended.count(status)} {status.value}" for status in sorted(set(ended), key=str))
    open_jobs = fleet.rows("SELECT 1 FROM processing_jobs WHERE status = 'processing'")
    say(f"70 s after {counts}: {len(fleet.leases())} leases, {len(open_jobs)} open jobs")


def handing_out(fleet: Fleet, say: Callable[[str], None]) -> None:
    """The stand-in through one, two and four workers."""
    took = {}
    for count in (1, 2, 4):
        fleet.start(count - sum(one.process.poll() is None for one in fleet.workers))
        began = time.monotonic()
        runs = [_launch(fleet) for _ in range(SLEEPS)]
        fleet.wait(lambda runs=runs: all(fleet.run(run_id).is_finished for run_id in runs))  # type: ignore[misc]
        took[count] = time.monotonic() - began
    gains = ", ".join(f"{count} workers {took[1] / took[count]:.2f} times" for count in (2, 4))
    say(f"{SLEEPS} runs of a stand-in that sleeps {sleeping.SLEEP_S:g} s: one worker {took[1]:.1f} s; {gains}")


def _launch(fleet: Fleet) -> str:
    from reframer_pipeline.orchestration.dagster_internals import LaunchRunContext

    job = dg.reconstructable(sleeping.sleeping)
    run = fleet.instance.create_run_for_job(
        job.get_definition(), job_code_origin=job.get_python_origin(), status=dg.DagsterRunStatus.STARTING
    )
    fleet.instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    return run.run_id


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("rows", nargs="*", help="Of beside, stages, killed, many, ends, handing; all by default.")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--clips", type=int, default=200)
    chosen = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    rows: dict[str, Callable[[Fleet], None]] = {
        "many": lambda fleet: many(fleet, chosen.clips, say),
        "ends": lambda fleet: ends(fleet, 50, say),
        "handing": lambda fleet: handing_out(fleet, say),
    }
    wanted = chosen.rows or ["beside", "stages", "killed", *rows]
    if "beside" in wanted:
        beside(chosen.pairs, say)
    if "killed" in wanted:
        killed_run(chosen.pairs, say)
    for name in wanted:
        executor = "celery" if name == "stages" else "in_process"
        with ExitStack() as stack:
            if name in rows or name == "stages":
                home = stack.enter_context(fresh_home())
                broker = stack.enter_context(running_broker(home.with_name("broker")))
                fleet = stack.enter_context(fleet_over(home, broker.url, executor=executor))
                by_stage(fleet, chosen.pairs, say) if name == "stages" else rows[name](fleet)


if __name__ == "__main__":
    main()
