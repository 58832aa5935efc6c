"""Routes of jobs: submitting one, looking at it, waiting for its end.

What belongs here: HTTP. What does not: receiving a form (`forms`), resumable uploads (`resumable`), what a job is (`reading.jobs`) and how
it is made (`uploads.submitting`), results.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from reframer_pipeline.api.access import Caller, Reader, Writer
from reframer_pipeline.api.bodies import UNLIMITED, Paid, pieces
from reframer_pipeline.api.forms import received_form
from reframer_pipeline.api.holding import Long
from reframer_pipeline.api.outbound import demand_url
from reframer_pipeline.api.paging import PAGE_CHARACTERS, Cursor, Moment, Paged, Uuid
from reframer_pipeline.api.problems import told_of
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.failures import NotAllowed, NothingThere, RequestInvalid
from reframer_pipeline.orchestration.requests.asking import ask
from reframer_pipeline.reading import jobs as reading
from reframer_pipeline.reading.estimates import Rates, speeds
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.submitting import LONGEST_KEY, Asked, Submitted, demand_room, from_bucket, submit
from reframer_pipeline.work.status import Status

router = APIRouter(tags=["jobs"])
BEAT_S: Final = 15.0  # an event stream in which nothing happens says so, or what lies between would close it
LONGEST_WAIT_S: Final = 60.0
_BODY: Final = 64_000  # of a JSON body
_JOBS: Final = Cursor(Moment, Uuid)  # created_at, job_id


class JobFailure(BaseModel):
    """Why a job failed."""

    code: str = Field(description="A stable code.", examples=["truncated"])
    message: str = Field(description="What happened; of the server's own trouble the kind alone.")
    remedy: str = Field(description="What to do.")

    @field_validator("message")
    @classmethod
    def _told(cls, message: str, info: ValidationInfo) -> str:
        return told_of(info.data["code"], message)


class JobStage(BaseModel):
    """What a run is doing."""

    name: str = Field(examples=["masks"])
    progress: float = Field(description="From 0 to 1.", examples=[0.4])
    done: int = Field(description="In the stage's own unit.", examples=[61])
    total: int = Field(description="0: unknown.", examples=[153])


class Job(BaseModel):
    """A job at one moment."""

    job_id: str
    video_id: str | None = Field(description="Its video; null if the upload was refused.")
    filename: str = Field(description="The video, as this person calls it.", examples=["clip.mp4"])
    was_theirs: bool = Field(description="They had brought the same bytes before; the video keeps the name that it had.")
    status: Status
    progress: float = Field(description="Of the whole, from 0 to 1.", examples=[0.62])
    stage: JobStage | None = Field(description="What its run is doing, while there is one.")
    place_in_queue: int | None = Field(description="Among the videos that wait, from 1.")
    seconds_left: float | None = Field(description="Estimated from measured rates; null if unknown, and while nobody computes.")
    held_up_by: JobFailure | None = Field(description="Why nothing becomes of it now; it goes on when that is mended.")
    failure: JobFailure | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, job: reading.Job) -> Job:
        """As it is said over HTTP."""
        return cls.model_validate(job, from_attributes=True)


class NewJob(BaseModel):
    """A job that was accepted."""

    job_id: str
    video_id: str
    filename: str = Field(description="The video, as this person calls it.")
    was_theirs: bool = Field(description="They had brought the same bytes before; the video keeps the name that it had.")
    webhook_secret: str | None = Field(None, description="Signs what the webhook is told (Standard Webhooks).")


class Jobs(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None = Field(description="`cursor` of the next page; null after the last.")


class BucketFile(BaseModel):
    """A file of the watched bucket, to be computed."""

    model_config = ConfigDict(extra="forbid")

    bucket_key: str = Field(min_length=1, max_length=1024, examples=["drop/clip.mp4"])
    webhook_url: str | None = Field(None, max_length=2048)


_FORM: Final = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "An mp4, mov or avi file."},
        "webhook_url": {"type": "string", "description": "Is told when the job has ended."},
    },
}
_BODIES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": _FORM}, "application/json": {"schema": BucketFile.model_json_schema()}},
    }
}
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=LONGEST_KEY, pattern=r"^[\x21-\x7e]+$")]


def _room(served: Served, who: Writer, key: Key = None) -> None:
    """Before any byte of the body is read. Raises `QuotaUsedUp`."""
    demand_room(served.storage, _asked(who, key))


@router.post("/jobs", status_code=202, openapi_extra=_BODIES, dependencies=[Depends(_room), Paid], max_body_size=UNLIMITED)
async def create(request: Request, response: Response, served: Served, who: Writer, later: BackgroundTasks, key: Key = None) -> NewJob:
    """Submit a video: a file in a form, or the key of a file in the watched bucket. The same Idempotency-Key makes the same job."""
    with served.receiving.one(who.key_id):
        if request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json":
            job = await _from_bucket(request, served, who, key)
        else:
            judges = {"webhook_url": functools.partial(_demand_webhook, served)}
            async with received_form(request, served.settings, judges) as (file, fields):
                job = await run_in_threadpool(submit, served.storage, file, _asked(who, key, fields.get("webhook_url")))
    later.add_task(ask, served.settings.dagster_url, served.db, job.video_id, request_id())
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/jobs/{job.job_id}"
    return NewJob.model_validate(job, from_attributes=True)


@router.get("/jobs")
def page(request: Request, served: Served, who: Reader, asked: Annotated[Paged, Query()]) -> Jobs:
    """One's jobs, the newest first."""
    after = _JOBS.read(request, asked.cursor)
    found, more = reading.list_jobs(served.db, who.user_id, _rates(served), asked.limit, after, PAGE_CHARACTERS)
    following = _JOBS.write(request, (found[-1].created_at, found[-1].job_id)) if more else None
    return Jobs(jobs=list(map(Job.of, found)), next=following)


@router.get("/jobs/{job_id}")
async def show(
    request: Request,
    job_id: str,
    served: Served,
    who: Reader,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for its end at most.")] = 0,
) -> Job:
    """How far a job is; with `wait`, once it has ended or the time is over."""
    until = time.monotonic() + wait
    job = await run_in_threadpool(look, served, who, job_id)
    with served.held.one(who.key_id) if wait else nullcontext():
        while not (job.ended or (left := until - time.monotonic()) <= 0 or served.ending.is_set() or await request.is_disconnected()):
            with suppress(TimeoutError):
                job = await asyncio.wait_for(_next_look(served, who, job_id), left)
    return Job.of(job)


@router.get(
    "/jobs/{job_id}/events",
    dependencies=[Long],
    response_class=StreamingResponse,
    responses={204: {"description": "It has ended, as you know."}},
)
async def events(
    request: Request, job_id: str, served: Served, who: Reader, last: Annotated[str | None, Header(alias="Last-Event-ID")] = None
) -> Response:
    """How far a job is, each time that changes, until it has ended (Server-Sent Events).

    An event's data is the job. Its id follows from that: who comes back with Last-Event-ID is told how it stands now, and nothing twice.
    """
    job = await run_in_threadpool(look, served, who, job_id)
    if job.ended and job.state == last:
        return Response(status_code=204)  # which tells a browser not to come back

    async def told() -> AsyncIterator[str]:
        seen, latest, beat = last, job, time.monotonic()
        yield "retry: 2000\n\n"
        while True:
            if latest.state != seen:
                seen, beat = latest.state, time.monotonic()
                yield f"id: {latest.state}\nevent: {latest.status}\ndata: {Job.of(latest).model_dump_json()}\n\n"
            if latest.ended or served.ending.is_set() or await request.is_disconnected():
                return
            if time.monotonic() - beat > BEAT_S:
                beat = time.monotonic()
                yield ": nothing new\n\n"
            try:
                latest = await _next_look(served, who, job_id)
            except NothingThere:  # deleted
                return

    return StreamingResponse(told(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def look(served: Services, who: Caller, job_id: str) -> reading.Job:
    """How one of the caller's jobs stands. Raises `NothingThere`."""
    job = reading.get_job(served.db, who.user_id, job_id, _rates(served), served.settings.max_concurrent_runs)
    if job is None:
        raise NothingThere("There is no such job.")
    return job


def _next_look(served: Services, who: Caller, job_id: str) -> Awaitable[reading.Job]:
    return served.following.next(who.user_id, job_id, lambda: look(served, who, job_id))


def _rates(served: Services) -> Rates:
    return _rates_of(served, int(time.monotonic() / 60))


@functools.lru_cache(2)
def _rates_of(served: Services, minute: int) -> Rates:
    """Speeds as they were at the beginning of this minute: they come from hundreds of results, and change slowly."""
    return speeds(served.db)


def _asked(who: Caller, key: str | None, webhook_url: str | None = None) -> Asked:
    return Asked(who.user_id, who.email, idempotency_key=key, webhook_url=webhook_url or None, api_key_id=who.key_id)


def _demand_webhook(served: Services, url: str | None) -> None:
    if url:  # an empty field names none
        demand_url(url, served.settings.webhook_private)


async def _from_bucket(request: Request, served: Services, who: Caller, key: str | None) -> Submitted:
    """The bucket has no owners: only an admin may say whose a file in it is."""
    if "admin" not in who.scopes:
        raise NotAllowed("Only a key with the scope admin may name a file of the bucket.")
    body = b""
    async for piece in pieces(request):
        body += piece
        if len(body) > _BODY:
            raise RequestInvalid(f"The body is longer than {_BODY} bytes.")
    try:
        asked = BucketFile.model_validate_json(body)
    except ValidationError as error:
        raise RequestInvalid(f"The body does not fit: {error.errors(include_url=False, include_input=False)[0]['msg']}.") from error

    _demand_webhook(served, asked.webhook_url)

    def take() -> Submitted:
        with from_bucket(Bucket.open(served.settings), asked.bucket_key, served.settings) as file:
            return submit(served.storage, file, _asked(who, key, asked.webhook_url))

    return await run_in_threadpool(take)
