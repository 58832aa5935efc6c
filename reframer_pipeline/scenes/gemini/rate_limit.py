"""Turns at a shared service: one limiter for all processes, kept in Postgres.

What belongs here: giving out turns, and holding everyone off when the service asks for it. What does not: which service, and what is done
with a turn. Turns are `60 / per_minute` seconds apart, so no minute ever holds more than `per_minute` of them; all times are the server's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from reframer_pipeline.database.postgres import Database

LONGEST_HOLD_S: Final = 3600.0  # what one answer can make all others wait for
_LONGEST_NAP_S: Final = 1.0  # between signs of life


def take_turn(db: Database, name: str, per_minute: float, *, until: float, alive: Callable[[], None]) -> bool:
    """Wait for one's turn.

    Args:
        db: The database that all who share the service use.
        name: The service, and whatever else it counts by.
        per_minute: Turns a minute.
        until: `time.monotonic()` after which it is not worth waiting any more.
        alive: Called at least once a second while waiting; may raise to give up, and the turn is lost.

    Returns:
        Whether the turn came in time. If it would come too late, none is taken.
    """
    spacing = 60.0 / per_minute
    while True:
        row = db.fetch_one(
            """INSERT INTO rate_limits AS r (name, next_turn) VALUES (%(name)s, clock_timestamp() + %(spacing)s * interval '1 second')
               ON CONFLICT (name) DO UPDATE
                   SET next_turn = greatest(r.next_turn, r.not_before, clock_timestamp()) + %(spacing)s * interval '1 second'
                   WHERE extract(epoch FROM greatest(r.next_turn, r.not_before) - clock_timestamp()) <= %(patience)s
               RETURNING extract(epoch FROM next_turn - clock_timestamp())::float8 - %(spacing)s AS wait""",
            {"name": name, "spacing": spacing, "patience": until - time.monotonic()},
        )
        if row is None:
            return False
        nap(float(row["wait"]), alive)
        if held_off(db, name) <= 0:
            return True
        # Someone was told to wait while we did. All who waited come here now, so each takes a new turn: else they would go at once.


def hold_off(db: Database, name: str, seconds: float) -> None:
    """Nobody takes a turn for this long, but at most `LONGEST_HOLD_S`: the service said so."""
    db.execute(
        """INSERT INTO rate_limits AS r (name, next_turn, not_before)
           VALUES (%(name)s, clock_timestamp(), clock_timestamp() + %(seconds)s * interval '1 second')
           ON CONFLICT (name) DO UPDATE SET not_before = greatest(r.not_before, EXCLUDED.not_before)""",
        {"name": name, "seconds": min(seconds, LONGEST_HOLD_S)},
    )


def held_off(db: Database, name: str) -> float:
    """Seconds until turns are given out again, 0 if they are."""
    row = db.fetch_one(
        """SELECT extract(epoch FROM not_before - clock_timestamp())::float8 AS wait FROM rate_limits
           WHERE name = %s AND not_before > clock_timestamp()""",
        (name,),
    )
    return float(row["wait"]) if row else 0.0


def nap(seconds: float, alive: Callable[[], None]) -> None:
    """Wait, and give a sign of life once a second."""
    until = time.monotonic() + seconds
    alive()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LONGEST_NAP_S))
        alive()
