"""Some tracks of a video: what belongs to them of its results, and nothing else.

What belongs here: leaving out rows. What does not: where rows come from (`videos`), formats, which know nothing of it. Scenes stay, all of
them: they are the time in which the tracks are. Sightings and masks without one of the tracks go, and so do elements that stand for none.
Some 100 bytes a sighting of the tracks are held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from reframer_pipeline.handover import Redrawn, StageInput
from reframer_pipeline.reading.tables import Table

_BY: Final = {"tracks": "track_id", "sightings": "track_id", "masks": "detection_id", "elements": "track_ids"}  # a table's column


def _part(whole: StageInput, column: str, values: Collection[str]) -> Redrawn:
    """A result of which only rows count that have one of these values in a column."""
    return Redrawn(whole, column, lambda batch: _kept(batch, column, values))


def results_of_tracks(results: Mapping[str, StageInput], tracks: Collection[str]) -> dict[str, StageInput]:
    """A video's results by stage, of these tracks."""
    trajectories = _part(results["trajectories"], "track_id", tracks)
    seen = _sightings(trajectories)
    parts = {name: _part(results[name], "detection_id", seen) for name in ("detections", "masks")}
    return {**results, "trajectories": trajectories, **parts}


def rows_of_tracks(
    table: Table, batches: Iterable[pa.RecordBatch], tracks: Collection[str], trajectories: Callable[[], StageInput]
) -> Iterator[pa.RecordBatch]:
    """Rows of a table of the vocabulary, of these tracks."""
    column = _BY.get(table.name)
    if column is None:
        yield from batches
        return
    values = _sightings(_part(trajectories(), "track_id", tracks)) if column == "detection_id" else tracks
    for batch in batches:
        yield _kept(batch, column, values)


def track_ids(trajectories: StageInput) -> set[str]:
    """The tracks that there are."""
    return {one for batch in trajectories.batches(["track_id"]) for one in batch.column("track_id").to_pylist()}


def _sightings(trajectories: StageInput) -> set[str]:
    steps = (track for batch in trajectories.batches(["frames"]) for track in batch.column("frames").to_pylist())
    return {step["detection_id"] for track in steps for step in track}


def _kept(batch: pa.RecordBatch, column: str, values: Collection[str]) -> pa.RecordBatch:
    found = ([one] if isinstance(one, str) else one or [] for one in batch.column(column).to_pylist())
    return batch.filter(pa.array([any(name in values for name in names) for names in found], pa.bool_()))
