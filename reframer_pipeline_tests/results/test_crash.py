"""Crashes and lost connections: the old whole stays, and what can go on goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseUnavailable, SettingsInvalid
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.servers import Server, direct_url
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

CHILD = """
import sys
from pathlib import Path
from pydantic import SecretStr
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import lease
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline_tests.factories import Maker, commit
home, url, video_id, sha = sys.argv[1:]
with open_storage(Settings(home=home, database_url=url)) as storage:
    maker = Maker(sha, storage.settings)
    token = lease.acquire(storage.db, video_id, "child", ttl_s=1)
    commit(storage, video_id, maker, "scenes", token)
"""


def test_killed_in_the_middle_of_copy(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    old = Maker(sha, storage.settings.model_copy(update={"shot_threshold": 20.0}))
    commit_all(storage, video_id, old)
    commit_all(storage, video_id, Maker(sha, storage.settings), NAMES[:5])
    secret = storage.settings.database_url
    assert secret is not None
    arguments = [str(storage.settings.home_dir), secret.get_secret_value(), video_id, sha]
    with psycopg.connect(secret.get_secret_value()) as blocker:
        blocker.execute("LOCK TABLE scene_analysis IN SHARE MODE")  # its manifest row is in, its COPY has to wait
        child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=REPOSITORY)
        _until(lambda: storage.db.fetch("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%%'"))
        child.send_signal(signal.SIGKILL)
        child.wait()
    copying = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%%'"
    _until(lambda: not storage.db.fetch(copying))  # the server has noticed
    assert storage.results.find([Maker(sha, storage.settings).keys["scenes"].result_id]) == {}
    assert len(storage.db.fetch("SELECT * FROM scene_analysis")) == 2
    published = {str(row["result_id"]) for row in storage.db.fetch("SELECT result_id FROM current_results")}
    assert published == {key.result_id for key in old.keys.values()}
    assert sum("/scenes/" in key for key in storage.store.list("results")) == 2  # the old one, and an orphan
    _until(lambda: storage.db.fetch("SELECT 1 FROM leases WHERE expires_at < clock_timestamp()"))
    assert commit_all(storage, video_id, Maker(sha, storage.settings), ("scenes",))["scenes"].outcome == "new"


def test_idle_connections_that_were_ended_are_replaced(anywhere: Storage, request: pytest.FixtureRequest) -> None:
    anywhere.db.fetch("SELECT 1 AS one")
    _end_other_connections(anywhere, request)
    assert anywhere.db.fetch("SELECT 1 AS one") == [{"one": 1}]


def test_a_transaction_that_was_cut_off_runs_again(anywhere: Storage, request: pytest.FixtureRequest) -> None:
    attempts = []

    def act(conn: psycopg.Connection[Row]) -> str:
        attempts.append(1)
        conn.execute("INSERT INTO users (email) VALUES ('once@example.org')")
        if len(attempts) == 1:
            _end_other_connections(anywhere, request)
        return conn.execute("SELECT count(*) FROM users").fetchone()["count"]  # type: ignore[index]

    assert anywhere.db.run(act) == 1
    assert len(attempts) == 2


def test_server_restart(tmp_path: Path, embedded_server: Server) -> None:
    home = Settings(home=embedded_server.folder / "home")
    with Database(embedded_server.url.format(database="reframer")) as db:
        db.fetch("SELECT 1 AS one")
        before = embedded.running(home)
        assert embedded.stop(home) and embedded.running(home) is None
        after = embedded.server(home)
        assert before and before.pid != after.pid
        assert db.fetch("SELECT 1 AS one") == [{"one": 1}]


def test_unreachable_server_is_one_clear_failure_without_the_password() -> None:
    url = "postgresql://someone:very-secret@127.0.0.1:9/nothing"
    with Database(url, patience_s=1) as db:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="127.0.0.1") as caught:
            db.fetch("SELECT 1 AS one")
        assert time.monotonic() - started < 60
        assert "very-secret" not in f"{caught.value} {db!r} {caught.value.__cause__}"
    with Database("postgresql//someone:very-secret@host") as db, pytest.raises(SettingsInvalid) as refused:
        db.fetch("SELECT 1 AS one")
    assert "very-secret" not in f"{refused.value} {db!r}"


@pytest.mark.parametrize("limit", [{"timeout_s": 0.2}, {"within_s": 0.2}])
def test_a_statement_over_its_time_is_not_repeated(storage: Storage, limit: dict[str, float]) -> None:
    """Four times as long would be no limit at all for a tick of the daemon."""
    begun = []

    def slow(conn: psycopg.Connection[Row]) -> None:
        begun.append(1)
        conn.execute("SELECT pg_sleep(60)")

    with pytest.raises(DatabaseUnavailable, match="timeout"):
        storage.db.run(slow, **limit)
    assert begun == [1]


def test_a_time_for_all_tries_holds_for_waiting_and_trying_again(embedded_server: Server) -> None:
    begun = []

    def broken(_: psycopg.Connection[Row]) -> None:
        begun.append(1)
        raise DatabaseUnavailable("The connection is lost.")

    with Database(embedded_server.url.format(database="reframer"), max_size=1, patience_s=600) as db:
        with pytest.raises(DatabaseUnavailable, match="lost"):
            db.run(broken, within_s=0.1)  # the first pause is longer
        assert begun == [1]
        with db.transaction(), pytest.raises(DatabaseUnavailable, match="in use"):
            db.run(broken, within_s=0.1)  # the only connection is taken


def test_stage_order_is_the_tables(storage: Storage) -> None:
    """A later stage's result cannot be committed before its inputs."""
    video_id, sha = add_video(storage)
    with pytest.raises(Exception, match="never committed"):
        commit_all(storage, video_id, Maker(sha, storage.settings), NAMES[1:2])


def test_opening_twice_changes_nothing(tmp_path: Path, database_url: str) -> None:
    settings = Settings(home=tmp_path, database_url=database_url)
    ids = []
    for _ in range(2):
        with open_storage(settings) as storage:
            ids.append(storage.db.fetch("SELECT store_id FROM deployment"))
    assert ids[0] == ids[1] and len(ids[0]) == 1


def _end_other_connections(storage: Storage, request: pytest.FixtureRequest) -> None:
    """As a restart or a suspended compute does it: the server ends every connection to this database."""
    name = storage.db.fetch_one("SELECT current_database() AS name")
    assert name is not None
    secret = storage.settings.database_url
    assert secret is not None
    with psycopg.connect(direct_url(secret.get_secret_value(), request), autocommit=True) as conn:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        conn.execute(end, (name["name"],))


def _until(condition: Any, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")
