"""Who asks, and whether they may.

What belongs here: the key or the session out of a request, and the scopes that a route needs. What does not: keys themselves
(`users.keys`), whether a video is theirs (queries say that: what is another's looks like what is not there).

A key comes in the header X-API-Key, or as a bearer token for programs that know nothing else. A browser has a session in a cookie, and with
it changes something only from a page of this server. A ticket in the address counts where one looks at pictures, films and exports.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader

from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import CrossSite, KeyMissing, NotAllowed
from reframer_pipeline.users import keys
from reframer_pipeline.users.keys import Holder as Caller
from reframer_pipeline.users.keys import Kind, Scope

__all__ = ["Admin", "Anybody", "Caller", "Reader", "Writer", "needs"]

HEADER: Final = "X-API-Key"
TICKET: Final = "ticket"  # the parameter of an address
REMEMBERED_S: Final = 5.0  # for so long at most a key that was revoked is still good
_MOST: Final = 10_000
_WITH_TICKET: Final = {"pictures", "films", "exports"}  # tags of routes
_CHANGE_NOTHING: Final = {"GET", "HEAD", "OPTIONS"}
_REFUSED: Final[dict[Kind, str]] = {
    "key": "The key is unknown, or good no more.",
    "ticket": "The ticket is unknown, or good no more.",
    "session": "The session is over.",
}
_scheme = APIKeyHeader(name=HEADER, scheme_name="key", description="A key made by `reframer keys add`.", auto_error=False)


class Doorman:
    """Knows for a moment whom it has let in, so that not every request of a client asks the database."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Kind], tuple[float, Caller]] = {}
        self._lock = threading.Lock()

    def known(self, secret: str, kind: Kind) -> Caller | None:
        """Whom `ask` found in the last `REMEMBERED_S`."""
        with self._lock:
            until, caller = self._known.get((secret, kind), (0.0, None))
        return caller if time.monotonic() < until else None

    def ask(self, db: Database, secret: str, kind: Kind) -> Caller | None:
        """As `keys.holder`. Nobody who was refused is remembered."""
        found = keys.holder(db, secret, kind)
        if found is not None:
            with self._lock:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[secret, kind] = (time.monotonic() + REMEMBERED_S, found)
        return found

    def has_known(self, secret: str, kind: Kind) -> bool:
        """Whether it was let in at some time."""
        with self._lock:
            return (secret, kind) in self._known

    def forget(self, secret: str, kind: Kind) -> None:
        """Ask the database the next time."""
        with self._lock:
            self._known.pop((secret, kind), None)


async def _caller(request: Request, served: Served, key: Annotated[str | None, Security(_scheme)] = None) -> Caller:
    """Who asks; counted as one of their requests.

    Raises:
        KeyMissing: No key and no session, or none that is good.
        CrossSite: Another site's page would change something.
        TooManyRequests: One more than they may make; or so many wrong keys came from their address that this one is not looked at.
    """
    kind: Kind = "key"
    secret = key or _bearer(request)
    if not secret:
        kind, secret = "ticket", _ticket(request)
    if not secret:
        kind, secret = "session", request.cookies.get(cookie_of(request), "")
    if not secret:
        raise KeyMissing("The request has no key.")
    found = served.doorman.known(secret, kind)
    if found is None:
        if not served.doorman.has_known(secret, kind):  # who was let in before is no guesser, whoever else is behind the same address
            demand_guess(request, served)
        found = await run_in_threadpool(lambda: served.doorman.ask(served.db, secret, kind))
    if found is None:
        count_wrong(request, served)
        raise KeyMissing(_REFUSED[kind])
    if kind == "session" and request.method not in _CHANGE_NOTHING and not _same_site(request):
        raise CrossSite("The request comes from a page of another site, or does not say from where.")
    request.state.caller = found
    served.rates.count(found.key_id, request.state.headers)
    return found


Anybody = Annotated[Caller, Depends(_caller)]


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: who asks, with that scope.

    Raises:
        KeyMissing, CrossSite, TooManyRequests: They are not let in.
        NotAllowed: The key lacks the scope.
    """

    async def allowed(who: Anybody) -> Caller:
        if scope not in who.scopes:
            raise NotAllowed(f"The key lacks the scope {scope}.")
        return who

    return allowed


Reader = Annotated[Caller, Depends(needs("read"))]
Writer = Annotated[Caller, Depends(needs("write"))]
Admin = Annotated[Caller, Depends(needs("admin"))]


def demand_guess(request: Request, served: Services) -> None:
    """Look at a secret only if few wrong ones have come from its address: each is a question to the database. Raises `TooManyRequests`."""
    served.wrong_keys.demand(_address(request), request.state.headers)


def count_wrong(request: Request, served: Services) -> None:
    """A secret was none. Raises `TooManyRequests` if it was one too many."""
    served.wrong_keys.count(_address(request), request.state.headers)


def cookie_of(request: Request) -> str:
    """The name of the session's cookie. The port that the browser asks is in it: all ports of a host share their cookies (RFC 6265, section
    8.5), and a server on another one would write over it. Over HTTPS no host beside ours can set it: browsers see to that by its beginning.
    """
    port, beginning = request.headers.get("Host", "").rpartition(":")[2], "__Host-" if request.url.scheme == "https" else ""
    return f"{beginning}reframer_session_{port}" if port.isdecimal() else f"{beginning}reframer_session"


def _address(request: Request) -> str:
    """Whom wrong keys are counted for: the address that asks, and of IPv6 the network that one customer has (RFC 6177)."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:  # a socket of the machine, or what a proxy of its owner's says
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address)


def _ticket(request: Request) -> str:
    """The ticket in the address of a picture, a film or an export."""
    looks = request.method in ("GET", "HEAD") and not _WITH_TICKET.isdisjoint(request.scope["route"].tags)
    return request.query_params.get(TICKET, "") if looks else ""


def _bearer(request: Request) -> str:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _same_site(request: Request) -> bool:
    """Whether the browser says that a page of this server asks; what says nothing is no page of ours.

    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html, fetch metadata, then Origin.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    scheme, _, host = request.headers.get("Origin", "").partition("://")
    if scheme == "http" and request.url.scheme == "https":  # whoever is on the line can make such a page of our name
        return False
    return bool(host) and host == request.headers.get("Host")
