"""Who is connected to the database.

What belongs here: the name that a command's connections carry, and whom the server names. What does not: what they do there.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database

VARIABLE: Final = "PGAPPNAME"  # libpq reads it, so Dagster's connections and those of child processes carry the name too


def introduce(command: str) -> None:
    """Let the connections of this process and its children say which command they belong to."""
    os.environ[VARIABLE] = f"reframer {command} {os.getpid()}"


def connected(db: Database) -> list[str]:
    """The others that are connected to the server, in words."""
    rows = db.fetch(
        """SELECT DISTINCT application_name AS name FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND application_name <> current_setting('application_name') ORDER BY 1"""
    )
    return [_in_words(row["name"]) for row in rows]


def _in_words(name: str) -> str:
    ours = re.fullmatch(r"reframer (\S+) (\d+)", name)
    if ours:
        return f"`reframer {ours[1]}` (process {ours[2]})"
    return f"a client named {name}" if name else "a client without a name"
