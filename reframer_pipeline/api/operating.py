"""Routes for whoever runs the server: is it alive, is it ready, what does it do; and who am I.

What belongs here: what monitors and balancers ask. What does not: anything about videos.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api.access import Admin, Anybody
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.database.migrations import pending
from reframer_pipeline.failures import SchemaMismatch

router = APIRouter(tags=["operating"])
FRESH_S: Final = 1.0  # so old an answer to /readyz may be


class Health(BaseModel):
    """That it answers."""

    status: str = Field("ok", examples=["ok"])


class Me(BaseModel):
    """Whom the key lets in."""

    email: str = Field(examples=["you@example.org"])
    scopes: list[str] = Field(examples=[["read", "write"]])


@router.get("/healthz")
async def alive() -> Health:
    """The server is there. It asks nothing and nobody."""
    return Health()


@router.get("/readyz")
async def ready(request: Request, served: Served) -> Health:
    """Database and object store answer, belong together, and the tables are up to date. They are asked once a second at most."""
    state = request.app.state
    look: asyncio.Future[None] | None = getattr(state, "readiness", None)
    if look is None or (look.done() and time.monotonic() - state.readiness_at > FRESH_S):
        state.readiness_at = time.monotonic()
        state.readiness = look = asyncio.ensure_future(run_in_threadpool(_demand_ready, served))
    await asyncio.shield(look)
    return Health()


def _demand_ready(served: Services) -> None:
    if behind := pending(served.db):
        raise SchemaMismatch(f"The database lacks {', '.join(behind)}.", "Start the server again: it brings the tables up to date.")
    served.storage.store.demand_ours()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(served: Served, _: Admin) -> Response:
    """What this server has answered, and what the pipeline has done in the last hour, for Prometheus."""
    return Response(served.metrics.text(served.db), media_type=CONTENT_TYPE_LATEST)


@router.get("/me")
async def me(who: Anybody) -> Me:
    """Whom this key lets in, and to what."""
    return Me(email=who.email, scopes=sorted(who.scopes))
