"""Doubts of a set of results: found once, and kept beside it.

What belongs here: reading a set for them, and keeping them. What does not: the rules (`scenes.doubts`). They are found when a run ends and
when somebody has corrected; of older sets, when somebody asks. They follow from the set, so nothing is lost if they are not there.

It takes some 0.3 ms a mask, and 200 bytes a sighting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Final, LiteralString

import numpy as np

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.results import manifest
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.scenes.doubts import Doubt, doubts
from reframer_pipeline.scenes.observations import Observations, load_observations
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.vision.rle import counts_of, inside

if TYPE_CHECKING:
    import psycopg

CODE_VERSION: Final = 1  # raised when the rules say something else of the same set
# A process looks a set through once at a time. Not by a lock in the database: whoever waits for that keeps a connection from the others.
_LOCKS: Final = tuple(threading.Lock() for _ in range(16))
_COLUMNS: Final = ("kind", "says", "track_id", "other_id", "frame_number", "scene_number", "element_number")
_FOUND: Final[LiteralString] = """
    SELECT d.number, d.kind, d.says, d.track_id, d.other_id, d.frame_number, d.scene_number, d.element_number
    FROM doubted_sets s LEFT JOIN found_doubts d USING (result_id)
    WHERE s.result_id = %s AND s.code_version = %s ORDER BY d.number"""
assert len(_COLUMNS) == len(fields(Doubt))


def look(db: Database, store: ObjectStore, result_id: str) -> list[Row]:
    """The doubts of a set, named by its scenes result, in the order in which to look at them.

    Returns:
        Dicts with `number`, `kind`, `says`, `track_id`, `other_id`, `frame_number`, `scene_number`, `element_number`; what does not apply
        is None.

    Raises:
        ResultsGone: There is no such set.
        ObjectMissing, StoreUnavailable: It cannot be read.
    """
    rows = db.fetch(_FOUND, (result_id, CODE_VERSION))
    if not rows:
        with _LOCKS[hash(result_id) % len(_LOCKS)]:
            rows = db.fetch(_FOUND, (result_id, CODE_VERSION))  # somebody else may have found them meanwhile
            if not rows:
                found = find(db, store, result_id)
                db.run(lambda conn: _keep(conn, result_id, found))
                rows = db.fetch(_FOUND, (result_id, CODE_VERSION))
    return [row for row in rows if row["number"] is not None]


def look_published(db: Database, store: ObjectStore, video_id: str) -> None:
    """After something else was shown to readers: find its doubts."""
    row = db.fetch_one("SELECT result_id::text AS id FROM published WHERE video_id = %s AND stage = 'scenes'", (video_id,))
    if row is not None:
        look(db, store, row["id"])


def find(db: Database, store: ObjectStore, result_id: str) -> list[Doubt]:
    """The doubts of a set, from its Parquet."""
    scenes = manifest.find(db, [result_id]).get(result_id)
    made = manifest.find(db, scenes.inputs.values()) if scenes is not None else {}
    results = {row.stage: StoredResult(row, store) for row in made.values()}
    if scenes is None or not {"trajectories", "masks"} <= results.keys():
        raise ResultsGone("The results that were meant are kept no more.")
    analyses = [json.loads(one) for batch in StoredResult(scenes, store).batches(["analysis"]) for one in batch.column(0).to_pylist()]
    seen = load_observations(results["trajectories"], results["masks"])
    by_hand: Mapping[str, dict[str, object]] = results["trajectories"].manifest.stats.get("by_hand", {})
    return doubts(seen, _outside(seen, results["trajectories"], results["masks"]), analyses, by_hand)


def _outside(seen: Observations, trajectories: StoredResult, masks: StoredResult) -> np.ndarray:
    """`(n,)`: of each sighting's mask the share outside its box; NaN without a mask, or with one of nothing."""
    rows = {place: row for row, place in enumerate(zip(seen.track.tolist(), seen.frame.tolist(), strict=True))}
    tracks = {one.track_id: number for number, one in enumerate(seen.tracks)}
    row_of: dict[str, int] = {}
    for batch in trajectories.batches(["track_id", "frames"]):
        for name, steps in zip(batch.column("track_id").to_pylist(), batch.column("frames"), strict=True):
            places = zip(steps.values.field("detection_id").to_pylist(), steps.values.field("frame").to_pylist(), strict=True)
            row_of.update({detection_id: rows[tracks[name], frame] for detection_id, frame in places})
    outside = np.full(len(seen), np.nan)
    for batch in masks.batches(["detection_id", "height", "rle", "area"]):
        for one in batch.to_pylist():
            row = row_of.get(one["detection_id"])
            if row is not None and one["area"]:
                outside[row] = 1 - inside(counts_of(one["rle"]), one["height"], seen.xyxy[row].astype(np.float64)) / one["area"]
    return outside


def _keep(conn: psycopg.Connection[Row], result_id: str, found: list[Doubt]) -> None:
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('doubts ' || %s, 0))", (result_id,))  # one process's after the other's
    there = conn.execute("SELECT video_id FROM results WHERE result_id = %s FOR KEY SHARE", (result_id,)).fetchone()
    if there is None:
        raise ResultsGone("The results that were meant are kept no more.")
    conn.execute("DELETE FROM doubted_sets WHERE result_id = %s", (result_id,))
    conn.execute(
        "INSERT INTO doubted_sets (result_id, video_id, code_version) VALUES (%s, %s, %s)",
        (result_id, there["video_id"], CODE_VERSION),
    )
    rows = [(there["video_id"], result_id, number, *astuple(one)) for number, one in enumerate(found, start=1)]
    conn.cursor().executemany(
        f"""INSERT INTO found_doubts (video_id, result_id, number, {", ".join(_COLUMNS)})
            VALUES ({", ".join(["%s"] * (3 + len(_COLUMNS)))})""",
        rows,
    )
