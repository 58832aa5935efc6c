"""Storage on real servers: `storage` on the embedded one, `anywhere` on each kind in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.servers import Server, fresh_database


@pytest.fixture
def storage(tmp_path: Path, embedded_server: Server) -> Iterator[Storage]:
    """Open storage with a new database on the embedded server."""
    for url in fresh_database(embedded_server):
        with open_storage(Settings(home=tmp_path / "home", database_url=url)) as opened:
            yield opened


@pytest.fixture
def anywhere(tmp_path: Path, database_url: str) -> Iterator[Storage]:
    """Open storage with a new database on each kind of server."""
    with open_storage(Settings(home=tmp_path / "home", database_url=database_url)) as opened:
        yield opened
