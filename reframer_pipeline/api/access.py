"""Who asks, and whether they may.

What belongs here: the key out of a request, and the scopes that a route needs. What does not: keys themselves (`users.keys`), whether a
video is theirs (queries say that: what is another's looks like what is not there).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from reframer_pipeline.api.services import Served
from reframer_pipeline.failures import KeyMissing, NotAllowed
from reframer_pipeline.users import keys
from reframer_pipeline.users.keys import Holder as Caller
from reframer_pipeline.users.keys import Scope

__all__ = ["Admin", "Caller", "Reader", "Writer", "needs"]

HEADER: Final = "X-API-Key"
_scheme = APIKeyHeader(name=HEADER, scheme_name="key", description="A key made by `reframer keys add`.", auto_error=False)


def caller(request: Request, served: Served, key: Annotated[str | None, Security(_scheme)] = None) -> Caller:
    """Who asks.

    Raises:
        KeyMissing: No key, or none that is good.
    """
    if not key:
        raise KeyMissing("The request has no key.")
    found = keys.holder(served.db, key, "key")
    if found is None:
        raise KeyMissing("The key is unknown, or good no more.")
    request.state.caller = found
    return found


def needs(scope: Scope) -> Callable[..., Caller]:
    """A dependency: who asks, with that scope.

    Raises:
        KeyMissing: As `caller`.
        NotAllowed: The key lacks the scope.
    """

    def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if scope not in who.scopes:
            raise NotAllowed(f"The key lacks the scope {scope}.")
        return who

    return allowed


Reader = Annotated[Caller, Depends(needs("read"))]
Writer = Annotated[Caller, Depends(needs("write"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
