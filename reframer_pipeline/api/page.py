"""The page for people: its files, as they lie in the package.

What belongs here: serving them. What does not: the files (`page/`), which speak to this API as any client does; what a browser may do with
them (`policy`).
"""

from __future__ import annotations

import hashlib
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from reframer_pipeline.api.paging import unchanged
from reframer_pipeline.api.policy import FOLDER, headers
from reframer_pipeline.failures import NothingThere

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
router = APIRouter(include_in_schema=False, tags=["page"])


def _file(request: Request, name: str) -> Response:
    path = FOLDER / name
    if path.suffix not in _TYPES or not path.is_file() or not path.resolve().is_relative_to(FOLDER):
        raise NothingThere("There is nothing under this address.")
    content = path.read_bytes()
    sent = {"ETag": f'W/"{hashlib.blake2s(content, digest_size=12).hexdigest()}"', **headers()}
    return unchanged(request, sent) or Response(content, headers=sent, media_type=_TYPES[path.suffix])


@router.get("/")
def index(request: Request) -> Response:
    """The page."""
    return _file(request, "index.html")


@router.get("/style.css")
@router.get("/icon.svg")
@router.get("/config.json")
def beside(request: Request) -> Response:
    """A file beside it."""
    return _file(request, request.url.path.rpartition("/")[2])


@router.get("/app/{name:path}")
def script(request: Request, name: str) -> Response:
    """A part of its program."""
    return _file(request, f"app/{name}")


@router.get("/vendor/{name:path}")
def library(request: Request, name: str) -> Response:
    """A library that it uses."""
    return _file(request, f"vendor/{name}")
