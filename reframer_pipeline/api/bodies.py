"""The bodies of uploads: their pieces as they arrive, and the quota that these are charged to.

What belongs here: what is so for every body that may be large. What does not: the form around a file (`forms`), tus (`resumable`), counting
in the database (`users.quotas`). What announces its length is charged whole before its first byte. What does not is charged as it comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from reframer_pipeline.api.access import Writer
from reframer_pipeline.api.services import Served, Services
from reframer_pipeline.failures import QuotaUsedUp
from reframer_pipeline.uploads.content import demand_size
from reframer_pipeline.users.quotas import give_back_bytes, spend_bytes

if TYPE_CHECKING:
    from datetime import date

UNLIMITED: Final = 2**62  # for routes whose bodies are judged while they arrive
AROUND: Final = 1_000_000  # bytes of a form that are not the file's
AHEAD: Final = 8_000_000  # bytes that are paid at a time where nobody says how many will come


class _Account:
    """What one body costs its key: how many bytes were paid, and how many have come."""

    def __init__(self, served: Services, key_id: str) -> None:
        self._served, self._key_id = served, key_id
        self._paid, self._came = 0, 0
        self._day: date | None = None  # of the last payment, which alone may have been too much

    def pay(self, count: int) -> None:
        """Take bytes off the quota of today. Raises `QuotaUsedUp`."""
        self._day = spend_bytes(self._served.db, self._key_id, count, self._served.settings.api_upload_mb_per_day * 1_000_000)
        self._paid += count

    async def came(self, count: int) -> None:
        """So many bytes more have come. Raises `QuotaUsedUp` if nobody has paid for them, and not so many are left."""
        self._came += count
        missing = self._came - self._paid
        if missing > 0:
            try:
                await run_in_threadpool(self.pay, max(missing, AHEAD))
            except QuotaUsedUp:
                await run_in_threadpool(self.pay, missing)

    def settle(self) -> None:
        """No more will come: what was paid for the rest is given back to the day that it was taken from."""
        if self._day is not None and self._paid > self._came:
            give_back_bytes(self._served.db, self._key_id, self._paid - self._came, self._day)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body, as it arrives, of a route that is `Paid`.

    Raises:
        ClientDisconnect: It breaks off, or nothing more comes.
        QuotaUsedUp: It did not say how long it is, and the key has no more bytes today.
    """
    account: _Account = request.state.account
    async for piece in request.stream():
        if piece:
            await account.came(len(piece))
            yield piece


async def _paid(request: Request, served: Served, who: Writer) -> AsyncIterator[None]:
    """The body's bytes come off the key's quota; those that are announced before the first of them is read.

    Raises:
        FileTooLarge: It is announced to be larger than any upload.
        QuotaUsedUp: Not so many are left.
    """
    request.state.account = account = _Account(served, who.key_id)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        demand_size("The upload", int(announced) - AROUND, served.settings)
        await run_in_threadpool(account.pay, int(announced))
    try:
        yield
    finally:
        await run_in_threadpool(account.settle)


Paid = Depends(_paid)
