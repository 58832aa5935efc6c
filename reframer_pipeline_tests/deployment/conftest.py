"""One running deployment for the tests that only use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reframer_pipeline_tests.deployment.deployment import Deployment


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("deployment")) as running:
        yield running
