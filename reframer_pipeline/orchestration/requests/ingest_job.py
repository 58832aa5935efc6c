"""The ingest job: one upload of the bucket becomes a video and a partition, or a row that says why not.

What belongs here: how Dagster runs `uploads.ingest.take_in` and what it shows of the outcome. What does not: choosing uploads (`sensors`),
computing. A refused upload is an ingest well done; only what may go better another time fails the run, and the sensor tries again.
"""

from typing import Final

import dagster as dg

from reframer_pipeline.failures.typing import as_metadata, typed
from reframer_pipeline.orchestration import assets
from reframer_pipeline.orchestration.tags import CPU_TAGS, FAILURE_TAG
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import IngestResult, take_in

INGEST: Final = "ingest"
OP: Final = "take_in_upload"


class UploadConfig(dg.Config):
    """Which version of which file of the bucket; the attempt is for people, it changes nothing."""

    bucket_key: str
    etag: str
    attempt: int = 1


@dg.op(name=OP, out=dg.Out(dg.Nothing), required_resource_keys={"storage"}, tags=CPU_TAGS)
def take_in_upload(context: dg.OpExecutionContext, config: UploadConfig) -> None:
    """Copy the file, hash it, apply the limits, and make its upload, its video and its partition known."""
    storage: Storage = context.resources.storage
    try:
        bucket = Bucket.open(storage.settings)
        result = take_in(bucket, config.bucket_key, config.etag, storage.db, storage.store, storage.settings)
    except Exception as error:
        failure = typed(error, storage.settings.scratch_dir)
        context.instance.add_run_tags(context.run_id, {FAILURE_TAG: failure.code})
        raise dg.Failure(description=f"[{failure.code}] {failure}", metadata=as_metadata(failure), allow_retries=False) from error
    if result.video_id is not None:
        assets.register_partitions(context.instance, storage.db)
    if result.failure is not None:
        context.instance.add_run_tags(context.run_id, {FAILURE_TAG: result.failure.code})
        context.log.warning(f"Refused: [{result.failure.code}] {result.failure}")
    context.add_output_metadata(_shown(result))


def _shown(result: IngestResult) -> dict[str, str | bool]:
    if result.failure is not None:
        return {"outcome": "refused", "upload_id": result.upload_id, **as_metadata(result.failure)}
    if result.video_id is None:
        return {"outcome": "deleted before, and not taken in again", "upload_id": result.upload_id}
    outcome = f"taken in; known before, as {result.filename}" if result.was_theirs else "taken in"
    return {"outcome": outcome, "upload_id": result.upload_id, "video_id": str(result.video_id), "known_bytes": result.already_known}


@dg.job(
    name=INGEST,
    executor_def=dg.in_process_executor,
    description="An upload of the watched bucket: copied, hashed, checked against the limits, and made a video. Requested by the sensor.",
)
def ingest() -> None:
    """One op, so that a run is one upload."""
    take_in_upload()


def run_config(key: str, etag: str, attempt: int) -> dict[str, object]:
    """Configuration of a run for this upload."""
    return {"ops": {OP: {"config": {"bucket_key": key, "etag": etag, "attempt": attempt}}}}
