"""Routes of resumable uploads: tus 1.0, with its extensions creation, expiration and termination.

What belongs here: the protocol's headers, and who goes on when two connections want to. What does not: the bytes (`uploads.resumable`). A
connection that broke off may look alive for minutes: the next one that comes for its upload takes over, within this process.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, BackgroundTasks, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from reframer_pipeline.api.access import Caller, Writer
from reframer_pipeline.api.bodies import UNLIMITED, Paid, pieces
from reframer_pipeline.api.forms import base_name
from reframer_pipeline.api.outbound import demand_url
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.failures import NothingThere, ProtocolUnknown, RequestInvalid, UploadInUse
from reframer_pipeline.orchestration.requests.asking import ask
from reframer_pipeline.uploads import resumable
from reframer_pipeline.uploads.resumable import Resumable
from reframer_pipeline.uploads.submitting import Asked, new_secret
from reframer_pipeline.work.videos import is_video_id

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,expiration,termination"
LET_GO_S: Final = 30.0  # for what has come to be on the disk
BYTES: Final = "application/offset+octet-stream"


def _version(request: Request, who: Writer) -> None:
    """Says its version with every answer, and takes no other. Raises `ProtocolUnknown`."""
    request.state.headers["Tus-Resumable"] = VERSION
    if request.headers.get("tus-resumable") != VERSION:
        request.state.headers["Tus-Version"] = VERSION
        raise ProtocolUnknown(f"This is tus {VERSION}, and the request is not.")


_tus = Depends(_version)
router = APIRouter(tags=["uploads"])
_receiving: dict[str, asyncio.Task[int]] = {}  # by upload, in this process


@router.options("/uploads", status_code=204, include_in_schema=False)
def protocol(served: Served, response: Response) -> None:
    """Which protocol this is, and how large an upload may be."""
    response.headers["Tus-Version"], response.headers["Tus-Extension"] = VERSION, EXTENSIONS
    response.headers["Tus-Max-Size"] = str(served.settings.max_upload_mb * 1_000_000)


@router.post("/uploads", status_code=201, dependencies=[_tus], response_class=Response)
def create(
    request: Request,
    response: Response,
    served: Served,
    who: Writer,
    length: Annotated[int, Header(alias="Upload-Length", ge=1, le=2**53)],
    metadata: Annotated[str, Header(alias="Upload-Metadata", max_length=8000)] = "",
) -> None:
    """Begin an upload that may come in several connections. Its id becomes its job's. Metadata: `filename` and `webhook_url`."""
    said = _metadata(metadata)
    if said.get("webhook_url"):
        demand_url(said["webhook_url"], served.settings.webhook_private)
    url = said.get("webhook_url") or None
    asked = Asked(who.user_id, who.email, webhook_url=url, webhook_secret=url and new_secret(), api_key_id=who.key_id)
    made = resumable.create(served.storage, asked, base_name(said.get("filename", "")), length)
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/uploads/{made.upload_id}"
    response.headers["Upload-Expires"] = _date(made.expires_at)
    if asked.webhook_secret is not None:
        response.headers["Webhook-Secret"] = asked.webhook_secret


@router.head("/uploads/{upload_id}", dependencies=[_tus], response_class=Response)
async def offset(upload_id: str, served: Served, who: Writer, response: Response, later: BackgroundTasks) -> None:
    """How many bytes of an upload have come."""
    response.headers["Cache-Control"] = "no-store"
    upload = await _theirs(served, who, upload_id)
    if upload is not None and await run_in_threadpool(_complete, served, upload, later):
        upload = None
    size, at = (upload.size, upload.offset) if upload is not None else await run_in_threadpool(_whole, served, who, upload_id)
    response.headers["Upload-Length"], response.headers["Upload-Offset"] = str(size), str(at)
    if upload is not None:
        response.headers["Upload-Expires"] = _date(upload.expires_at)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=[_tus, Paid],
    max_body_size=UNLIMITED,
    openapi_extra={"requestBody": {"required": True, "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def append(
    request: Request,
    response: Response,
    upload_id: str,
    served: Served,
    who: Writer,
    later: BackgroundTasks,
    at: Annotated[int, Header(alias="Upload-Offset", ge=0)],
) -> None:
    """Send more bytes of an upload. With the last one it is a job, under the same id."""
    if request.headers.get("content-type") != BYTES:
        raise RequestInvalid(f"The bytes of an upload come as {BYTES}.")
    upload = await _theirs(served, who, upload_id)
    if upload is None:
        raise NothingThere("There is no such upload.")
    _receiving[upload_id] = task = asyncio.create_task(_receive(request, served, who, upload, at))
    try:
        end = await task
    except asyncio.CancelledError:
        if task.cancelled():
            raise UploadInUse("Another connection goes on with this upload.") from None
        raise
    finally:
        if _receiving.get(upload_id) is task:
            del _receiving[upload_id]
    response.headers["Upload-Offset"] = str(end)
    if await run_in_threadpool(_complete, served, upload, later):
        response.headers["Content-Location"] = f"{request.scope.get('root_path', '')}/jobs/{upload_id}"
    else:
        response.headers["Upload-Expires"] = _date(upload.expires_at)


@router.delete("/uploads/{upload_id}", status_code=204, dependencies=[_tus])
async def end(upload_id: str, served: Served, who: Writer) -> None:
    """Give an upload up; its bytes go at once."""
    upload = await _theirs(served, who, upload_id)
    if upload is None:
        raise NothingThere("There is no such upload.")
    await run_in_threadpool(resumable.remove, served.storage, upload)


async def _receive(request: Request, served: Services, who: Caller, upload: Resumable, at: int) -> int:
    """Take what this connection brings; returns the offset that it has come to. Raises `TooManyOpen`."""
    place = resumable.appending(served.storage, upload, at)
    appender = await run_in_threadpool(place.__enter__)
    try:
        with served.receiving.one(who.key_id):
            async for piece in pieces(request):
                await run_in_threadpool(appender.write, piece)
            came = appender.offset
    except BaseException as error:
        await asyncio.shield(run_in_threadpool(place.__exit__, type(error), error, error.__traceback__))
        raise
    await run_in_threadpool(place.__exit__, None, None, None)
    return came


async def _theirs(served: Services, who: Caller, upload_id: str) -> Resumable | None:
    """An upload of this person's, of which nobody else's connection takes bytes any more; None if it is not theirs."""
    if await run_in_threadpool(resumable.find, served.storage, who.user_id, upload_id) is None:
        return None
    await _end_receiving(upload_id)
    return await run_in_threadpool(resumable.find, served.storage, who.user_id, upload_id)


async def _end_receiving(upload_id: str) -> None:
    """Let go of a connection that is still sending bytes of an upload, or seems to."""
    task = _receiving.pop(upload_id, None)
    if task is not None:
        task.cancel()
        await asyncio.wait([task], timeout=LET_GO_S)


def _complete(served: Services, upload: Resumable, later: BackgroundTasks) -> bool:
    job = resumable.complete(served.storage, upload) if upload.offset == upload.size else None
    if job is not None:
        later.add_task(ask, served.settings.dagster_url, served.db, job.video_id, request_id())
    return job is not None


def _whole(served: Services, who: Caller, upload_id: str) -> tuple[int, int]:
    """Of an upload that is a job already. Raises `NothingThere`."""
    query = "SELECT size_bytes FROM uploads WHERE id = %s AND user_id = %s AND requested AND status = 'completed'"
    row = served.db.fetch_one(query, (upload_id, who.user_id)) if is_video_id(upload_id) else None
    if row is None:
        raise NothingThere("There is no such upload.")
    return row["size_bytes"], row["size_bytes"]


def _metadata(header: str) -> dict[str, str]:
    """`key base64, key base64`. Raises `RequestInvalid` if it is not."""
    said = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            said[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RequestInvalid(f"The Upload-Metadata {key} is no text in base64.") from error
    return said


def _date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)
