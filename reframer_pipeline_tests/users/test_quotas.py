"""Quotas: counted in the database, exactly, whoever counts at the same time."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from reframer_pipeline.failures import QuotaUsedUp
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import keys, people, quotas
from reframer_pipeline_tests.factories import add_video


@pytest.fixture
def key_id(storage: Storage) -> str:
    secret = keys.add(storage.db, people.add(storage.db, "one@example.org"), "key", ["write"])
    return str(keys.named(storage.db, secret[:11])["key_id"])


def test_bytes_of_a_day(anywhere: Storage) -> None:
    secret = keys.add(anywhere.db, people.add(anywhere.db, "one@example.org"), "key", ["write"])
    key_id = keys.named(anywhere.db, secret[:11])["key_id"]
    quotas.spend_bytes(anywhere.db, key_id, 60, 100)
    with pytest.raises(QuotaUsedUp) as refused:
        quotas.spend_bytes(anywhere.db, key_id, 41, 100)
    assert 0 < refused.value.retry_after_s <= 86_400
    day = quotas.spend_bytes(anywhere.db, key_id, 40, 100)
    quotas.give_back_bytes(anywhere.db, key_id, 100, day)  # it did not come
    with pytest.raises(QuotaUsedUp):
        quotas.spend_bytes(anywhere.db, key_id, 101, 100)
    quotas.spend_bytes(anywhere.db, key_id, 100, 100)
    anywhere.db.execute("UPDATE api_key_bytes SET day = day - 1")
    quotas.spend_bytes(anywhere.db, key_id, 100, 100)  # another day
    quotas.give_back_bytes(anywhere.db, key_id, 100, day - timedelta(1))  # of the one before
    assert [row["bytes"] for row in anywhere.db.fetch("SELECT bytes FROM api_key_bytes ORDER BY day")] == [0, 100]


def test_bytes_that_are_spent_at_once(storage: Storage, key_id: str) -> None:
    def spend(_: int) -> bool:
        try:
            quotas.spend_bytes(storage.db, key_id, 10, 100)
        except QuotaUsedUp:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(40))) == 10


def test_jobs_at_once(storage: Storage, key_id: str) -> None:
    begin, (video_id, _) = threading.Barrier(6), add_video(storage)

    def accept(_: int) -> str | None:
        begin.wait()
        job = str(uuid.uuid4())
        try:
            with storage.db.transaction() as conn:
                quotas.demand_place(conn, key_id, 2, job)
                conn.execute(
                    """INSERT INTO uploads (id, user_id, filename, api_key_id, video_id, status)
                       SELECT %s, user_id, 'a.mp4', id, %s, 'completed' FROM api_keys WHERE id = %s""",
                    (job, video_id, key_id),
                )
        except QuotaUsedUp:
            return None
        return job

    with ThreadPoolExecutor(6) as pool:
        (first, _second) = filter(None, pool.map(accept, range(6)))

    def has_place(job: str) -> bool:
        try:
            with storage.db.transaction() as conn:
                quotas.demand_place(conn, key_id, 2, job)
        except QuotaUsedUp:
            return False
        return True

    assert not has_place(str(uuid.uuid4())) and has_place(first)  # one that is submitted again is there already
    storage.db.execute("UPDATE videos SET status = 'completed'")
    assert has_place(str(uuid.uuid4()))
