"""Showing: results that are wanted and that all exist, but that readers do not see, become what they see.

What belongs here: moving the published set where nothing is to be computed, as after settings were changed and changed back. What does not:
publishing what a run has just made (`results.publishing`), corrections (`results.correcting`). It takes a transaction, no run; the schedule
and whoever likes may call it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.retention.idle import WhileIdle, while_idle

LIMIT: Final = 100  # videos at a time
LIMIT_S: Final = 10.0  # and seconds: a distant database takes a quarter of a second for each


def show_computed(planner: Planner, video_ids: Iterable[str]) -> WhileIdle:
    """Show what is wanted of videos that have nothing to compute, while nobody is at them and as far as the time goes.

    Args:
        planner: Asked again under each video's lease, since somebody may have wanted or made something else meanwhile.
        video_ids: Videos whose plan was `unshown`.

    Raises:
        DatabaseUnavailable, DatabaseFull: The rest has to wait.
    """
    db = planner.storage.db

    def show(video_id: str, token: str) -> int:
        wanted = [recipe.digest for plan in planner.plans([video_id]) if plan.unshown for recipe in plan.wanted.values()]

        if wanted:
            query = "SELECT stage, result_id::text AS id FROM results WHERE video_id = %s AND recipe = ANY(%s) AND corrects IS NULL"
            found = {row["stage"]: row["id"] for row in db.fetch(query, (video_id, wanted))}
            planner.storage.results.publish(video_id, found, token)
        return len(wanted)

    until = time.monotonic() + LIMIT_S
    return while_idle(db, takewhile(lambda _: time.monotonic() <= until, video_ids), "backfill", show)
