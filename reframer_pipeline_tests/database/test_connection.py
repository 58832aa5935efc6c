"""What every transaction can rely on, whatever role, database, pooler and network are like."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.waiting import Ready, Wait

from reframer_pipeline.database import postgres
from reframer_pipeline.database.connection import Silence, _until
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseUnavailable, LeaseLost
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease
from reframer_pipeline_tests.database.silent import SilentProxy, silent_proxy
from reframer_pipeline_tests.factories import add_video
from reframer_pipeline_tests.servers import Server, administer, direct_url
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

WITHIN_S = 1.5
AT_MOST_S = WITHIN_S + 1 + 3 + 20  # a second more, three to say what is wrong, and a machine's own slowness

VANISHES = """
import os, signal, sys
from reframer_pipeline.database import postgres
postgres.IDLE_IN_TRANSACTION_S = 0.5
with postgres.Database(sys.argv[1]) as db, db.transaction() as conn:
    conn.execute("UPDATE held SET n = 1")
    os.kill(os.getpid(), signal.SIGSTOP)
    conn.execute("UPDATE held SET n = 1")
"""


def _in_a_statement(db: Database, proxy: SilentProxy) -> None:
    def act(conn: psycopg.Connection[Row]) -> None:
        conn.execute("SELECT 1 AS one")
        proxy.silent.set()
        conn.execute("SELECT 2 AS two")

    db.run(act, within_s=WITHIN_S)


def _in_a_copy(db: Database, proxy: SilentProxy) -> None:
    def act(conn: psycopg.Connection[Row]) -> None:
        conn.execute("CREATE TEMPORARY TABLE copied (n int) ON COMMIT DROP")
        with conn.cursor().copy("COPY copied FROM STDIN") as copy:
            proxy.silent.set()
            copy.write(b"1\n")

    db.run(act, within_s=WITHIN_S)


def _while_it_commits(db: Database, proxy: SilentProxy) -> None:
    def act(conn: psycopg.Connection[Row]) -> None:
        conn.execute("SELECT 1 AS one")
        proxy.silent.set()

    db.run(act, within_s=WITHIN_S)


def _before_the_next_transaction(db: Database, proxy: SilentProxy) -> None:
    db.fetch("SELECT 1 AS one")
    proxy.silent.set()
    db.fetch("SELECT 2 AS two", within_s=WITHIN_S)


def _with_all_connections_idle(db: Database, proxy: SilentProxy) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(db.transaction())
    proxy.silent.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "_IDLE_S", -1.0)  # they have lain for long
        db.fetch("SELECT 2 AS two", within_s=WITHIN_S)


def _from_the_start(db: Database, proxy: SilentProxy) -> None:
    proxy.silent.set()
    db.fetch("SELECT 1 AS one", within_s=WITHIN_S)


def _while_a_lease_is_prolonged(db: Database, proxy: SilentProxy) -> None:
    db.fetch("SELECT 1 AS one")
    proxy.silent.set()
    lease.heartbeat(db, str(uuid.uuid4()), str(uuid.uuid4()), ttl_s=3 * WITHIN_S)


MOMENTS = [_in_a_statement, _in_a_copy, _while_it_commits, _before_the_next_transaction, _with_all_connections_idle, _from_the_start,
           _while_a_lease_is_prolonged]  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__[1:])
def test_one_that_falls_silent_keeps_nobody_beyond_his_time(postgres15: Server, moment: Callable[[Database, SilentProxy], None]) -> None:
    with silent_proxy(postgres15.direct.format(database="postgres")) as (proxy, url), Database(url) as db:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            moment(db, proxy)
        assert time.monotonic() - began < AT_MOST_S
        proxy.silent.clear()
        assert db.fetch("SELECT 3 AS three") == [{"three": 3}]


@pytest.mark.timeout(300)
def test_a_rollback_is_not_waited_for_as_long_as_a_statement(postgres15: Server) -> None:
    with silent_proxy(postgres15.direct.format(database="postgres")) as (proxy, url), Database(url) as db:
        with pytest.raises(LeaseLost), db.transaction(timeout_s=300) as conn:
            conn.execute("SELECT 1 AS one")
            proxy.silent.set()
            raise LeaseLost("what happened in it")
        proxy.silent.clear()
        assert db.fetch("SELECT 3 AS three") == [{"three": 3}]


def test_an_answer_that_is_there_is_taken_however_late_it_is_looked_at() -> None:
    """The process was asleep meanwhile, and the statement was carried out."""

    def asked() -> Generator[Wait, Ready, str]:
        assert (yield Wait.R) == Ready.R
        return "answered"

    late, silent = (_until(asked(), time.monotonic() - 1) for _ in range(2))
    assert next(late) == next(silent) == Wait.R
    with pytest.raises(StopIteration, match="answered"):
        late.send(Ready.R)
    with pytest.raises(Silence):
        silent.send(Ready.NONE)


@pytest.mark.timeout(300)
def test_a_client_that_vanished_in_its_transaction_keeps_its_locks_for_a_while_only(storage: Storage) -> None:
    secret = storage.settings.database_url
    assert secret is not None
    storage.db.execute("CREATE TABLE held AS SELECT 0 AS n")
    child = subprocess.Popen([sys.executable, "-c", VANISHES, secret.get_secret_value()], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    try:
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
        storage.db.run(lambda conn: conn.execute("UPDATE held SET n = 2"), within_s=20)
    finally:
        child.send_signal(signal.SIGCONT)
        assert "DatabaseUnavailable" in child.communicate(timeout=180)[1]
    assert storage.db.fetch("SELECT n FROM held") == [{"n": 2}]


def test_every_transaction_has_its_limits_on_each_kind_of_server(database_url: str) -> None:
    with Database(database_url) as db:
        for snapshot, level in ((False, "read committed"), (True, "repeatable read")):
            with db.transaction(timeout_s=7, snapshot=snapshot) as conn:
                said = {
                    name: conn.execute("SELECT current_setting(%s) AS it", (name,)).fetchone()
                    for name in ("transaction_isolation", "idle_in_transaction_session_timeout", "statement_timeout", "search_path")
                }
            assert [row and row["it"] for row in said.values()] == [level, "10min", "7s", "public"]


def test_a_lost_lease_is_seen_whatever_isolation_the_database_has_by_default(storage: Storage) -> None:
    secret = storage.settings.database_url
    assert secret is not None
    name = psycopg.conninfo.conninfo_to_dict(secret.get_secret_value())["dbname"]
    administer(secret.get_secret_value(), f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    video_id, _ = add_video(storage)
    token = lease.acquire(storage.db, video_id, "one")
    with Database(secret.get_secret_value()) as db, pytest.raises(LeaseLost), db.transaction() as conn:
        conn.execute("SELECT count(*) FROM leases")  # what would be its snapshot
        administer(secret.get_secret_value(), "UPDATE leases SET token = gen_random_uuid()")
        lease.demand(conn, video_id, token)


def test_values_are_read_alike_whatever_the_database_is_set_to(database_url: str, request: pytest.FixtureRequest) -> None:
    direct = direct_url(database_url, request)
    name = psycopg.conninfo.conninfo_to_dict(direct)["dbname"]
    for setting in (
        "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'", "extra_float_digits = -15", "bytea_output = 'escape'",
        "timezone = 'Pacific/Kiritimati'", "standard_conforming_strings = off", "backslash_quote = on", "lock_timeout = '1min'",
    ):  # fmt: skip
        administer(direct, f"ALTER DATABASE {name} SET {setting}")
    at = datetime(2026, 2, 3, 4, 5, 6, 789, UTC)
    with Database(database_url) as db:
        (row,) = db.fetch(
            r"""SELECT timestamptz '2026-02-03 04:05:06.000789+00' AS at, %(at)s::timestamptz AS back, date '2026-02-03' AS day,
                interval '-1 day 00:00:01.5' AS span, 0.1::float8 + 0.2 AS number, '\x00ff5c'::bytea AS bytes, 'a\b''c' AS text""",
            {"at": at},
        )
    assert row["at"] == row["back"] == at and row["day"] == at.date()
    assert row["span"] == timedelta(days=-1, seconds=1.5) and row["number"] == 0.1 + 0.2
    assert row["bytes"] == b"\x00\xff\\" and row["text"] == r"a\b'c"
