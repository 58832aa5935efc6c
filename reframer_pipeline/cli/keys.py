"""`reframer keys`: what programs come in with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import Name, aside, line, print_rows, table
from reframer_pipeline.cli.users import address
from reframer_pipeline.settings import Settings
from reframer_pipeline.users.keys import SCOPES, Scope
from reframer_pipeline.users.people import LOCAL_USER

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Row


@click.group()
def keys() -> None:
    """Keys for the API: make, list, revoke, rotate.

    A program sends its key in the header X-API-Key. Give each program one of its own, so that you can end it alone. A key is shown
    once; nobody can show it again.

    \b
    KEY=$(reframer keys add)           for whoever sits at this machine
    reframer keys add you@example.org  for a user
    reframer keys list                 who has which, and when it was used
    reframer keys rotate vr_Ab3dEf9x   a new one; the old one ends in a day
    reframer keys revoke vr_Ab3dEf9x
    """


@keys.command()
@click.argument("email", default=LOCAL_USER, callback=address)
@click.option("--name", default="key", show_default=True, help="What you call it: the program that uses it.")
@click.option(
    "--scope", "scopes", multiple=True, default=("read", "write"), show_default=True, type=click.Choice(SCOPES),
    help="What it may do: look (read), upload and delete (write), metrics and files of the bucket (admin). Say it again for more.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(1, 36_500), help="How long it is good; unset: until it is revoked.")
@with_settings(*PLACES)
def add(settings: Settings, email: str, name: str, scopes: tuple[Scope, ...], days: int | None) -> None:
    """Make a key.

    The key alone goes to standard output. Without an address it is for whoever sits at this machine: local@localhost, whose are
    also the videos of `reframer run`.

    \b
    KEY=$(reframer keys add)
    reframer keys add you@example.org --name camera --scope write --days 90
    """
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.users import keys, people

    with open_storage(settings) as storage:
        user_id = people.add(storage.db, LOCAL_USER) if email == LOCAL_USER else people.named(storage.db, email)
        secret = keys.add(storage.db, user_id, name, scopes, None if days is None else timedelta(days=days))
    aside(f"A key of {email}, for {' and '.join(scopes)}. Keep it: it is not shown again.")
    click.echo(secret)


@keys.command("list")
@click.argument("email", required=False)
@click.option("--ended", is_flag=True, help="Those that are good no more, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per key, each on a line.")
@with_settings(*PLACES)
def list_(settings: Settings, email: str | None, ended: bool, as_json: bool) -> None:
    """List the keys, the newest first; of one user, if you name them.

    It shows how each begins, which is enough to name it. `browser` is a session of a browser.

    \b
    reframer keys list
    reframer keys list you@example.org --ended
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.users import keys

    with open_existing(settings) as storage:
        rows = keys.list_(storage.db, email, ended)
    columns = table("key", "user", "name", "scopes", "made", "last used", "good until")
    print_rows(rows, as_json, "No keys yet: `reframer keys add` makes one.", columns, _listed)


@keys.command()
@click.argument("key")
@with_settings(*PLACES)
def revoke(settings: Settings, key: str) -> None:
    """End a key.

    Say how it begins, as `reframer keys list` shows it. Servers let it in for another five seconds at most. Sessions that were
    begun with it end, too.

    \b
    reframer keys revoke vr_Ab3dEf9x
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.users import keys

    with open_existing(settings) as storage:
        row = keys.named(storage.db, key)
        keys.revoke(storage.db, row["key_id"])
    line(f"{row['prefix']}… of {row['email']} is revoked.")


@keys.command()
@click.argument("key")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(0, 8760), help="How long the old one stays good.")
@with_settings(*PLACES)
def rotate(settings: Settings, key: str, hours: int) -> None:
    """Make a new key in place of another.

    It has the same name, scopes and length of time. The old one stays good for a day, so that you can change it in the program
    meanwhile. The new key alone goes to standard output.

    \b
    reframer keys rotate vr_Ab3dEf9x
    reframer keys rotate vr_Ab3dEf9x --hours 0
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.users import keys

    with open_existing(settings) as storage:
        row = keys.named(storage.db, key)
        secret = keys.rotate(storage.db, row["key_id"], timedelta(hours=hours))
    aside(f"A new key of {row['email']}. {row['prefix']}… is good for {hours} h more at most.")
    click.echo(secret)


def _listed(row: Row) -> tuple[str | Name, ...]:
    def moment(name: str) -> str:
        return f"{row[name]:%Y-%m-%d %H:%M}" if row[name] else ""

    until = "revoked" if row["revoked_at"] else moment("expires_at")
    scopes = ", ".join(scope for scope in SCOPES if scope in row["scopes"])
    return (
        f"{row['prefix']}…",
        Name(row["email"]),
        Name(row["name"]),
        scopes,
        moment("created_at"),
        moment("last_used_at") or "never",
        until,
    )
