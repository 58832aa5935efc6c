"""What a commit changes beside its own rows: facts in `videos`, and the published set.

What belongs here: statements within a commit's transaction. What does not: the transaction itself (`commit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from reframer_pipeline.failures import ObjectMissing
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.stages import NAMES, is_last
from reframer_pipeline.work.status import Event, transition

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

    from reframer_pipeline.database.postgres import Row


def after(
    conn: psycopg.Connection[Row], row: ManifestRow, batches: Callable[[], Iterator[pa.RecordBatch]], whole: Mapping[str, str]
) -> None:
    """The consequences of a committed result.

    Args:
        conn: In the commit's transaction, after the manifest row is in.
        row: The result.
        batches: Draws its rows.
        whole: Result ids by stage of the set that it belongs to; readers see that once its last stage is committed.
    """
    set_facts(conn, row, batches)
    if is_last(row.stage) and whole.keys() == set(NAMES):
        there = conn.execute("SELECT count(*) AS n FROM results WHERE result_id = ANY(%s::uuid[])", (list(whole.values()),)).fetchone()
        if there is not None and there["n"] == len(NAMES):
            move(conn, row.video_id, whole)


def set_facts(conn: psycopg.Connection[Row], row: ManifestRow, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
    """Write what a result says of its video as a whole into `videos`; arguments as for `after`."""
    if row.stage == "metadata":
        (facts,) = next(batches()).to_pylist()
        derived = {"id": row.video_id, "resolution": f"{facts['width']}x{facts['height']}", "fps": facts["fps_num"] / facts["fps_den"]}
        conn.execute(
            """UPDATE videos SET container = %(container)s, codec = %(codec)s, width = %(width)s, height = %(height)s,
                   resolution = %(resolution)s, rotation = %(rotation)s, fps = %(fps)s, fps_num = %(fps_num)s, fps_den = %(fps_den)s,
                   duration = %(duration_seconds)s, frame_count = %(frame_count)s, size_bytes = %(size_bytes)s, updated_at = now()
               WHERE id = %(id)s""",
            {**facts, **derived},
        )
    elif row.stage == "frames":  # those that were really decoded stand above what the container was counted to hold
        conn.execute("UPDATE videos SET frame_count = %s, updated_at = now() WHERE id = %s", (row.row_count, row.video_id))


def discard(conn: psycopg.Connection[Row], video_id: str, result_id: str) -> None:
    """Delete a result and everything made from it; what readers saw goes with it, if it was among that."""
    below = """WITH RECURSIVE below (result_id) AS (
            SELECT %(result)s::uuid
            UNION
            SELECT r.result_id FROM results r, below, jsonb_each_text(r.components -> 'inputs') AS input
            WHERE r.video_id = %(video)s AND input.value = below.result_id::text
        ) SELECT result_id FROM below"""
    ids = [row["result_id"] for row in conn.execute(below, {"result": result_id, "video": video_id})]
    seen = conn.execute("SELECT 1 FROM published WHERE video_id = %s AND result_id = ANY(%s)", (video_id, ids)).fetchone()
    if seen:
        conn.execute("DELETE FROM published WHERE video_id = %s", (video_id,))
        transition(conn, video_id, Event.WITHDRAWN)
    conn.execute("DELETE FROM results WHERE result_id = ANY(%s)", (ids,))


def move(conn: psycopg.Connection[Row], video_id: str, result_ids: Mapping[str, str]) -> None:
    """Point the published set at one result of each stage, and call the video completed.

    Raises:
        ObjectMissing: One of them does not exist.
    """
    assert set(result_ids) == set(NAMES), result_ids
    moved = conn.execute(
        """INSERT INTO published (video_id, stage, result_id)
           SELECT video_id, stage, result_id FROM results WHERE video_id = %s AND result_id = ANY(%s::uuid[])
           ON CONFLICT (video_id, stage) DO UPDATE SET result_id = EXCLUDED.result_id,
               published_at = CASE WHEN published.result_id = EXCLUDED.result_id THEN published.published_at ELSE now() END""",
        (video_id, list(result_ids.values())),
    )
    if moved.rowcount != len(NAMES):
        raise ObjectMissing(f"Video {video_id} has only {moved.rowcount} of the {len(NAMES)} results to publish.")
    transition(conn, video_id, Event.PUBLISHED)
