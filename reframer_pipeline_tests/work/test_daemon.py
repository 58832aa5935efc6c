"""One daemon over a database: another one is refused, and takes over from one that is silent, which then hears of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import AnotherDaemon
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import daemon
from reframer_pipeline.work.daemon import OneDaemon


@pytest.fixture
def db(storage: Storage) -> Iterator[Database]:
    yield storage.db
    storage.db.execute("DELETE FROM daemon_lease")


def nothing() -> None:
    pytest.fail("it was not lost")


def test_another_one_is_refused_until_the_first_has_ended(db: Database) -> None:
    first = OneDaemon(db, str(uuid.uuid4()), "/data on one", nothing)
    with pytest.raises(AnotherDaemon, match="/data on one"):
        OneDaemon(db, str(uuid.uuid4()), "/data on two", nothing)
    first.release()
    OneDaemon(db, str(uuid.uuid4()), "/data on two", nothing).release()


def test_one_that_was_killed_takes_its_own_again_at_once(db: Database) -> None:
    token = str(uuid.uuid4())
    OneDaemon(db, token, "/data on one", nothing)._heart.stop()  # no release: kill -9
    OneDaemon(db, token, "/data on one", nothing).release()


def test_one_that_was_silent_for_too_long_hears_that_another_one_has_taken_over(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "TTL_S", 0.6)
    heard = threading.Event()
    first = OneDaemon(db, str(uuid.uuid4()), "/data on one", heard.set)
    first._heart._ended.set()  # it stands still
    first._heart.stop()
    assert not threading.Event().wait(0.8)
    second = OneDaemon(db, str(uuid.uuid4()), "/data on two", nothing)
    monkeypatch.setattr(daemon, "TTL_S", 60.0)
    second._take()
    with pytest.raises(Exception, match="/data on two"):
        first._beat()
    assert heard.is_set()
    second.release()
