"""`reframer serve`: the page and the HTTP API over the same data as the command line."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from reframer_pipeline.cli.alone import free_port
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import API, PLACES, with_settings
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import NobodyToServe
from reframer_pipeline.settings import Settings


@click.command(cls=SectionedCommand)
@click.option("--quiet", is_flag=True, help="Log warnings and errors only, not each request.")
@with_settings(*PLACES, "uploads_url", *API, common=(*PLACES, *API))
def serve(settings: Settings, quiet: bool) -> None:
    """Answer over HTTP: the page for people, the API for programs.

    On this machine alone, nobody needs to be made known first: on a terminal it prints an address with a token. Open it in a browser,
    once. A program sends a key. `reframer keys add` makes one.

    \b
    reframer serve
    curl -H "X-API-Key: $KEY" http://127.0.0.1:8000/v1/me

    On another address it needs a user with a key, and something before it that speaks HTTPS.

    \b
    reframer users add you@example.org
    reframer keys add you@example.org
    reframer serve --api-host 0.0.0.0

    It computes nothing: `reframer dev` does, and starts this beside it. Stop it with Ctrl-C.
    """
    from reframer_pipeline.api import listening, logs
    from reframer_pipeline.api.application import create_app
    from reframer_pipeline.api.guarding import is_loopback
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.users import local, people

    host, port = settings.api_host, settings.api_port
    free_port(port, host, "--api-port")
    at_home = is_loopback(host)
    with open_storage(settings) as storage:
        if not at_home and not people.with_keys(storage.db):
            raise NobodyToServe(f"The API would be open to other machines on {host}, and nobody has a key.")
        # whatever is no terminal may be kept: a token is a secret
        token = local.token(storage.db) if at_home and sys.stderr.isatty() else None
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    logs.configure(settings, quiet)

    def tell() -> None:
        aside(f"API: {address}/v1")
        if token is not None:
            aside(f"In a browser, once: {address}/login?token={token}")
        else:
            aside("To come in, make a key: reframer keys add")
        if settings.dagster_url is None:
            aside(
                f"{Settings.variable('dagster_url')} is unset: a job begins within a minute, when the sensor of `reframer dev` has seen it."
            )

    with suppress(KeyboardInterrupt):  # uvicorn says again what it has done already
        listening.run(create_app(settings), host, port, tell)
