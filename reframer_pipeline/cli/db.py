"""`reframer db`: where the database is, its migrations, its rows made anew from the store, and the sweep."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict

import click

from reframer_pipeline.cli.alone import is_running
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.readable import readable
from reframer_pipeline.cli.tables import line
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.settings import Settings


@click.group()
def db() -> None:
    """The database of results.

    An embedded Postgres by default. REFRAMER_DATABASE_URL names another.
    """


@db.command()
@click.option("--dagster", is_flag=True, help="The database that Dagster keeps for itself.")
@with_settings(*PLACES)
def url(settings: Settings, dagster: bool) -> None:
    """Print the database's URL, with its password.

    The embedded server is started if that is the one.

    \b
    psql "$(reframer db url)"
    """
    from reframer_pipeline.database import embedded

    click.echo(embedded.dagster_url(settings) if dagster else embedded.database_url(settings))


@db.command()
@with_settings(*PLACES)
def migrate(settings: Settings) -> None:
    """Bring the tables up to date.

    It applies the files of sql/ that are new. Every other command does so, too.
    """
    from reframer_pipeline.database.migrations import migrate as apply
    from reframer_pipeline.database.postgres import Database

    with Database.open(settings) as database:
        applied = apply(database)
    for name in applied or ["Up to date."]:
        line(name)


@db.command()
@with_settings(*PLACES)
def rebuild(settings: Settings) -> None:
    """Restore lost rows from the object store.

    It reads the Parquet files, and also restores Dagster's list of videos. Rows that exist stay as they are. If something was left out,
    it is named, the exit status is 1, and no sweep deletes anything until a rebuild leaves nothing out.
    """
    from reframer_pipeline.orchestration import assets
    from reframer_pipeline.results.rebuild import rebuild as restore
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.running import dagster_home

    with open_storage(settings) as storage:
        done = restore(storage.db, storage.store)
        with dagster_home.open_instance(settings) as instance:
            assets.register_partitions(instance, storage.db)
    line(f"Restored {done.videos} videos and {done.results} results; {done.published} videos published.")
    for reason in done.skipped:
        line(f"  left out: {reason}")
    if done.skipped:
        sys.exit(1)


@db.command("adopt-store")
@with_settings(*PLACES)
def adopt_store(settings: Settings) -> None:
    """Make a store without a mark the database's.

    A database that knows videos refuses a store without a mark, because an empty mount point looks like one. Say this only after you
    really moved to REFRAMER_STORE_URL. Copy the old store's files there first: videos and results that it lacks are missing until they
    are uploaded and computed again with `reframer run --force`.
    """
    from reframer_pipeline.database.migrations import migrate as apply
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.store.mark import adopt
    from reframer_pipeline.store.objects import ObjectStore

    with Database.open(settings) as database:
        apply(database)
        adopt(database, ObjectStore.open(settings))
        line(f"{settings.objects_url} belongs to {database.where} now.")


@db.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the key of each object.")
@with_settings(*PLACES)
def sweep(settings: Settings, dry_run: bool, as_json: bool) -> None:
    """Delete what nobody needs any more.

    These are results that were replaced REFRAMER_KEEP_SUPERSEDED_DAYS days ago, objects that no row names, and what a deletion that was
    cut off has left. What is published or in use stays, and so does every object younger than a day. A schedule does this every night.

    \b
    reframer db sweep --dry-run
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.retention import deletion
    from reframer_pipeline.retention.sweep import sweep as run

    with open_existing(settings) as storage:
        if not dry_run:
            deletion.finish(storage.db, storage.store, settings)
        swept = run(storage.db, storage.store, settings.keep_superseded_days, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(asdict(swept)))
        return
    verb = "Would delete" if dry_run else "Deleted"
    kinds = f"{swept.results} superseded results, {swept.deliverables} files made of such and {swept.orphans} orphan objects"
    what = f"{kinds}, {swept.bytes / 1e6:.1f} MB"
    line(f"{verb} {what}; {swept.busy} videos are busy.")
    for reason in swept.left:
        line(f"  left alone: {reason}")


@db.command()
@click.option("--force", is_flag=True, help="Also while it is in use. Who uses it loses the connection, and may start it again.")
@with_settings(*PLACES)
def stop(settings: Settings, force: bool) -> None:
    """Stop the embedded Postgres server.

    The next command that needs it starts it again. It goes on while somebody is connected: they are named, and the exit status is 1.
    """
    from reframer_pipeline.database import embedded

    users, at_work = ([], []) if force else _in_use(settings)
    if users:
        at = f", at work on {'; '.join(at_work)}" if at_work else ""
        raise click.ClickException(readable(f"In use by {', '.join(users)}{at}. Stop that first, or say --force."))
    line("Stopped." if embedded.stop(settings) else "It was not running.")


def _in_use(settings: Settings) -> tuple[list[str], list[str]]:
    """Who is connected to the embedded server, and what of each video is being computed there. Starts nothing."""
    from reframer_pipeline.database import clients, embedded
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.work import jobs

    at_work, server = list[str](), embedded.running(settings)
    if server is None:
        return [], []
    with Database(server.database_url) as database:
        users = clients.connected(database)
        with suppress(ReframerError):  # another version's tables, or none yet
            at_work = [jobs.in_words(job) for job in jobs.open_jobs(database) if job["status"] == "processing" and job["leased"]]
    return users or ["`reframer dev`"] * is_running(settings), at_work
