"""The sweep: what nobody will ask for again leaves store and database.

What belongs here: doing it in order, and what came of it. What does not: what may go (`superseded`, `deliverables`, `orphans`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.results.rebuild import is_incomplete
from reframer_pipeline.retention import deliverables, orphans, superseded
from reframer_pipeline.retention.idle import while_idle
from reframer_pipeline.store.mark import bind
from reframer_pipeline.store.objects import ObjectStore

INCOMPLETE: Final = (
    "everything: the last rebuild did not restore all of the store. Run `reframer db rebuild` until it leaves nothing out; "
    "what it names and nobody needs, delete from the store."
)


@dataclass
class Swept:
    """What went, or in a dry run would go.

    Attributes:
        dry_run: Whether nothing was touched.
        results: Superseded results.
        deliverables: Files made from results that were superseded.
        orphans: Objects that no row named.
        bytes: Size of all these objects.
        busy: Videos left alone because a run is at them.
        objects: Keys of the objects.
        left: Videos left as they were, with the reason; or that everything was.
    """

    dry_run: bool
    results: int = 0
    deliverables: int = 0
    orphans: int = 0
    bytes: int = 0
    busy: int = 0
    objects: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def sweep(db: Database, store: ObjectStore, keep_days: int, *, dry_run: bool = False) -> Swept:
    """Delete superseded results, what was made from them, and orphans; nothing at all after a rebuild that left something out.

    Args:
        db: The database.
        store: Its store.
        keep_days: Days that a superseded result is kept, at least one.
        dry_run: Only say what would go.

    Raises:
        StoreMismatch: Store and database do not belong together; nothing was done.
        DatabaseUnavailable, StoreUnavailable: What went until then is gone; the rest waits for the next sweep.
    """
    bind(db, store)
    swept, days = Swept(dry_run), max(keep_days, 1)
    if is_incomplete(db):
        swept.left.append(INCOMPLETE)
        return swept
    old = deliverables.sweep_superseded(db, store, days, dry_run=dry_run)
    swept.deliverables, swept.bytes, swept.objects = len(old.objects), old.bytes, list(old.objects)
    videos = superseded.videos_with_superseded(db, days)
    if dry_run:
        for video_id in videos:
            _note(swept, superseded.find(db, video_id, days))
    else:
        went = while_idle(db, videos, "sweep", lambda video, token: _note(swept, superseded.delete(db, store, video, token, days)))
        swept.busy, swept.left = went.busy, went.left
    for orphan in orphans.find(db, store):
        if dry_run or orphans.delete(db, store, orphan):
            swept.orphans += 1
            swept.bytes += orphan.bytes
            swept.objects.append(orphan.key)
    return swept


def _note(swept: Swept, gone: list[superseded.Candidate]) -> int:
    swept.results += len(gone)
    swept.bytes += sum(one.bytes for one in gone)
    swept.objects += [key for one in gone for key in one.objects]
    return len(gone)
