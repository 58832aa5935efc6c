"""Which file a run is about, said when it is put into the queue, and that its video waits for it: a partition is a video's id, and people
know files by their names.

What belongs here: the tags and the row of a run that somebody has asked for, whoever it was (sensor, schedule, a person or a backfill in
the UI). What does not: the queue itself, which is Dagster's. dagster.yaml names this coordinator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.dagster_internals import SubmitRunContext
from reframer_pipeline.orchestration.own_database import OwnDatabase
from reframer_pipeline.orchestration.stage.runs import about, video_of
from reframer_pipeline.orchestration.tags import FAILURE_TAG, FILENAME_TAG
from reframer_pipeline.work import jobs

T = TypeVar("T")

WITHIN_S = 3.0  # a run whose file cannot be looked up goes without its name; `reconcile` writes its row
AGAIN_AFTER_S = 60.0  # and so do those right after it: a backfill asks for thousands


class RunCoordinator(OwnDatabase, dg.QueuedRunCoordinator):
    """Dagster's queue, whose runs bear the names of their files, and have their row at once."""

    _away_until = 0.0

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, and put it into the queue."""
        run = context.dagster_run
        tags = self._tags(run)
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        submitted = super().submit_run(context)
        video_id = video_of(run)
        if video_id is not None:
            self._with_database(lambda db: jobs.queue(db, {run.run_id: video_id}, WITHIN_S))
        return submitted

    def _tags(self, run: dg.DagsterRun) -> dict[str, str]:
        tags = {}
        if run.parent_run_id is not None and FAILURE_TAG in run.tags:  # a run that is started again gets the tags of the one before
            tags[FAILURE_TAG] = f"{run.tags[FAILURE_TAG].split()[0]} (the run before)"
        video_id = about(run)
        if video_id is not None and FILENAME_TAG not in run.tags:
            query = "SELECT filename FROM videos WHERE id = %s"
            for video in self._with_database(lambda db: db.fetch(query, (video_id,), within_s=WITHIN_S)) or ():
                tags[FILENAME_TAG] = video["filename"][:200]
        return tags

    def _with_database(self, act: Callable[[Database], T]) -> T | None:
        """What comes of it; None if the database is away, or was a moment ago."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return act(self._db)
        except ReframerError:
            self._away_until = time.monotonic() + AGAIN_AFTER_S
            return None
