"""The mark in a store: which database it belongs to.

What belongs here: setting it, and seeing that both agree. What does not: anything else in the store (`objects`).
"""

from __future__ import annotations

import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import ObjectMissing, StoreMismatch, StoreUnavailable
from reframer_pipeline.store.objects import MARK, ObjectStore

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Database, Row

_OTHER: Final = "An empty mount point and a mistyped URL look like a new store: mount or name the one that belongs to the database. "
_ADOPT: Final = f"{_OTHER}If you really moved to this one, run `reframer db adopt-store`."


def bind(db: Database, store: ObjectStore) -> str:
    """See that store and database belong together; the first use of both makes it so.

    A new database takes on the id of a store that has one (that is how `rebuild` begins), a new store that of its database, as long as
    that knows no video: then the files of its videos would have to be in the store. From then on the store sees by itself that it still
    is the one (`ObjectStore.demand_ours`).

    Returns:
        The id they share.

    Raises:
        StoreMismatch: Each has an id, and they differ, or the store has none and the database is in use. Nothing is changed.
    """
    seen = _mark_of(store)

    def claim(conn: psycopg.Connection[Row]) -> Row:
        conn.execute("INSERT INTO deployment (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (seen or str(uuid.uuid4()),))
        used = "EXISTS (SELECT FROM videos) OR EXISTS (SELECT FROM results)"
        row = conn.execute(f"SELECT store_id::text AS id, {used} AS used FROM deployment").fetchone()
        assert row is not None
        return row

    row = db.run(claim)
    if seen is None and row["used"]:
        seen = _mark_of(store)  # another process may have begun with both in between
        if seen is None:
            raise StoreMismatch(
                f"The store {store!r} has no mark, and the database {db.where} knows videos whose files it should hold.", _ADOPT
            )
    return _join(store, seen, row["id"], db)


def adopt(db: Database, store: ObjectStore) -> str:
    """Mark a store that has no mark as the database's, whatever that knows: its operator says so. No object is touched.

    Nothing that is in the store by now will ever be taken for an orphan.

    Returns:
        The id they share.

    Raises:
        StoreMismatch: It bears another id.
    """

    def act(conn: psycopg.Connection[Row]) -> str:
        conn.execute("INSERT INTO deployment (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (seen or str(uuid.uuid4()),))
        set_born = "UPDATE deployment SET created_at = CASE WHEN %s THEN now() ELSE created_at END RETURNING store_id::text AS id"
        row = conn.execute(set_born, (seen is None,)).fetchone()
        assert row is not None
        return str(row["id"])

    seen = _mark_of(store)
    return _join(store, seen, db.run(act), db)


def _join(store: ObjectStore, seen: str | None, owned: str, db: Database) -> str:
    if seen is None:
        store.put_bytes(json.dumps({"store_id": owned}).encode(), MARK)
    elif seen != owned:
        raise StoreMismatch(f"The store {store!r} has the id {seen}, the database {db.where} expects {owned}.")
    store.demand_ours = partial(_demand, store, owned)
    return owned


def _demand(store: ObjectStore, owned: str) -> None:
    if _mark_of(store) != owned:
        raise StoreUnavailable(
            f"The store {store!r} no longer bears the mark of its database, as when a disk is not mounted.",
            "Mount it again. If you moved the store, restart everything with its new URL.",
        )


def _mark_of(store: ObjectStore) -> str | None:
    try:
        with store.open_object(MARK) as file:
            mark: dict[str, Any] = json.loads(file.read())
        return str(uuid.UUID(mark["store_id"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreMismatch(f"The store's mark {MARK} cannot be read.", "Restore it, or delete it if the store is new.") from error
