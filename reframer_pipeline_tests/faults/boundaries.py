"""Crash points: a process that commits results is killed at one of its write boundaries, counted from its start.

What belongs here: counting the boundaries, dying at one, and the child that commits. What does not: what must hold afterwards.
A boundary is whatever another process could notice: each exchange with Postgres, COMMIT among them, and each rename, link and deletion
of a file. They exist in the child alone: nothing in the product knows of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg

from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import Maker, commit

OF_FILES = ("rename", "replace", "link", "unlink", "remove", "rmdir", "fsync")


class Boundaries:
    """Counts boundaries, and kills this process before the one that was asked for.

    Args:
        deadly: Which one, from 1; 0 for none.
    """

    def __init__(self, deadly: int = 0) -> None:
        self.passed = 0
        self._deadly = deadly

    def arm(self) -> None:
        """From now on, in this process."""
        for name in OF_FILES:
            setattr(os, name, self._before(getattr(os, name)))
        psycopg.Connection.wait = self._before(psycopg.Connection.wait)  # type: ignore[method-assign]

    def _before(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*args: Any, **named: Any) -> Any:
            self.passed += 1
            if self.passed == self._deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **named)

        return acted


def commit_and_die(home: str, url: str, video_id: str, maker: Maker, stages: tuple[str, ...], deadly: int, told: Any) -> None:
    """What the child does: commit these stages under a lease, and tell how many boundaries it passed if it lives."""
    with open_storage(Settings(home=home, database_url=url)) as storage:
        boundaries = Boundaries(deadly)
        storage.db.fetch("SELECT 1")
        boundaries.arm()
        with lease.hold(storage.db, video_id, "child") as token:
            for stage in stages:
                commit(storage, video_id, maker, stage, token, run_id="child")
        told.send(boundaries.passed)
