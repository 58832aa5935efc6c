"""`reframer db`: where the database is, its migrations, and its rows made anew from the store."""

from __future__ import annotations

import click

from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.settings import Settings


@click.group()
def db() -> None:
    """The results database: embedded by default, any Postgres by REFRAMER_DATABASE_URL."""


@db.command()
@click.option("--dagster", is_flag=True, help="Dagster's own database instead, in the form that dagster-postgres needs.")
@with_settings(*PLACES)
def url(settings: Settings, dagster: bool) -> None:
    """Print the connection URL, with its password; starts the embedded server if that is the one.

    \b
    psql "$(reframer db url)"
    """
    from reframer_pipeline.storage import embedded

    click.echo(embedded.dagster_url(settings) if dagster else embedded.database_url(settings))


@db.command()
@with_settings(*PLACES)
def migrate(settings: Settings) -> None:
    """Apply the migrations in sql/ that have not been applied yet."""
    from reframer_pipeline.storage.migrations import migrate as apply
    from reframer_pipeline.storage.postgres import Database

    with Database.open(settings) as database:
        applied = apply(database)
    for name in applied or ["Up to date."]:
        line(name)


@db.command()
@with_settings(*PLACES)
def rebuild(settings: Settings) -> None:
    """Restore lost rows from the Parquet objects of the store. Existing rows stay as they are."""
    from reframer_pipeline.storage import open_storage
    from reframer_pipeline.storage.rebuild import rebuild as restore

    with open_storage(settings) as storage:
        done = restore(storage.db, storage.store)
    line(f"Restored {done.videos} videos and {done.results} results; {done.published} videos published.")
    for reason in done.skipped:
        line(f"  left out: {reason}")


@db.command()
@with_settings(*PLACES)
def stop(settings: Settings) -> None:
    """Stop the embedded server. It starts again by itself."""
    from reframer_pipeline.storage import embedded

    line("Stopped." if embedded.stop(settings) else "It was not running.")


COMMANDS = {"db": db}
