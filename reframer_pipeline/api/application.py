"""The application: every router, behind what each request passes through.

What belongs here: putting together. What does not: routes, one module a subject. A new one is added to `ROUTERS`.

Each address is there twice, as `/jobs` and as `/v1/jobs`. It is one route: `/v1` counts as the place where the application is mounted.
A body may have `BODY_BYTES`; a route that takes larger ones says so itself (`max_body_size`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from reframer_pipeline.api import (
    correcting,
    deleting,
    deliverables,
    describing,
    exporting,
    films,
    jobs,
    operating,
    page,
    pictures,
    problems,
    remaking,
    results,
    resumable,
    searching,
    sessions,
    tickets,
    upkeep,
)
from reframer_pipeline.api.access import Doorman
from reframer_pipeline.api.drawings import Drawings
from reframer_pipeline.api.following import Following
from reframer_pipeline.api.guarding import Guarded
from reframer_pipeline.api.heads import Headed
from reframer_pipeline.api.holding import Held
from reframer_pipeline.api.metrics import Metrics
from reframer_pipeline.api.rates import Rates
from reframer_pipeline.api.services import Services
from reframer_pipeline.api.watching import Watched
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings

VERSION: Final = "/v1"
BODY_BYTES: Final = 1_000_000
CONNECTIONS: Final = 16  # to the database; more clients at a time take turns
ROUTERS: Final = tuple(
    module.router
    for module in (
        operating, sessions, tickets, jobs, resumable, deleting, results, exporting, pictures, films, deliverables, remaking,
        correcting, searching, page,
    )
)  # fmt: skip


def create_app(settings: Settings) -> FastAPI:
    """An application of its own over the storage that these settings name. Nothing is opened before the first request."""
    storage = Storage(settings, CONNECTIONS)
    rates, held = Rates(settings.api_requests_per_minute), Held(settings.api_open_requests)
    receiving = Held(settings.api_uploads_at_once, "uploads on their way")
    wrong_keys = Rates(settings.api_wrong_keys_per_minute, "wrong-keys", "An address may send {} wrong keys a minute.")
    services = Services(settings, storage, Doorman(), rates, wrong_keys, held, receiving, Following(), Metrics(), Drawings(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with upkeep.running(services):
            yield
        services.ending.set()
        storage.close()

    app = FastAPI(
        title="reframer_pipeline",
        version=metadata.version("reframer_pipeline"),
        summary="Every person and product in a video: found, masked, tracked and placed in its scene.",
        description="HEAD is answered wherever GET is, with the same headers.",
        servers=[{"url": VERSION}, {"url": "/"}],
        root_path_in_servers=False,
        docs_url=None,  # these load programs from elsewhere into a page that may have a session
        redoc_url=None,
        max_body_size=BODY_BYTES,
        generate_unique_id_function=describing.operation_id,
        lifespan=lifespan,
    )
    app.state.services = services
    problems.install(app)
    describing.install(app)
    for router in ROUTERS:
        app.include_router(router)
    # the last is the outermost; whatever answers by itself stands within CORS, or browsers could not read it
    app.add_middleware(GZipMiddleware, compresslevel=4)
    app.add_middleware(Headed)
    app.add_middleware(Guarded, settings=settings)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.api_cors_origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["*"]
        )
    app.add_middleware(Watched, services=services)
    app.add_middleware(_Versioned)
    return app


class _Versioned:
    """`/v1` before an address is where the application is mounted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root = scope.get("root_path", "") + VERSION
            if scope["path"].startswith(f"{root}/"):
                scope = {**scope, "root_path": root}
        await self._app(scope, receive, send)
