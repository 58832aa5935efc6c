"""The HTTP API: a face of the pipeline for programs, FastAPI over the core.

What belongs here: routes, who may use them, how failures and answers look over HTTP, operating the server. What does not: queries
(`reading`), files and rows (`uploads`, `results`), users and keys (`users`), Dagster.

`reframer serve` starts it. Any ASGI server may: `reframer_pipeline.api:app`, with its settings from the environment.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`app` is made when somebody asks for it: importing this room must stay light."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reframer_pipeline.api import logs
    from reframer_pipeline.api.application import create_app
    from reframer_pipeline.settings import Settings

    settings = Settings()
    logs.configure(settings)
    globals()[name] = made = create_app(settings)
    return made
