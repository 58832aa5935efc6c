"""What the server refuses: whose fault it is, and that nobody's password is told with it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import (
    DatabaseFull,
    DatabaseNotPrepared,
    DatabaseTooSlow,
    DatabaseUnavailable,
    InternalError,
    ReframerError,
    SettingsInvalid,
)
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.servers import Server, administer

MEANT = {
    "08006": DatabaseUnavailable, "25006": DatabaseUnavailable, "25P03": DatabaseUnavailable, "25P04": DatabaseUnavailable,
    "40001": DatabaseUnavailable, "40P01": DatabaseUnavailable, "53000": DatabaseUnavailable, "53100": DatabaseFull,
    "53200": DatabaseUnavailable, "53300": DatabaseUnavailable, "53400": DatabaseUnavailable, "55P03": DatabaseUnavailable,
    "57014": DatabaseTooSlow, "57P01": DatabaseUnavailable, "57P05": DatabaseUnavailable, "58000": DatabaseUnavailable,
    "58030": DatabaseUnavailable, "58P01": DatabaseUnavailable, "XX000": DatabaseUnavailable, "XX001": DatabaseUnavailable,
    "0A000": DatabaseNotPrepared, "22P05": DatabaseNotPrepared, "28000": DatabaseNotPrepared, "3D000": DatabaseNotPrepared,
    "3F000": DatabaseNotPrepared, "42501": DatabaseNotPrepared, "42P01": DatabaseNotPrepared, "42P07": DatabaseNotPrepared,
    "22003": InternalError, "23505": InternalError, "25P02": InternalError, "42601": InternalError,
}  # fmt: skip
ODD_URLS = [
    "postgresql://somebody:first@se cret@127.0.0.1:9/nothing",
    "postgresql://somebody:first/secret@127.0.0.1:9/nothing",
    "postgresql://somebody:12/secret@127.0.0.1:9/nothing",
    "postgresql://somebody:first%zzsecret@127.0.0.1:9/nothing",
    "postgresql://somebody:first@127.0.0.1?secret@127.0.0.1:9/nothing",
    "postgresql://somebody:first@127.0.0.1:9/secret@nothing",
    "postgresql//somebody:secret@127.0.0.1:9/nothing",
]


@pytest.mark.parametrize("state", MEANT)
def test_every_code_has_one_failure(storage: Storage, state: str) -> None:
    kind: type[ReframerError] = MEANT[state]
    with pytest.raises(kind) as caught, storage.db.transaction() as conn:
        conn.execute(f"DO $$ BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '{state}'; END $$".encode())
    assert type(caught.value) is kind and "so it is" in caught.value.message
    assert caught.value.blames_video == (kind is InternalError)


def test_a_lock_that_others_keep_is_waited_for_again(storage: Storage) -> None:
    """`lock_timeout` by the database's default."""
    secret = storage.settings.database_url
    assert secret is not None
    url = secret.get_secret_value()
    administer(url, f"ALTER DATABASE {psycopg.conninfo.conninfo_to_dict(url)['dbname']} SET lock_timeout = '100ms'")
    with psycopg.connect(url) as holder, Database(url) as db:
        holder.execute("LOCK TABLE videos")
        tries = []

        def act(conn: psycopg.Connection[dict[str, object]]) -> object:
            tries.append(1)
            if len(tries) == 2:
                holder.rollback()
            return conn.execute("SELECT count(*) AS n FROM videos").fetchone()

        assert db.run(act) == {"n": 0} and len(tries) == 2


@pytest.mark.parametrize("url", ODD_URLS)
def test_a_url_that_may_be_read_in_two_ways_is_refused_and_not_told(tmp_path: Path, url: str) -> None:
    for read in (
        lambda: embedded.dagster_url(Settings(home=tmp_path, dagster_database_url=url)),
        lambda: Database.open(Settings(home=tmp_path, database_url=url)),
        lambda: Database(url, patience_s=0.1).fetch("SELECT 1 AS one"),
    ):
        with pytest.raises(SettingsInvalid) as refused:
            read()
        said = f"{refused.value} {Database(url)!r}"
        assert not any(part in said for part in ("somebody", "first", "cret")), said
        assert "%40" in refused.value.remedy


def test_escaped_characters_are_read(postgres15: Server) -> None:
    administer(postgres15.direct.format(database="postgres"), "CREATE ROLE \"a@b/c\" LOGIN PASSWORD 'p@ss/w:rd?#%'")
    at = postgres15.direct.partition("@")[2].format(database="postgres")
    with Database(f"postgresql://{quote('a@b/c', safe='')}:{quote('p@ss/w:rd?#%', safe='')}@{at}") as db:
        assert db.fetch("SELECT current_user AS me") == [{"me": "a@b/c"}]


def test_who_is_not_let_in_is_not_named(postgres15: Server) -> None:
    at = postgres15.direct.partition("@")[2].format(database="postgres")
    with Database(f"postgresql://somebody:very-secret@{at}", patience_s=1) as db, pytest.raises(DatabaseUnavailable) as caught:
        db.fetch("SELECT 1 AS one")
    assert "password authentication failed" in caught.value.message
    assert "somebody" not in str(caught.value) and "secret" not in str(caught.value)
