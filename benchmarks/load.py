"""A deployment under load for hours: uploads at a steady rate, stub models, and what grows.

    python -m benchmarks.load [--minutes 120] [--rate 50] [--workers 2] [--keep-minutes 30]

Clips of one second come into the watched folder, each with bytes of its own. The models are stubs (`stub_models`), so what is measured is
all that is around them. Every ten seconds: memory of each kind of process, connections, rows, bytes of the database and the data folder.
Dagster's finished runs go after half an hour here, every few minutes, as they go after 30 days once a day elsewhere.
Printed in the end: the slope of each over the second half, and whether it is within its own noise; and a plot, `benchmarks/load.svg`.
What belongs here: handing in, sampling, judging slopes. What does not: faults (`reframer_pipeline_tests.faults`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import psycopg

from reframer_pipeline.database import embedded
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline_tests.deployment.deployment import Deployment

HERE: Final = Path(__file__).parent
EVERY_S: Final = 10.0
ROLES: Final = {
    "worker": "reframer_pipeline worker", "daemon": "dagster._daemon", "web": "dagster_webserver", "api": "reframer_pipeline serve",
    "code server": "dagster api grpc", "dev": "reframer_pipeline dev",
}  # fmt: skip
COUNTS: Final = """SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    (SELECT count(*) FROM videos) AS videos, (SELECT count(*) FROM videos WHERE status = 'completed') AS completed,
    (SELECT sum(pg_database_size(datname)) FROM pg_database)::bigint / 1000000.0 AS database_mb"""
FORGET: Final = """import sys, dagster as dg
from reframer_pipeline.orchestration.upkeep.old_runs import delete_old_runs
with dg.DagsterInstance.get() as instance:
    delete_old_runs(instance, float(sys.argv[1]))"""
FORGET_EVERY_S: Final = 300.0
Samples = dict[str, list[tuple[float, float]]]


def unlike(clip: bytes, number: int) -> bytes:
    """The same film with other bytes: an mp4 may end in a box that nobody reads."""
    note = f"upload {number}".encode()
    return clip + (8 + len(note)).to_bytes(4, "big") + b"free" + note


def forget(own: Deployment, after_minutes: float) -> None:
    """What the daily retention does with Dagster's finished runs, in the daemon's own environment."""
    (daemon, *_) = own.processes("dagster._daemon")
    command = [sys.executable, "-c", FORGET, str(after_minutes / 24 / 60)]
    subprocess.run(command, env=psutil.Process(daemon).environ(), check=True, timeout=FORGET_EVERY_S)


def sample(own: Deployment, samples: Samples, began: float) -> None:
    """One look at everything that might grow."""
    now = time.monotonic() - began
    memory: dict[str, float] = defaultdict(float)
    for pid in own.processes(""):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            words = " ".join(process.cmdline())
            role = next((role for role, known in ROLES.items() if known in words), None)
            parent = process.parent()
            if role is None and parent is not None and "worker" in " ".join(parent.cmdline()):
                role = "worker"
            if role is not None:
                memory[role] = max(memory[role], process.memory_info().rss / 1e6)
    for role, value in memory.items():
        samples[f"{role}, MB"].append((now, value))
    with suppress(ReframerError):
        (row,) = own.db.fetch(COUNTS)
        for name, value in row.items():
            samples[name].append((now, float(value)))
    with suppress(psycopg.Error), psycopg.connect(embedded.server(own.settings).dagster_url, connect_timeout=10) as conn:
        (events,) = conn.execute("SELECT count(*) FROM event_logs").fetchone() or (0,)
        samples["Dagster's events"].append((now, float(events)))
    scratch = own.settings.scratch_dir
    samples["scratch, files"].append((now, sum(1 for path in scratch.rglob("*") if path.is_file()) if scratch.is_dir() else 0))


def slope(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Of the second half: the median, growth an hour, and the noise (standard deviation about the line) of one value."""
    half = points[len(points) // 2 :]
    at, values = np.array([one for one, _ in half]), np.array([value for _, value in half])
    line = np.polyfit(at, values, 1)
    return float(np.median(values)), float(line[0]) * 3600, float(np.std(values - np.polyval(line, at)))


def plot(samples: Samples, path: Path) -> None:
    """Each figure against minutes, each with a scale of its own."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = path.stem  # the same points give the same file
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(len(samples), 1, figsize=(8, 1.3 * len(samples)), sharex=True)
    for axis, (name, points) in zip(axes, sorted(samples.items()), strict=True):
        axis.plot([at / 60 for at, _ in points], [value for _, value in points], linewidth=1)
        axis.set_ylim(bottom=0)
        axis.set_title(name, fontsize=8, loc="left", pad=2)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("minutes", fontsize=8)
    plt.tight_layout()
    plt.savefig(path, metadata={"Date": None})


def _until(over: threading.Event, act: Callable[[], None]) -> None:
    while not over.wait(FORGET_EVERY_S):
        act()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=50.0, help="uploads a minute")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep-minutes", type=float, default=30.0, help="how long Dagster's finished runs stay")
    given = parser.parse_args()
    stubs = os.pathsep.join(filter(None, (str(HERE / "stub_models"), os.environ.get("PYTHONPATH", ""))))
    with tempfile.TemporaryDirectory(prefix="reframer-load-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        write_clip(make_clip(3_960_001, width=320, height=180, n_frames=25, shots=1), folder / "clip.mp4")
        clip, handed_in = (folder / "clip.mp4").read_bytes(), 0
        samples: Samples = defaultdict(list)
        over = threading.Event()
        with Deployment(folder / "home", REFRAMER_WORKERS=str(given.workers), PYTHONPATH=stubs) as own:
            storage_of(own.settings).db.fetch("SELECT 1")
            forgetting = threading.Thread(target=_until, args=(over, lambda: forget(own, given.keep_minutes)), daemon=True)
            forgetting.start()
            began = looked = time.monotonic()
            while (now := time.monotonic() - began) < 60 * given.minutes:
                while handed_in < now * given.rate / 60:
                    part = folder / f"{handed_in}.mp4"
                    part.write_bytes(unlike(clip, handed_in))
                    part.rename(own.uploads / part.name)
                    handed_in += 1
                if time.monotonic() - looked >= EVERY_S:
                    looked = time.monotonic()
                    sample(own, samples, began)
                    done = samples["completed"][-1][1] if samples["completed"] else 0
                    print(f"\r{now / 60:.0f} min, {handed_in} handed in, {done:.0f} completed   ", end="", file=sys.stderr)
                time.sleep(0.2)
            over.set()
            forgetting.join()
            disk = sum(path.stat().st_size for path in own.settings.home_dir.rglob("*") if path.is_file()) / 1e6
        embedded.stop(own.settings)
    ended = [value for _, value in samples["completed"]]
    print(f"\n{given.minutes:g} min, {given.rate:g} uploads a minute, {given.workers} workers, stub models: {handed_in} handed in")
    print(
        f"completed a minute: {(ended[-1] - ended[len(ended) // 4]) / (len(ended) * 3 / 4 * EVERY_S / 60):.1f}, the first quarter left out"
    )
    print(f"the data folder in the end: {disk:.0f} MB, {1000 * disk / max(1, ended[-1]):.0f} kB a video")
    print(f"{'':<18}{'median':>10}{'an hour':>10}{'noise':>10}")
    for figure, points in sorted(samples.items()):
        if len(points) >= 8:
            print(f"{figure:<18}{slope(points)[0]:>10.1f}{slope(points)[1]:>10.1f}{slope(points)[2]:>10.1f}")
    plot(samples, HERE / "load.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
