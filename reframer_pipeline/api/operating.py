"""Routes for whoever runs the server: is it alive, is it ready, what does it do; and who am I.

What belongs here: what monitors and balancers ask. What does not: anything about videos.
"""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api.access import Admin, Anybody
from reframer_pipeline.api.services import Served
from reframer_pipeline.database.migrations import pending
from reframer_pipeline.failures import SchemaMismatch

router = APIRouter(tags=["operating"])


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
def ready(served: Served) -> Health:
    """Database and object store answer, belong together, and the tables are up to date."""
    if behind := pending(served.db):
        raise SchemaMismatch(f"The database lacks {', '.join(behind)}.", "Start the server again: it brings the tables up to date.")
    served.storage.store.demand_ours()
    return Health()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(served: Served, _: Admin) -> Response:
    """What this server has answered, and what the pipeline has done in the last hour, for Prometheus."""
    return Response(served.metrics.text(served.db), media_type=CONTENT_TYPE_LATEST)


@router.get("/me")
async def me(who: Anybody) -> Me:
    """Whom this key lets in, and to what."""
    return Me(email=who.email, scopes=sorted(who.scopes))
