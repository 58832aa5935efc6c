"""`reframer serve`: the HTTP API over the same data as the command line."""

from __future__ import annotations

import click

from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import API, PLACES, with_settings
from reframer_pipeline.settings import Settings


@click.command(cls=SectionedCommand)
@with_settings(*PLACES, "uploads_url", *API)
def serve(settings: Settings) -> None:
    """Answer over HTTP: the API for programs.

    \b
    reframer serve
    curl http://127.0.0.1:8000/v1/healthz
    """
    import uvicorn

    from reframer_pipeline.api.application import create_app

    uvicorn.run(create_app(settings), host=settings.api_host, port=settings.api_port, http="h11")
