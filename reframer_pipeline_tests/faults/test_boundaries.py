"""kill -9 at every write boundary of a commit: the old whole stays, the next run goes on, and nothing is left lying about."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace

import psycopg
import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.faults.boundaries import commit_and_die
from reframer_pipeline_tests.faults.invariants import agreeing, clean
from reframer_pipeline_tests.faults.watching import Watching
from reframer_pipeline_tests.spread import IN_CI

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

EVERY = int(os.environ.get("REFRAMER_TEST_BOUNDARIES", 4 if IN_CI else 16))  # 1: each of them, some minutes
FORKS = multiprocessing.get_context("forkserver")
LIBRARIES = ["fsspec.implementations.local", "pandas", "psutil", "psycopg_pool", "pyarrow.parquet", "pycocotools.mask"]  # of a commit
FORKS.set_forkserver_preload(["reframer_pipeline_tests.faults.boundaries", *LIBRARIES])


def _child(storage: Storage, video_id: str, maker: Maker, deadly: int) -> int | None:
    """Commit in a child; the boundaries it passed, or None if it was killed at one."""
    secret = storage.settings.database_url
    assert secret is not None
    told, telling = FORKS.Pipe(duplex=False)
    arguments = (str(storage.settings.home_dir), secret.get_secret_value(), video_id, maker, NAMES, deadly, telling)
    child = FORKS.Process(target=commit_and_die, args=arguments)
    child.start()
    telling.close()
    child.join(300)
    if child.exitcode == 0:
        passed: int = told.recv()
        return passed
    assert child.exitcode == -9, child.exitcode
    return None


def test_killed_at_each_write_boundary_the_old_whole_stays_and_the_next_run_ends(storage: Storage) -> None:
    secret = storage.settings.database_url
    assert secret is not None
    video_id, sha = add_video(storage)
    first = Maker(sha, storage.settings, frame_count=12)
    commit_all(storage, video_id, first)
    all_of_them = _child(storage, video_id, _other(first, 0), deadly=0)
    assert all_of_them is not None and all_of_them > 60, all_of_them  # six commits, and the lease's
    broken, deaths = [], 0
    with Watching(secret.get_secret_value()) as reader:
        for deadly in range(1, all_of_them + 1, EVERY):
            maker = _other(first, deadly)
            passed = _child(storage, video_id, maker, deadly)
            deaths += passed is None
            broken += [f"killed at {deadly}: {line}" for line in agreeing(storage)]
            lease.take_away(storage.db, video_id, "child")
            commit_all(storage, video_id, maker)
            broken += [f"after {deadly}: {line}" for line in agreeing(storage)]
            shown = {str(row["result_id"]) for row in storage.db.fetch("SELECT result_id FROM published WHERE video_id = %s", (video_id,))}
            assert shown == {key.result_id for key in maker.keys.values()}
            with psycopg.connect(secret.get_secret_value(), autocommit=True) as conn:  # what was superseded goes, or each look takes longer
                conn.execute("DELETE FROM results WHERE result_id NOT IN (SELECT result_id FROM published)")
    broken += clean(storage)
    assert not broken and not reader.seen, "\n".join([*broken, *reader.seen][:20])
    assert deaths >= all_of_them // EVERY - 2 and reader.looks > deaths


def _other(maker: Maker, number: int) -> Maker:
    """The same video with settings of its own: six other results."""
    return replace(maker, settings=maker.settings.model_copy(update={"shot_threshold": 20.0 + number / 100, "conf": 0.3 + number / 10_000}))
