"""Workers on Modal, as many as there are runs in the broker: `modal deploy deploy/modal_workers.py`.

Daemon, UI, API, databases, store and broker are elsewhere, where Modal reaches them. Modal's Secret `reframer` has what a worker reads:
REFRAMER_BROKER_URL, REFRAMER_DATABASE_URL, REFRAMER_DAGSTER_DATABASE_URL, REFRAMER_STORE_URL, REFRAMER_UPLOADS_URL, and the store's keys.

What belongs here: when a worker is started. What does not: what it does, and when it ends (`reframer worker --idle-s`).
Not run: there was no account. Its test imports it with Modal's own package, and tries `to_start`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import modal

WORKERS = 8  # at most; REFRAMER_MAX_CONCURRENT_RUNS of the daemon is as large
GPU = "L4"
IDLE_S = 120  # a worker without a run is paid for so long
LONGEST_S = 24 * 3600  # Modal's limit. A run that is cut off goes on in another worker, with the stage that it was at

app = modal.App("reframer")
root = Path(__file__).resolve().parents[1]
image = modal.Image.from_dockerfile(root / "deploy" / "Dockerfile", context_dir=root).entrypoint([])
secret = modal.Secret.from_name("reframer")
weights = modal.Volume.from_name("reframer-weights", create_if_missing=True)


def to_start(waiting: int, busy: int, there: int, most: int = WORKERS) -> int:
    """How many workers are to be started: one for each run, whether it waits or is computed.

    Args:
        waiting: Runs that no worker has.
        busy: Workers that compute one.
        there: Workers that were asked for and have not ended, those that still load their models included.
        most: Workers that there may be.
    """
    return max(min(most, waiting + busy) - there, 0)


@app.function(
    image=image, secrets=[secret], volumes={"/weights": weights}, gpu=GPU, cpu=4, memory=16_384, timeout=LONGEST_S, max_containers=WORKERS
)
def worker() -> None:
    """Compute runs until none comes any more."""
    environment = {**os.environ, "REFRAMER_HOME": "/tmp/reframer", "REFRAMER_WEIGHTS_DIR": "/weights"}
    subprocess.run(["reframer", "worker", "--idle-s", str(IDLE_S)], env=environment, check=True)


@app.function(image=image, secrets=[secret], schedule=modal.Period(seconds=60), max_containers=1)
def scale() -> None:
    """Start as many workers as are missing."""
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.orchestration.fleet.waiting import waiting
    from reframer_pipeline.settings import Settings
    from reframer_pipeline.work import workers

    with Database.open(Settings()) as database:
        busy = sum(row["state"] == "busy" for row in workers.living(database))
    there = worker.get_current_stats()
    for _ in range(to_start(waiting(os.environ["REFRAMER_BROKER_URL"]), busy, there.backlog + there.num_total_runners)):
        worker.spawn()
