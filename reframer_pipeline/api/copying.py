"""Making copies of videos for browsers, beside answering: one at a time in this server, the others wait for their turn.

What belongs here: whose turn it is, and what becomes of trouble. What does not: making a proxy (`media.proxy`), where it is kept
(`results.proxies`). A server that is told to end gives up what it makes; whoever wants it asks again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

from reframer_pipeline import scratch
from reframer_pipeline.failures import BeingMade, Interrupted, ReframerError
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.proxy import make_proxy
from reframer_pipeline.results import proxies
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.ingest import local_copy
from reframer_pipeline.work.heartbeat import Heartbeat

AT_ONCE: Final = 1
MOST: Final = 16  # that are made or wait
RETRY_S: Final = 10.0
SIGN_S: Final = 1.0  # between two notes of how far it is
_log = logging.getLogger(__name__)


class Copying:
    """What one server makes."""

    def __init__(self, storage: Storage, ending: threading.Event) -> None:
        self._storage, self._ending = storage, ending
        self._turns = threading.Semaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._open = 0

    def begin(self, video_id: str, facts: VideoMetadata) -> None:
        """Begin to make a video's proxy, unless it is there or under way.

        Raises:
            BeingMade: Too many others wait.
        """
        with self._lock:
            if self._open >= MOST:
                raise BeingMade("Other copies come first.").after(RETRY_S)
            self._open += 1
        token = None
        try:
            token = proxies.claim(self._storage.db, video_id)
        finally:
            if token is None:
                self._over()
        if token is not None:
            # a daemon: a server that is told to end does not wait for it
            threading.Thread(target=self._make, args=(video_id, token, facts), name=f"proxy of {video_id}", daemon=True).start()

    def _over(self) -> None:
        with self._lock:
            self._open -= 1

    def _make(self, video_id: str, token: str, facts: VideoMetadata) -> None:
        db = self._storage.db
        heart = Heartbeat(lambda: proxies.alive(db, video_id, token), proxies.SILENT_S / 4, f"proxy of {video_id}")
        try:
            with self._turns:
                self._made(video_id, token, facts)
        except _Unwanted:
            pass
        except BaseException as error:
            failure = typed(error, self._storage.settings.scratch_dir)
            trace = None if error is failure else error  # what nobody foresaw
            _log.warning("The copy of video %s for browsers: [%s] %s", video_id, failure.code, failure.message, exc_info=trace)
            with contextlib.suppress(ReframerError):  # else it counts as dead in a minute
                if isinstance(failure, Interrupted):
                    proxies.give_up(db, video_id, token)
                else:
                    proxies.fail(db, video_id, token, failure)
        finally:
            heart.stop()
            self._over()

    def _made(self, video_id: str, token: str, facts: VideoMetadata) -> None:
        storage, signed = self._storage, 0.0
        folder = storage.settings.scratch_dir

        def progress(done: int, total: int) -> None:
            nonlocal signed
            if time.monotonic() - signed >= SIGN_S:
                signed = time.monotonic()
                self._sign(video_id, token, done / total if total else 0.0)

        progress(0, 0)
        with scratch.private(folder) as place, scratch.writing(folder):
            with local_copy(facts.sha256, storage.store, place) as path:
                make_proxy(path, facts, storage.settings, place / "proxy.mp4", progress)
            proxies.keep(storage.db, storage.store, video_id, token, place / "proxy.mp4")

    def _sign(self, video_id: str, token: str, progress: float) -> None:
        if self._ending.is_set():
            raise Interrupted("The server ends.")
        if not proxies.alive(self._storage.db, video_id, token, progress):
            raise _Unwanted


class _Unwanted(Exception):
    """The video was deleted, or another server makes the proxy by now."""
