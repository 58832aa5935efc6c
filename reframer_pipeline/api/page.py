"""The page for people: its files, as they lie in the package.

What belongs here: serving them, and what a browser may do with them (Content-Security-Policy). What does not: the files (`page/`), which
speak to this API as any client does. The same folder can stand on a static host.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from reframer_pipeline.api.paging import unchanged
from reframer_pipeline.failures import NothingThere

FOLDER: Final = Path(__file__).resolve().parents[1] / "page"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
router = APIRouter(include_in_schema=False, tags=["page"])


@functools.cache
def policy(api: str = "") -> str:
    """What a browser may load and ask on the page: nothing that is not ours. `api` is its origin, if the page stands elsewhere.

    An import map cannot be a file: this one is allowed by its digest. The digests in it hold the libraries to what they were.
    """
    (importmap,) = re.findall(r'<script type="importmap">(.*?)</script>', (FOLDER / "index.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(importmap.encode()).digest()).decode()
    said = (FOLDER / "policy.txt").read_text().replace("{importmap}", f"'sha256-{digest}'").replace("{api}", api)
    return "; ".join(" ".join(line.split()) for line in said.splitlines())


def _file(request: Request, name: str) -> Response:
    path = FOLDER / name
    if path.suffix not in _TYPES or not path.is_file() or not path.resolve().is_relative_to(FOLDER):
        raise NothingThere("There is nothing under this address.")
    content = path.read_bytes()
    headers = {
        "ETag": f'"{hashlib.blake2s(content, digest_size=12).hexdigest()}"',
        "Content-Security-Policy": policy(),
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return unchanged(request, headers) or Response(content, headers=headers, media_type=_TYPES[path.suffix])


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
