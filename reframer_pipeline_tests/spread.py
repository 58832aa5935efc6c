"""pytest's hooks: how the tests are spread over worker processes, and which of them `make test-quick` leaves out.

A file's tests stay together, in one worker and in their order, so that they share what the first of them made. Each worker has a data
folder and servers of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

DEPLOYMENT = Path(__file__).with_name("deployment")
MODELS = {"shared", "yolo", "sam2"}  # fixtures
MOST_WORKERS = 8


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: the tests of a running deployment mostly wait. Without them and the models, many more wait."""
    cores = os.cpu_count() or 1
    return min(2 * cores + 1 if "not models" in config.option.markexpr else cores + 1, MOST_WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # the order of `pytest_collection_modifyitems` is kept
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """Hands out whole files; those that share one running deployment go together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return str(Path(file).parent) if Path(file).parent.name == DEPLOYMENT.name else file


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs models, a deployment or a browser; a deployment's tests take longest, and begin first."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.path.is_relative_to(DEPLOYMENT):
            item.add_marker("deployment")
        if "page" in fixtures:
            item.add_marker("browser")
        if MODELS & fixtures:
            item.add_marker("models")
    items.sort(key=lambda item: not item.path.is_relative_to(DEPLOYMENT))
