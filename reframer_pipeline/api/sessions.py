"""Sessions: how a browser comes in.

What belongs here: a token or a key exchanged for a cookie, and its end. What does not: what a session may do (`access`). The cookie is out
of reach for scripts, and other sites' pages cannot send it along.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from reframer_pipeline.api.access import Anybody, cookie_of, count_wrong, demand_guess
from reframer_pipeline.api.services import Served
from reframer_pipeline.failures import KeyMissing, ReframerError
from reframer_pipeline.users import keys

LASTS: Final = timedelta(days=30)
NAME: Final = "browser"
router = APIRouter(tags=["sessions"])


@router.get("/login", status_code=303, response_class=RedirectResponse)
def log_in(request: Request, served: Served, token: Annotated[str, Query(max_length=128)]) -> Response:
    """Exchange the token that `reframer serve` printed for a session. It is good once."""
    demand_guess(request, served)
    secret = keys.exchange(served.db, token, NAME, LASTS)
    if secret is None:
        count_wrong(request, served)
        raise KeyMissing(
            "This address was used already, is too old, or somebody else has a key now.",
            "Start `reframer serve` again: it prints a new one.",
        )
    with suppress(ReframerError):  # the new one is there, and the browser is to have it
        _end_former(request, served)
    return _with_cookie(RedirectResponse(request.scope.get("root_path", "") + "/", 303), request, secret)


@router.post("/session", status_code=204, response_class=Response)
def begin(request: Request, served: Served, who: Anybody) -> Response:
    """Begin a session with a key: for a page where somebody types their key in. The session has the key's scopes, and takes the place of
    the one that the browser has.
    """
    secret = keys.add(served.db, who.user_id, NAME, who.scopes, LASTS, "session", made_by=who.key_id)
    with suppress(ReframerError):
        _end_former(request, served, who.key_id)
    return _with_cookie(Response(status_code=204), request, secret)


@router.delete("/session", status_code=204, response_class=Response)
def end(request: Request, served: Served, _: Anybody) -> Response:
    """End the session that the cookie holds. The browser is told to forget the pictures that it keeps, where it listens to that."""
    _end_former(request, served)
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache"'})
    response.delete_cookie(cookie_of(request), httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return response


def _end_former(request: Request, served: Served, unless: str | None = None) -> None:
    """End the session that the browser came with, unless it has this id: then the new one hangs on it."""
    if secret := request.cookies.get(cookie_of(request)):
        keys.end_session(served.db, secret, unless)
        served.doorman.forget(secret, "session")


def _with_cookie(response: Response, request: Request, secret: str) -> Response:
    secure = request.url.scheme == "https"
    response.set_cookie(cookie_of(request), secret, max_age=int(LASTS.total_seconds()), httponly=True, samesite="lax", secure=secure)
    return response
