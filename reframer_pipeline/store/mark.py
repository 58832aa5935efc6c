"""The mark in a store: which database it belongs to.

What belongs here: setting it, and seeing that both agree. What does not: anything else in the store (`objects`).
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import ObjectMissing, StoreMismatch
from reframer_pipeline.store.objects import ObjectStore

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Database, Row

MARK: Final = "store.json"


def bind(db: Database, store: ObjectStore) -> str:
    """See that store and database belong together; the first use of both makes it so.

    A new database takes on the id of a store that has one (that is how `rebuild` begins), a new store that of its database.

    Returns:
        The id they share.

    Raises:
        StoreMismatch: Each has an id, and they differ. Nothing is changed.
    """
    seen = _mark_of(store)

    def claim(conn: psycopg.Connection[Row]) -> str:
        conn.execute("INSERT INTO deployment (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (seen or str(uuid.uuid4()),))
        row = conn.execute("SELECT store_id FROM deployment").fetchone()
        assert row is not None
        return str(row["store_id"])

    owned = db.run(claim)
    if seen is None:
        store.put_bytes(json.dumps({"store_id": owned}).encode(), MARK)
    elif seen != owned:
        raise StoreMismatch(f"The store {store!r} has the id {seen}, the database {db.where} expects {owned}.")
    return owned


def _mark_of(store: ObjectStore) -> str | None:
    try:
        with store.open_object(MARK) as file:
            mark: dict[str, Any] = json.loads(file.read())
        return str(uuid.UUID(mark["store_id"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreMismatch(f"The store's mark {MARK} cannot be read.", "Restore it, or delete it if the store is new.") from error
