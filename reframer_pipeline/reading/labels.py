"""The labels that a person's videos hold: what a search for one can be asked.

What belongs here: which there are, how often, and how one that somebody types is spelt. What does not: searching (`search`).
"""

from __future__ import annotations

from typing import Final, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text

# Of what is searched: its table, and how its rows are found from those that are published.
_ROWS: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    "tracks": (
        "tracking_trajectories",
        "JOIN result_sets made ON made.result_id = p.result_id JOIN tracking_trajectories one ON one.result_id = made.trajectories_id",
    ),
    "elements": ("scene_elements", "JOIN scene_elements one ON one.result_id = p.result_id"),
}
NEWEST: Final = 2_000  # videos that are looked at: with 100 tracks each the answer takes about a second on a busy machine


def labels(db: Database, user_id: str, kind: str, limit: int) -> list[Row]:
    """The labels in a person's `NEWEST` videos, those of most videos first.

    Args:
        db: The database.
        user_id: Whose videos.
        kind: `tracks` or `elements`: what has them.
        limit: How many at most.

    Returns:
        Dicts with `label`, `hits`, how many rows have it, and `videos`, how many videos have one.
    """
    return db.fetch(
        f"""SELECT one.label, count(*) AS hits, count(DISTINCT p.video_id) AS videos
           FROM (SELECT video_id FROM library WHERE user_id = %s ORDER BY uploaded_at DESC, upload_id DESC LIMIT %s) l
               JOIN published p ON p.video_id = l.video_id AND p.stage = 'scenes' {_ROWS[kind][1]}
           GROUP BY one.label ORDER BY videos DESC, hits DESC, one.label LIMIT %s""",
        (user_id, NEWEST, limit),
    )


def spellings(db: Database, kind: str, label: str) -> list[str]:
    """How a label is spelt in the tables, whatever the case that somebody wrote it in: none, one, or several.

    It goes from label to label along their index, so the number of rows does not count.
    """
    rows = db.fetch(
        f"""WITH RECURSIVE known(label) AS (
               (SELECT label FROM {_ROWS[kind][0]} ORDER BY label LIMIT 1)
               UNION ALL
               SELECT (SELECT next.label FROM {_ROWS[kind][0]} next WHERE next.label > known.label ORDER BY next.label LIMIT 1)
               FROM known WHERE known.label IS NOT NULL)
           SELECT label FROM known WHERE lower(label) = lower(%s)""",
        (clean_text(label),),
    )
    return [row["label"] for row in rows]
