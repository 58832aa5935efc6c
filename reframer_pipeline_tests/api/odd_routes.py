"""The server with routes of its own that do what no route should: for tests of what every request passes through."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator

from fastapi import APIRouter, BackgroundTasks, Request
from starlette.responses import Response, StreamingResponse

from reframer_pipeline.api import guarding, listening, logs
from reframer_pipeline.api.access import Anybody
from reframer_pipeline.api.application import create_app
from reframer_pipeline.api.services import Served
from reframer_pipeline.failures import DatabaseUnavailable
from reframer_pipeline.settings import Settings

router = APIRouter(tags=["odd"])


@router.post("/reads")
async def reads(request: Request) -> int:
    """The size of its body."""
    return len(await request.body())


@router.get("/large")
async def large(size: int) -> Response:
    """So many bytes, whole in memory."""
    return Response(bytes(size))


@router.get("/breaks")
def breaks(request: Request, served: Served, _: Anybody) -> None:
    """Fails with all that must not be told."""
    secrets = [request.headers["X-API-Key"], request.headers.get("X-Canary", "")]
    for value in (served.settings.database_url, served.settings.gemini_api_key):
        secrets.append(value.get_secret_value() if value else "")
    logging.getLogger("somebody.else").warning("seen: %s", secrets, extra={"secrets": secrets})
    raise RuntimeError(f"Broken: {secrets}")


@router.get("/breaks-in-words")
def breaks_in_words(served: Served) -> None:
    """Fails with a typed failure that says where the database is."""
    url = served.settings.database_url
    raise DatabaseUnavailable(f"The database at {url and url.get_secret_value()} is away.")


@router.get("/breaks-late")
def breaks_late() -> StreamingResponse:
    """Fails when half of it is told."""

    def halves() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("Broken late.")

    return StreamingResponse(halves())


@router.get("/takes-its-time")
def takes_its_time(seconds: float) -> str:
    """Answers late."""
    time.sleep(seconds)
    return "done"


@router.get("/held")
async def held(request: Request) -> None:
    """Is at work until the client goes."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.get("/goes-on")
async def goes_on(later: BackgroundTasks) -> str:
    """Answers, and works on for two seconds."""
    later.add_task(asyncio.sleep, 2)
    return "done"


@router.get("/waits")
def waits(served: Served) -> str:
    """Waits for what does not come, until the server ends."""
    return "ending" if served.ending.wait(240) else "waited"


def main() -> None:
    guarding.GRACE_S = 3.0  # type: ignore[misc]
    settings = Settings(api_port=int(sys.argv[1]))
    logs.configure(settings)
    app = create_app(settings)
    app.include_router(router)
    listening.run(app, settings.api_host, settings.api_port, lambda: None)


if __name__ == "__main__":
    main()
