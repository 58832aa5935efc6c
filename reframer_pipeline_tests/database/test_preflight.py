"""Databases that are not what the pipeline needs: said before anything is written, with what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from reframer_pipeline.database import migrations
from reframer_pipeline.database.migrations import migrate, pending
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.database.preflight import LEDGER, names_in
from reframer_pipeline.failures import DatabaseNotPrepared
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.servers import Server, administer, direct_url, fresh_database

NEWBIE = "newbie"


@pytest.fixture(scope="module")
def newbie(postgres15: Server) -> str:
    """A role that owns nothing, as PostgreSQL 15 makes it; its URL with `{database}`."""
    administer(postgres15.direct.format(database="postgres"), f"CREATE ROLE {NEWBIE} LOGIN PASSWORD 'p'")
    return f"postgresql://{NEWBIE}:p@{postgres15.direct.partition('@')[2]}"


@pytest.fixture
def owners(postgres15: Server) -> Iterator[str]:
    """The owner's URL of a new database."""
    yield from fresh_database(postgres15)


def relations(url: str) -> set[tuple[str, str]]:
    """Schema and name of everything that anybody made."""
    with psycopg.connect(url) as conn:
        return set(
            conn.execute("SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^(pg_|info)'")
        )


def name_of(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def _no_right(owners: str, newbie: str) -> Database:
    return Database(newbie.format(database=name_of(owners)))


def _no_schema(owners: str, newbie: str) -> Database:
    return Database(owners, schema="nowhere")


def _no_way_into_the_schema(owners: str, newbie: str) -> Database:
    administer(owners, "CREATE SCHEMA closed", f"GRANT CREATE ON SCHEMA closed TO {NEWBIE}")
    return Database(newbie.format(database=name_of(owners)), schema="closed")


def _others_users(owners: str, newbie: str) -> Database:
    administer(owners, "CREATE TABLE users (id int)")
    return Database(owners)


def _others_ledger(owners: str, newbie: str) -> Database:
    administer(owners, "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)")
    return Database(owners)


def _read_only(owners: str, newbie: str) -> Database:
    administer(owners, f"ALTER DATABASE {name_of(owners)} SET default_transaction_read_only = on")
    return Database(owners)


def _elsewhere(owners: str, newbie: str) -> Database:
    administer(owners, "CREATE SCHEMA elsewhere", f"ALTER DATABASE {name_of(owners)} SET search_path = elsewhere, public")
    with Database(owners, schema="elsewhere") as db:
        migrate(db)
    return Database(owners)


NOT_PREPARED: list[tuple[Callable[[str, str], Database], str, str]] = [
    (_no_right, "may make no tables in the schema public", "GRANT USAGE, CREATE ON SCHEMA public"),
    (_no_schema, "no schema nowhere", "CREATE SCHEMA nowhere"),
    (_no_way_into_the_schema, "may make no tables in the schema closed", "GRANT USAGE, CREATE ON SCHEMA closed"),
    (_others_users, "public holds another program's tables.*: users", "REFRAMER_DATABASE_SCHEMA"),
    (_others_ledger, "public holds another program's tables.*: schema_migrations", "REFRAMER_DATABASE_SCHEMA"),
    (_read_only, "read only", "default_transaction_read_only"),
    (_elsewhere, "in the schema elsewhere, and not in public", "REFRAMER_DATABASE_SCHEMA=elsewhere"),
]


@pytest.mark.parametrize(("made", "said", "remedy"), NOT_PREPARED, ids=[made.__name__[1:] for made, _, _ in NOT_PREPARED])
def test_a_database_that_is_not_prepared(owners: str, newbie: str, made: Callable[[str, str], Database], said: str, remedy: str) -> None:
    with made(owners, newbie) as db:
        before = relations(owners)
        with pytest.raises(DatabaseNotPrepared, match=said) as caught:
            migrate(db)
    assert remedy in caught.value.remedy and not caught.value.blames_video
    assert relations(owners) == before


def test_a_database_that_cannot_hold_every_text(postgres15: Server) -> None:
    server = postgres15.direct.format(database="postgres")
    administer(server, "CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = postgres15.direct.format(database="narrow")
    try:
        with Database(url) as db, pytest.raises(DatabaseNotPrepared, match="LATIN1") as caught:
            migrate(db)
        assert "UTF8" in caught.value.remedy and relations(url) == set()
    finally:
        administer(server, "DROP DATABASE narrow WITH (FORCE)")


def test_a_schema_of_its_own_beside_another_programs_tables(owners: str, newbie: str, tmp_path: Path) -> None:
    administer(owners, "CREATE TABLE users (id int)", f"CREATE SCHEMA mine AUTHORIZATION {NEWBIE}")
    settings = Settings(home=tmp_path, database_url=newbie.format(database=name_of(owners)), database_schema="mine")
    for _ in range(2):
        with open_storage(settings) as storage:
            assert storage.db.fetch("SELECT count(*) AS n FROM videos") == [{"n": 0}] and pending(storage.db) == []
    assert {schema for schema, name in relations(owners) if name != "users"} == {"mine"}


def test_our_tables_are_found_whatever_the_search_path_is(database_url: str, request: pytest.FixtureRequest) -> None:
    """Also through a pooler, whose connections to the server have gone through many hands."""
    direct = direct_url(database_url, request)
    administer(direct, "CREATE SCHEMA elsewhere", f"ALTER DATABASE {name_of(direct)} SET search_path = elsewhere")
    with Database(database_url) as db:
        migrate(db)
    assert {schema for schema, name in relations(direct) if name == "videos"} == {"public"}
    options = f"{'&' if '?' in direct else '?'}options={quote('-csearch_path=nowhere')}"
    for url in (database_url, direct + options):
        with Database(url) as db:
            assert migrate(db) == [] and db.fetch("SELECT count(*) AS n FROM videos") == [{"n": 0}]


def test_every_name_that_must_be_free_is_known(owners: str) -> None:
    with Database(owners) as db:
        migrate(db)
        made = db.fetch("SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')")
    assert {row["name"] for row in made} - {LEDGER} <= set(names_in(one.text for one in migrations.migrations()))


def test_a_migration_has_hours(owners: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index over the masks of a library takes longer than any other statement may."""
    known = migrations.migrations()
    last = migrations.Migration("9999_last.sql", "CREATE TABLE last AS SELECT current_setting('statement_timeout')::interval AS it")
    monkeypatch.setattr(migrations, "migrations", lambda: [*known, last])
    with Database(owners) as db:
        migrate(db)
        assert db.fetch("SELECT it >= interval '1 hour' AS enough FROM last") == [{"enough": True}]
