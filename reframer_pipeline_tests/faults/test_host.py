"""What a host does to those who run on it: its clock jumps, and its kernel kills what takes too much memory."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reframer_pipeline.database.embedded import database_url as database_url_of
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import LeaseLost
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import lease
from reframer_pipeline_tests.command import environment
from reframer_pipeline_tests.factories import Maker, add_video, commit
from reframer_pipeline_tests.faults.invariants import agreeing, blamed, clean
from reframer_pipeline_tests.faults.ledger import Ledger
from reframer_pipeline_tests.faults.watching import Watching
from reframer_pipeline_tests.servers import fresh_database, running_postgres15

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CGROUPS = Path("/sys/fs/cgroup")
ROOM_MB = 350  # too little for torch, enough for all that comes before


class Clock:
    """The clock of a Postgres server, which may be set: libfaketime stands between the server and the kernel."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        """By so many seconds, with a sign, from now on."""
        self._file.write_text(offset + "\n")
        self._file.chmod(0o644)


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[tuple[Storage, Clock]]:
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        pytest.skip("libfaketime is not installed (apt-get install faketime)")
    clock = Clock(tmp_path / "clock")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)  # the server's user must get there
    faked = {
        "LD_PRELOAD": found[0],
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    with running_postgres15(**faked) as server:
        for url in fresh_database(server):
            with open_storage(Settings(home=tmp_path / "home", database_url=url)) as storage:
                yield storage, clock
        clock.set("+0")


def _offset_s(storage: Storage) -> float:
    (row,) = storage.db.fetch("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    offset: float = row["now"] - time.time()
    return offset


@pytest.mark.parametrize("jump", ["+7200", "-7200"])
def test_a_clock_that_jumps_in_the_middle_of_a_run_loses_and_doubles_nothing(clocked: tuple[Storage, Clock], jump: str) -> None:
    storage, clock = clocked
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings, frame_count=12)
    with Watching(database_url_of(storage.settings)) as reader:
        with lease.hold(storage.db, video_id, "the run") as token:
            for stage in NAMES[:3]:
                commit(storage, video_id, maker, stage, token)
            clock.set(jump)
            assert abs(_offset_s(storage) - float(jump)) < 600
            for stage in NAMES[3:]:  # nobody took the lease, so it is the run's still, also where it is over by the new time
                commit(storage, video_id, maker, stage, token)
        clock.set("+0")
    assert not [*reader.seen, *agreeing(storage), *clean(storage)]
    assert storage.db.fetch("SELECT count(*) AS n FROM published") == [{"n": 6}]


def test_of_two_runs_that_a_jump_lets_in_one_commits(clocked: tuple[Storage, Clock]) -> None:
    """The first is alive, and its lease is over by the new time."""
    storage, clock = clocked
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings, frame_count=12)
    first = lease.acquire(storage.db, video_id, "first")
    commit(storage, video_id, maker, "metadata", first)
    clock.set("+7200")
    second = lease.acquire(storage.db, video_id, "second")
    with pytest.raises(LeaseLost):
        commit(storage, video_id, maker, "frames", first)
    for stage in NAMES[1:]:
        commit(storage, video_id, maker, stage, second)
    lease.release(storage.db, video_id, second)
    clock.set("+0")
    assert not [*agreeing(storage), *clean(storage)]


@pytest.mark.long
def test_the_kernel_s_oom_kill_is_no_fault_of_the_video(shared: Storage, tmp_path: Path) -> None:
    group = _memory_group(f"reframer-test-{os.getpid()}")
    clip = tmp_path / "clip.mp4"
    write_clip(make_clip(3_900_001, n_frames=25, shots=1), clip)
    ledger = Ledger()
    one = ledger.note(clip, clip.name, "command", 0.0)
    run = [sys.executable, "-m", "reframer_pipeline", "run", str(clip)]
    variables = environment(shared.settings.home_dir, REFRAMER_MODELS="demo", REFRAMER_DEVICE="cpu")
    try:
        inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), *run]
        killed = subprocess.run(inside, env=variables, capture_output=True, text=True, timeout=900)
        assert killed.returncode == -9, killed.stderr
        assert shared.db.fetch("SELECT 1 FROM uploads WHERE video_id = %s", (one.video_id,))  # it had begun
        assert not list(blamed(shared, ledger))
        again = subprocess.run(run, env=variables, capture_output=True, text=True, timeout=900)
        assert again.returncode == 0, again.stderr
    finally:
        for pid in (group / "cgroup.procs").read_text().split():  # such as a server that the command had started
            (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()
    assert shared.db.fetch("SELECT status FROM videos WHERE id = %s", (one.video_id,)) == [{"status": "completed"}]
    assert not [*blamed(shared, ledger), *agreeing(shared)]


def _memory_group(name: str) -> Path:
    """A control group with hardly any memory, by whichever version of control groups is here; or a skip."""
    v1 = CGROUPS / "memory"
    parent, limit, swap = (v1, "memory.limit_in_bytes", "") if v1.is_dir() else (CGROUPS, "memory.max", "memory.swap.max")
    group = parent / name
    try:
        group.mkdir()
        (group / limit).write_text(str(ROOM_MB * 2**20))
        if swap and (group / swap).exists():
            (group / swap).write_text("0")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"memory cannot be limited here: {error}")
    return group
