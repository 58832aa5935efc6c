"""The faults that a soak lets happen to a running deployment: real signals, real mounts, a real server that goes away.

What belongs here: one function a fault, which brings it about and takes back what does not end by itself. What does not: when (`soak`),
what must hold afterwards (`invariants`).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from reframer_pipeline.database import embedded
from reframer_pipeline_tests.deployment.deployment import Deployment, is_running
from reframer_pipeline_tests.servers import embedded_suspended, tell_embedded

Fault = Callable[[Deployment, random.Random], object]


def a_run_is_killed(own: Deployment, rng: random.Random) -> bool:
    """kill -9 of one process that computes."""
    return _one(own, rng, signal.SIGKILL, "spawn_main")


def the_daemon_is_killed(own: Deployment, rng: random.Random) -> bool:
    """Sensors, schedules and the queue's daemon."""
    return _one(own, rng, signal.SIGKILL, "dagster._daemon")


def the_web_server_is_killed(own: Deployment, rng: random.Random) -> bool:
    """Dagster's UI."""
    return _one(own, rng, signal.SIGKILL, "dagster_webserver")


def the_code_server_is_killed(own: Deployment, rng: random.Random) -> bool:
    """Which launches the runs, and is their parent."""
    return _one(own, rng, signal.SIGKILL, "dagster api grpc")


def the_api_is_killed(own: Deployment, rng: random.Random) -> bool:
    """`reframer serve`, perhaps in the middle of an upload."""
    return _one(own, rng, signal.SIGKILL, "reframer_pipeline serve")


def all_is_killed(own: Deployment, rng: random.Random) -> bool:
    """As when the machine loses power; it is started again."""
    own.kill()
    time.sleep(rng.uniform(0, 5))
    own.start()
    return True


def it_is_stopped(own: Deployment, rng: random.Random) -> bool:
    """Ctrl-C, and started again."""
    own.stop(signal.SIGINT)
    own.start()
    return True


def a_run_is_suspended(own: Deployment, rng: random.Random) -> bool:
    """SIGSTOP for up to twice a lease's time, then SIGCONT: another may have taken its video over."""
    pids = own.processes("spawn_main")
    if not pids:
        return False
    pid = rng.choice(pids)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(2, 90))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    return True


def postgres_is_killed(own: Deployment, rng: random.Random) -> bool:
    """kill -9 of the embedded server and all its processes at once."""
    return tell_embedded(own.settings, signal.SIGKILL)


def postgres_is_restarted(own: Deployment, rng: random.Random) -> bool:
    """A fast shutdown ends every transaction."""
    embedded.stop(own.settings)
    embedded.server(own.settings)
    return True


def postgres_is_suspended(own: Deployment, rng: random.Random) -> bool:
    """SIGSTOP of all its processes, as when a serverless database sleeps."""
    with embedded_suspended(own.settings) as done:
        time.sleep(rng.uniform(2, 25))
    return done


def connections_are_ended(own: Deployment, rng: random.Random) -> bool:
    """By the server: Dagster's and ours."""
    with psycopg.connect(embedded.server(own.settings).url("postgres"), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    return True


def the_store_is_unmounted(own: Deployment, rng: random.Random) -> bool:
    """An empty folder stands in its place, as where a disk is not mounted."""
    store = _store(own)
    if not store.is_dir():
        return False
    away = store.with_name("objects-elsewhere")
    store.rename(away)
    store.mkdir()
    time.sleep(rng.uniform(2, 20))
    written = [path for path in store.rglob("*") if path.is_file()]
    shutil.rmtree(store)
    away.rename(store)
    assert not written, f"written to an empty mount point: {written}"
    return True


def the_store_is_read_only(own: Deployment, rng: random.Random) -> bool:
    """A bind mount over itself, remounted; root alone may do so."""
    with _mounted(_store(own), "--bind", str(_store(own))) as done:
        if done:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(_store(own))], check=True, timeout=60)
            time.sleep(rng.uniform(2, 15))
        return done


def the_scratch_disk_is_full(own: Deployment, rng: random.Random) -> bool:
    """A file system of 16 kB in the place of the scratch folder; root alone may do so."""
    with _mounted(own.settings.scratch_dir, "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs") as done:
        if done:
            time.sleep(rng.uniform(2, 15))
        return done


FAULTS: dict[str, Fault] = {
    one.__name__: one
    for one in (
        a_run_is_killed, a_run_is_suspended, the_daemon_is_killed, the_web_server_is_killed, the_code_server_is_killed, the_api_is_killed,
        all_is_killed, it_is_stopped, postgres_is_killed, postgres_is_restarted, postgres_is_suspended, connections_are_ended,
        the_store_is_unmounted, the_store_is_read_only, the_scratch_disk_is_full,
    )
}  # fmt: skip


def _one(own: Deployment, rng: random.Random, how: signal.Signals, words: str) -> bool:
    pids = [pid for pid in own.processes(words) if is_running(pid)]
    if not pids:
        return False
    with suppress(ProcessLookupError):
        os.kill(rng.choice(pids), how)
    return True


def _store(own: Deployment) -> Path:
    return Path(own.settings.objects_url)


@contextmanager
def _mounted(place: Path, *words: str) -> Iterator[bool]:
    """A file system in a folder's place for a while; False where this machine allows none."""
    if not place.is_dir() or os.geteuid() != 0:
        yield False
        return
    done = subprocess.run(["mount", *words, str(place)], capture_output=True, timeout=60).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(place)], check=True, timeout=60)
