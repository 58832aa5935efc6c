"""What the server does beside answering: it clears what killed servers left.

What belongs here: when. What does not: doing it. Trouble is logged and tried again: no request waits for this.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from reframer_pipeline.api.services import Services
from reframer_pipeline.uploads.receiving import sweep_received

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Do it while the block lasts."""
    tasks = [asyncio.create_task(_every(None, lambda: sweep_received(services.settings)))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
