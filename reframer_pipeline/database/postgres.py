"""The connection to Postgres: a pool, transactions, retries after a lost connection, and typed failures.

What belongs here: how to talk to any Postgres (embedded, plain, or behind a transaction pooler with TLS). What does not: what is
said (`commit`, `status`, `lease`, `migrations`). Nothing here needs session state, because a transaction pooler gives none: no
prepared statements, no session SET or advisory lock; limits on time are SET LOCAL.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar
from weakref import WeakKeyDictionary

from reframer_pipeline.database import embedded
from reframer_pipeline.failures import DatabaseFull, DatabaseUnavailable, InternalError, ReframerError, SettingsInvalid
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

Row = dict[str, Any]
Params = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10
_REASON_TIMEOUT_S = 3
_ATTEMPTS = 4
_IDLE_S = 1.0  # after which a connection is tried before it is used; sooner, `run` tries again
_UNREADABLE = "unreadable URL"
_STATEMENT_TIMEOUT_S = 300.0
# The server went away or is starting: 08 connection, 57P0x shutdown and start-up, 53300 no slot left, 25006 read-only after
# a failover, 40001 and 40P01 serialization and deadlock. The same transaction may go through a moment later.
_OVER_TIME = "57014"  # the statement timeout
_PASSING = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25006", "40001", "40P01")


class Database:
    """One Postgres database through a small pool.

    Use it as a context manager, or call `close`. Its `repr` shows host and database only.

    Args:
        url: A libpq URL.
        max_size: Connections at most.
        patience_s: How long a connection is waited for; a suspended serverless database wakes within seconds.
        revive: Asked for the URL before each new connection, if given: it starts the server again if that has died.
    """

    def __init__(self, url: str, max_size: int = 4, patience_s: float = 15.0, revive: Callable[[], str] | None = None) -> None:
        self._url = url
        self._revive = revive
        self._patience_s = patience_s
        self._max_size = max_size
        self._opened: ConnectionPool[psycopg.Connection[Row]] | None = None
        self._used: MutableMapping[psycopg.Connection[Row], float] = WeakKeyDictionary()

    @classmethod
    def open(cls, settings: Settings) -> Database:
        """The database of these settings; the embedded server is started if it is the one.

        Raises:
            DatabaseUnavailable: The embedded server does not start. (A remote one is first asked when it is used.)
        """
        revive = None if settings.database_url is not None else lambda: embedded.database_url(settings)
        return cls(embedded.database_url(settings), revive=revive)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.where})"

    @property
    def where(self) -> str:
        """Host and database for people; no user, no password."""
        from psycopg.conninfo import conninfo_to_dict

        try:
            parts = conninfo_to_dict(self._url)
        except Exception:  # an unreadable URL is reported when it is used; its text may hold a password
            return _UNREADABLE
        return f"{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"

    def close(self) -> None:
        """Close the pool. The embedded server keeps running."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @contextlib.contextmanager
    def transaction(
        self, timeout_s: float = _STATEMENT_TIMEOUT_S, snapshot: bool = False, deadline: float = math.inf
    ) -> Iterator[psycopg.Connection[Row]]:
        """One transaction on a pooled connection; rows are dicts. Rolled back by any exception.

        Args:
            timeout_s: Longest single statement, seconds.
            snapshot: Read only, all statements seeing one moment: for readers of several views.
            deadline: By the monotonic clock: neither waiting for a connection nor a statement begun at once goes on beyond it.

        Raises:
            DatabaseUnavailable, DatabaseFull: From the server, mapped. Other typed failures pass through.
        """
        with self._mapped(), self._pool().connection(_left(deadline, self._patience_s)) as conn:
            # One round trip. The level is said, because the database's own default may be another.
            level = "REPEATABLE READ, READ ONLY" if snapshot else "READ COMMITTED"
            limit = max(int(_left(deadline, timeout_s) * 1000), 1)
            try:
                conn.execute(f"BEGIN ISOLATION LEVEL {level}; SET LOCAL statement_timeout = {limit}".encode())
                yield conn
                conn.commit()
            finally:
                self._note_use(conn)

    def run(
        self,
        act: Callable[[psycopg.Connection[Row]], T],
        timeout_s: float = _STATEMENT_TIMEOUT_S,
        snapshot: bool = False,
        within_s: float = math.inf,
    ) -> T:
        """Run `act` in one transaction, again if the connection is lost, a bounded number of times.

        A connection lost during COMMIT leaves open whether it happened, so `act` must find out by itself (a key that is
        already there) and must draw on nothing that is used up. A statement that ran over its time is not repeated.

        Args:
            act: What to do.
            timeout_s: Longest single statement, seconds.
            snapshot: As for `transaction`.
            within_s: All tries together, for callers who have no more time. An `act` of several statements may take longer.
        """
        deadline = time.monotonic() + within_s
        for attempt in range(_ATTEMPTS):
            try:
                with self.transaction(timeout_s, snapshot, deadline) as conn:
                    return act(conn)
            except DatabaseUnavailable as failure:
                pause = 0.2 * 2**attempt
                if attempt + 1 == _ATTEMPTS or _took_its_time(failure.__cause__) or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def fetch(self, query: LiteralString, params: Params | None = None, within_s: float = math.inf) -> list[Row]:
        """All rows of a query, in a transaction of its own; `within_s` as for `run`."""
        return self.run(lambda conn: conn.execute(query, params).fetchall(), within_s=within_s)

    def fetch_one(self, query: LiteralString, params: Params | None = None) -> Row | None:
        """The first row of a query, or None."""
        return self.run(lambda conn: conn.execute(query, params).fetchone())

    def execute(self, query: LiteralString, params: Params | None = None) -> int:
        """Run one idempotent statement in a transaction of its own; the number of rows it touched."""
        return self.run(lambda conn: conn.execute(query, params).rowcount)

    def _live_url(self) -> str:
        if self._revive is not None:
            self._url = self._revive()
        return self._url

    def _pool(self) -> ConnectionPool[psycopg.Connection[Row]]:
        if self._opened is None:
            if self.where == _UNREADABLE:
                raise SettingsInvalid(
                    "REFRAMER_DATABASE_URL is not a Postgres URL.", "Write it as postgresql://user:password@host/database."
                )
            from psycopg.rows import dict_row
            from psycopg_pool import ConnectionPool

            # The pool logs each failed attempt with the driver's text; the typed failure says it once, without an address.
            logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
            options = {
                "autocommit": True,  # transactions are begun and ended by `transaction`
                "row_factory": dict_row,
                "prepare_threshold": None,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "fallback_application_name": "reframer",  # unless `clients.introduce` says more
                "client_encoding": "utf8",
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
            }
            self._opened = ConnectionPool(
                self._live_url,
                kwargs=options,
                min_size=0,
                max_size=self._max_size,
                timeout=self._patience_s,
                reconnect_timeout=_CONNECT_TIMEOUT_S,
                configure=self._note_use,
                check=self._check,
                name="reframer",
                open=True,
            )
        return self._opened

    def _check(self, conn: psycopg.Connection[Row]) -> None:
        """See that a connection still works which lay idle: the server may have been restarted, or suspended, since."""
        from psycopg_pool import ConnectionPool

        if time.monotonic() - self._used[conn] > _IDLE_S:
            ConnectionPool.check_connection(conn)

    def _note_use(self, conn: psycopg.Connection[Row]) -> None:
        self._used[conn] = time.monotonic()

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        import psycopg
        from psycopg_pool import PoolTimeout

        try:
            yield
        except ReframerError:
            raise
        except PoolTimeout as error:
            raise DatabaseUnavailable(f"The database at {self.where} cannot be reached: {self._reason()}") from error
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: psycopg.Error) -> ReframerError:
        from psycopg import errors

        state = error.sqlstate or ""
        said = _sentence(error)
        if isinstance(error, errors.DiskFull) or state == "53100":
            return DatabaseFull(f"The database at {self.where} is full: {said}")
        lost = not state and type(error).__name__ in ("OperationalError", "InterfaceError")
        if lost or state.startswith(_PASSING) or state == _OVER_TIME:
            return DatabaseUnavailable(f"The database at {self.where} broke off: {said}")
        return InternalError(f"The database at {self.where} refused a statement ({state or 'no code'}): {said}")

    def _reason(self) -> str:
        """Why connecting fails: the pool does not say, so ask once without it."""
        import psycopg

        try:
            psycopg.connect(self._live_url(), connect_timeout=_REASON_TIMEOUT_S).close()
        except ReframerError as failure:
            return failure.message
        except psycopg.Error as error:
            return _sentence(error)
        return "all connections are in use."


def _left(deadline: float, most: float) -> float:
    """Seconds until then, `most` at most; never 0, which Postgres would read as no limit."""
    return max(min(deadline - time.monotonic(), most), 0.001)


def _took_its_time(cause: BaseException | None) -> bool:
    """Whether a failure has cost all of a timeout already: the same again would cost another one, and most likely end alike."""
    from psycopg_pool import PoolTimeout

    return isinstance(cause, PoolTimeout) or getattr(cause, "sqlstate", None) == _OVER_TIME


def _sentence(error: psycopg.Error) -> str:
    """The server's primary message; never `str(error)`, whose CONTEXT and DETAIL may quote rows."""
    primary = error.diag.message_primary if error.diag else None
    text = (primary or str(error).strip().split("\n", 1)[0] or type(error).__name__).strip()
    return text if text.endswith(".") else text + "."
