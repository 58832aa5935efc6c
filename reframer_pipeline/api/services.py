"""What routes work with: settings, storage and memory of this server, taken from the application that they run in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.api.access import Doorman
    from reframer_pipeline.api.copying import Copying
    from reframer_pipeline.api.drawings import Drawings
    from reframer_pipeline.api.following import Following
    from reframer_pipeline.api.holding import Held
    from reframer_pipeline.api.metrics import Metrics
    from reframer_pipeline.api.rates import Rates

STATEMENT_S: Final = 10.0  # that one statement may take while somebody waits for it
CONNECTION_S: Final = 5.0  # that a connection is waited for while others have them all


@dataclass(frozen=True)
class Services:
    """One server's.

    Attributes:
        settings: As it was started with.
        storage: Database and object store, opened on first use.
        doorman: Knows who was let in a moment ago.
        rates: Requests a minute, by key.
        wrong_keys: Requests a minute with keys that are none, by address.
        held: What each key holds open.
        following: The jobs that somebody waits for.
        metrics: What this server counts.
        drawings: What it has drawn.
        ending: Set when the server is told to end: what waits or streams without end stops then.
    """

    settings: Settings
    storage: Storage
    doorman: Doorman
    rates: Rates
    wrong_keys: Rates
    held: Held
    following: Following
    metrics: Metrics
    drawings: Drawings
    ending: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def copying(self) -> Copying:
        """What it copies for browsers."""
        from reframer_pipeline.api.copying import Copying

        return Copying(self.storage, self.ending)

    @property
    def db(self) -> Database:
        """The database, migrated, for what somebody waits for: nobody may keep its connections for long. What is streamed, such as exports
        and whole documents, and what is uploaded has that of `storage`, and so its longer bound for each statement.
        """
        return self.storage.db.hurried(STATEMENT_S, CONNECTION_S)


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(_services)]
