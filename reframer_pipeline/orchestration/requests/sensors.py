"""The upload sensor: looks into the bucket, asks the plan what to do, and requests it from Dagster.

What belongs here: collecting what the plan must know, and turning its answer into runs. What does not: the thinking
(`uploads.watching`), the queries (`uploads.known`), the work (`ingest_job`, the assets).
A tick does nothing that cannot be done twice: it may be lost or repeated at any point. Dagster makes one run for each run key of this
sensor, for as long as it remembers the run; it does not compare with the runs of others. So before a video is requested it is claimed, and
its unfinished runs are looked at, whoever asked for them, and the backfill leaves videos from the bucket and of jobs to this sensor until
they ran once.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import dagster as dg

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import IngestAbandoned, Interrupted, ReframerError
from reframer_pipeline.orchestration.assets import VIDEOS, process_video
from reframer_pipeline.orchestration.requests import ingest_job, video_runs
from reframer_pipeline.orchestration.tags import (
    FAILURE_TAG,
    FILENAME_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    PROCESS_VIDEO,
    RUN_KEY_TAG,
    UPLOAD_SENSOR,
)
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads import known, watching
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import refuse_upload
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.work import run_claims

EVERY_S: Final = 15
LISTING_S: Final = 5.0  # a tick shall take 10 at most: other sensors wait for it
INGEST_PRIORITY: Final = 10
CLAIM_S: Final = 120.0  # a tick and the making of its runs; the next tick may take them again
LOOKED_UP: Final = 500  # videos in one question to Dagster
ENDED: Final = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
UNFINISHED: Final = [status for status in dg.DagsterRunStatus if status not in ENDED]


@dg.sensor(
    name=UPLOAD_SENSOR,
    jobs=[ingest_job.ingest, process_video()],
    minimum_interval_seconds=EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    required_resource_keys={"storage"},
    description="Watches the bucket (REFRAMER_UPLOADS_URL): whole new files are taken in, and their videos and those of jobs computed.",
)
def upload_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One look at the bucket. What fails is said, and costs nothing but time: the cursor stays."""
    storage: Storage = context.resources.storage
    requests: list[dg.RunRequest] = []
    cursor, said, videos = None, "", list[known.WaitingVideo]()
    try:
        plan, count = _plan(context, storage)
        requests += [_ingest_request(one) for one in plan.requests]
        cursor, said = plan.cursor.text, f"Nothing new among {count} files; {len(plan.cursor.seen)} are being watched."
    except ReframerError as failure:
        said = f"[{failure.code}] {failure}"
        context.log.warning(said)
    try:
        videos = _new_videos(context.instance, storage.db, storage.settings)
        requests += [_video_request(one) for one in videos]
    except ReframerError as failure:
        said = f"[{failure.code}] {failure}"
        context.log.warning(said)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(said),
        cursor=cursor,
        dynamic_partitions_requests=[VIDEOS.build_add_request([one.video_id for one in videos])] if videos else None,
    )


def _plan(context: dg.SensorEvaluationContext, storage: Storage) -> tuple[watching.Plan, int]:
    """What to do about the bucket, and how many files are in it. What was given up is written down already."""
    cursor, settings, db = watching.Cursor.parse(context.cursor), storage.settings, storage.db
    runs = _runs(context.instance, [one.run_key for one in cursor.requests])
    listing = list_bucket(Bucket.open(settings), LISTING_S)
    if listing.unread:
        context.log.warning(f"{len(listing.unread)} folders or files of the bucket are left out, such as {listing.unread[0]}")
    plan = watching.plan(listing, cursor, known.known_uploads(db, listing), runs, time.time(), settings, listing.began)
    for request, code in plan.abandoned:
        last = f"the last attempt ended with [{code}]" if code else "the last attempt ended without a reason"
        failure = IngestAbandoned(f"The upload was tried {request.attempt} times; {last}.")
        try:
            refuse_upload(db, failure, filename=request.key.rsplit("/", 1)[-1], bucket_key=request.key, etag=request.etag)
        except ReframerError as trouble:  # of this one; it is tried again with the next look, and others go on
            context.log.warning(f"[{trouble.code}] {trouble}")
    return plan, len(listing)


def _runs(instance: dg.DagsterInstance, run_keys: list[str]) -> dict[str, watching.IngestRun]:
    """How the runs of these names stand. One that was made but not handed over counts as not there: it is asked for again."""
    found: dict[str, watching.IngestRun] = {}
    for record in _records(instance, run_keys):
        run = record.dagster_run
        if run.status != dg.DagsterRunStatus.NOT_STARTED:
            ended_at = (record.end_time or record.update_timestamp.timestamp()) if run.status in ENDED else None
            never_began = run.status == dg.DagsterRunStatus.CANCELED or record.start_time is None
            failure = run.tags.get(FAILURE_TAG) or (Interrupted.code if ended_at and never_began else None)
            found[run.tags[RUN_KEY_TAG]] = watching.IngestRun(ended_at, failure)
    return found


def _new_videos(instance: dg.DagsterInstance, db: Database, settings: Settings) -> list[known.WaitingVideo]:
    """Videos to be requested: those that wait, oldest first, that this sensor never requested and nobody else's run waits for, as far as
    the queue is free.
    """
    mine = dg.RunsFilter(job_name=PROCESS_VIDEO, statuses=UNFINISHED, tags=dg.DagsterRun.tags_for_sensor(upload_sensor))
    room = settings.upload_requests - instance.get_runs_count(mine)
    chosen: list[known.WaitingVideo] = []
    page = known.waiting_videos(db, limit=LOOKED_UP) if room > 0 else []
    while page and len(chosen) < room:
        wanted = _unasked(instance, page)[: room - len(chosen)]
        claimed = run_claims.claim(db, [one.video_id for one in wanted], UPLOAD_SENSOR, CLAIM_S, known.WITHIN_S)
        chosen += _unasked(instance, [one for one in wanted if one.video_id in claimed])  # somebody may have asked before it was claimed
        page = known.waiting_videos(db, after=page[-1].place, limit=LOOKED_UP)
    return chosen


def _unasked(instance: dg.DagsterInstance, videos: list[known.WaitingVideo]) -> list[known.WaitingVideo]:
    """Those that this sensor never requested, and that no unfinished run is about."""
    requested = {record.dagster_run.tags[RUN_KEY_TAG] for record in _records(instance, [_video_key(one) for one in videos])}
    taken = _videos_of(instance, [one.video_id for one in videos], UNFINISHED)
    return [one for one in videos if _video_key(one) not in requested and one.video_id not in taken]


def asked_in_vain(instance: dg.DagsterInstance, video_ids: list[str]) -> set[str]:
    """Of videos that no run has taken up: those that this sensor did request, but whose run ended before it could take them up.

    The sensor does not ask for them again; somebody else may. Only the first `LOOKED_UP` are looked at: what was requested stands first.
    """
    return _videos_of(instance, video_ids[:LOOKED_UP], ENDED, dg.DagsterRun.tags_for_sensor(upload_sensor))


def _videos_of(
    instance: dg.DagsterInstance, video_ids: list[str], statuses: Collection[dg.DagsterRunStatus], tags: Mapping[str, str] | None = None
) -> set[str]:
    """Those of the videos that have a run of this kind."""
    if not video_ids:
        return set()
    wanted = dg.RunsFilter(job_name=PROCESS_VIDEO, statuses=list(statuses), tags={**(tags or {}), PARTITION_TAG: video_ids})
    return {run.tags[PARTITION_TAG] for run in instance.get_runs(wanted)}


def _records(instance: dg.DagsterInstance, run_keys: list[str]) -> Iterable[dg.RunRecord]:
    return instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: run_keys})) if run_keys else ()


def _ingest_request(request: watching.IngestRequest) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=request.run_key,
        job_name=ingest_job.INGEST,
        run_config=ingest_job.run_config(request.key, request.etag, request.attempt),
        tags={PRIORITY_TAG: str(INGEST_PRIORITY), FILENAME_TAG: clean_text(request.key)[-200:]},
    )


def _video_key(video: known.WaitingVideo) -> str:
    return video_runs.run_key(video.video_id, video.created_at)


def _video_request(video: known.WaitingVideo) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=_video_key(video), job_name=PROCESS_VIDEO, partition_key=video.video_id, tags=video_runs.run_tags(video.filename)
    )
