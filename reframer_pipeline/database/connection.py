"""One connection to Postgres, on which every wait ends.

What belongs here: how a connection is made, and for how long anything on it is waited for. What does not: transactions and tries
(`postgres`). The server's own limits are of no use once nothing is heard of it: a pooler that is alive and silent keeps TCP content for
ever. So the waiting is limited on our side too, a moment later than on the server's, and the connection is closed then.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import dict_row

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10
GRACE_S: Final = 1.0  # for the server, which ends a statement at the same time and keeps the connection
_BETWEEN_S: Final = 10.0  # what is said between transactions: whether anybody is there, a rollback
OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,  # transactions are begun and ended by `postgres`
    "row_factory": dict_row,
    "prepare_threshold": None,
    "connect_timeout": CONNECT_TIMEOUT_S,
    "fallback_application_name": "reframer",  # unless `clients.introduce` says more
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds that what was sent may stay without TCP's acknowledgement: keepalives are silent meanwhile
}

_patience: ContextVar[tuple[float, float]] = ContextVar("patience", default=(_BETWEEN_S, math.inf))


class Silence(psycopg.OperationalError):
    """Nothing was heard of the server for as long as was to be waited; the connection is closed."""


class Connection(psycopg.Connection[dict[str, Any]]):
    """A connection that is waited for as long as `patient` says. Closed by `Silence`."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Whatever is said or heard on a connection passes here."""
        each_s, deadline = _patience.get()
        try:
            return super().wait(_until(gen, min(deadline, time.monotonic() + each_s) + GRACE_S), *args, **kwargs)
        except Silence:
            self.close()
            raise


@contextlib.contextmanager
def patient(each_s: float = _BETWEEN_S, deadline: float = math.inf) -> Iterator[None]:
    """Limits what this thread waits for on connections, while the block lasts.

    Args:
        each_s: Longest single wait, seconds: for a statement, or for a part of a COPY.
        deadline: By the monotonic clock: the end of all waits; that of a block around this one holds as well.
    """
    before = _patience.set((each_s, min(deadline, _patience.get()[1])))
    try:
        yield
    finally:
        _patience.reset(before)


def _until(gen: Generator[Any, Any, T], end: float) -> Generator[Any, Any, T]:
    """The same waits. psycopg comes back from each after a tenth of a second, whether there was something or not. What is there is taken,
    however late: this process may have been asleep.
    """
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise Silence("nothing was heard of it in time")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result
