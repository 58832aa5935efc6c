"""Deleting: a person's claim on a video, and the video itself once nobody claims it any more.

What belongs here: the order in which it goes, and going on after a crash. What does not: who may delete (`api`, `cli`), Dagster's part
(`orchestration.upkeep.deleted`), what merely is no longer needed (`sweep`).

A claim is a completed upload. The last one takes the video's rows with it, in one transaction, which notes in `deletions` what lies
elsewhere: objects, and files at Gemini. Those go afterwards, and whatever a crash leaves goes with the next sweep or deletion. A run that
is at the video finds its job gone with its next sign of progress, and ends; with the lease it has lost the right to commit. Uploads of the
bucket leave a row that says so, because their files may still lie there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from reframer_pipeline import scratch
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.rows import STATEMENT_S
from reframer_pipeline.retention import orphans
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore, StoredObject, shown_key, video_key
from reframer_pipeline.work.videos import lock_file

if TYPE_CHECKING:
    import psycopg

GEMINI_KEEPS_H: Final = 48  # after that its files are gone by themselves
_GEMINI_S: Final = 10.0
_CLAIMS: Final[LiteralString] = "video_id = %(video)s AND status = 'completed' AND (%(user)s::uuid IS NULL OR user_id = %(user)s)"


@dataclass(frozen=True)
class Deleted:
    """What went.

    Attributes:
        claims: Uploads that pointed at the video.
        whole: Whether the video went, because nobody claims it any more.
    """

    claims: int
    whole: bool


def delete(db: Database, video_id: str, user_id: str | None = None) -> Deleted:
    """Delete a person's claim on a video, and its rows with the last claim. `finish` does the rest.

    Args:
        db: The database.
        video_id: The video.
        user_id: Whose claim; None: everybody's, and the video also where it has none, as after a rebuild.
    """

    def act(conn: psycopg.Connection[Row]) -> Deleted:
        video = conn.execute("SELECT sha256 FROM videos WHERE id = %s", (video_id,)).fetchone()
        if video is None:
            return Deleted(0, False)
        lock_file(conn, video["sha256"])  # the same file may just be coming in: it is in before this, or is another video afterwards
        who = {"video": video_id, "user": user_id}
        buried = conn.execute(
            f"UPDATE uploads SET status = 'deleted', video_id = NULL WHERE {_CLAIMS} AND bucket_key IS NOT NULL", who
        ).rowcount
        claims = buried + conn.execute(f"DELETE FROM uploads WHERE {_CLAIMS}", who).rowcount
        claimed = conn.execute("SELECT 1 FROM uploads WHERE video_id = %s AND status = 'completed'", (video_id,)).fetchone()
        whole = claimed is None and (claims > 0 or user_id is None)
        if whole:
            _delete_rows(conn, video_id)
        return Deleted(claims, whole)

    return db.run(act, timeout_s=STATEMENT_S)


def finish(db: Database, store: ObjectStore, settings: Settings, video_id: str | None = None) -> int:
    """Delete what deleted videos left in the store, at Gemini, and drawn in this machine's scratch folder; of one video, if it is named.
    What cannot be deleted now is left to the next call.

    Returns:
        Videos of which nothing is left.

    Raises:
        DatabaseUnavailable, StoreUnavailable: The rest waits for the next call.
    """
    done = 0
    unfinished = db.fetch(
        """SELECT * FROM deletions WHERE (sha256 IS NOT NULL OR objects <> '{}' OR remote_files <> '{}')
               AND video_id = coalesce(%s, video_id) ORDER BY deleted_at""",
        (video_id,),
    )
    for row in unfinished:
        scratch.drop_drawn(settings, row["video_id"])
        for key in row["objects"]:
            store.delete(key)
        gone = row["sha256"] is None or _delete_file(db, store, row["sha256"])
        files = _at_gemini(row["remote_files"], settings) if row["remote_files"] else []
        db.execute(
            """UPDATE deletions SET objects = '{}', sha256 = CASE WHEN %s THEN NULL ELSE sha256 END,
                   remote_files = CASE WHEN deleted_at < now() - %s * interval '1 hour' THEN '{}' ELSE %s::text[] END
               WHERE video_id = %s AND deleted_at = %s""",
            (gone, GEMINI_KEEPS_H, files, row["video_id"], row["deleted_at"]),
        )
        done += gone and not files
    return done


def _delete_rows(conn: psycopg.Connection[Row], video_id: str) -> None:
    """All of a video that is in the database; who is just committing is waited for."""
    conn.execute("SELECT 1 FROM videos WHERE id = %s FOR UPDATE", (video_id,))
    results = [ManifestRow.from_row(row) for row in conn.execute("SELECT * FROM results WHERE video_id = %s", (video_id,))]
    kept = conn.execute(
        """SELECT object_key FROM proxies WHERE video_id = %(video)s AND object_key IS NOT NULL
           UNION ALL SELECT object_key FROM deliverables WHERE video_id = %(video)s AND object_key IS NOT NULL""",
        {"video": video_id},
    ).fetchall()
    there = {key for row in results for key in row.objects} | {row["object_key"] for row in kept}
    objects = sorted(there | {shown_key(video_id)} if results else there)
    asked = conn.execute("SELECT remote_file FROM gemini_questions WHERE video_id = %s AND remote_file IS NOT NULL", (video_id,)).fetchall()
    conn.execute(
        """INSERT INTO deletions AS before (video_id, deleted_at, sha256, objects, remote_files)
           SELECT id, clock_timestamp(), sha256, %s, %s FROM videos WHERE id = %s
           ON CONFLICT (video_id) DO UPDATE SET deleted_at = EXCLUDED.deleted_at, sha256 = EXCLUDED.sha256, in_dagster = true,
               objects = before.objects || EXCLUDED.objects, remote_files = before.remote_files || EXCLUDED.remote_files""",
        (objects, [row["remote_file"] for row in asked], video_id),
    )
    conn.execute("UPDATE uploads SET video_id = NULL WHERE video_id = %s", (video_id,))  # those that are no claims
    conn.execute("DELETE FROM published WHERE video_id = %s", (video_id,))
    conn.execute("DELETE FROM results WHERE video_id = %s", (video_id,))
    conn.execute(
        "DELETE FROM videos WHERE id = %s", (video_id,)
    )  # with leases, jobs, rows of its proxy and deliverables, and what Gemini answered


def _delete_file(db: Database, store: ObjectStore, sha256: str) -> bool:
    """Delete the upload's object, unless the same file came again; False if it may just be coming."""
    if orphans.delete(db, store, StoredObject(video_key(sha256), 0, None)):
        return True
    return db.fetch_one("SELECT 1 AS one FROM videos WHERE sha256 = %s", (sha256,)) is not None


def _at_gemini(names: list[str], settings: Settings) -> list[str]:
    """Delete files at Gemini; those that are still there. Without its key nobody can."""
    if settings.gemini_api_key is None:
        return names
    from reframer_pipeline.scenes.gemini import remote_file
    from reframer_pipeline.scenes.gemini.connection import Connection

    left, until = [], time.monotonic() + _GEMINI_S
    for name in names:
        connection = Connection(settings, until, alive=lambda: None)
        try:
            if not remote_file.delete(connection, name):
                left.append(name)
        except ReframerError:
            left.append(name)
        finally:
            connection.close()
    return left
