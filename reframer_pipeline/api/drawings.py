"""What takes long to draw: made once, and kept for a while in the scratch folder.

What belongs here: one drawing at a time of each thing, waiting for it, and the bound on what is kept. What does not: drawing
(`reading.sheets`). Another server over the same folder may draw the same; whoever is ready last has made the file, and both are alike.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from fastapi.concurrency import run_in_threadpool

from reframer_pipeline import scratch
from reframer_pipeline.failures import BeingMade
from reframer_pipeline.settings import Settings

AT_ONCE: Final = 2
WAIT_S: Final = 20.0  # for a drawing to be ready, before the client is told to come back
RETRY_S: Final = 5.0
MOST: Final = 8  # that are made or wait for their turn; of one key there is one among them


class Drawings:
    """Files that were drawn, each known by a name that says all that it was drawn from; it begins with the video's id.

    The sweep of the scratch folder takes each a day after it was drawn. Where there are too many, those go that nobody asked for longest.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.scratch_dir
        self._limit = settings.api_cache_mb * 1_000_000
        self._lock = threading.Lock()
        self._places = threading.Semaphore(AT_ONCE)
        self._being_made: dict[str, tuple[str, Future[Path]]] = {}  # by name, with the key that asked first

    async def get(self, name: str, draw: Callable[[Path], None], key_id: str, wait_s: float = WAIT_S) -> Path:
        """The file, drawn if need be. No thread of the pool is held while it is waited for.

        Args:
            name: Of the file.
            draw: Writes it to a path of the same ending.
            key_id: Who asks.
            wait_s: How long to wait. The drawing goes on afterwards.

        Raises:
            BeingMade: It is not ready yet; or it has not been begun, since another one is being drawn for the same key, or too many are.
            DiskFull, MachineTrouble, HomeNotWritable: It cannot be written. Whatever `draw` raises comes through.
        """
        made = await run_in_threadpool(self._begun, name, draw, key_id)
        waited = asyncio.wrap_future(made)
        try:
            return await asyncio.wait_for(waited, wait_s)
        except TimeoutError:
            raise BeingMade("It is being drawn.").after(RETRY_S) from None

    def _begun(self, name: str, draw: Callable[[Path], None], key_id: str) -> Future[Path]:
        """The file, there or on its way."""
        path = self._folder / f"{scratch.DRAWN}{name}"
        with self._lock:
            if name in self._being_made:
                return self._being_made[name][1]
            made = Future[Path]()
            made.set_running_or_notify_cancel()  # so that nobody who goes away ends it for the others
            with suppress(FileNotFoundError):
                os.utime(path, (time.time(), path.stat().st_mtime))
                made.set_result(path)
                return made
            if len(self._being_made) >= MOST or any(key_id == other for other, _ in self._being_made.values()):
                raise BeingMade("Other drawings come first.").after(RETRY_S)
            self._being_made[name] = key_id, made
        # a daemon: a server that is told to end does not wait for it, and a part of a file is swept
        thread = threading.Thread(target=self._make, args=(name, path, draw, made), name=f"drawing {name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine gives no more threads
            with self._lock:
                del self._being_made[name]
            raise
        return made

    def _make(self, name: str, path: Path, draw: Callable[[Path], None], made: Future[Path]) -> None:
        failed: BaseException | None = None
        try:
            with self._places, scratch.writing(self._folder), scratch.appearing(path) as part:
                draw(part)
            self._tidy(path)
        except BaseException as error:
            failed = error
        with self._lock:
            del self._being_made[name]  # before anybody is told: whoever asks again after a failure begins anew
        if failed is None:
            made.set_result(path)
        else:
            made.set_exception(failed)

    def _tidy(self, newest: Path) -> None:
        """Delete what nobody asked for longest, until the rest is within the bound. What is being sent is sent to its end all the same."""
        others = [(one.stat(), one) for one in self._folder.glob(f"{scratch.DRAWN}*") if one != newest and one.suffix != ".part"]
        size = newest.stat().st_size + sum(facts.st_size for facts, _ in others)
        for facts, one in sorted(others, key=lambda other: other[0].st_atime):
            if size <= self._limit:
                return
            one.unlink(missing_ok=True)
            size -= facts.st_size
