"""Tickets: what lets the pictures and films of a page in that stands on another host, where <img> and <video> can send no header.

What belongs here: the route that issues one. What does not: where it counts (`access`), how it is kept (`users.keys`). It stands in
addresses, which are remembered in more places than headers are: so it is good for an hour, and for looking alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.services import Served
from reframer_pipeline.users import keys

router = APIRouter(tags=["sessions"])
LASTS: Final = timedelta(hours=1)


class Ticket(BaseModel):
    """A ticket."""

    ticket: str = Field(description="For `?ticket=` in addresses of pictures, films and exports.")
    expires_at: datetime = Field(description="When it is good no more.")


@router.post("/tickets")
def issue(response: Response, served: Served, who: Reader) -> Ticket:
    """A ticket for an hour, for a page on another host. It ends with the key or the session that asked for it."""
    response.headers["Cache-Control"] = "no-store"
    ends = datetime.now(UTC) + LASTS
    return Ticket(ticket=keys.ticket(served.db, who, LASTS), expires_at=ends)
