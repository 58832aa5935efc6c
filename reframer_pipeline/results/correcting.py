"""Correcting: an event goes into the log, and what follows from it goes to readers, in one transaction.

What belongs here: the transaction, and whom it waits for. What does not: what a corrected set is (`corrected`), what events mean
(`corrections`), who may correct (`api`, `cli`).

The corrected set is made first, then one transaction sees that neither the log nor what it was made from has changed meanwhile, writes the
event, adds the rows, and moves the published set. If they have changed, all of it is done again. Whoever computes the video takes the same
way after the last commit (`commit`), so readers never see results without the corrections. Correcting needs no lease: it keeps commits
and takeovers out for its transaction alone.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Change, Event, body
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import (
    CorrectionRefused,
    DatabaseUnavailable,
    NotPublished,
    ReframerError,
    VideoBusy,
)
from reframer_pipeline.results import doubting, manifest, publishing, rows, shown
from reframer_pipeline.results.asked import Place as Place
from reframer_pipeline.results.asked import Seen, events_of, look, named
from reframer_pipeline.results.corrected import Corrected, drop, make
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.stages import NAMES
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.work import lease
from reframer_pipeline.work.videos import in_words

if TYPE_CHECKING:
    import psycopg

    Conn = psycopg.Connection[Row]

TRIES: Final = 5  # each is lost to somebody else's change only
MOST: Final = 1_000  # changes at a time


class _Changed(Exception):
    """The log or the set is another one than a corrected set was made of."""


def publish(place: Place, whole: Mapping[str, str], demand: Callable[[Conn], None]) -> None:
    """Show readers a computed set with the corrections of its video, and call the video completed.

    Args:
        place: The video.
        whole: Result ids by stage.
        demand: Called first in the transaction: goes on only with the lease.

    Raises:
        ObjectMissing: One of the set does not exist.
        LeaseLost: Another run took this video over.
        VideoBusy: Somebody kept correcting it meanwhile.
    """

    def attempt() -> None:
        events = place.db.run(lambda conn: log.standing(conn, place.video_id))
        computed = place.opened(whole) if events else {}
        made = _made(place, computed, events) if len(computed) == len(NAMES) else Corrected(dict(whole), [], {})

        def act(conn: Conn) -> None:
            demand(conn)
            if log.standing(conn, place.video_id) != events:
                raise _Changed
            _add(conn, made)
            log.note(conn, made.standing)
            publishing.move(conn, place.store, place.video_id, made.whole)

        _transact(place, made, act)

    _again_if_changed(place, attempt)


def correct(place: Place, changes: Sequence[Change], by: Author, result_id: str | None = None) -> list[Row]:
    """Correct what readers see of a video. All changes are made, or none.

    Args:
        place: The video.
        changes: By the ids of the set, each after the ones before it.
        by: Who says so.
        result_id: The set that they were made for, by its scenes; by default the one that readers see.

    Returns:
        The events, as `corrections.log.list_` has them; `no_longer_match` has the numbers of the earlier ones that have lost their match by
        these. Where a request is repeated, that which was made the first time.

    Raises:
        UnknownTrack, UnknownElement, CorrectionRefused, TracksOverlap: A change does not fit; nothing was changed.
        ResultsChanged: Readers see other results by now, and there an id means something else.
        ResultsGone: The set is kept no more.
        NotPublished, RowsArchived: There is nothing to correct.
        IdempotencyKeyReused: Something else came with this key before.
        VideoBusy: Somebody kept changing it meanwhile.
    """
    if len(changes) > MOST:
        raise CorrectionRefused(f"These are {len(changes)} corrections at a time; {MOST} are allowed.", "Make them in several steps.")
    if not changes:
        return []
    first = body(changes[0])
    if before := place.db.run(lambda conn: log.repeated(conn, place.video_id, by, first)):
        return _told(place, [before], [])
    ids, meant = [str(uuid.uuid4()) for _ in changes], None if result_id is None else named(place, result_id)

    lost: list[int] = []

    def write(conn: Conn, new: Sequence[Event]) -> None:
        if log.repeated(conn, place.video_id, by, first):
            raise _Changed
        log.add(conn, place.video_id, new, by)

    def attempt() -> None:
        nonlocal ids, meant, lost
        seen = look(place)
        if before := place.db.run(lambda conn: log.repeated(conn, place.video_id, by, first)):
            ids = [before]  # made since we were asked: by our own request, which was repeated
            return
        meant = meant or named(place, seen.result_id)
        new = events_of(ids, changes, meant, seen.shown)
        lost = _change(place, seen, [*seen.events, *new], lambda conn: write(conn, new))

    _again_if_changed(place, attempt)
    _look_through(place)
    return _told(place, ids, lost)


def _told(place: Place, ids: Sequence[str], lost: Sequence[int]) -> list[Row]:
    return [{**row, "no_longer_match": list(lost)} for row in log.made(place.db, ids)]


def undo(place: Place, number: int, user_id: str) -> list[int]:
    """Take a correction back: readers see what they would without it.

    Returns:
        The numbers of the corrections that have lost their match by that.

    Raises:
        UnknownCorrection: There is none with this number, or it was undone already.
        NotPublished, ReframerError, RowsArchived, VideoBusy: As for `correct`.
    """
    undone, lost = log.standing_id(place.db, place.video_id, number), list[int]()

    def attempt() -> None:
        nonlocal lost
        seen = look(place)
        kept = [event for event in seen.events if event.id != undone]
        lost = _change(place, seen, kept, lambda conn: log.undo(conn, place.video_id, number, user_id))

    _again_if_changed(place, attempt)
    _look_through(place)
    return lost


def _look_through(place: Place) -> None:
    """Find what is doubtful now: a hint, which is found later as well."""
    with contextlib.suppress(ReframerError):
        doubting.look_published(place.db, place.store, place.video_id)


def _again_if_changed(place: Place, attempt: Callable[[], None]) -> None:
    for _ in range(TRIES):
        try:
            return attempt()
        except _Changed:
            continue
    raise VideoBusy(f"{in_words(place.db, place.video_id)} is being changed by others all the time.")


def _change(place: Place, seen: Seen, events: list[Event], write: Callable[[Conn], None]) -> list[int]:
    """Show readers what follows from other events. Returns the numbers of earlier ones that lose their match by it."""
    made = _made(place, seen.computed, events)
    known = {event.id for event in seen.events}
    if refused := [why for one, why in made.standing.items() if why is not None and one not in known]:
        drop(place.store, made.made)
        raise CorrectionRefused(f"It cannot be told apart from another one: {refused[0]}.")

    lost: list[int] = []

    def act(conn: Conn) -> None:
        nonlocal lost
        lease.keep_out(conn, place.video_id)
        standing = log.standing(conn, place.video_id)
        if standing == events:
            return  # our own COMMIT, whose answer was lost
        if standing != seen.events or publishing.computed(conn, place.video_id) != {one.result_id for one in seen.computed.values()}:
            raise _Changed
        if publishing.archived(conn, place.video_id):
            raise _Changed  # `look` says so
        write(conn)
        _add(conn, made)
        lost = log.note(conn, made.standing)
        conn.execute("UPDATE videos SET updated_at = now() WHERE id = %s", (place.video_id,))
        publishing.point(conn, place.store, place.video_id, made.whole)

    _transact(place, made, act)
    return lost


def _made(place: Place, computed: Mapping[str, StoredResult], events: Sequence[Event]) -> Corrected:
    row = place.db.fetch_one(
        """SELECT v.id::text AS video_id, v.sha256, v.filename, v.size_bytes, u.email, v.created_at
           FROM videos v JOIN users u ON u.id = v.user_id WHERE v.id = %s""",
        (place.video_id,),
    )
    if row is None:
        raise NotPublished(f"Video {place.video_id} was deleted.")
    return make(place.db, place.store, place.scratch, VideoCard(**row), computed, events)


def _add(conn: Conn, made: Corrected) -> None:
    """The rows of what was made, where they are not there already: the same corrections, undone and made again, give the same results."""
    for one in made.made:
        if manifest.locked(conn, one.row.result_id) is None:
            manifest.insert(conn, one.row)
            rows.copy_rows(conn, one.row, one.batches)


def _transact(place: Place, made: Corrected, act: Callable[[Conn], None]) -> None:
    """The transaction; its mark is settled, and objects of what it did not take are deleted, unless that is not known: an orphan harms
    nobody.
    """
    answered = True
    try:
        place.db.run(act, timeout_s=rows.STATEMENT_S)
    except DatabaseUnavailable:
        answered = False  # perhaps it was committed, or will be
        raise
    finally:
        with contextlib.suppress(ReframerError):
            shown.settle(place.db, place.store, place.video_id)
        with contextlib.suppress(ReframerError):
            if answered:
                kept = {one.object_key for one in manifest.find(place.db, [one.row.result_id for one in made.made]).values()}
                drop(place.store, [one for one in made.made if one.row.object_key not in kept])
        for one in made.made:
            one.clear()
