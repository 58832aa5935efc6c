"""Leases: one computes a video, and a commit neither loses its lease nor keeps it from being prolonged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reframer_pipeline.failures import VideoBusy
from reframer_pipeline.storage import Storage, lease
from reframer_pipeline_tests.factories import add_video


@contextmanager
def commit_under_way(storage: Storage, video_id: str, token: str) -> Iterator[None]:
    """A transaction that demanded the lease and has not ended, as a COPY of many rows is for minutes."""
    demanded, may_end = threading.Event(), threading.Event()

    def commit() -> None:
        with storage.db.transaction() as conn:
            lease.demand(conn, video_id, token)
            demanded.set()
            may_end.wait(30)

    thread = threading.Thread(target=commit)
    thread.start()
    assert demanded.wait(10)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


def test_a_commit_longer_than_the_lease_keeps_it(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    with lease.hold(anywhere.db, video_id, "long", ttl_s=0.9) as token, commit_under_way(anywhere, video_id, token):
        for _ in range(8):
            time.sleep(0.25)
            assert lease.held_by(anywhere.db, video_id, token)


def test_nobody_takes_a_lease_that_ran_out_during_its_commit(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    token = lease.acquire(anywhere.db, video_id, "sleepy", ttl_s=0)
    with commit_under_way(anywhere, video_id, token), pytest.raises(VideoBusy, match="sleepy"):
        lease.acquire(anywhere.db, video_id, "eager")
    lease.acquire(anywhere.db, video_id, "eager")


def test_a_grace_counts_from_the_lease_s_end(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    token = lease.acquire(storage.db, video_id, "late", ttl_s=0)
    assert lease.held_by(storage.db, video_id, token, grace_s=30) and not lease.held_by(storage.db, video_id, token)
    lease.acquire(storage.db, video_id, "next")
    assert not lease.held_by(storage.db, video_id, token, grace_s=30)  # overtaken: no grace
