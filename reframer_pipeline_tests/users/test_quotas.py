"""Quotas: counted in the database, exactly, whoever counts at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

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
    quotas.spend_bytes(anywhere.db, key_id, 40, 100)
    quotas.spend_bytes(anywhere.db, key_id, -100, 100)  # it did not come
    with pytest.raises(QuotaUsedUp):
        quotas.spend_bytes(anywhere.db, key_id, 101, 100)
    quotas.spend_bytes(anywhere.db, key_id, 100, 100)
    anywhere.db.execute("UPDATE api_key_bytes SET day = day - 1")
    quotas.spend_bytes(anywhere.db, key_id, 100, 100)  # another day


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
    begin = threading.Barrier(6)

    def accept(_: int) -> bool:
        begin.wait()
        try:
            with storage.db.transaction() as conn:
                quotas.demand_place(conn, key_id, 2)
                conn.execute(
                    "INSERT INTO uploads (user_id, filename, api_key_id) SELECT user_id, 'a.mp4', id FROM api_keys WHERE id = %s", (key_id,)
                )
        except QuotaUsedUp:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(accept, range(6))) == 2

    def has_place() -> bool:
        try:
            with storage.db.transaction() as conn:
                quotas.demand_place(conn, key_id, 2)
        except QuotaUsedUp:
            return False
        return True

    video_id, _ = add_video(storage)
    storage.db.execute("UPDATE uploads SET status = 'completed', video_id = %s WHERE api_key_id = %s", (video_id, key_id))
    assert not has_place()  # the uploads are there, their video is not computed
    storage.db.execute("UPDATE videos SET status = 'completed'")
    assert has_place()
