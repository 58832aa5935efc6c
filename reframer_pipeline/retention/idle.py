"""Housekeeping beside running work: one video after the other, each only while nobody computes it.

What belongs here: taking the leases, and counting how it went. What does not: what is done to a video (`archive`, `eviction`, `sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import DatabaseFull, DatabaseUnavailable, LeaseLost, ReframerError, StoreUnavailable, VideoBusy
from reframer_pipeline.work import lease


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
            went.left.append(f"{video_id}: {failure.message}")
        else:
            went.videos += amount > 0
            went.amount += amount
    return went
