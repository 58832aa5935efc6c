"""Following a job: one look at it every half second, however many wait for what it shows.

What belongs here: sharing a look among those who wait in this process. What does not: looking (`reading.jobs`), how it is told (`jobs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fastapi.concurrency import run_in_threadpool

from reframer_pipeline.reading.jobs import Job

POLL_S: Final = 0.5  # until the next look at a job that somebody waits for


class Following:
    """The next look at each job that is waited for."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, str], asyncio.Task[Job]] = {}

    async def next(self, user_id: str, job_id: str, look: Callable[[], Job]) -> Job:
        """What the next look at a person's job shows: all who ask until it begins are told the same. What `look` raises comes through."""
        whose = (user_id, job_id)
        if whose not in self._next:
            self._next[whose] = task = asyncio.create_task(self._look(whose, look))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # also if nobody waits any more
        return await asyncio.shield(self._next[whose])

    async def _look(self, whose: tuple[str, str], look: Callable[[], Job]) -> Job:
        try:
            await asyncio.sleep(POLL_S)
        finally:
            del self._next[whose]  # before looking: who comes now has seen the job later than this look may
        return await run_in_threadpool(look)
