"""What the server does beside answering: scratch folder swept, resumable uploads seen to, webhooks told, sessions that are over dropped.

What belongs here: when. What does not: doing it. Trouble is logged and tried again: no request waits for this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

from reframer_pipeline.api import webhooks
from reframer_pipeline.api.services import Services
from reframer_pipeline.orchestration.requests.asking import ask
from reframer_pipeline.scratch import sweep_scratch
from reframer_pipeline.uploads import resumable
from reframer_pipeline.uploads.receiving import sweep_received
from reframer_pipeline.users import keys

SCRATCH_S: Final = 3600.0
RESUMABLE_S: Final = 600.0
WEBHOOKS_S: Final = 2.0
SESSIONS_S: Final = 3600.0
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Do it while the block lasts."""
    acts = (
        _every(None, lambda: sweep_received(services.settings)),
        _every(SCRATCH_S, lambda: sweep_scratch(services.settings)),
        _every(RESUMABLE_S, lambda: _resumable(services)),
        _every(WEBHOOKS_S, lambda: webhooks.tell_due(services)),
        _every(SESSIONS_S, lambda: keys.sweep(services.db)),
    )
    tasks = [asyncio.create_task(act) for act in acts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _resumable(services: Services) -> None:
    resumable.sweep(services.storage)
    for job in resumable.complete_all(services.storage):
        ask(services.settings.dagster_url, services.db, job.video_id)


async def _every(pause_s: float | None, act: Callable[[], object]) -> None:
    """Now, and then again and again, or once."""
    while True:
        try:
            await asyncio.to_thread(act)
        except Exception as error:  # of whichever kind: the next time may be better
            _log.warning("Upkeep: %s: %s", type(error).__name__, error)
        if pause_s is None:
            return
        await asyncio.sleep(pause_s)
