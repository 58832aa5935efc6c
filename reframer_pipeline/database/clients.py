"""Who is connected to the database.

What belongs here: the name that a command's connections carry, and whom the server names. What does not: what they do there.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database

VARIABLE: Final = "PGAPPNAME"  # libpq reads it, so Dagster's connections and those of child processes carry the name too
LEAVING_S: Final = (0.1, 0.3, 0.6, 1.0, 0.0)  # between looks at who is connected


def introduce(command: str) -> None:
    """Let the connections of this process and its children say which command they belong to."""
    os.environ[VARIABLE] = f"reframer {command} {os.getpid()}"


def connected(db: Database) -> list[str]:
    """The others that are connected to the server, in words. Who has just left is given a moment: the server needs it to notice."""
    for pause in LEAVING_S:
        rows = db.fetch(
            """SELECT DISTINCT application_name AS name FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND application_name <> current_setting('application_name') ORDER BY 1"""
        )
        if not rows:
            break
        time.sleep(pause)
    return [_in_words(row["name"]) for row in rows]


def _in_words(name: str) -> str:
    ours = re.fullmatch(r"reframer (\S+) (\d+)", name)
    if ours:
        return f"`reframer {ours[1]}` (process {ours[2]})"
    return f"a client named {name}" if name else "a client without a name"
