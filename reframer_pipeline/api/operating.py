"""Routes for whoever runs the server: is it alive, is it ready, who am I.

What belongs here: what watches and balancers ask. What does not: anything about videos.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from reframer_pipeline.api.access import Caller, caller
from reframer_pipeline.api.services import Served

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
    """Database and object store answer, and the tables are up to date."""
    served.db.fetch("SELECT 1 AS one", within_s=3)
    served.storage.store.demand_ours()
    return Health()


@router.get("/me")
def me(who: Annotated[Caller, Depends(caller)]) -> Me:
    """Whom this key lets in, and to what."""
    return Me(email=who.email, scopes=sorted(who.scopes))
