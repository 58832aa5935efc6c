"""The I/O manager: a finished stage goes to the object store and to Postgres in one commit, and comes back as a stream.

What belongs here: naming the result of a partition, committing it, and what the UI shows of it. What does not: validation
(done before, in `stage_run`) and the commit protocol itself (`results.commit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from reframer_pipeline.handover import StageInput
from reframer_pipeline.orchestration.stage.interrupting import Watchdog
from reframer_pipeline.orchestration.stage.runs import Run, for_request, run_of
from reframer_pipeline.orchestration.stage.stage_end import typed_failures
from reframer_pipeline.orchestration.stage.stage_run import FinishedStage
from reframer_pipeline.reading import sheets
from reframer_pipeline.results import rows
from reframer_pipeline.results.commit import Committed
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.retention import archive
from reframer_pipeline.stages import upstream
from reframer_pipeline.versions import StageKey

# A cascade of deletes is one statement, and tells nothing until it is done or the database ends it.
COMMIT_S: Final = rows.STATEMENT_S + 60.0


class ResultsIOManager(dg.IOManager):
    """Persists `FinishedStage` values as Parquet plus rows; loads them as `StageInput`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def handle_output(self, context: dg.OutputContext, obj: FinishedStage) -> None:
        """Commit the result under the video's lease; readers see the old whole until the new whole is there."""
        key = obj.prepared.key
        try:
            committed = self._commit(context, obj)
        except BaseException:  # Dagster leaves the asset suspended at its `yield` then: it will not tidy up itself
            obj.clear()
            raise
        context.add_output_metadata(_figures(obj.run, committed))
        try:
            context.add_output_metadata(_pictures(obj.run, key))
        except Exception as error:  # the result is committed: a picture that fails must not fail it
            context.log.warning(f"No preview of {key.stage}: {error}{for_request(obj.run.run)}")

    def load_input(self, context: dg.InputContext) -> StageInput:
        """The committed result of the upstream stage, for the same video and order."""
        video_id, name = context.partition_key, context.asset_key.path[-1]
        stage = context.step_context.step.key
        with typed_failures(context, self._storage, video_id):
            return run_of(context.step_context.dagster_run, self._storage, video_id).upstream(stage)[name]

    def _commit(self, context: dg.OutputContext, obj: FinishedStage) -> Committed:
        storage, run, key = self._storage, obj.run, obj.prepared.key
        video_id = run.order.video.video_id
        with (
            typed_failures(context, self._storage, video_id),
            Watchdog(max(self._storage.settings.stall_s, COMMIT_S), f"The commit of {key.stage}") as watchdog,
        ):
            whole = {**{name: key.result_id for name, key in run.order.keys.items()}, key.stage: key.result_id}
            committed = storage.results.commit_prepared(obj.prepared, whole, lease_token=run.token, alive=watchdog.feed)
            if committed.outcome != "new":  # it may have made anew an object that was lost while its rows were archived
                archive.restore(storage.db, storage.store, video_id, run.token, skip_lost=True, alive=watchdog.feed)
            run.results[key.result_id] = StoredResult(committed.manifest, storage.store)
        return committed


def _figures(run: Run, committed: Committed) -> dict[str, dg.MetadataValue]:
    manifest = committed.manifest
    return {
        "video": dg.MetadataValue.text(run.order.video.filename),
        "rows": dg.MetadataValue.int(manifest.count),
        **({"candidates": dg.MetadataValue.int(manifest.candidates)} if manifest.candidates else {}),
        "seconds": dg.MetadataValue.float(round(manifest.seconds, 3)),
        "outcome": dg.MetadataValue.text(committed.outcome),
        "result_id": dg.MetadataValue.text(manifest.result_id),
        "object": dg.MetadataValue.text(manifest.object_key),
        **_describer_figures(manifest.stats),
    }


def _pictures(run: Run, key: StageKey) -> dict[str, dg.MetadataValue]:
    """A table, and on the run's last stage one contact sheet with all that is known of the video drawn in."""
    made = run.results[key.result_id]
    shown: dict[str, dg.MetadataValue] = {"table": dg.MetadataValue.md(sheets.table(made))}
    if key.stage == run.stages[-1]:
        results = {**run.known(), key.stage: made}
        picture = sheets.inline_sheet(results) if "frames" in results else ""
        if picture:
            shown["picture"] = dg.MetadataValue.md(picture)
    if sheets.is_demo({**run.known(upstream(key.stage)), key.stage: made}):
        shown["models"] = dg.MetadataValue.text("Demonstration models: no measure of the pipeline on real footage.")
    return shown


def _describer_figures(stats: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """Who described the scenes, and what that cost; why it was not Gemini, where it should have been.

    Tokens and cost are what this run used, so that they add up over the runs; what the question has cost in all has a name of its own.
    """
    shown: dict[str, dg.MetadataValue] = {}
    if "fallback" in stats:
        shown["described_locally"] = dg.MetadataValue.text(f"[{stats['fallback']['code']}] {stats['fallback']['message']}")
    if "gemini" not in stats:
        return shown
    asked = stats["gemini"]
    shown["gemini_input_tokens"] = dg.MetadataValue.int(asked["input_tokens"])
    shown["gemini_output_tokens"] = dg.MetadataValue.int(asked["output_tokens"])
    shown["gemini_cost_usd"] = dg.MetadataValue.float(asked["cost_usd"])
    if "in_all" in asked:
        shown["gemini_model"] = dg.MetadataValue.text(asked["model_version"])
        shown["gemini_answer"] = dg.MetadataValue.text("paid for earlier" if asked["from_cache"] else "paid for now")
        shown["gemini_cost_in_all_usd"] = dg.MetadataValue.float(asked["in_all"]["cost_usd"])
    if asked.get("dropped"):
        shown["gemini_dropped"] = dg.MetadataValue.text("; ".join(asked["dropped"]))
    return shown
