"""Runs: what this process keeps of each Dagster run that it works for: its order, its lease, and the results it has opened.

What belongs here: resolving the order once, and finding out who holds the video's lease, the run's caller or the run itself. What does not:
leases themselves (`work.lease`), orders themselves (`planning.orders`). A run that nobody holds a lease for takes one with its first stage
and keeps it to its end, over the pauses between tries too: two runs of one video never take turns. Its token follows from the run, so
stages that have processes of their own share it. A process that ends without giving it back loses it within a minute. Where stages are
computed by workers (`fleet`), each has a token of its own, and takes the lease over from the stage before.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from reframer_pipeline.failures import InputMissing, LeaseLost
from reframer_pipeline.orchestration.tags import ASSET_OF, JOB_OF, LEASE_TAG, PARTITION_TAG, REQUEST_TAG
from reframer_pipeline.planning import orders
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.retention import archive
from reframer_pipeline.stages import BY_NAME, NAMES, upstream
from reframer_pipeline.stages.order import Order
from reframer_pipeline.work import jobs, lease
from reframer_pipeline.work.videos import is_video_id

_RUNS: Final = uuid.UUID("6a1c7f0e-58a4-4d0e-9a53-0c7a1f5d2b94")
_kept: dict[str, Run] = {}  # by run id
_expected: dict[str, Order] = {}  # by lease token: of runs that this process is about to start
_claims: dict[str, tuple[lease.Claim, Callable[[], None]]] = {}  # by run id: the stage that this process alone has, and how to vanish
_lock = threading.Lock()
_HANDED: Final = "REFRAMER_RUN_ORDER"  # lease token and pinned order, for the processes of a run's stages


def token_of(run_id: str) -> str:
    """The token of the lease that a run takes for itself, or for the one stage of it that this process has."""
    claim = _claim(run_id)
    return str(uuid.uuid5(_RUNS, run_id if claim is None else f"{claim.key} {claim.worker_id}"))


def _claim(run_id: str) -> lease.Claim | None:
    return _claims[run_id][0] if run_id in _claims else None


def about(run: dg.DagsterRun) -> str | None:
    """The id of the video that a run is about; None if it is about none, or about a partition that somebody made by hand."""
    partition = run.tags.get(PARTITION_TAG, "")
    return partition if is_video_id(partition) else None


def video_of(run: dg.DagsterRun) -> str | None:
    """The id of the video that a run computes; None if it computes none: a matte, say, is made of results that are there."""
    only_made = run.asset_selection and all(key.path[-1] in ASSET_OF.values() for key in run.asset_selection)
    return None if only_made or run.job_name in JOB_OF.values() else about(run)


def for_request(run: dg.DagsterRun) -> str:
    """What our lines in a run's log end with: the id of the HTTP request that asked for it, if one did. The API's log has the same."""
    request_id = run.tags.get(REQUEST_TAG)
    return f" (request {request_id})" if request_id else ""


@dataclass
class Run:
    """A run of one video.

    Attributes:
        run: Dagster's.
        storage: Of this deployment.
        order: What it is asked for.
        token: Of the video's lease; empty before `take_lease`.
        results: Those it has opened or made, by result id.
    """

    run: dg.DagsterRun
    storage: Storage
    order: Order
    token: str = ""
    results: dict[str, StoredResult] = field(default_factory=dict)
    _held: lease.Held | None = None
    _restored: bool = False

    @property
    def _name(self) -> str:
        return f"{self.order.video.filename} (video {self.order.video.video_id})"

    @property
    def stages(self) -> Sequence[str]:
        """The stages that Dagster was asked for in this run."""
        asked = self.run.step_keys_to_execute or [key.path[-1] for key in self.run.asset_selection or ()]
        return [stage for stage in NAMES if stage in asked] or NAMES

    def known(self, stages: Iterable[str] = NAMES) -> dict[str, StoredResult]:
        """Those of the results of its order that are committed by now, by stage."""
        wanted = {name: self.order.keys[name].result_id for name in stages if name in self.order.keys}
        unknown = [result_id for result_id in wanted.values() if result_id not in self.results]
        if unknown:
            self.results |= self.storage.results.open_all(unknown)
        return {name: self.results[result_id] for name, result_id in wanted.items() if result_id in self.results}

    def upstream(self, stage: str) -> dict[str, StoredResult]:
        """The committed results that a stage depends on, directly or not, by stage.

        Raises:
            InputMissing: There is none of its direct inputs.
        """
        for name in upstream(stage):
            self.order.key(name)  # raises what keeps it from being known
        found = self.known(upstream(stage))
        for name in BY_NAME[stage].inputs:
            if name not in found:
                raise InputMissing(f"The {name} of {self._name} have not been computed with the settings of this run.")
        return found

    def take_lease(self, patience_s: float | None = None) -> str:
        """The token under which this run may write, until `give_back`.

        Args:
            patience_s: Longest wait for another's lease to run out, by default for as long as that of a dead process can last.

        Raises:
            VideoBusy: Another one holds the lease, and lives.
        """
        if not self.token:
            db, video_id, tagged = self.storage.db, self.order.video.video_id, self.run.tags.get(LEASE_TAG)
            if tagged is not None and _is_ours(self.storage, video_id, tagged):  # whoever started the run holds it for all stages
                self.token = tagged
            else:
                own = token_of(self.run.run_id)
                self._held = lease.take_patiently(
                    db, video_id, owner=self.run.run_id, token=own, patience_s=patience_s, claim=_claim(self.run.run_id)
                )
                self.token = own
        return self.token

    def start(self, stage: str, attempt: int) -> str:
        """Take up a stage; the id of the run's job.

        Raises:
            VideoBusy: Another one holds the video's lease, and lives.
            LeaseLost: It was taken over just now, or the run was declared dead while it was only asleep.
            ReframerError: The stage needs weights that cannot be had; or archived rows cannot be read at the moment.
        """
        if self.order.trouble is not None:
            self.order = orders.of(self.order.video, self.order.settings)  # the weights may have come meanwhile
        key = self.order.keys.get(stage)
        for _ in range(2):
            started = jobs.start(
                self.storage.db,
                self.order.video.video_id,
                self.run.run_id,
                lease_token=self.take_lease(),
                pinned=orders.pinned(self.order),
                stage=stage,
                recipe=key.recipe.digest if key is not None else None,
                attempt=attempt,
            )
            if started is not None:
                self.order = orders.follow(self.order, started.pinned)
                self.order.key(stage)
                self._restore()
                return started.job_id
            self.drop_lease()  # it ran out, and another one has had it meanwhile
        raise LeaseLost(f"Another run took over {self._name}.")

    def _restore(self) -> None:
        """What readers are to see beside the new rows: a video that is computed again is archived no more."""
        if not self._restored:
            storage = self.storage
            archive.restore(storage.db, storage.store, self.order.video.video_id, self.token, skip_lost=True)
            self._restored = True

    def drop_lease(self, release: bool = False) -> None:
        """Hold the lease no longer."""
        if self._held is not None:
            self._held.release() if release else self._held.stop()
        self._held, self.token, self._restored = None, "", False


@contextmanager
def expecting(token: str, order: Order) -> Iterator[None]:
    """While the block lasts, a run in this process that carries this lease token follows this order; afterwards nothing is kept of it."""
    with _lock:
        _expected[token] = order
    try:
        yield
    finally:
        with _lock:
            del _expected[token]
            left = [run_id for run_id, kept in _kept.items() if kept.run.tags.get(LEASE_TAG) == token]
        for run_id in left:
            give_back(run_id)


@contextmanager
def claimed(run_id: str, claim: lease.Claim, vanish_if_overtaken: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, this process computes one stage of a run, and others the rest. What it holds afterwards is left to the next.

    Args:
        run_id: The run.
        claim: The stage.
        vanish_if_overtaken: Ends this process, without a word in the run's log, if another has the stage by now.
    """
    _claims[run_id] = (claim, vanish_if_overtaken)
    try:
        yield
    finally:
        del _claims[run_id]
        with _lock:
            kept = _kept.pop(run_id, None)
        if kept is not None:
            kept.drop_lease()


def vanish_if_overtaken(run_id: str) -> None:
    """For who has met a failure: what another computes by now must not be called failed, or be tried again."""
    if run_id in _claims:
        _claims[run_id][1]()


def for_children(token: str, order: Order) -> dict[str, str]:
    """The environment in which the processes of a run that carries this lease token follow this order."""
    return {_HANDED: json.dumps({"token": token, "pinned": orders.pinned(order)})}


def run_of(run: dg.DagsterRun, storage: Storage, video_id: str) -> Run:
    """What this process keeps of a run; its order is resolved if it is new here.

    Raises:
        UnknownVideo: There is no such video.
    """
    token = run.tags.get(LEASE_TAG, "")
    with _lock:
        kept, order = _kept.get(run.run_id), _expected.get(token)
    if kept is None:
        if order is None:
            order = orders.resolve(storage.db, storage.settings, video_id, run.run_id)
            handed: dict[str, Any] = json.loads(os.environ.get(_HANDED, "{}"))
            if token and handed.get("token") == token:
                order = orders.follow(order, handed["pinned"])
        with _lock:
            kept = _kept.setdefault(run.run_id, Run(run, storage, order))
    return kept


def give_back(run_id: str) -> None:
    """The run is over here: others may have the video. Nothing happens if nothing is kept of it."""
    with _lock:
        kept = _kept.pop(run_id, None)
    if kept is not None:
        kept.drop_lease(release=True)


def _is_ours(storage: Storage, video_id: str, token: str) -> bool:
    try:
        lease.heartbeat(storage.db, video_id, token)
    except LeaseLost:
        return False
    return True
