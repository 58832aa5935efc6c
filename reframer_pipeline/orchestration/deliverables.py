"""Mattes and reframed videos as Dagster assets, outside the six: made when somebody asks, and never for everything.

What belongs here: the two assets, a job for each, and what people see of a run. What does not: making and keeping
(`editing.keeping`), who asks for runs (`requests.deliverable_sensor`, `requests.asking`). They have the six's partitions and stand beside
them in the graph, but the job of the six, the plan and the backfill know nothing of them. Dagster is told of no dependence: so
`detections*` are stages alone, and results that change make no matte stale, which is made of the set that it was ordered of. Without a
config a run makes what waits of its video, so to materialize all partitions makes what was asked for and nothing else.

This file does not postpone annotations (`from __future__`): Dagster reads the context's as a type, not as text.
"""

import functools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import dagster as dg
from dagster import DagsterExecutionInterruptedError
from pydantic import Field

from reframer_pipeline.editing import keeping, wishes
from reframer_pipeline.editing.matte.order import CODE_VERSION as MATTE_VERSION
from reframer_pipeline.editing.reframe.order import CODE_VERSION as REFRAME_VERSION
from reframer_pipeline.failures import BeingMade, Interrupted, NothingThere, ReframerError
from reframer_pipeline.failures.typing import as_metadata
from reframer_pipeline.orchestration.assets import GROUP, VIDEOS
from reframer_pipeline.orchestration.stage.interrupting import Watchdog, raise_if_interrupted
from reframer_pipeline.orchestration.stage.runs import for_request, token_of
from reframer_pipeline.orchestration.tags import ASSET_OF, CPU_TAGS, FAILURE_TAG, GPU_POOL, GPU_TAGS, JOB_OF
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable, Kind
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work.videos import get_video

_ABOUT: Final[dict[Kind, tuple[str, int]]] = {
    "matte": (
        "Which pixels are a track's, in every frame, as a film or pictures: what somebody asked for.",
        MATTE_VERSION,
    ),
    "reframe": (
        "The video in another ratio, as a clip or keyframes: what somebody asked for.",
        REFRAME_VERSION,
    ),
}


class Chosen(dg.Config):
    """Which to make. Neither: all of the video that wait."""

    deliverable: str = Field("", description="Id of one that was asked for.")
    wish: dict[str, Any] = Field({}, description="Or what to make, as the API takes it: `tracks: [obj_001]`, `ratio: '9:16'`.")


def asset_of(kind: Kind, gpu_pool: bool) -> dg.AssetsDefinition:
    """The asset of a kind. Mattes want a GPU, and wait for a slot of its pool, if there is one."""
    says, code_version = _ABOUT[kind]
    on_gpu = kind == "matte"

    @dg.asset(
        name=ASSET_OF[kind],
        description=says,
        group_name=GROUP,
        partitions_def=VIDEOS,
        required_resource_keys={"storage"},
        kinds={"ffmpeg", "pytorch"} if on_gpu else {"ffmpeg"},
        owners=["team:video"],
        pool=GPU_POOL if on_gpu and gpu_pool else None,
        op_tags=GPU_TAGS if on_gpu else CPU_TAGS,
        code_version=str(code_version),
        output_required=False,
    )
    def make(context: dg.AssetExecutionContext, config: Chosen) -> Iterator[dg.MaterializeResult]:
        made = _Making(context, context.resources.storage, kind).all_of(config)
        if made:
            yield dg.MaterializeResult(metadata=_figures(context.resources.storage, made))

    return make


def all_deliverables(gpu_pool: bool) -> list[dg.AssetsDefinition]:
    """Both assets."""
    return [asset_of(kind, gpu_pool) for kind in _ABOUT]


@functools.cache  # Dagster demands that all who name the job mean the same object
def job_of(kind: Kind) -> "dg.UnresolvedAssetJobDefinition":
    """The job of one asset."""
    selection = dg.AssetSelection.assets(ASSET_OF[kind])
    return dg.define_asset_job(JOB_OF[kind], selection=selection, partitions_def=VIDEOS, description=_ABOUT[kind][0])


class _Making:
    """One step: some deliverables of a video, one after the other."""

    def __init__(self, context: dg.AssetExecutionContext, storage: Storage, kind: Kind) -> None:
        self._context, self._storage, self._kind = context, storage, kind
        self._token = token_of(context.run_id)

    def all_of(self, config: Chosen) -> list[Deliverable]:
        """Make what is chosen. One that cannot be made stops no other, and fails the run at the end."""
        video_id, made, failures = self._context.partition_key, list[Deliverable](), list[ReframerError]()
        try:
            for one in self._chosen(video_id, config):
                try:
                    made.append(self._made(one))
                except ReframerError as failure:
                    failures.append(failure)
        except ReframerError as failure:
            failures.append(failure)
        if failures:
            raise self._failed(failures[0], len(failures), len(made)) from failures[0]
        if not made:
            self._context.log.info(f"Nobody waits for {ASSET_OF[self._kind]} of this video.")
        return made

    def _chosen(self, video_id: str, config: Chosen) -> list[str]:
        if config.wish:
            wish = wishes.read({"kind": self._kind, **config.wish})
            return [keeping.ask(self._storage, video_id, wish).id]
        if not config.deliverable:
            return deliverables.waiting(self._storage.db, video_id, self._kind, self._context.run_id)
        one = deliverables.find(self._storage.db, config.deliverable)
        if one is None or (one.video_id, one.kind) != (video_id, self._kind):
            raise NothingThere(
                f"There is no {self._kind} {config.deliverable} of this video.", "It was deleted, or its results are no more."
            )
        if one.status in ("failed", "evicted"):  # somebody runs it once more
            return [deliverables.ask(self._storage.db, one, deliverables.Asker()).id]
        return [one.id]

    def _made(self, deliverable_id: str) -> Deliverable:
        """Make one, or find it made.

        Raises:
            BeingMade: Another run is at it.
            ReframerError: It cannot be made.
        """
        db = self._storage.db
        video = get_video(db, self._context.partition_key)
        self._context.log.info(f"{self._kind} {deliverable_id} of {video['filename']}{for_request(self._context.run)}")
        # of a late scene nothing is told while what comes before is decoded: a second a frame, as ffmpeg's own limits have it
        watchdog = Watchdog(self._storage.settings.stall_s + (video["frame_count"] or 0), f"The {self._kind}")

        def alive() -> None:
            raise_if_interrupted()
            watchdog.feed()

        try:
            with watchdog:
                made = keeping.make(self._storage, deliverable_id, self._token, self._context.run_id, alive)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            keeping.note(self._storage, deliverable_id, Interrupted("The run was interrupted."), self._token)
            raise
        except ReframerError as failure:
            keeping.note(self._storage, deliverable_id, failure, self._token)  # one that stood still
            raise
        one = made or deliverables.find(db, deliverable_id)
        if one is None or one.status != "made":
            raise BeingMade("Another run is at it, or it was deleted.", "Look at the other run.")
        return one

    def _failed(self, failure: ReframerError, failed: int, made: int) -> dg.Failure:
        with suppress(Exception):  # Dagster's database may be away
            self._context.instance.add_run_tags(self._context.run_id, {FAILURE_TAG: failure.code})
        beside = f" ({failed} failed, {made} were made)" if failed + made > 1 else ""
        return dg.Failure(f"[{failure.code}] {failure}{beside}{for_request(self._context.run)}", as_metadata(failure), allow_retries=False)


def _figures(storage: Storage, made: list[Deliverable]) -> dict[str, dg.MetadataValue]:
    """What people see: a row for each, and what there is to say of one."""
    head = "| file | id | MB | seconds | wish |\n|---|---|---|---|---|\n"
    rows = [f"| {one.filename} | {one.id} | {(one.object_bytes or 0) / 1e6:.2f} | {one.seconds or 0:.1f} | {_said(one)} |" for one in made]
    figures: dict[str, dg.MetadataValue] = {
        "made": dg.MetadataValue.int(len(made)),
        "bytes": dg.MetadataValue.int(sum(one.object_bytes or 0 for one in made)),
        "seconds": dg.MetadataValue.float(round(sum(one.seconds or 0 for one in made), 3)),
        "table": dg.MetadataValue.md(head + "\n".join(rows)),
    }
    if len(made) == 1 and (key := made[0].object_key):
        local = storage.store.local_path(key)
        figures["file"] = dg.MetadataValue.path(local) if local else dg.MetadataValue.text(key)
        figures["address"] = dg.MetadataValue.text(f"/v1/deliverables/{made[0].id}/file")
    return figures


def _said(one: Deliverable) -> str:
    return ", ".join(f"{name}: {value}" for name, value in one.wish.items()).replace("|", "\\|")
