"""Progress bars per stage, read from the database: the same for every executor, since stages report there.

What belongs here: drawing. The figures are `processing_jobs`, written by `stage_run`.
"""

from __future__ import annotations

import threading

from rich.cells import set_cell_size
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from reframer_pipeline.cli.readable import readable
from reframer_pipeline.cli.tables import ERR, aside, shortened
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.work import jobs

POLL_S = 0.3
NAME_WIDTH = 28


class StageBars:
    """Context manager that shows a bar for the stage each video is in, or with `lines` a line.

    Silent without `lines` when standard error is no terminal. A stage that takes no time may be missed.
    """

    def __init__(self, db: Database, names: dict[str, str], lines: bool = False) -> None:
        self._db = db
        self._names = names
        self._lines = lines
        self._said: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._current: str | None = None
        self._bars: dict[tuple[str, str], TaskID] = {}
        columns = (
            TextColumn("{task.fields[video]}", markup=False),
            TextColumn("[bold]{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
        )
        self._progress = Progress(*columns, TimeElapsedColumn(), console=ERR, disable=lines or not ERR.is_terminal)

    def announce(self, video_id: str, stages: tuple[str, ...]) -> None:
        """A video starts with these stages; those before them are up to date."""
        self._current = video_id if stages else None

    def ended(self, video_id: str) -> None:
        """The video is over: its last bar stops."""
        self._current = None
        self._finish(video_id)

    def __enter__(self) -> StageBars:
        self._progress.start()
        if self._lines or ERR.is_terminal:
            self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._lines or ERR.is_terminal:
            self._thread.join(timeout=5)
        self._progress.stop()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            video_id = self._current
            if video_id is None:
                continue
            try:
                job = jobs.latest(self._db, video_id)
            except ReframerError:
                continue  # the bars are a courtesy: trouble with the database shows where the work happens
            if job is not None and job["status"] == "processing" and job["stage"]:  # the latest may be an earlier run's
                if self._lines:
                    self._say(video_id, job["stage"])
                else:
                    self._draw(video_id, job["stage"], job["done"], job["total"])

    def _say(self, video_id: str, stage: str) -> None:
        if (video_id, stage) not in self._said:
            self._said.add((video_id, stage))
            aside(f"{self._name(video_id)}: {stage}")

    def _name(self, video_id: str) -> str:
        return readable(self._names.get(video_id, video_id))

    def _draw(self, video_id: str, stage: str, done: int, total: int) -> None:
        bar = self._bars.get((video_id, stage))
        if bar is None:
            self._finish(video_id)
            name = set_cell_size(shortened(self._name(video_id), NAME_WIDTH), NAME_WIDTH)
            bar = self._bars[video_id, stage] = self._progress.add_task(stage, video=name, total=total or None)
        self._progress.update(bar, completed=done, total=total or None)

    def _finish(self, video_id: str) -> None:
        bars = {bar for (owner, _), bar in self._bars.items() if owner == video_id}
        for task in self._progress.tasks:
            if task.id in bars:
                self._progress.update(task.id, total=task.total or 1, completed=task.total or 1)
                self._progress.stop_task(task.id)
