"""What a commit changes beside its own rows: facts in `videos`, and the published set.

What belongs here: statements within a commit's transaction. What does not: the transaction itself (`commit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from reframer_pipeline.corrections import log
from reframer_pipeline.failures import ObjectMissing
from reframer_pipeline.results import shown
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.stages import NAMES, is_last
from reframer_pipeline.work.status import Event, transition

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

    from reframer_pipeline.database.postgres import Row
    from reframer_pipeline.store.objects import ObjectStore


def after(
    conn: psycopg.Connection[Row],
    store: ObjectStore,
    row: ManifestRow,
    batches: Callable[[], Iterator[pa.RecordBatch]],
    whole: Mapping[str, str],
) -> bool:
    """The consequences of a committed result.

    Args:
        conn: In the commit's transaction, after the manifest row is in.
        store: For the mark of what is shown.
        row: The result.
        batches: Draws its rows.
        whole: Result ids by stage of the set that it belongs to; readers see that once its last stage is committed. Of a video that was
            corrected by hand they go on seeing what they saw, until the corrected set is made (`correcting`).

    Returns:
        Whether that is to be made now.
    """
    set_facts(conn, row, batches)
    if not is_last(row.stage) or whole.keys() != set(NAMES):
        return False
    there = conn.execute("SELECT count(*) AS n FROM results WHERE result_id = ANY(%s::uuid[])", (list(whole.values()),)).fetchone()
    if there is None or there["n"] != len(NAMES):
        return False
    if log.corrected(conn, row.video_id):
        return True
    move(conn, store, row.video_id, whole)
    return False


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
            WHERE r.video_id = %(video)s AND (input.value = below.result_id::text OR r.corrects = below.result_id)
        ) SELECT result_id FROM below"""
    ids = [row["result_id"] for row in conn.execute(below, {"result": result_id, "video": video_id})]
    seen = conn.execute("SELECT 1 FROM published WHERE video_id = %s AND result_id = ANY(%s)", (video_id, ids)).fetchone()
    if seen:
        conn.execute("DELETE FROM published WHERE video_id = %s", (video_id,))
        transition(conn, video_id, Event.WITHDRAWN)
    conn.execute("DELETE FROM results WHERE result_id = ANY(%s)", (ids,))


def move(conn: psycopg.Connection[Row], store: ObjectStore | None, video_id: str, result_ids: Mapping[str, str]) -> None:
    """Point the published set at one result of each stage, and call the video completed. The last act of its transaction.

    Args:
        conn: In the transaction.
        store: For the mark of what is shown; None: there is none to be written, as in a rebuild, which follows the marks.
        video_id: The video.
        result_ids: By stage.

    Raises:
        ObjectMissing: One of them does not exist.
        StoreUnavailable: The mark cannot be written.
    """
    transition(conn, video_id, Event.PUBLISHED)
    point(conn, store, video_id, result_ids)


def point(conn: psycopg.Connection[Row], store: ObjectStore | None, video_id: str, result_ids: Mapping[str, str]) -> None:
    """`move` of a video that is completed, or at work, and stays so."""
    assert set(result_ids) == set(NAMES), result_ids
    before = shown.now(conn, video_id)
    moved = conn.execute(
        """INSERT INTO published (video_id, stage, result_id)
           SELECT video_id, stage, result_id FROM results WHERE video_id = %s AND result_id = ANY(%s::uuid[])
           ON CONFLICT (video_id, stage) DO UPDATE SET result_id = EXCLUDED.result_id,
               published_at = CASE WHEN published.result_id = EXCLUDED.result_id THEN published.published_at ELSE now() END""",
        (video_id, list(result_ids.values())),
    )
    if moved.rowcount != len(NAMES):
        raise ObjectMissing(f"Video {video_id} has only {moved.rowcount} of the {len(NAMES)} results to publish.")
    if store is not None:
        shown.announce(conn, store, video_id, before, result_ids["scenes"])


def computed(conn: psycopg.Connection[Row], video_id: str) -> set[str]:
    """Ids of the computed results that readers see, or see corrected by hand; empty where nothing is published."""
    query = "SELECT coalesce(corrects, result_id)::text AS id FROM current_results WHERE video_id = %s"
    return {row["id"] for row in conn.execute(query, (video_id,))}


def archived(conn: psycopg.Connection[Row], video_id: str) -> bool:
    """Whether rows of what readers see, or see corrected by hand, are archived."""
    query = """SELECT 1 FROM current_results c JOIN results r ON r.result_id IN (c.result_id, c.corrects)
               WHERE c.video_id = %s AND r.archived_at IS NOT NULL LIMIT 1"""
    return conn.execute(query, (video_id,)).fetchone() is not None
