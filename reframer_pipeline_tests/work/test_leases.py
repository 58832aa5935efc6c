"""Leases: one computes a video, and a commit neither loses its lease nor keeps it from being prolonged."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reframer_pipeline.failures import (
    DatabaseUnavailable,
    LeaseLost,
    UnknownVideo,
    VideoBusy,
)
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import add_video


@contextmanager
def commit_under_way(storage: Storage, video_id: str, token: str) -> Iterator[None]:
    """A transaction that demanded the lease and has not ended, as a COPY of many rows is for minutes."""
    demanded, may_end = threading.Event(), threading.Event()

    def commit() -> None:
        with storage.db.transaction() as conn:
            lease.demand(conn, video_id, token)
            demanded.set()
            may_end.wait(120)

    thread = threading.Thread(target=commit)
    thread.start()
    assert demanded.wait(60)
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


def test_one_lease_a_video(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    token = lease.acquire(storage.db, video_id, "first")
    with pytest.raises(VideoBusy, match="first"):
        lease.acquire(storage.db, video_id, "second")
    lease.heartbeat(storage.db, video_id, token)
    lease.release(storage.db, video_id, token)
    second = lease.acquire(storage.db, video_id, "second", ttl_s=0)
    third = lease.acquire(storage.db, video_id, "third")
    told = re.escape(f"{get_video(storage.db, video_id)['filename']} (video {video_id})")
    with pytest.raises(LeaseLost, match=told):
        lease.heartbeat(storage.db, video_id, second)
    with pytest.raises(LeaseLost, match=told), storage.db.transaction() as conn:
        lease.demand(conn, video_id, second)
    lease.release(storage.db, video_id, second)  # no longer its own: nothing happens
    lease.heartbeat(storage.db, video_id, third)
    with pytest.raises(UnknownVideo):
        lease.acquire(storage.db, "00000000-0000-5000-8000-000000000000", "nobody")


def test_of_many_at_once_one_gets_the_lease(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    outcomes: list[str] = []

    def try_it(name: str) -> None:
        try:
            lease.acquire(storage.db, video_id, name)
            outcomes.append("got")
        except VideoBusy:
            outcomes.append("busy")

    threads = [threading.Thread(target=try_it, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy"] * 5 + ["got"]


def test_hold_beats_while_it_lasts(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with lease.hold(storage.db, video_id, "long", ttl_s=0.9):
        time.sleep(1.5)
        with pytest.raises(VideoBusy):
            lease.acquire(storage.db, video_id, "other")
    assert storage.db.fetch("SELECT * FROM leases") == []


def test_hold_outlasts_a_database_that_is_away_for_a_moment(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, _ = add_video(storage)
    beat, fails = lease.heartbeat, [1, 2, 3, 4]

    def flaky(*args: Any) -> None:
        if fails:
            raise DatabaseUnavailable(f"gone {fails.pop()}")
        beat(*args)

    monkeypatch.setattr(lease, "heartbeat", flaky)
    with lease.hold(storage.db, video_id, "long", ttl_s=0.9) as token:
        time.sleep(1.1)
        assert lease.held_by(storage.db, video_id, token)


def test_held_by_means_this_token_now(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    first = lease.acquire(storage.db, video_id, "first", ttl_s=0)
    assert not lease.held_by(storage.db, video_id, first)  # run out
    second = lease.acquire(storage.db, video_id, "second")
    assert lease.held_by(storage.db, video_id, second) and not lease.held_by(storage.db, video_id, first)
    lease.release(storage.db, video_id, second)
    assert not lease.held_by(storage.db, video_id, second)
