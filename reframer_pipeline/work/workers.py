"""Workers: warm processes on any machine that compute one run after the other, or one stage, and which each has taken.

What belongs here: their rows, their signs of life, and taking a run. What does not: the broker that hands runs out (`orchestration.fleet`),
leases of videos (`lease`). A broker delivers at least once; a run is taken once, so whoever gets a run that is taken does not compute it.
A stage that is computed apart from its run is taken like a run, by a key of its own; one whose worker is gone may be taken over.
All times are the server's.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final, Literal

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import VideoBusy
from reframer_pipeline.work import lease
from reframer_pipeline.work.heartbeat import Heartbeat

if TYPE_CHECKING:
    import psycopg

State = Literal["starting", "ready", "busy", "draining"]
BEAT_S: Final = 1.0
SILENT_S: Final = 30.0  # who gives no sign for so long counts as gone
FORGET_DAYS: Final = 30
_TAKE: Final = """INSERT INTO worker_runs AS held (run_id, worker_id) VALUES (%s, %s)
    ON CONFLICT (run_id) DO UPDATE SET worker_id = EXCLUDED.worker_id WHERE held.worker_id = EXCLUDED.worker_id RETURNING run_id"""
_BEAT: Final = """INSERT INTO workers (id, name, queue, device, state, run_id, runs, memory_bytes) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO UPDATE SET state = EXCLUDED.state, run_id = EXCLUDED.run_id, runs = EXCLUDED.runs,
        memory_bytes = EXCLUDED.memory_bytes, beat_at = clock_timestamp()"""


class Presence:
    """A worker's row, which beats from its making until `leave`.

    Attributes:
        id: UUID of this process as a worker.
        name: Of machine and process, for people.
        device: What it computes on, for people.
    """

    def __init__(self, db: Database, queue: str, device: str) -> None:
        """Enter it as starting."""
        self.id = str(uuid.uuid4())
        self._db, self._lock = db, threading.Lock()
        self._state: State = "starting"
        self._run_id: str | None = None
        self._runs = 0
        self.name, self.device = f"{socket.gethostname()}:{os.getpid()}", device
        self._entry = (self.id, self.name, queue, device)
        self.beat()
        db.execute("DELETE FROM workers WHERE beat_at < clock_timestamp() - interval '1 day'")
        db.execute("DELETE FROM worker_runs WHERE taken_at < clock_timestamp() - %s * interval '1 day'", (FORGET_DAYS,))
        self._heart = Heartbeat(self.beat, BEAT_S, f"worker {self.id}")

    def ready(self) -> None:
        """It waits for a run."""
        with self._lock:
            self._runs += self._state == "busy"
            self._state, self._run_id = "ready", None
        self.beat()

    def take(self, run_id: str) -> bool:
        """Take a run, so that nobody else does, and say in the same moment that one is at it.

        Returns:
            Whether it was free. One that this worker has already is free for it: the answer to an earlier try may have been lost.
        """

        def act(conn: psycopg.Connection[Row]) -> bool:
            if conn.execute(_TAKE, (run_id, self.id)).fetchone() is None:
                return False
            conn.execute("UPDATE workers SET state = 'busy', run_id = %s, beat_at = clock_timestamp() WHERE id = %s", (run_id, self.id))
            return True

        with self._lock:  # no beat in between
            if not self._db.run(act):
                return False
            self._state, self._run_id = "busy", run_id
            return True

    def take_over(self, key: str, gone: str, video_id: str | None, run_id: str) -> bool:
        """Take a stage away from a worker that is gone: should that come back, it gets no lease for it and can commit nothing.

        Args:
            key: Of the stage.
            gone: Id of that worker.
            video_id: The video, if it is one's.
            run_id: The run, which is the owner of the video's lease.

        Returns:
            Whether it is ours: another one may have been quicker.

        Raises:
            VideoBusy: It is just being committed.
        """

        def act(conn: psycopg.Connection[Row]) -> bool:
            query = "UPDATE worker_runs SET worker_id = %s WHERE run_id = %s AND worker_id IN (%s, %s)"
            if not conn.execute(query, (self.id, key, gone, self.id)).rowcount:
                return False
            if video_id is not None and not lease.take_away_within(conn, video_id, run_id):
                raise VideoBusy(f"A commit of {key} goes on.")
            conn.execute("UPDATE workers SET state = 'busy', run_id = %s, beat_at = clock_timestamp() WHERE id = %s", (key, self.id))
            return True

        with self._lock:
            if not self._db.run(act):
                return False
            self._state, self._run_id = "busy", key
            return True

    def beat(self) -> None:
        """Give a sign of life. A row that was forgotten, while this process stood still for days, is made again."""
        with self._lock:
            now = (*self._entry, self._state, self._run_id, self._runs, resident_bytes())
        self._db.execute(_BEAT, now)

    def leave(self) -> None:
        """It ends."""
        self._heart.stop()
        forget(self._db, self.id)


def forget(db: Database, worker_id: str, within_s: float = math.inf) -> None:
    """A worker is no more, as whoever says this has seen."""
    db.execute("DELETE FROM workers WHERE id = %s", (worker_id,), within_s=within_s)


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def withdraw(db: Database, run_id: str, gone: str | None = None) -> bool:
    """Take a run or stage out: no worker ever will. Returns whether it was free, or taken by this worker, which is gone."""
    if gone is not None:
        return db.execute("UPDATE worker_runs SET worker_id = NULL WHERE run_id = %s AND worker_id = %s", (run_id, gone)) > 0
    return bool(db.fetch(_TAKE, (run_id, None)))


def taker(db: Database, run_id: str) -> Row | None:
    """Who has taken a run.

    Returns:
        None if nobody has; else `worker_id` (None: it was taken out), `beats_for_it` (whether that worker says it is at it), `beat_at` (its
        last sign of life) and `quiet` (seconds since then), both None if it has left.
    """
    return db.fetch_one(
        """SELECT t.worker_id::text AS worker_id, coalesce(w.run_id = t.run_id, false) AS beats_for_it, w.beat_at,
               extract(epoch FROM clock_timestamp() - w.beat_at)::float8 AS quiet
           FROM worker_runs t LEFT JOIN workers w ON w.id = t.worker_id WHERE t.run_id = %s""",
        (run_id,),
    )


def lives(db: Database, key: str, within_s: float) -> bool:
    """Whether whoever has taken a run or stage gives a sign within so many seconds. An old sign says nothing: the database may have been
    away.
    """
    until = time.monotonic() + within_s
    before = taker(db, key)
    while before is not None and before["quiet"] is not None and before["beats_for_it"] and time.monotonic() < until:
        time.sleep(0.2)
        row = taker(db, key)
        if row is None or row["quiet"] is None or not row["beats_for_it"]:
            return False
        if row["beat_at"] > before["beat_at"]:
            return True
    return False


def anybody_beats(db: Database) -> bool:
    """Whether any worker gave a sign lately. If none did, it may be the database that was away."""
    query = "SELECT 1 FROM workers WHERE beat_at > clock_timestamp() - %s * interval '1 second' LIMIT 1"
    return db.fetch_one(query, (SILENT_S,)) is not None


def living(db: Database) -> list[Row]:
    """The workers that gave a sign lately, by queue and name: all columns, `quiet` (seconds since the last) and `filename` of the video
    that one is at, if it is at one.
    """
    return db.fetch(
        """SELECT w.*, extract(epoch FROM clock_timestamp() - w.beat_at)::float8 AS quiet, v.filename
           FROM workers w LEFT JOIN processing_jobs j ON j.run_id = split_part(w.run_id, '/', 1) LEFT JOIN videos v ON v.id = j.video_id
           WHERE w.beat_at > clock_timestamp() - %s * interval '1 second' ORDER BY w.queue, w.name""",
        (SILENT_S,),
    )
