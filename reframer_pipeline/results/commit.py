"""Results: how they are committed, published and read again.

What belongs here: the protocol below. What does not: its parts (`prepare`, `objects`, `rows`, `lease`, `publishing`).

1. Draw the stage's batches into a Parquet file in the scratch folder, checking them on the way.
2. Put it, and the attachment, into the store under names never used before.
3. In ONE transaction: check the lease, add the manifest row, COPY the rows from that file; for scenes, which come last,
   also move the published set to the six results that belong together.

Readers of the `current_*` views see the old whole until step 3 commits and the new whole after it; a crash anywhere leaves the old
whole and at most an orphan object. Rows are only ever added beside older ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reframer_pipeline import schemas
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseUnavailable, ObjectMissing, ReframerError, UnknownVideo
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.results import manifest, parquet, publishing, rows
from reframer_pipeline.results.footer import VideoCard, video_card
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.prepare import Prepared, prepare
from reframer_pipeline.results.stored import StoredResult, closure
from reframer_pipeline.results.validation import CheckResult, validator_for
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.store.patience import patiently
from reframer_pipeline.versions import StageKey
from reframer_pipeline.work import lease

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

__all__ = ["Committed", "Prepared", "Results", "StoredResult"]


@dataclass(frozen=True)
class Committed:
    """What came of a commit.

    Attributes:
        manifest: The manifest row now in force.
        checks: All checks of the result just made.
        outcome: `new`; `same`, the result was there already, equal row by row; `differs`, it was there with other rows.
    """

    manifest: ManifestRow
    checks: list[CheckResult]
    outcome: Literal["new", "same", "differs"]


class Results:
    """All results of one database and its store."""

    def __init__(self, db: Database, store: ObjectStore, settings: Settings) -> None:
        self._db = db
        self._store = store
        self._scratch = settings.scratch_dir

    def find(self, result_ids: list[str]) -> dict[str, ManifestRow]:
        """The manifest rows of these results; those that do not exist are left out."""
        return manifest.find(self._db, result_ids)

    def open(self, result_id: str) -> StoredResult:
        """A committed result, to read.

        Raises:
            ObjectMissing: There is no such result.
        """
        row = self.find([result_id]).get(result_id)
        if row is None:
            raise ObjectMissing(f"There is no result {result_id}.")
        return StoredResult(row, self._store)

    def closure(self, key: StageKey) -> dict[str, StoredResult]:
        """Every result that a key depends on, directly or not, by stage.

        Raises:
            ObjectMissing: One of them was never committed.
        """
        return closure(self._db, self._store, key)

    def is_whole(self, row: ManifestRow) -> bool:
        """Whether all objects of a result are in the store."""
        return all(self._store.exists(key) for key in (row.object_key, row.attachment_key) if key)

    def publish(self, video_id: str, keys: Mapping[str, StageKey], lease_token: str) -> None:
        """Show readers six results that all exist already, computing nothing.

        Raises:
            ObjectMissing: One does not exist.
            LeaseLost: Another run took this video over.
        """

        def act(conn: psycopg.Connection[Row]) -> None:
            lease.demand(conn, video_id, lease_token)
            publishing.move(conn, video_id, {stage: key.result_id for stage, key in keys.items()})

        self._db.run(act)

    def prepare(
        self,
        video_id: str,
        stage_key: StageKey,
        output: StageOutput,
        upstream: Mapping[str, StageInput] | None = None,
        *,
        run_id: str | None = None,
        stats: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """Step 1: draw and check a stage's result. Nothing is visible to anyone yet.

        Args:
            video_id: The video.
            stage_key: What the result is a function of.
            output: The result; its batches are consumed, its attachment is taken over.
            upstream: Results it depends on, where already open; the others are opened here.
            run_id: Shown in the manifest.
            stats: More figures for the manifest.

        Raises:
            InvalidResult: A check failed; `checks` has them all.
        """
        committed = self.closure(stage_key)
        validator = validator_for(stage_key, {**committed, **(upstream or {})})
        made_from = {committed[stage].result_id: committed[stage].manifest.content_digest for stage in stage_key.components["inputs"]}
        return prepare(self._card(video_id), stage_key, output, validator, self._scratch, run_id, stats, made_from)

    def commit_prepared(self, prepared: Prepared, *, lease_token: str, alive: Callable[[], None] = lambda: None) -> Committed:
        """Steps 2 and 3: store a prepared result and commit it, trying again for a while if store or database is away.

        Its local files are gone afterwards, whatever happens.

        If the key's result is there already (a forced recomputation), the committed rows stay, because the key determines the
        result and later results point at these rows. Objects that got lost are replaced; if the new rows are others, then the old
        result and all that was made from it make way, for half of it is gone anyway.

        Args:
            prepared: The result.
            lease_token: Of the video's lease.
            alive: Called whenever it gets on: with parts of objects, batches and tries.

        Raises:
            LeaseLost: Another run took this video over.
            DatabaseUnavailable, DatabaseFull, StoreUnavailable: Nothing was committed, as far as can be known.
        """
        try:
            return self._store_and_commit(prepared, lease_token, alive)
        finally:
            prepared.clear()

    def commit(
        self,
        video_id: str,
        stage_key: StageKey,
        output: StageOutput,
        upstream: Mapping[str, StageInput] | None = None,
        *,
        lease_token: str,
        run_id: str | None = None,
        stats: Mapping[str, Any] | None = None,
    ) -> Committed:
        """`prepare` and `commit_prepared` in one; raises what they raise, and keeps no local files."""
        prepared = self.prepare(video_id, stage_key, output, upstream, run_id=run_id, stats=stats)
        return self.commit_prepared(prepared, lease_token=lease_token)

    def _store_and_commit(self, made: Prepared, token: str, alive: Callable[[], None]) -> Committed:
        row = made.row

        def put() -> None:
            self._store.put(made.local, row.object_key, alive)
            alive()
            if made.attachment is not None and row.attachment_key is not None:
                self._store.put(made.attachment, row.attachment_key, alive)

        def commit() -> Committed:
            before = self.find([row.result_id]).get(row.result_id)
            lost = before is not None and not self.is_whole(before)
            return self._db.run(lambda conn: self._transaction(conn, made, token, lost, alive))

        try:
            patiently(put, alive)
            committed = patiently(commit, alive)
        except DatabaseUnavailable:
            raise  # perhaps it was committed: the objects must stay
        except ReframerError:
            self._drop_unless_committed(row)
            raise
        if committed.manifest.object_key != row.object_key:
            self._drop(row)
        return committed

    def _transaction(self, conn: psycopg.Connection[Row], made: Prepared, token: str, lost: bool, alive: Callable[[], None]) -> Committed:
        row = made.row
        alive()
        lease.demand(conn, row.video_id, token)
        there = manifest.locked(conn, row.result_id)
        outcome: Literal["new", "same", "differs"] = "new"
        if there is None:
            there = self._add(conn, made, alive)
        elif there.object_key != row.object_key:  # else our own COMMIT, whose answer was lost
            outcome = "same" if there.content_digest == row.content_digest else "differs"
            if lost and outcome == "differs":
                publishing.discard(conn, row.video_id, row.result_id)
                there = self._add(conn, made, alive)
            else:
                there = manifest.remade(conn, there, row, relink=lost)
        publishing.after(conn, there, made.local)
        return Committed(there, made.checks, outcome)

    @staticmethod
    def _add(conn: psycopg.Connection[Row], made: Prepared, alive: Callable[[], None]) -> ManifestRow:
        manifest.insert(conn, made.row)
        batches = parquet.read_batches(made.local, schemas.TABLES[made.key.stage].names)
        rows.copy_rows(conn, made.row.video_id, made.key, _noting(batches, alive))
        return made.row

    def _card(self, video_id: str) -> VideoCard:
        with self._db.transaction() as conn:
            card = video_card(conn, video_id)
        if card is None:
            raise UnknownVideo(f"There is no video {video_id}.")
        return card

    def _drop_unless_committed(self, row: ManifestRow) -> None:
        """An earlier try may have been committed without our hearing of it; unknown means keep: an orphan harms nobody."""
        with contextlib.suppress(ReframerError):
            there = self.find([row.result_id]).get(row.result_id)
            if there is None or there.object_key != row.object_key:
                self._drop(row)

    def _drop(self, row: ManifestRow) -> None:
        for key in (row.object_key, row.attachment_key):
            if key is not None:
                with contextlib.suppress(ReframerError):
                    self._store.delete(key)


def _noting(batches: Iterator[pa.RecordBatch], alive: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        alive()
        yield batch
