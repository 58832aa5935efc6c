"""Which file a run is about, said when it is put into the queue: a partition is a video's id, and people know files by their names.

What belongs here: the tags of a run that somebody has asked for, whoever it was (sensor, schedule, a person or a backfill in the UI). What
does not: the queue itself, which is Dagster's. dagster.yaml names this coordinator.
"""

from __future__ import annotations

import time

import dagster as dg

from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.dagster_internals import SubmitRunContext
from reframer_pipeline.orchestration.own_database import OwnDatabase
from reframer_pipeline.orchestration.stage.runs import video_of
from reframer_pipeline.orchestration.tags import FAILURE_TAG, FILENAME_TAG

WITHIN_S = 3.0  # a run whose file cannot be looked up goes without its name
AGAIN_AFTER_S = 60.0  # and so do those right after it: a backfill asks for thousands


class RunCoordinator(OwnDatabase, dg.QueuedRunCoordinator):
    """Dagster's queue, whose runs bear the names of their files."""

    _away_until = 0.0

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, and put it into the queue."""
        run = context.dagster_run
        tags = self._tags(run)
        if tags:
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)

    def _tags(self, run: dg.DagsterRun) -> dict[str, str]:
        tags = {}
        if run.parent_run_id is not None and FAILURE_TAG in run.tags:  # a run that is started again gets the tags of the one before
            tags[FAILURE_TAG] = f"{run.tags[FAILURE_TAG].split()[0]} (the run before)"
        video_id = video_of(run)
        if video_id is not None and FILENAME_TAG not in run.tags:
            for filename in self._filename(video_id):
                tags[FILENAME_TAG] = filename[:200]
        return tags

    def _filename(self, video_id: str) -> list[str]:
        if time.monotonic() < self._away_until:
            return []
        try:
            found = self._db.fetch("SELECT filename FROM videos WHERE id = %s", (video_id,), within_s=WITHIN_S)
        except ReframerError:
            self._away_until = time.monotonic() + AGAIN_AFTER_S
            return []
        return [video["filename"] for video in found]
