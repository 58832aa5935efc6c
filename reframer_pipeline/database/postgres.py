"""The connection to Postgres: a pool, transactions, retries after a lost connection, and typed failures.

What belongs here: how to talk to any Postgres (embedded, plain, or behind a transaction pooler with TLS). What does not: what is
said (`commit`, `status`, `lease`, `migrations`), what an error means (`refusals`). Nothing here needs session state, because a
transaction pooler gives none: no prepared statements, no session SET or advisory lock. What the pipeline relies on is said at the start
of each transaction, because role, database and URL may set it otherwise.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar
from weakref import WeakKeyDictionary

from reframer_pipeline.database import embedded, refusals, urls
from reframer_pipeline.failures import DatabaseUnavailable, ReframerError
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

Row = dict[str, Any]
Params = Sequence[Any] | Mapping[str, Any]
T = TypeVar("T")

_REASON_TIMEOUT_S = 3
_ATTEMPTS = 4
_IDLE_S = 1.0  # after which a connection is tried before it is used; sooner, `run` tries again
_STATEMENT_TIMEOUT_S = 300.0
IDLE_IN_TRANSACTION_S = 600.0  # a client that vanished in the middle of its commit keeps its locks no longer
# How values are written and read. The time zone is left: a time comes with its offset. So is bytea_output: there is no such column.
_MANNER = """SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1;
    SET LOCAL standard_conforming_strings = on"""


class Database:
    """One Postgres database through a small pool.

    Use it as a context manager, or call `close`. Its `repr` shows host and database only.

    Args:
        url: A libpq URL.
        max_size: Connections at most.
        patience_s: How long a connection is waited for; a suspended serverless database wakes within seconds.
        revive: Asked for the URL before each new connection, if given: it starts the server again if that has died.
        schema: Where the tables are.
    """

    def __init__(
        self,
        url: str,
        max_size: int = 4,
        patience_s: float = 15.0,
        revive: Callable[[], str] | None = None,
        schema: str = "public",
    ) -> None:
        self.schema = schema
        self._url = url
        self._revive = revive
        self._trouble: ReframerError | None = None
        self._patience_s = patience_s
        self._statement_s = _STATEMENT_TIMEOUT_S
        self._max_size = max_size
        self._opened: ConnectionPool[psycopg.Connection[Row]] | None = None
        self._used: MutableMapping[psycopg.Connection[Row], float] = WeakKeyDictionary()

    @classmethod
    def open(cls, settings: Settings, max_size: int = 4) -> Database:
        """The database of these settings, with so many connections at most; the embedded server is started if it is the one.

        Raises:
            DatabaseUnavailable: The embedded server does not start. (A remote one is first asked when it is used.)
            SettingsInvalid: The URL cannot be read.
        """
        url = embedded.database_url(settings)
        if settings.database_url is not None:
            return cls(url, max_size, schema=settings.database_schema)
        return cls(url, max_size, revive=lambda: embedded.database_url(settings))

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.where})"

    @property
    def where(self) -> str:
        """Host and database for people; no user, no password."""
        return urls.place(self._url)

    def close(self) -> None:
        """Close the pool. The embedded server keeps running."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def hurried(self, statement_s: float, patience_s: float) -> Database:
        """The same connections, for somebody who must not wait long. Whoever has made this one closes it, too.

        Args:
            statement_s: Longest single statement, seconds, where nothing else is said.
            patience_s: How long a connection is waited for.
        """
        self._pool()  # both have one
        other = copy.copy(self)
        other._statement_s, other._patience_s = statement_s, patience_s
        return other

    @contextlib.contextmanager
    def transaction(
        self, timeout_s: float | None = None, snapshot: bool = False, deadline: float = math.inf
    ) -> Iterator[psycopg.Connection[Row]]:
        """One transaction on a pooled connection; rows are dicts. Rolled back by any exception.

        Args:
            timeout_s: Longest single statement, seconds; 300 by default, unless `hurried` says otherwise.
            snapshot: Read only, all statements seeing one moment: for readers of several views.
            deadline: By the monotonic clock: nothing is waited for beyond it. At worst the connection is closed, a second later.

        Raises:
            DatabaseUnavailable, DatabaseTooSlow, DatabaseFull, DatabaseNotPrepared: From the server, mapped.
            Other typed failures pass through.
        """
        from reframer_pipeline.database.connection import patient

        timeout_s = self._statement_s if timeout_s is None else timeout_s
        with (
            self._mapped(),
            patient(deadline=deadline),
            self._pool().connection(_left(deadline, self._patience_s)) as conn,
            patient(timeout_s),
        ):
            try:
                conn.execute(self._begin(snapshot, _left(deadline, timeout_s)))
                yield conn
                conn.commit()
            finally:
                self._note_use(conn)

    def run(
        self,
        act: Callable[[psycopg.Connection[Row]], T],
        timeout_s: float | None = None,
        snapshot: bool = False,
        within_s: float = math.inf,
    ) -> T:
        """Run `act` in one transaction, again if the connection is lost, a bounded number of times.

        A connection lost during COMMIT leaves open whether it happened, so `act` must find out by itself (a key that is
        already there) and must draw on nothing that is used up. A statement that ran over its time is not repeated.

        Args:
            act: What to do.
            timeout_s: As for `transaction`.
            snapshot: As for `transaction`.
            within_s: All tries together, for callers who have no more time; at worst a second more, and three to say what is wrong.
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

    def execute(self, query: LiteralString, params: Params | None = None, within_s: float = math.inf) -> int:
        """Run one idempotent statement in a transaction of its own; the number of rows it touched; `within_s` as for `run`."""
        return self.run(lambda conn: conn.execute(query, params).rowcount, within_s=within_s)

    def _begin(self, snapshot: bool, timeout_s: float) -> bytes:
        """All that a transaction relies on, in one round trip."""
        level = "REPEATABLE READ, READ ONLY" if snapshot else "READ COMMITTED"
        return f"""BEGIN ISOLATION LEVEL {level}; SET LOCAL search_path = "{self.schema}"; {_MANNER};
            SET LOCAL statement_timeout = {max(int(timeout_s * 1000), 1)};
            SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_IN_TRANSACTION_S * 1000)}""".encode()

    def _live_url(self) -> str:
        if self._revive is not None:
            try:
                self._url, self._trouble = self._revive(), None
            except ReframerError as failure:
                self._trouble = failure
                raise
        return self._url

    def _pool(self) -> ConnectionPool[psycopg.Connection[Row]]:
        if self._opened is None:
            from psycopg_pool import ConnectionPool

            from reframer_pipeline.database.connection import CONNECT_TIMEOUT_S, OPTIONS, Connection

            urls.readable(self._url, "REFRAMER_DATABASE_URL")
            # The pool logs each failed attempt with the driver's text; the typed failure says it once, without an address.
            logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
            self._opened = ConnectionPool(
                self._live_url,
                connection_class=Connection,
                kwargs=OPTIONS,
                min_size=0,
                max_size=self._max_size,
                timeout=self._patience_s,
                reconnect_timeout=CONNECT_TIMEOUT_S,
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
            raise refusals.failure(error, self.where, self._said(error)) from error

    def _said(self, error: psycopg.Error) -> str:
        return urls.without_user(refusals.sentence(error), self._url)

    def _reason(self) -> str:
        """Why connecting fails: the pool does not say, so ask once without it. The server is not started for that: it may take minutes."""
        import psycopg

        if self._trouble is not None:
            return self._trouble.message
        try:
            psycopg.connect(self._url, connect_timeout=_REASON_TIMEOUT_S).close()
        except psycopg.Error as error:
            return self._said(error)
        return "all connections are in use."


def _left(deadline: float, most: float) -> float:
    """Seconds until then, `most` at most; never 0, which Postgres would read as no limit."""
    return max(min(deadline - time.monotonic(), most), 0.001)


def _took_its_time(cause: BaseException | None) -> bool:
    """Whether a failure has cost all of a timeout already: the same again would cost another one, and most likely end alike."""
    from psycopg_pool import PoolTimeout

    from reframer_pipeline.database.connection import Silence

    return isinstance(cause, PoolTimeout | Silence) or getattr(cause, "sqlstate", None) == refusals.OVER_TIME
