"""All results of a video as one JSON document, in the shapes of the reference.

What belongs here: the document's parts and their order, written piece by piece, so that its length costs no memory. What does not: the
flat tables (`tables`), HTTP (`api`). All of it is read from one set of results; if that is swept in the middle, the document breaks off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.reading.tables import MASKS, SIGHTINGS, demand_rows, rows

MASK_ROWS: Final = 200  # a mask is some 9 kB
TRACK_ROWS: Final = 4  # a track may have ten thousands of sightings


def document(db: Database, video: Row, parts: Collection[str]) -> Iterator[str]:
    """The document, a piece at a time.

    Args:
        db: The database.
        video: As `library.one` gives it; its `result_id` says which set.
        parts: Names of `PARTS` that it has.

    Yields:
        Pieces of JSON text that make one object when joined: `video_id`, `filename`, `result_id`, `metadata`, and the parts.

    Raises:
        ResultsGone, RowsArchived: The set is not there, or no longer.
    """
    head = {
        "video_id": video["video_id"],
        "filename": video["filename"],
        "result_id": video["result_id"],
        "metadata": {
            "duration_seconds": video["duration"],
            "width": video["width"],
            "height": video["height"],
            "fps": video["fps"],
            "codec": video["codec"],
            "total_frames": video["frame_count"],
        },
    }
    yield _text(head)[:-1]
    for name, items in PARTS.items():
        if name in parts:
            yield f', "{name}": ['
            for number, item in enumerate(items(db, video["result_id"])):
                yield f", {item}" if number else item
            yield "]"
    demand_rows(db, video["result_id"])
    yield "}"


def _detections(db: Database, result_id: str) -> Iterator[str]:
    """A frame with everything seen in it; frames without are left out."""
    for number, seen in groupby(rows(db, SIGHTINGS, result_id), key=itemgetter("frame_number")):
        found = list(seen)
        yield _text({"frame_number": number, "timestamp_seconds": found[0]["timestamp"], "detections": list(map(_detection, found))})


def _detection(row: Row) -> dict[str, Any]:
    names = ("detection_id", "track_id", "class", "label", "confidence")
    return {**{name: row[name] for name in names}, "bbox": {name: row[name] for name in ("x", "y", "width", "height")}}


def _masks(db: Database, result_id: str) -> Iterator[str]:
    """A mask, with what is known of its sighting: both come in the order of frames."""
    columns = ("detection_id", "track_id", "class", "confidence")
    frames = groupby(rows(db, SIGHTINGS, result_id, columns=columns), key=itemgetter("frame_number"))
    at, seen = -1, dict[str, Row]()
    for mask in rows(db, MASKS, result_id, MASK_ROWS):
        while at < mask["frame_number"]:
            number, found = next(frames, (mask["frame_number"], ()))
            at, seen = number, {row["detection_id"]: row for row in found}
        its = seen.get(mask["detection_id"], {}) if at == mask["frame_number"] else {}
        yield _text(
            {
                "detection_id": mask["detection_id"],
                **{name: its.get(name) for name in columns[1:]},
                "mask_rle": mask["mask_rle"],
                "mask_area_pixels": mask["mask_area_pixels"],
                "frame": mask["frame_number"],
                "width": mask["frame_width"],
                "height": mask["frame_height"],
            }
        )


def _tracks(db: Database, result_id: str) -> Iterator[str]:
    query: LiteralString = """SELECT t.track_id AS key, t.trajectory_data::text AS item
        FROM result_sets r JOIN tracking_trajectories t ON t.result_id = r.trajectories_id
        WHERE r.result_id = %s AND t.track_id > %s ORDER BY t.track_id LIMIT %s"""
    return _stored(db, query, result_id, "", TRACK_ROWS)


def _scenes(db: Database, result_id: str) -> Iterator[str]:
    query: LiteralString = """SELECT scene_number AS key, analysis_data::text AS item FROM scene_analysis
        WHERE result_id = %s AND scene_number > %s ORDER BY scene_number LIMIT %s"""
    return _stored(db, query, result_id, 0, MASK_ROWS)


def _stored(db: Database, query: LiteralString, result_id: str, after: Any, limit: int) -> Iterator[str]:
    """Rows that are kept in the reference's own shape."""
    while found := db.fetch(query, (result_id, after, limit)):
        for row in found:
            yield row["item"]
        after = found[-1]["key"]


PARTS: Final[dict[str, Callable[[Database, str], Iterator[str]]]] = {
    "scenes": _scenes,
    "tracks": _tracks,
    "detections": _detections,
    "masks": _masks,
}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
