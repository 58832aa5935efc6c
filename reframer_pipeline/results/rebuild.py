"""Rebuild: the database from the store alone.

What belongs here: reading the Parquet footers back into rows, manifest, published set and Gemini's answers. What does not: anything
the store does not hold (users' keys, uploads that were refused, jobs, overrides, corrections that were undone or matched nothing): those
need a backup of the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Event
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseFull, DatabaseUnavailable, ObjectMissing, ReframerError, StoreUnavailable
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.results import manifest, parquet, publishing, rows, shown
from reframer_pipeline.results.manifest import Footer, ManifestRow
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.scenes.gemini import questions
from reframer_pipeline.stages import NAMES
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.store.objects import RESULTS, ObjectStore
from reframer_pipeline.work.videos import lock_file

if TYPE_CHECKING:
    import psycopg

# What one bad object may raise, from its footer to its rows: the rest of the store is restored all the same.
_UNUSABLE = (ReframerError, OSError, ValueError, KeyError, TypeError)
# What says nothing of the object at hand: one that was left out for it would seem to be garbage.
_AWAY = (DatabaseUnavailable, DatabaseFull, StoreUnavailable)


class _Replaced(ValueError):
    """No rebuild will ever restore it: an input is there, whole, and was made anew with other rows since."""


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild brought back.

    Attributes:
        videos: Videos added.
        results: Results added.
        published: Videos whose published set was set.
        skipped: Objects that were left out, with the reason.
    """

    videos: int
    results: int
    published: int
    skipped: list[str]


def rebuild(db: Database, store: ObjectStore, progress: Progress = no_progress) -> Rebuilt:
    """Restore results, rows, videos and the published set; what is there already stays, so it may be run again.

    Of several objects of one result (a run that was cut off between put and COMMIT leaves one, before or after the committed one)
    that counts whose rows the youngest result made from it names in its footer, because only a committed result is ever made
    from; where nothing was made from it, the oldest. A result made from other rows than its inputs now have is left out, and so
    is whatever cannot be read or restored. Of several sets of a video that is published which readers saw last (`shown`). Where that is
    not known, or not there, it is the computed set completed last: a corrected one may have been undone.

    What was deleted stays away, though some of it may still lie in the store.

    Until a rebuild has gone through and left out nothing that another one might restore, a sweep deletes nothing (`is_incomplete`).

    Raises:
        DatabaseUnavailable, DatabaseFull, StoreUnavailable: Run it again; finished results are kept.
    """
    _note(db, incomplete=True)
    skipped: list[str] = []
    replaced: set[str] = set()
    for_good = 0
    deleted = {row["id"] for row in db.fetch("SELECT video_id::text AS id FROM deletions WHERE video_id NOT IN (SELECT id FROM videos)")}
    found = [footer for footer in _in_order(_footers(store, skipped)) if footer.manifest.video_id not in deleted]
    videos = results = 0
    for done, footer in enumerate(found):
        try:
            new_video, new_result = db.run(lambda conn, footer=footer: _restore(conn, store, footer))  # type: ignore[misc]
        except _AWAY:
            raise
        except _UNUSABLE as error:
            if isinstance(error, _Replaced) or not replaced.isdisjoint(footer.manifest.made_from.values()):
                replaced.add(footer.manifest.result_id)
                for_good += 1
            skipped.append(f"{footer.manifest.object_key}: {_said(error)}")
            continue
        videos, results = videos + new_video, results + new_result
        progress(done + 1, len(found))
    published = 0
    said = {footer.manifest.result_id: footer.corrections for footer in found if footer.corrections}
    for video in {footer.manifest.video_id for footer in found}:
        marked = shown.marked(store, video)
        published += db.run(lambda conn, video=video, marked=marked: _publish(conn, video, marked, said))  # type: ignore[misc]
    _note(db, incomplete=len(skipped) > for_good)
    return Rebuilt(videos, results, published, skipped)


def is_incomplete(db: Database) -> bool:
    """Whether the last rebuild broke off or left something out: the store may hold results that the database should know."""
    row = db.fetch_one("SELECT rebuild_incomplete FROM deployment")
    return row is not None and bool(row["rebuild_incomplete"])


def _note(db: Database, *, incomplete: bool) -> None:
    db.execute("UPDATE deployment SET rebuild_incomplete = %s", (incomplete,))


def _footers(store: ObjectStore, skipped: list[str]) -> Iterable[Footer]:
    for key in list(store.list(RESULTS)):
        if not key.endswith(".parquet"):
            continue
        try:
            with store.open_object(key) as file:
                entry = parquet.read_footer(file)
                size = file.seek(0, 2)
            if entry is None:
                raise ValueError("no footer of ours")
            footer = Footer.decode(entry)
            if footer.manifest.stage not in NAMES or footer.manifest.created_at is None:
                raise ValueError(f"no result of ours: {footer.manifest.stage}")
        except _AWAY:
            raise
        except _UNUSABLE as error:
            skipped.append(f"{key}: {_said(error)}")
            continue
        row = replace(footer.manifest, object_key=key, object_bytes=size)
        yield replace(footer, manifest=row)


def _in_order(footers: Iterable[Footer]) -> list[Footer]:
    """Inputs before what is made from them; of several of one result, the one that others were made from first, then the oldest."""
    by_age = sorted(footers, key=lambda footer: str(footer.manifest.created_at))
    named = {result_id: digest for footer in by_age for result_id, digest in footer.made_from.items()}

    def place(footer: Footer) -> tuple[int, bool, bool]:  # a computed result may have been made again after what corrects it
        row = footer.manifest
        return NAMES.index(row.stage), row.corrects is not None, named.get(row.result_id, row.content_digest) != row.content_digest

    return sorted(by_age, key=place)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, ReframerError) else str(error)


def _restore(conn: psycopg.Connection[Row], store: ObjectStore, footer: Footer) -> tuple[bool, bool]:
    row = footer.manifest
    new_video = _restore_video(conn, footer.video)
    if manifest.locked(conn, row.result_id) is not None:
        return new_video, False
    wanted = list(row.made_from.values())
    there = conn.execute("SELECT result_id::text, content_digest, object_key FROM results WHERE result_id = ANY(%s::uuid[])", (wanted,))
    known = {r["result_id"]: r for r in there}
    fits = {result_id: footer.made_from.get(result_id, r["content_digest"]) == r["content_digest"] for result_id, r in known.items()}
    if other := [stage for stage, result_id in row.made_from.items() if not fits.get(result_id, True)]:
        whole = all(store.exists(known[row.made_from[stage]]["object_key"]) for stage in other)  # else a row from a backup of the database
        raise (_Replaced if whole else ObjectMissing)(f"it was made from other {', '.join(other)} than there are.")
    if missing := [stage for stage, result_id in row.made_from.items() if result_id not in known]:
        raise ObjectMissing(f"its {', '.join(missing)} are not in the store.")
    manifest.insert(conn, row)
    if row.attachment_key is not None and not store.exists(row.attachment_key):
        conn.execute("UPDATE results SET evicted_at = now() WHERE result_id = %s", (row.result_id,))
    stored = StoredResult(row, store)
    rows.copy_rows(conn, row, stored.batches)
    publishing.set_facts(conn, row, stored.batches)
    if footer.answer is not None:
        questions.restore(conn, footer.answer)
    return new_video, True


def _restore_video(conn: psycopg.Connection[Row], card: VideoCard) -> bool:
    lock_file(conn, card.sha256)
    conn.execute("INSERT INTO users (email) VALUES (%s) ON CONFLICT (email) DO NOTHING", (card.email,))
    added = conn.execute(
        """INSERT INTO videos (id, user_id, sha256, filename, size_bytes, created_at)
           SELECT %s, id, %s, %s, %s, %s FROM users WHERE email = %s ON CONFLICT (id) DO NOTHING""",
        (card.video_id, card.sha256, card.filename, card.size_bytes, card.created_at, card.email),
    )
    return added.rowcount == 1


def _publish(conn: psycopg.Connection[Row], video_id: str, marked: list[str], said: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Publish the first set that is marked and whole, else the newest computed one that is whole; unless something is published already.

    Only a corrected set takes the place of a published one, where that is what it corrects and no correction is known: an earlier rebuild
    could not restore it.
    """
    there = [ManifestRow.from_row(row) for row in conn.execute(_RESTORED, (video_id,))]
    wanted = next((row for one in marked for row in there if row.result_id == one and _whole(there, row)), None)
    whole = _whole(there, wanted)
    seen = conn.execute("SELECT result_id::text AS id FROM published WHERE video_id = %s AND stage = 'scenes'", (video_id,)).fetchone()
    if seen is not None:
        logged = conn.execute("SELECT 1 FROM corrections WHERE video_id = %s LIMIT 1", (video_id,)).fetchone()
        if logged or wanted is None or wanted.corrects != seen["id"]:
            return False
    if not whole:
        whole = _whole(there, next((row for row in reversed(there) if row.stage == "scenes" and row.corrects is None), None))
    if not whole:
        return False
    publishing.move(conn, None, video_id, whole)
    _restore_corrections(conn, video_id, said.get(whole["scenes"], []))
    return True


_RESTORED: Final[LiteralString] = "SELECT * FROM results WHERE video_id = %s ORDER BY created_at FOR UPDATE"


def _whole(there: Iterable[ManifestRow], scenes: ManifestRow | None) -> dict[str, str]:
    """The set of a scenes result, as result ids by stage; empty if not all of it is there."""
    whole = {} if scenes is None else {**scenes.inputs, "scenes": scenes.result_id}
    return whole if whole.keys() == set(NAMES) and {row.result_id for row in there} >= set(whole.values()) else {}


def _restore_corrections(conn: psycopg.Connection[Row], video_id: str, said: list[dict[str, Any]]) -> None:
    """Of the log, the corrections that readers see the consequences of, as the first uploader's: who made them is not in the store."""
    events = [Event.from_json(one) for one in said]
    owner = conn.execute("SELECT user_id::text FROM videos WHERE id = %s", (video_id,)).fetchone()
    if events and owner is not None:
        log.add(conn, video_id, events, Author(owner["user_id"]))
