"""Claims: who is just asking Dagster for a new video's run, so that one run is asked for, however many could do it.

What belongs here: taking a claim and handing it over. What does not: asking (`orchestration.requests`), leases of runs (`lease`). A claim
is for the time between the look whether a run is asked for already and its being there for others to see; then it runs out. All times are
the server's.
"""

from __future__ import annotations

from collections.abc import Collection

from reframer_pipeline.database.postgres import Database


def claim(db: Database, video_ids: Collection[str], by: str, for_s: float, within_s: float) -> set[str]:
    """Take the claims that nobody else holds; what one holds already is prolonged. Videos that are no more are left out.

    Args:
        db: The database.
        video_ids: The videos.
        by: Whoever asks, as itself: nobody else says the same.
        for_s: Seconds after which it runs out.
        within_s: As for `Database.run`.

    Returns:
        Those videos that one may ask for now.
    """
    if not video_ids:
        return set()
    rows = db.fetch(
        """INSERT INTO run_claims AS held (video_id, claimed_by, expires_at)
           SELECT v.id, %(by)s, clock_timestamp() + %(for)s * interval '1 second'
           FROM videos v WHERE v.id = ANY(%(ids)s::uuid[]) ORDER BY v.id
           ON CONFLICT (video_id) DO UPDATE SET claimed_by = EXCLUDED.claimed_by, expires_at = EXCLUDED.expires_at
               WHERE held.claimed_by = EXCLUDED.claimed_by OR held.expires_at <= clock_timestamp()
           RETURNING video_id::text AS id""",
        {"by": by, "for": for_s, "ids": list(video_ids)},
        within_s=within_s,
    )
    return {row["id"] for row in rows}


def hand_over(db: Database, video_id: str, by: str, to: str, for_s: float) -> None:
    """Nothing came of it: now it is the other one's, which therefore need not be faster than all who ask again and again."""
    query = """UPDATE run_claims SET claimed_by = %s, expires_at = clock_timestamp() + %s * interval '1 second'
        WHERE video_id = %s AND claimed_by = %s"""
    db.execute(query, (to, for_s, video_id, by))
