"""What routes work with: settings and storage of this server, taken from the application that they run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings


@dataclass(frozen=True)
class Services:
    """One server's.

    Attributes:
        settings: As it was started with.
        storage: Database and object store, opened on first use.
    """

    settings: Settings
    storage: Storage

    @property
    def db(self) -> Database:
        """The database, migrated."""
        return self.storage.db


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(_services)]
