"""Postgres gone, full, read-only or out of connections while results are committed: nothing half, nobody blamed, and it goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import DatabaseFull, DatabaseUnavailable, ReframerError
from reframer_pipeline.results import commit as committing
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.faults.invariants import agreeing, clean
from reframer_pipeline_tests.faults.watching import Watching
from reframer_pipeline_tests.machine import fill, small_disk
from reframer_pipeline_tests.servers import embedded_suspended, tell_embedded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

FULL_KB = 6000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An embedded server of its own, which a test may kill."""
    folder = tmp_path_factory.mktemp("postgres-faults")
    settings = Settings(home=folder / "home")
    yield settings
    embedded.stop(settings)


@pytest.fixture
def own(server: Settings) -> Iterator[Storage]:
    """Everything in that server, which is started again if it died."""
    with open_storage(server) as storage:
        yield storage


@contextmanager
def _published(own: Storage, seed: int) -> Iterator[tuple[str, Maker, Maker]]:
    """A video that is shown whole, a reader, and another set that is to take the place of what is shown; in the end all holds."""
    video_id, sha = add_video(own, seed)
    old = Maker(sha, own.settings, frame_count=600, width=400)
    commit_all(own, video_id, old)
    new = Maker(sha, own.settings.model_copy(update={"conf": 0.4, "shot_threshold": 21.0}), frame_count=600, width=400)
    with Watching(embedded.server(own.settings).database_url) as reader:
        yield video_id, old, new
    assert not [*reader.seen, *agreeing(own), *clean(own)] and reader.looks


def _shown(own: Storage, video_id: str) -> set[str]:
    return {str(row["result_id"]) for row in own.db.fetch("SELECT result_id FROM published WHERE video_id = %s", (video_id,))}


def _ids(maker: Maker) -> set[str]:
    return {key.result_id for key in maker.keys.values()}


def _at_copy(own: Storage, act: Callable[[], object]) -> threading.Thread:
    """Do something once a COPY goes on: a lock lets it wait for that."""
    locked = threading.Event()

    def watch() -> None:
        url = embedded.server(own.settings).database_url
        with suppress(psycopg.Error), psycopg.connect(url) as blocker, psycopg.connect(url, autocommit=True) as looking:
            blocker.execute("LOCK TABLE detections IN SHARE MODE")
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'"
            locked.set()
            while not looking.execute(waits).fetchone():
                time.sleep(0.02)
            act()

    thread = threading.Thread(target=watch)
    thread.start()
    assert locked.wait(60)
    return thread


def test_killed_in_the_middle_of_copy_it_is_started_again_and_the_commit_goes_through(own: Storage) -> None:
    with _published(own, 1) as (video_id, _, new):
        before = embedded.server(own.settings).pid
        told = list[bool]()
        thread = _at_copy(own, lambda: told.append(tell_embedded(own.settings, signal.SIGKILL)))
        outcomes = commit_all(own, video_id, new)
        thread.join(120)
        assert told == [True] and embedded.server(own.settings).pid != before
        assert outcomes["detections"].outcome == "new" and _shown(own, video_id) == _ids(new)


def test_suspended_in_the_middle_of_copy_it_is_waited_for(own: Storage) -> None:
    suspended = list[bool]()
    with _published(own, 2) as (video_id, _, new):

        def suspend() -> None:
            with embedded_suspended(own.settings) as done:
                time.sleep(5)
                suspended.append(done)

        thread = _at_copy(own, suspend)
        assert commit_all(own, video_id, new)["detections"].outcome == "new"
        thread.join(120)
        assert suspended == [True] and _shown(own, video_id) == _ids(new)


def test_a_restart_between_two_stages_is_not_noticed(own: Storage) -> None:
    with _published(own, 3) as (video_id, _, new):
        commit_all(own, video_id, new, ("metadata", "frames", "detections"))
        assert embedded.stop(own.settings)
        commit_all(own, video_id, new, ("masks", "trajectories", "scenes"))
        assert _shown(own, video_id) == _ids(new)


def test_a_server_that_takes_no_writes_keeps_the_old_whole_and_says_so(own: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a standby does after a failover."""
    monkeypatch.setattr(committing, "PAUSES_S", (0.1,))
    with _published(own, 4) as (video_id, old, new):
        _in_force(own, "ALTER DATABASE reframer SET default_transaction_read_only = on")
        _refused(own, video_id, new, DatabaseUnavailable)
        assert _shown(own, video_id) == _ids(old)
        _in_force(own, "ALTER DATABASE reframer RESET default_transaction_read_only")
        commit_all(own, video_id, new)
        assert _shown(own, video_id) == _ids(new)


def test_a_server_without_a_connection_to_spare_says_so_and_takes_the_commit_later(own: Storage) -> None:
    with _published(own, 5) as (video_id, old, new):
        _in_force(own, "ALTER DATABASE reframer CONNECTION LIMIT 0", by="postgres")
        _in_force(own, "CREATE ROLE plain LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO plain", by="reframer")
        url = embedded.server(own.settings).database_url.replace("postgres@", "plain@", 1).replace("user=postgres", "user=plain")
        assert "plain" in url  # the owner would be let in all the same
        with Database(url, patience_s=2) as limited, pytest.raises(DatabaseUnavailable, match="too many connections"):
            limited.fetch("SELECT 1")
        _in_force(own, "ALTER DATABASE reframer CONNECTION LIMIT -1", by="postgres")
        commit_all(own, video_id, new)
        assert _shown(own, video_id) == _ids(new) != _ids(old)


def test_a_server_whose_disk_is_full_keeps_the_old_whole_and_goes_on_with_room(own: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tablespace on a file system of its own, with hardly any room: the server really writes, and really has none."""
    monkeypatch.setattr(committing, "PAUSES_S", (0.1,))
    with small_disk(own.settings.home_dir.parent / "small", FULL_KB) as place:
        place.chmod(0o711)
        data, owner = place / "data", (own.settings.home_dir / "postgres").stat()
        data.mkdir(mode=0o700)
        os.chown(data, owner.st_uid, owner.st_gid)
        with _published(own, 6) as (video_id, old, new):
            _in_force(own, f"CREATE TABLESPACE small LOCATION '{data}'", by="postgres")
            _in_force(own, "ALTER TABLE segmentation_masks SET TABLESPACE small", by="reframer")
            filler = fill(place)
            _refused(own, video_id, new, DatabaseFull)
            assert _shown(own, video_id) == _ids(old)
            filler.unlink()
            commit_all(own, video_id, new)
            assert _shown(own, video_id) == _ids(new)
        _in_force(own, "ALTER TABLE segmentation_masks SET TABLESPACE pg_default", by="reframer")
        _in_force(own, "CHECKPOINT", by="reframer")
        _in_force(own, "DROP TABLESPACE small", by="postgres")


def _refused(own: Storage, video_id: str, maker: Maker, kind: type[ReframerError]) -> None:
    with pytest.raises(kind) as refused:
        commit_all(own, video_id, maker)
    assert refused.value.retryable and not refused.value.blames_video, refused.value


def _in_force(own: Storage, statement: str, by: str = "postgres") -> None:
    """Say it as the owner, and end all other connections, so that it counts for the next ones."""
    with psycopg.connect(embedded.server(own.settings).url(by), autocommit=True) as conn:
        conn.execute(statement)  # type: ignore[arg-type]  # a text of this file
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'reframer' AND pid <> pg_backend_pid()")
