"""`reframer users`: who may use the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import Name, line, print_rows, table
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Row


@click.group()
def users() -> None:
    """The people who may use the API.

    A user is an address, and has keys. A person sees what they uploaded, and nothing else.

    \b
    reframer users add you@example.org
    reframer keys add you@example.org
    """


def address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """An address, as far as this can be told."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise click.BadParameter(f"{value!r} is no address such as you@example.org.", ctx, param)
    return value


@users.command()
@click.argument("email", callback=address)
@with_settings(*PLACES)
def add(settings: Settings, email: str) -> None:
    """Add a user.

    Somebody who was removed comes back to what they uploaded. Their old keys stay ended.

    \b
    reframer users add you@example.org
    """
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.users import people

    with open_storage(settings) as storage:
        people.add(storage.db, email)
    line(f"{email} is a user. `reframer keys add {email}` makes a key.")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per user, each on a line.")
@with_settings(*PLACES)
def list_(settings: Settings, as_json: bool) -> None:
    """List the users, with how many keys they have."""
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.users import people

    with open_existing(settings) as storage:
        rows = people.list_(storage.db)
    columns = table("address", "keys", "added", "last seen", "")
    print_rows(rows, as_json, "No users yet: `reframer users add you@example.org` adds one.", columns, _listed)


@users.command()
@click.argument("email", callback=address)
@with_settings(*PLACES)
def remove(settings: Settings, email: str) -> None:
    """Remove a user.

    Their keys and sessions end within five seconds. What they uploaded stays.

    \b
    reframer users remove you@example.org
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.users import people

    with open_existing(settings) as storage:
        people.remove(storage.db, email)
    line(f"{email} is removed, and their keys are ended.")


def _listed(row: Row) -> tuple[str | Name, ...]:
    seen = f"{row['last_used_at']:%Y-%m-%d %H:%M}" if row["last_used_at"] else "never"
    return Name(row["email"]), str(row["keys"]), f"{row['created_at']:%Y-%m-%d}", seen, "removed" if row["disabled_at"] else ""
