"""Patience with a store or a database that is away for a moment.

What belongs here: how often and with what pauses a finished result is offered again. What does not: retries of one transaction after a
lost connection (`postgres`), of a whole stage (Dagster's retry policy).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from reframer_pipeline.failures import DatabaseUnavailable, StoreUnavailable

T = TypeVar("T")
PAUSES_S = (2.0, 5.0, 13.0)  # between tries: a finished result outlasts a restart of the database, but not an outage


def patiently(act: Callable[[], T], alive: Callable[[], None]) -> T:
    """Do it, again after each pause while store or database is away."""
    for pause in PAUSES_S:
        alive()
        try:
            return act()
        except (DatabaseUnavailable, StoreUnavailable):
            time.sleep(pause)
    alive()
    return act()
