"""Mattes and reframed videos that are kept: made once for all who want the same, in the store.

What belongs here: asking for one, and making one that was asked for. What does not: what may be wished (`wishes`), the rows
(`results.deliverables`), who runs it (`orchestration`), files of a person's choice (`cli`).

A file is made in the scratch folder, put into the store under a name never used before, and then named by its row in one statement. Whoever
dies on the way leaves a row that is `making` and silent, which the next one takes up, and at most an object that the sweep takes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reframer_pipeline import scratch
from reframer_pipeline.editing import wishes
from reframer_pipeline.editing.matte.making import make_matte, settings_of
from reframer_pipeline.editing.matte.order import MatteOrder
from reframer_pipeline.editing.reframe.order import ReframeOrder, make_reframed
from reframer_pipeline.editing.wishes import AnyWish
from reframer_pipeline.failures import LeaseLost, ReframerError, WeightsChanged
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.handover import Progress
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.deliverables import SILENT_S, Asker
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.vision import weights
from reframer_pipeline.work.heartbeat import beating
from reframer_pipeline.work.videos import get_video

TOLD_S: Final = 1.0  # how often people need to know how far it is


def ask(
    storage: Storage, video_id: str, wish: AnyWish, by: Asker | None = None, filename: str | None = None, result_id: str | None = None
) -> Deliverable:
    """Ask for what somebody wishes. Who wishes the same of the same results gets the same; what failed or was evicted is wanted again.

    Args:
        storage: Where the results are.
        video_id: The video.
        wish: The wish.
        by: Who asks.
        filename: What they call the video; None: as whoever brought it first did.
        result_id: As for `wishes.resolve`.

    Raises:
        QuotaUsedUp: They may not have so many at once.
        And what `wishes.resolve` raises.
    """
    name = filename or str(get_video(storage.db, video_id)["filename"])
    wanted, asker = wishes.resolve(storage, video_id, name, wish, result_id), by or Asker()
    one = deliverables.ask(storage.db, wanted, asker)
    if one.object_key is not None and not storage.store.exists(one.object_key):
        deliverables.lost(storage.db, one.id, one.object_key)
        one = deliverables.ask(storage.db, wanted, asker)
    return one


def make(
    storage: Storage, deliverable_id: str, token: str, run_id: str | None = None, alive: Callable[[], None] = lambda: None
) -> Deliverable | None:
    """Make one that was asked for. Its row says how that ends, whichever way it does.

    Args:
        storage: Where everything is.
        deliverable_id: The deliverable.
        token: Of whoever makes it: the same for all tries of one run in one process.
        run_id: The run, if Dagster runs it.
        alive: Called while it gets on; what it raises ends it.

    Returns:
        How it stands now; None if there was nothing to make: it is there, failed, gone, or another one makes it.

    Raises:
        LeaseLost: It was deleted meanwhile, or taken over.
        WeightsChanged: It was ordered of other weights than those at hand.
        ReframerError: As `make_matte` and `make_reframed`.
    """
    claimed = deliverables.claim(storage.db, deliverable_id, token, run_id)
    if claimed is None:
        return None
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        alive()
        if time.monotonic() - told >= TOLD_S:
            told = time.monotonic()
            try:
                deliverables.alive(storage.db, claimed.id, token, done / total if total else 0.0)
            except LeaseLost:
                raise
            except ReframerError:  # hours of work must not end because a note could not be taken
                pass

    began = time.monotonic()
    try:
        with (
            beating(lambda: deliverables.alive(storage.db, claimed.id, token), SILENT_S / 3, f"deliverable {claimed.id}"),
            scratch.private(storage.settings.scratch_dir) as place,
        ):
            target = place / f"made{Path(claimed.filename).suffix}"
            _write(storage, claimed, target, progress)
            alive()
            return deliverables.keep(storage.db, storage.store, claimed, token, target, time.monotonic() - began, alive)
    except Exception as error:
        failure = typed(error, storage.settings.scratch_dir)
        if not isinstance(failure, LeaseLost):
            note(storage, claimed.id, failure, token)
        raise failure from error


def note(storage: Storage, deliverable_id: str, failure: ReframerError, token: str) -> None:
    """Write down why nothing came of it, unless that was done. A database that cannot take the note must not hide the failure: then it
    falls silent, and counts as died.
    """
    with contextlib.suppress(ReframerError):
        deliverables.end(storage.db, deliverable_id, failure, storage.settings.max_attempts, token)


def _write(storage: Storage, one: Deliverable, target: Path, progress: Progress) -> None:
    if one.kind == "reframe":
        make_reframed(storage, ReframeOrder.read(one.ordered), target, progress)
        return
    order, settings = MatteOrder.read(one.ordered), settings_of(storage, one.video_id)
    if (weights.digest(settings, "segmenter"), settings.effective_sam2_imgsz) != (order.weights, order.picture_side):
        raise WeightsChanged(
            "The segmenter is another one than when it was asked for.", "Ask again: that asks of the segmenter as it is now."
        )
    make_matte(storage, order, target, progress, settings=settings)
