"""What the server refuses, as typed failures: the one place that knows what an SQLSTATE means.

What belongs here: the classes of PostgreSQL's table of error codes (appendix A of its manual) and their failures. What does not:
trying again (`postgres`), finding out beforehand what would be refused (`preflight`).

- Passing: the server went away, is short of something, or did what a neighbour made it do. The same may go through a moment later.
- Not prepared: nothing passes until somebody changes the database or the settings. Neither is the video's fault.
- All else is a statement or a value that it should not have been sent: a defect of the pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reframer_pipeline.failures import DatabaseFull, DatabaseNotPrepared, DatabaseTooSlow, DatabaseUnavailable, InternalError, ReframerError

if TYPE_CHECKING:
    import psycopg

OVER_TIME: Final = "57014"  # statement_timeout
FULL: Final = "53100"
# Classes and single codes.
PASSING: Final = (
    "08",  # connection
    "25P03", "25P04",  # idle in transaction, or the transaction itself, for too long
    "25006",  # read-only: what was the primary is a standby since the failover
    "40",  # rolled back: serialization, deadlock
    "53",  # resources: memory, connections, files
    "55P03",  # lock_timeout
    "57P01", "57P02", "57P03", "57P05",  # shutdown, crash, start-up, idle_session_timeout
    "58",  # errors of the system: input and output
    "XX",  # internal errors: a damaged page, and what poolers and serverless databases have no better code for
)  # fmt: skip
NOT_PREPARED: Final = {
    "0A000": "Use PostgreSQL 15 or newer.",
    "22P05": "Use a database with the encoding UTF8.",
    "28": "Check user and password in REFRAMER_DATABASE_URL.",
    "3D000": "Make that database, or correct its name in REFRAMER_DATABASE_URL.",
    "3F000": "Make that schema, or correct REFRAMER_DATABASE_SCHEMA.",
    "42501": "Give the URL's user that right, or name the user in REFRAMER_DATABASE_URL who made the tables.",
    "42P01": "Tables were removed by hand: restore the database from its backup, or take an empty one and run `reframer db rebuild`.",
    "42P07": "Name an empty schema in REFRAMER_DATABASE_SCHEMA: another program's tables are in this one.",
}


def failure(error: psycopg.Error, where: str, said: str) -> ReframerError:
    """The failure that an error of the server or the driver is.

    Args:
        error: The error.
        where: Host and database, for people.
        said: Its sentence, for people.
    """
    import psycopg
    from psycopg_pool import PoolClosed

    state = error.sqlstate or ""
    if state == FULL:
        return DatabaseFull(f"The database at {where} is full: {said}")
    if state == OVER_TIME:
        return DatabaseTooSlow(f"The database at {where} took too long: {said}")
    lost = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and not isinstance(error, PoolClosed)
    if lost or state.startswith(PASSING):
        return DatabaseUnavailable(f"The database at {where} broke off: {said}")
    message = f"The database at {where} refused a statement ({state or 'no code'}): {said}"
    remedy = next((remedy for code, remedy in NOT_PREPARED.items() if state.startswith(code)), None)
    return InternalError(message) if remedy is None else DatabaseNotPrepared(message, remedy)


def sentence(error: psycopg.Error) -> str:
    """The server's primary message; never `str(error)`, whose CONTEXT and DETAIL may quote rows."""
    primary = error.diag.message_primary if error.diag else None
    text = (primary or str(error).strip().split("\n", 1)[0] or type(error).__name__).strip()
    return text if text.endswith(".") else text + "."
