"""Proxies that are kept: one a video at most, a row that says how it stands and an object in the store.

What belongs here: who makes one, how far that is, and where it lies afterwards. What does not: making it (`media.proxy`), when it goes
(`retention.eviction`), what a player is told (`api`).

Whoever makes one says so in the row first, so several servers over one database make it once. Who gives no sign for `SILENT_S` has died.
The object is put before the row names it: a crash in between leaves an orphan, never a row without its object.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.media.proxy import CODE_VERSION
from reframer_pipeline.store.objects import ObjectStore, proxy_key

State = Literal["none", "making", "ready", "failed"]
SILENT_S: Final = 60.0
_USED_H: Final = 1  # that somebody looked is noted so often at most
_LIVES: Final[LiteralString] = f"""proxies.code_version = {CODE_VERSION}
    AND (proxies.state <> 'making' OR proxies.alive_at > now() - {SILENT_S} * interval '1 second')"""


@dataclass(frozen=True)
class Proxy:
    """How a video's proxy stands.

    Attributes:
        state: none, making, ready or failed.
        progress: 0 to 1.
        key: Of its object, once it is ready.
        failure: Code, message and remedy, if it failed.
    """

    state: State = "none"
    progress: float = 0.0
    key: str | None = None
    failure: tuple[str, str, str] | None = None


def look(db: Database, video_id: str) -> Proxy:
    """How a video's proxy stands."""
    row = db.fetch_one(f"SELECT * FROM proxies WHERE video_id = %s AND {_LIVES}", (video_id,))
    if row is None:
        return Proxy()
    failure = (row["failure_code"], row["failure_message"], row["failure_remedy"]) if row["state"] == "failed" else None
    return Proxy(row["state"], row["progress"], row["object_key"], failure)


def claim(db: Database, video_id: str) -> str | None:
    """Begin to make a video's proxy: the token by which the rest is said; None if it is ready, is being made, or there is no such video.

    One that failed may be tried again.
    """
    token = str(uuid.uuid4())
    row = db.fetch_one(
        f"""INSERT INTO proxies (video_id, token, code_version) SELECT id, %s, {CODE_VERSION} FROM videos WHERE id = %s
            ON CONFLICT (video_id) DO UPDATE SET token = EXCLUDED.token, code_version = EXCLUDED.code_version, state = 'making',
                progress = 0, object_key = NULL, object_bytes = NULL, failure_code = NULL, failure_message = NULL, failure_remedy = NULL,
                alive_at = now()
            WHERE proxies.token = EXCLUDED.token OR proxies.state = 'failed' OR NOT ({_LIVES})
            RETURNING token::text AS token""",
        (token, video_id),
    )
    return None if row is None else str(row["token"])


def alive(db: Database, video_id: str, token: str, progress: float = 0.0) -> bool:
    """It is still being made, and so far. Returns whether anybody wants it: not if the video was deleted, or another one makes it."""
    query = "UPDATE proxies SET alive_at = now(), progress = greatest(progress, %s) WHERE video_id = %s AND token = %s AND state = 'making'"
    return db.execute(query, (progress, video_id, token)) > 0


def keep(db: Database, store: ObjectStore, video_id: str, token: str, made: Path) -> None:
    """It is made: put it into the store, unless nobody wants it any more.

    Raises:
        StoreUnavailable, DiskFull: It cannot be kept.
    """
    key = proxy_key(video_id, token)
    size = store.put(made, key, alive=lambda: None)
    noted = db.execute(
        """UPDATE proxies SET state = 'ready', progress = 1, object_key = %s, object_bytes = %s, alive_at = now()
           WHERE video_id = %s AND token = %s""",
        (key, size, video_id, token),
    )
    if not noted:
        store.delete(key)


def fail(db: Database, video_id: str, token: str, failure: ReframerError) -> None:
    """It cannot be made."""
    db.execute(
        """UPDATE proxies SET state = 'failed', failure_code = %s, failure_message = %s, failure_remedy = %s, alive_at = now()
           WHERE video_id = %s AND token = %s AND state = 'making'""",
        (failure.code, clean_text(failure.message), clean_text(failure.remedy), video_id, token),
    )


def give_up(db: Database, video_id: str, token: str) -> None:
    """It is not being made any more, for no fault of the video."""
    db.execute("DELETE FROM proxies WHERE video_id = %s AND token = %s AND state = 'making'", (video_id, token))


def used(db: Database, video_id: str) -> None:
    """Somebody looks at it."""
    db.execute(
        f"""UPDATE proxies SET alive_at = now()
            WHERE video_id = %s AND state = 'ready' AND alive_at < now() - {_USED_H} * interval '1 hour'""",
        (video_id,),
    )


def lost(db: Database, video_id: str, key: str) -> None:
    """Its object is gone."""
    db.execute("DELETE FROM proxies WHERE video_id = %s AND object_key = %s", (video_id, key))


def evict_older(db: Database, store: ObjectStore, days: int) -> tuple[int, int]:
    """Delete the proxies that nobody looked at for so many days. Rows go first: a crash in between leaves objects to the sweep.

    Returns:
        How many, and their bytes.

    Raises:
        DatabaseUnavailable, StoreUnavailable: The rest is left to the sweep.
    """
    gone = db.fetch(
        """DELETE FROM proxies WHERE state <> 'making' AND alive_at < now() - %s * interval '1 day'
           RETURNING object_key, coalesce(object_bytes, 0) AS bytes""",
        (days,),
    )
    keys = [row["object_key"] for row in gone if row["object_key"]]
    for key in keys:
        store.delete(key)
    return len(keys), sum(int(row["bytes"]) for row in gone)


def known(db: Database, keys: list[str]) -> set[str]:
    """Those of the objects that a row names."""
    return {row["object_key"] for row in db.fetch("SELECT object_key FROM proxies WHERE object_key = ANY(%s)", (keys,))}
