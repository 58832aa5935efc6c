"""Results: how they are committed, published and read again.

What belongs here: the protocol below. What does not: its parts (`prepare`, `objects`, `rows`, `lease`, `publishing`).

1. Draw the stage's batches into a Parquet file in the scratch folder, checking them on the way.
2. Put it, and the attachment, into the store under names never used before.
3. In ONE transaction: check the lease, add the manifest row, COPY the rows from that file; for scenes, which come last,
   also move the published set to the results that belong together. Where people corrected the video, a transaction of its own follows
   (`correcting`), and only that one moves the set.

Readers of the `current_*` views see the old whole until step 3 commits and the new whole after it; a crash anywhere leaves the old
whole and at most an orphan object. Rows are only ever added beside older ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import DatabaseUnavailable, ObjectMissing, ReframerError, StoreUnavailable
from reframer_pipeline.results import correcting, manifest, publishing, rows, shown
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.prepare import Prepared
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.stages import is_last
from reframer_pipeline.stages.checks import CheckResult
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work import lease

if TYPE_CHECKING:
    import psycopg

__all__ = ["Committed", "Prepared", "Results", "StoredResult"]
T = TypeVar("T")
PAUSES_S: Final = (2.0, 5.0, 13.0)  # between tries: a finished result outlasts a restart of the database, but not an outage
OLD_PUT_S: Final = 3600.0  # far below the day after which another machine's sweep takes an object that no row names (`retention.orphans`)


@dataclass(frozen=True)
class Committed:
    """What came of a commit.

    Attributes:
        manifest: The manifest row now in force.
        checks: All checks of the result just made.
        outcome: `new`; `same`, the result was there already, equal row by row; `differs`, it was there with other rows.
        to_correct: Whether its set is to be shown with the corrections of the video.
    """

    manifest: ManifestRow
    checks: list[CheckResult]
    outcome: Literal["new", "same", "differs"]
    to_correct: bool = False


class _Swept(Exception):
    """While this process was asleep, somebody took the objects that it had put for left over."""


class _ThereAlready(Exception):
    """A result of the same key is there: whether its objects are has to be looked at first."""

    def __init__(self, row: ManifestRow) -> None:
        super().__init__()
        self.row = row


class Results:
    """All results of one database and its store."""

    def __init__(self, db: Database, store: ObjectStore, scratch: Path) -> None:
        self._db = db
        self._store = store
        self._scratch = scratch

    def find(self, result_ids: list[str]) -> dict[str, ManifestRow]:
        """The manifest rows of these results; those that do not exist are left out."""
        return manifest.find(self._db, result_ids)

    def open(self, result_id: str) -> StoredResult:
        """A committed result, to read.

        Raises:
            ObjectMissing: There is no such result.
        """
        found = self.open_all([result_id])
        if not found:
            raise ObjectMissing(f"There is no result {result_id}.")
        return found[result_id]

    def open_all(self, result_ids: list[str]) -> dict[str, StoredResult]:
        """Those of the results that were committed, by result id, to read."""
        return {result_id: StoredResult(row, self._store) for result_id, row in self.find(result_ids).items()}

    def publish(self, video_id: str, whole: Mapping[str, str], lease_token: str) -> None:
        """Show readers six results that all exist already, with the video's corrections; nothing is computed.

        Args:
            video_id: The video.
            whole: Result ids by stage.
            lease_token: Of the video's lease.

        Raises:
            ObjectMissing: One does not exist.
            LeaseLost: Another run took this video over.
        """
        place = correcting.Place(self._db, self._store, self._scratch, video_id)
        correcting.publish(place, whole, lambda conn: lease.demand(conn, video_id, lease_token))

    def commit_prepared(
        self, prepared: Prepared, whole: Mapping[str, str], *, lease_token: str, alive: Callable[[], None] = lambda: None
    ) -> Committed:
        """Steps 2 and 3: store a prepared result and commit it, trying again for a while if store or database is away.

        Its local files are gone afterwards, whatever happens.

        If the key's result is there already (a forced recomputation), the committed rows stay, because the key determines the
        result and later results point at these rows. Objects that are missing are replaced. If the new rows are others, as where
        another processor rounds a score otherwise, that holds for the attachment alone, which belongs to as many rows: evicted pictures
        come back so. If the Parquet object is lost, or there are more or fewer rows now, then the old result and all that was made
        from it make way.

        Args:
            prepared: The result.
            whole: Result ids by stage of the set that it belongs to.
            lease_token: Of the video's lease.
            alive: Called whenever it gets on: with parts of objects, batches and tries.

        Raises:
            LeaseLost: Another run took this video over.
            DatabaseUnavailable, DatabaseFull, StoreUnavailable: Nothing was committed, as far as can be known.
        """
        try:
            committed = self._store_and_commit(prepared, whole, lease_token, alive)
        finally:
            prepared.clear()
            if is_last(prepared.row.stage):
                with contextlib.suppress(ReframerError):
                    shown.settle(self._db, self._store, prepared.row.video_id)
        if committed.to_correct:
            _patiently(lambda: self.publish(prepared.row.video_id, whole, lease_token), alive)
        return committed

    def _store_and_commit(self, made: Prepared, whole: Mapping[str, str], token: str, alive: Callable[[], None]) -> Committed:
        row, put_at = made.row, 0.0

        def put() -> None:
            nonlocal put_at
            began = time.time()  # by the wall's clock: it goes on while a machine sleeps
            self._store.put(made.local, row.object_key, alive)
            alive()
            if made.attachment is not None and row.attachment_key is not None:
                self._store.put(made.attachment, row.attachment_key, alive)
            put_at = began

        def transaction(conn: psycopg.Connection[Row], missing: Collection[str] | None = None) -> Committed:
            committed = self._transaction(conn, made=made, whole=whole, token=token, alive=alive, missing=missing)
            if time.time() - put_at > OLD_PUT_S and self._missing(row) & committed.manifest.objects:
                raise _Swept
            return committed

        def commit() -> Committed:
            try:
                return self._db.run(transaction, timeout_s=rows.STATEMENT_S)
            except _ThereAlready as there:  # looked at outside the transaction: a store may take its time
                return self._db.run(partial(transaction, missing=self._missing(there.row)), timeout_s=rows.STATEMENT_S)

        def commit_what_is_there() -> Committed:
            try:
                return commit()
            except _Swept:
                put()
                return commit()

        try:
            _patiently(put, alive)
            committed = _patiently(commit_what_is_there, alive)
        except DatabaseUnavailable:
            raise  # perhaps it was committed: the objects must stay
        except ReframerError:
            self._drop_unless_committed(row)
            raise
        self._drop(row.objects - committed.manifest.objects)
        return committed

    def _transaction(
        self,
        conn: psycopg.Connection[Row],
        *,
        made: Prepared,
        whole: Mapping[str, str],
        token: str,
        alive: Callable[[], None],
        missing: Collection[str] | None,
    ) -> Committed:
        row = made.row
        alive()
        lease.demand(conn, row.video_id, token)
        there = manifest.locked(conn, row.result_id)
        outcome: Literal["new", "same", "differs"] = "new"
        if there is None:
            there = self._add(conn, made, alive)
        elif there.object_key != row.object_key:  # else our own COMMIT, whose answer was lost
            if missing is None:
                raise _ThereAlready(there)
            outcome = "same" if there.content_digest == row.content_digest else "differs"
            rows_stay = there.object_key not in missing and there.row_count == row.row_count
            if missing and outcome == "differs" and not rows_stay:
                publishing.discard(conn, row.video_id, row.result_id)
                there = self._add(conn, made, alive)
            else:
                relink: manifest.Relink = "nothing" if not missing else "all" if outcome == "same" else "attachment"
                there = manifest.remade(conn, there, row, relink)
        to_correct = publishing.after(conn, self._store, there, made.batches, whole)
        return Committed(there, made.checks, outcome, to_correct)

    @staticmethod
    def _add(conn: psycopg.Connection[Row], made: Prepared, alive: Callable[[], None]) -> ManifestRow:
        manifest.insert(conn, made.row)
        rows.copy_rows(conn, made.row, made.batches, alive)
        return made.row

    def _missing(self, row: ManifestRow) -> set[str]:
        return {key for key in row.objects if not self._store.exists(key)}

    def _drop_unless_committed(self, row: ManifestRow) -> None:
        """An earlier try may have been committed without our hearing of it; unknown means keep: an orphan harms nobody."""
        with contextlib.suppress(ReframerError):
            there = self.find([row.result_id]).get(row.result_id)
            self._drop(row.objects - (there.objects if there else set()))

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            with contextlib.suppress(ReframerError):
                self._store.delete(key)


def _patiently(act: Callable[[], T], alive: Callable[[], None]) -> T:
    """Do it, again after each pause while store or database is away."""
    for pause in PAUSES_S:
        alive()
        try:
            return act()
        except (DatabaseUnavailable, StoreUnavailable):
            time.sleep(pause)
    alive()
    return act()
