"""Housekeeping beside running work: one video after the other, each only while nobody computes it.

What belongs here: which videos are old, taking the leases, and counting how it went. What does not: what is done to a video (`archive`,
`eviction`, `sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseFull, DatabaseUnavailable, LeaseLost, ReframerError, StoreUnavailable, VideoBusy
from reframer_pipeline.store.mark import bind
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work import lease
from reframer_pipeline.work.videos import in_words

ActOnOld = Callable[[Database, ObjectStore, str, str, int], int]
_OLD: Final[LiteralString] = """FROM videos v JOIN results r ON r.video_id = v.id
    WHERE v.updated_at < now() - %(days)s * interval '1 day' AND"""


@dataclass
class WhileIdle:
    """How it went.

    Attributes:
        videos: Videos that something was done to.
        amount: What was done, in the unit of the act: rows, bytes.
        busy: Videos left alone because a run is at them.
        left: Videos left as they were, with the reason.
    """

    videos: int = 0
    amount: int = 0
    busy: int = 0
    left: list[str] = field(default_factory=list)


def while_idle(db: Database, video_ids: Iterable[str], owner: str, act: Callable[[str, str], int]) -> WhileIdle:
    """Do something to each video under its lease; one that fails does not stop the others.

    Args:
        db: The database.
        video_ids: The videos.
        owner: Shown to a run that finds the video busy meanwhile.
        act: Given video id and lease token; returns how much it did, 0 for nothing.

    Raises:
        DatabaseUnavailable, DatabaseFull, StoreUnavailable: The others would fail as well.
    """
    went = WhileIdle()
    for video_id in video_ids:
        try:
            with lease.hold(db, video_id, owner) as token:
                amount = act(video_id, token)
        except (VideoBusy, LeaseLost):
            went.busy += 1
        except (DatabaseUnavailable, DatabaseFull, StoreUnavailable):
            raise
        except ReframerError as failure:
            went.left.append(f"{in_words(db, video_id)}: {failure.message}")
        else:
            went.videos += amount > 0
            went.amount += amount
    return went


def while_old(db: Database, store: ObjectStore, days: int, which: LiteralString, owner: str, act: ActOnOld, **params: Any) -> WhileIdle:
    """`while_idle` for the videos that nobody computed or restored for so many days and that have such results, the oldest first.

    Args:
        db: The database.
        store: Its store.
        days: How many.
        which: Condition on videos `v` and results `r`.
        owner: As for `while_idle`.
        act: Given database, store, video id, lease token and the days; may find that there is nothing to do by now (`old_results`).
        params: Of the condition.

    Raises:
        StoreMismatch: Store and database do not belong together; nothing was done.
        DatabaseUnavailable, DatabaseFull, StoreUnavailable: What was done until then stays so.
    """
    bind(db, store)
    old = db.fetch(f"SELECT v.id::text AS video_id {_OLD} {which} GROUP BY v.id ORDER BY v.updated_at", {"days": days, **params})
    return while_idle(db, (row["video_id"] for row in old), owner, lambda video, token: act(db, store, video, token, days))


def old_results(db: Database, days: int, which: LiteralString, video_id: str, **params: Any) -> list[Row]:
    """The results that `while_old` looks for, of one video."""
    return db.fetch(f"SELECT r.* {_OLD} {which} AND v.id = %(video)s", {"days": days, "video": video_id, **params})
